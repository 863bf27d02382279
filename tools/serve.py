#!/usr/bin/env python3
"""A small web server with range requests for trying the browser's page (standard library only; not for the open internet).

  serve.py [FOLDER] [--port 8000] [--file NAME=PATH ...]

serves FOLDER (default build/web) on localhost, and each PATH as /NAME: serve.py --file model.png=~/models/model.png, then open
http://localhost:8000/?model=model.png
"""
import argparse
import http.server
import mimetypes
import os
import pathlib
import re
import sys
import urllib.parse

TYPES = {".js": "text/javascript", ".wasm": "application/wasm", ".wgsl": "text/plain; charset=utf-8"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder, files = pathlib.Path("."), {}

    def find(self):
        name = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).lstrip("/") or "index.html"
        if name in self.files:
            return self.files[name]
        path = (self.folder / name).resolve()
        return path if path.is_relative_to(self.folder.resolve()) and path.is_file() else None

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.find()
        if path is None:
            return self.send_error(404)
        with open(path, "rb") as f:
            size = os.fstat(f.fileno()).st_size
            first, end = 0, size
            asked = self.headers.get("Range")
            if asked is not None:
                m = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.strip())
                if m and m.group(1):
                    first, end = int(m.group(1)), min(size, int(m.group(2)) + 1 if m.group(2) else size)
                elif m and m.group(2):
                    first = max(0, size - int(m.group(2)))
                if not m or not (m.group(1) or m.group(2)) or first >= end:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{size}")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
            self.send_response(200 if asked is None else 206)
            if asked is not None:
                self.send_header("Content-Range", f"bytes {first}-{end - 1}/{size}")
            kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(end - first))
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Cache-Control", "no-cache")
            self.end_headers()
            if self.command == "GET":
                f.seek(first)
                left = end - first
                while left > 0 and (data := f.read(min(left, 1 << 20))):
                    self.wfile.write(data)
                    left -= len(data)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):   # browsers hang up when they please
            super().handle_error(request, client_address)


def make_server(folder, files, port):
    """A server on localhost; serve_forever() runs it. `files`: name -> path."""
    handler = type("Served", (Handler,), {"folder": pathlib.Path(folder), "files": {k: pathlib.Path(v) for k, v in files.items()}})
    return Server(("127.0.0.1", port), handler)


def main():
    here = pathlib.Path(__file__).resolve().parent.parent
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?", default=here / "build" / "web")
    p.add_argument("--port", type=int, default=8000)
    p.add_argument("--file", action="append", default=[], metavar="NAME=PATH")
    args = p.parse_args()
    files = {}
    for item in args.file:
        name, _, path = item.partition("=")
        if not name or not os.path.isfile(os.path.expanduser(path)):
            sys.exit(f"serve.py: --file {item}: NAME=PATH of a file is expected")
        files[name] = os.path.expanduser(path)
    if not os.path.isdir(args.folder):
        sys.exit(f"serve.py: {args.folder}: no such folder (./run --web makes build/web)")
    server = make_server(args.folder, files, args.port)
    print(f"http://localhost:{args.port}/" + "".join(f"?model={name}" for name in list(files)[:1]), flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
