#!/usr/bin/env python3
"""`pixellm fs` as people and programs meet it: round trips, ranges, wrong names and flags, full disks, kills, other tools.

  fs_story_test.py PATH/TO/pixellm        (Python's standard library, and the programs lz4, zstd and pngcheck)
"""
import hashlib
import json
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib

PIXELLM = os.path.abspath(sys.argv.pop(1))
COMPRESSIONS = ("none", "rle", "lz4", "zstd")


def sha(data):
    return hashlib.sha256(data).hexdigest()


def mixed(size, seed=1):
    source = random.Random(seed)
    out = b""
    while len(out) < size:
        out += source.choice((source.randbytes(5000), bytes(5000), b"RGB" * 2000, b"some words again and again, " * 200))
    return out[:size]


def png_pixels(data):
    """Width, height and the bytes of all pixels of an 8-bit RGB PNG without filters."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, idat = 8, b""
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + size]
        assert zlib.crc32(kind + body) == struct.unpack_from(">I", data, at + 8 + size)[0]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack_from(">IIBB", body)
            assert (depth, colour) == (8, 2)
        if kind == b"IDAT":
            idat += body
        at += 12 + size
    raw = zlib.decompress(idat)
    stride = 3 * width + 1
    assert len(raw) == stride * height and not any(raw[::stride])
    return width, height, b"".join(raw[i + 1:i + stride] for i in range(0, len(raw), stride))


class Story(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pixellm-fs-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def run_it(self, *args, **kwargs):
        """Runs a verb in the temporary folder; bytes as `input` are its standard input."""
        if "input" not in kwargs:
            kwargs.setdefault("stdin", subprocess.DEVNULL)
        kwargs.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([PIXELLM, "fs", *args], stderr=subprocess.PIPE, timeout=120, cwd=self.folder.name, **kwargs)

    def ok(self, *args, **kwargs):
        r = self.run_it(*args, **kwargs)
        self.assertEqual(r.returncode, 0, (args, r.stderr))
        return r.stdout

    def fails(self, *args, says="", **kwargs):
        r = self.run_it(*args, **kwargs)
        self.assertEqual(r.returncode, 1, (args, r.stdout, r.stderr))
        self.assertTrue(r.stderr.startswith(b"pixellm: "), r.stderr)
        self.assertEqual(r.stderr.count(b"\n"), 1, r.stderr)
        self.assertIn(says, r.stderr.decode())
        return r.stdout

    def usage(self, *args, says=""):
        r = self.run_it(*args)
        self.assertEqual((r.returncode, r.stdout), (2, b""), (args, r.stderr))
        self.assertIn(says, r.stderr.decode())

    def files(self):
        return sorted(os.path.relpath(os.path.join(where, name), self.folder.name)
                      for where, _, names in os.walk(self.folder.name) for name in names)


class Frame(Story):
    def test_help(self):
        page = self.ok("--help").decode()
        verbs = [line.split()[0] for line in page.split("Commands:\n")[1].split("\n\n")[0].splitlines()]
        self.assertEqual(verbs, ["write", "read", "info", "verify", "list", "remove", "restore", "export-png", "demo"])
        for verb in verbs:
            self.assertIn("pixellm fs " + verb, self.ok(verb, "--help").decode())
            self.assertIn("Example", self.ok("help", verb).decode())

    def test_wrong_usage(self):
        self.usage(says="Usage: pixellm fs COMMAND")
        self.usage("wrte", says="did you mean 'write'?")
        self.usage("write", says="FILE")
        self.usage("write", "-", says="standard input has no name")
        self.usage("write", "a", "--width", "0", says="--width")
        self.usage("write", "a", "--width", "4294967296", says="--width")
        self.usage("write", "a", "--width", "1048577", says="1048576")
        self.usage("write", "a", "--width", "-5", says="--width")
        self.usage("write", "a", "--compression", "gzip", says="--compression")
        self.usage("write", "a", "b", "c")
        self.usage("write", "a", "--wait", "-1", says="--wait")
        self.usage("read", "a", "--offset", "-1", says="--offset")
        self.usage("read", "a", "--length", "x", says="--length")
        self.usage("read", says="NAME")
        self.usage("info", "a", "--colour", says="--colour")
        self.usage("list", "a", "b")
        self.usage("export-png", "a", "--json", "-o", "-", says="standard output")
        self.assertEqual(self.files(), [])

    def test_demo(self):
        out = self.ok("demo").decode()
        self.assertIn("3,600 bytes as 1024x2 pixel image", out)
        self.assertIn("PASS", out)
        self.ok("demo")
        made = json.loads(self.ok("demo", "--root", "elsewhere/deep", "--json"))
        self.assertEqual((made["original_size"], made["width"], made["height"], made["verify"]), (3600, 1024, 2, "PASS"))
        self.assertEqual(self.files(), ["elsewhere/deep/demo.pxi", "pixel_storage/demo.pxi"])
        self.ok("write", "-", "demo", input=b"mine")
        self.fails("demo", says="exists and is no demo")
        self.assertEqual(self.ok("read", "demo", "-o", "-"), b"mine")


class RoundTrip(Story):
    def test_write_and_read(self):
        for compression in COMPRESSIONS:
            for size in (0, 1, 13, 1900, 50000, 1000001):
                data = mixed(size)
                self.write("in.bin", data)
                made = json.loads(self.ok("write", "in.bin", "a/b", "--compression", compression, "--json"))
                self.assertEqual((made["name"], made["path"], made["original_size"], made["compression"], made["sha256"]),
                                 ("a/b", "pixel_storage/a/b.pxi", size, compression, sha(data)))
                container = self.read("pixel_storage/a/b.pxi")
                self.assertEqual(len(container), 64 + 3 * made["width"] * made["height"])
                self.assertEqual(made["file_bytes"], len(container))
                info = json.loads(self.ok("info", "a/b.pxi", "--json"))
                self.assertEqual(info, made)
                self.assertEqual(self.ok("read", "a/b", "-o", "-", "--verify"), data)
                self.ok("read", "a/b", "-o", "out.bin")
                self.assertEqual(self.read("out.bin"), data)
                self.assertEqual(self.ok("verify", "a/b"), b"PASS pixel_storage/a/b.pxi\n")
        self.assertEqual(self.files(), ["in.bin", "out.bin", "pixel_storage/a/b.pxi"])

    def test_the_original_container(self):
        self.ok("write", self.write("Metadata.txt", b"Metadata test"))
        head = bytes.fromhex("504958460100000000000000000d0000040000000001006c06e7970b00a815e9aa201e82d22c1f98cfa72ea64e6d6b740f61"
                             "1dd1d65e54" + "00" * 9).replace(b"PIXF", b"PXIF")
        self.assertEqual(self.read("pixel_storage/Metadata.pxi"), head + b"Metadata test" + bytes(3072 - 13))
        self.ok("write", self.write("none", b""))
        empty = b"PXIF" + struct.pack(">BBQIIB", 1, 0, 0, 1024, 0, 0) + hashlib.sha256(b"").digest() + bytes(9)
        self.assertEqual(self.read("pixel_storage/none.pxi"), empty)

    def test_what_write_says(self):
        self.assertEqual(self.ok("write", self.write("big.bin", bytes(2000000))).decode(),
                         "Wrote 2,000,000 bytes as 1024x652 pixel image\n  pixel_storage/big.pxi\n  Efficiency: 99.9%\n")
        self.assertIn("N/A (empty file)", self.ok("write", self.write("none", b"")).decode())
        self.assertIn("as 7x1 pixel image", self.ok("write", "-", "x", "--width", "7", input=b"abc").decode())

    def test_names(self):
        self.write("archive.tar.gz", b"1")
        self.ok("write", "archive.tar.gz")
        self.ok("write", "archive.tar.gz", "x.pxa")
        self.ok("write", "archive.tar.gz", "gr\u00fcn/\u7d75.pxi")
        listed = json.loads(self.ok("list", "--recursive", "--json"))
        self.assertEqual([x["name"] for x in listed], ["archive.tar", "gr\u00fcn/\u7d75", "x.pxa"])
        self.assertEqual(listed[0], {"name": "archive.tar", "bytes": 1, "width": 1024, "height": 1})
        self.assertEqual([x["name"] for x in json.loads(self.ok("list", "--json"))], ["archive.tar", "x.pxa"])
        self.assertIn(b"x.pxa", self.ok("list"))

    def test_standard_input_and_pipes(self):
        data = mixed(700000)
        self.ok("write", "-", "a", "--compression", "zstd", input=data)
        self.assertEqual(sha(self.ok("read", "a", "-o", "-")), sha(data))
        os.mkfifo(self.path("pipe"))
        feeder = threading.Thread(target=lambda: self.write("pipe", data))
        feeder.start()
        self.ok("write", "pipe")
        feeder.join()
        self.assertEqual(sha(self.ok("read", "pipe", "-o", "-")), sha(data))

    def test_devices_and_pipes_as_output(self):
        data = mixed(700000)
        self.ok("write", "-", "a", "--compression", "zstd", input=data)
        self.assertEqual(self.ok("read", "a", "-o", "/dev/null", "--verify"), b"")
        self.assertEqual(sha(self.ok("read", "a", "-o", "/dev/stdout")), sha(data))
        self.assertEqual(self.ok("read", "a", "-o", "/dev/stdout", "--offset", "5", "--length", "9", "--verify"), data[5:14])
        os.mkfifo(self.path("pipe"))
        got = []
        taker = threading.Thread(target=lambda: got.append(self.read("pipe")))
        taker.start()
        self.ok("read", "a", "-o", "pipe")
        taker.join()
        self.assertEqual(sha(got[0]), sha(data))
        self.fails("read", "a", "-o", "/dev/full", says="/dev/full: cannot write: No space left")
        self.fails("read", "a", "-o", ".", says="not a regular file")
        container = bytearray(self.read("pixel_storage/a.pxi"))
        container[64 + 1000] ^= 1
        self.write("pixel_storage/a.pxi", container)
        self.fails("read", "a", "-o", "/dev/null", "--verify", says="pxif")

    def test_ranges(self):
        data = mixed(1000000)
        for compression in COMPRESSIONS:
            self.ok("write", "-", "a", "--compression", compression, input=data)
            for offset, length in ((0, 0), (0, 10), (262140, 10), (999990, 10), (999990, 11), (1000000, 5), (5, 999995), (0, 2**64 - 1)):
                got = self.ok("read", "a", "-o", "-", "--offset", str(offset), "--length", str(length))
                self.assertEqual(got, data[offset:offset + length])
            self.assertEqual(self.ok("read", "a", "-o", "-", "--offset", "10", "--length", "20", "--verify"), data[10:30])
            self.fails("read", "a", "-o", "x", "--offset", "1000001", says="past the end of the content, which has 1000000 bytes")
            self.fails("read", "a", "--offset", str(2**64 - 1), says="past the end")
        self.assertNotIn("x", self.files())

    def test_previews(self):
        self.ok("write", "-", "short", input=b"Hello")
        self.assertEqual(self.ok("read", "short"), b"Hello\n")
        text = "\u00e4\u7d75\U0001f600" * 100000
        for compression in COMPRESSIONS:
            self.ok("write", "-", "long", "--compression", compression, input=text.encode())
            self.assertEqual(self.ok("read", "long").decode(), text[:500] + "\n... (299,500 more characters)\n")
            cut = self.ok("read", "long", "--offset", "9", "--length", "9000").decode()
            self.assertEqual(cut, text[:500] + "\n... (2,500 more characters)\n")
        self.ok("write", "-", "binary", input=text.encode() + b"\xff")
        head = text.encode()[:100].hex()
        self.assertEqual(self.ok("read", "binary").decode(), f"Binary data: 900,001 bytes\n{head}...\n")
        self.ok("write", "-", "cut", input=text.encode()[:-1])
        self.assertIn(b"Binary data: 899,999 bytes", self.ok("read", "cut"))
        # Of what is long, the beginning decides, the rest is counted in bytes; it is not read unless it shall be verified.
        content = text.encode() * 2 + random.Random(1).randbytes(600000)
        for compression in COMPRESSIONS:
            self.ok("write", "-", "beyond", "--compression", compression, input=content)
            damaged = bytearray(self.read("pixel_storage/beyond.pxi"))
            damaged[-100000] ^= 1
            self.write("pixel_storage/beyond.pxi", damaged)
            self.assertEqual(self.ok("read", "beyond").decode(),
                             text[:500] + f"\n... ({len(content) - len(text[:500].encode()):,} more bytes)\n")
            self.assertIn(b"Binary data", self.ok("read", "beyond", "--offset", "1", "--length", "1500000"))
            self.fails("read", "beyond", "--verify", says="pxif")
        self.ok("write", "-", "ansi", input=b"\x1b[31mred\0")
        self.assertEqual(self.ok("read", "ansi"), b"\\x1b[31mred\\x00\n")
        self.ok("write", "-", "none", input=b"")
        self.assertEqual(self.ok("read", "none"), b"")

    def test_other_tools_decode_the_body(self):
        data = mixed(1000000)
        for compression, command in (("lz4", ["lz4", "-dc"]), ("zstd", ["zstd", "-dc"])):
            for width in ("1024", "1", "77"):
                self.ok("write", "-", "a", "--compression", compression, "--width", width, input=data)
                body = self.read("pixel_storage/a.pxi")[64:]
                self.assertEqual(sha(subprocess.run(command, input=body, stdout=subprocess.PIPE, check=True).stdout), sha(data))

    def test_trash(self):
        for text in (b"first", b"second"):
            self.ok("write", "-", "a/b", input=text)
            self.assertEqual(json.loads(self.ok("remove", "a/b", "--json")), {"name": "a/b", "removed": True})
        self.fails("read", "a/b", says="no such container")
        self.fails("remove", "a/b", says="no such container")
        self.assertEqual(self.ok("list", "--recursive", "--json"), b"[]\n")
        self.ok("restore", "a/b")
        self.assertEqual(self.ok("read", "a/b", "-o", "-"), b"second")
        self.fails("restore", "a/b", says="exists and is not overwritten")
        self.assertEqual(self.ok("read", "a/b", "-o", "-"), b"second")
        self.ok("remove", "a/b")
        self.ok("restore", "a/b")
        self.ok("remove", "a/b")
        self.ok("restore", "a/b")
        self.assertEqual(self.ok("read", "a/b", "-o", "-"), b"second")
        self.fails("restore", "c", says="is not in the trash")


class Pictures(Story):
    def test_export(self):
        data = mixed(300000)
        for compression in ("none", "zstd"):
            for width in (1024, 100, 64):
                self.ok("write", "-", "a/b", "--width", str(width), "--compression", compression, input=data)
                made = json.loads(self.ok("export-png", "a/b", "--json", "--verify"))
                height = -(-100000 // width)
                self.assertEqual(made, {"name": "a/b", "file": "pixel_storage/a/b.png", "width": width, "height": height,
                                        "flat": width % 64 == 0})
                self.assertEqual(png_pixels(self.read("pixel_storage/a/b.png")),
                                 (width, height, data + bytes(3 * width * height - len(data))))
                subprocess.run(["pngcheck", "-q", self.path("pixel_storage/a/b.png")], check=True)
        self.assertEqual(self.ok("export-png", "a/b", "-o", "-"), self.read("pixel_storage/a/b.png"))
        self.ok("export-png", "a/b", "-o", "c.png")
        self.assertEqual(self.read("c.png"), self.read("pixel_storage/a/b.png"))

    def test_no_picture(self):
        self.ok("write", "-", "none", input=b"")
        self.fails("export-png", "none", says="is empty; a PNG has at least one pixel")
        self.fails("export-png", "absent", says="no such container")
        self.fails("export-png", "none", "-o", "pixel_storage/none.pxi", says="is the container itself")
        self.assertEqual(self.files(), ["pixel_storage/none.pxi"])

    def test_a_container_is_a_plane(self):
        for compression in COMPRESSIONS:
            self.ok("write", "-", "a", "--compression", compression, input=mixed(9000))
            for command in ("info", "verify"):
                subprocess.run([PIXELLM, command, self.path("pixel_storage/a.pxi")], check=True, stdout=subprocess.PIPE)


class BadInput(Story):
    def test_wrong_names(self):
        self.write("in", b"x")
        for name, why in (("../x", "'..'"), ("a/../../x", "'..'"), (self.path("x"), "absolute"), ("a//b", "empty part"), ("./a", "'.'"),
                          ("a\\b", "backslash"), (b"\xff", "not UTF-8"), (".pxi", "nothing before"), ("x" * 300, "bytes"), (".trash/a", "trash")):
            self.fails("write", "in", name, says=why)
            for verb in ("read", "info", "verify", "remove", "restore", "export-png"):
                self.fails(verb, name, says=why)
        self.assertEqual(self.files(), ["in"])

    def test_wrong_paths(self):
        self.fails("write", "absent", says="absent: cannot open: No such file")
        self.fails("write", ".", "a", says="a folder")
        self.fails("write", "/dev/zero", "a", says="a device")
        self.write("file", b"x")
        self.fails("write", "file", "--root", "file", says="file: is not a folder")
        self.fails("list", "--root", "file", says="file: is not a folder")
        self.fails("write", "file", "--root", "", says="root is empty")
        self.fails("read", "a", says="pixel_storage")
        self.assertEqual(self.ok("list", "--json"), b"[]\n")
        self.assertEqual(self.fails("list", "--json", "--root", "nope", says="nope: cannot open the store: No such file"), b"")
        self.ok("write", "file", "a")
        self.assertEqual(json.loads(self.ok("write", "file", "b/c", "--root", "other/", "--json"))["path"], "other/b/c.pxi")
        self.fails("read", "d", "--root", "other/", says="pixellm: other/d.pxi: no such container")
        os.remove(self.path("other/b/c.pxi"))
        self.fails("read", "b", says="pixel_storage/b.pxi: no such container")
        self.fails("write", "file", "a.pxi/b", says="a.pxi: is a file, a folder is expected")
        self.fails("read", "a", "-o", "no/such/folder", says="No such file")
        self.fails("read", "a", "-o", "", says="empty")
        self.fails("read", "a", "-o", "pixel_storage/a.pxi", says="is the container itself")
        with open("/dev/full", "wb") as full:
            self.fails("read", "a", "-o", "-", stdout=full, says="No space left")
            self.fails("list", "--json", stdout=full, says="No space left")
        self.assertEqual(self.files(), ["file", "pixel_storage/a.pxi"])

    def test_links_do_not_lead_out(self):
        self.ok("write", self.write("secret", b"secret"), "a")
        os.mkdir(self.path("outside"))
        os.rename(self.path("pixel_storage/a.pxi"), self.path("outside/a.pxi"))
        os.symlink("../outside", self.path("pixel_storage/link"))
        os.symlink("../outside/a.pxi", self.path("pixel_storage/b.pxi"))
        for name in ("link/a", "b"):
            for verb in ("read", "info", "verify", "remove", "export-png"):
                self.fails(verb, name, says="symbolic link" if name != "b" or verb != "remove" else "")
        for name in ("link/a", "link/new", "b"):
            self.fails("write", "secret", name, says="symbolic link")
        self.assertEqual(self.ok("list", "--recursive", "--json"), b"[]\n")
        self.assertEqual(os.listdir(self.path("outside")), ["a.pxi"])

    def test_damage(self):
        data = mixed(600000)
        for compression in COMPRESSIONS:
            self.ok("write", "-", "a", "--compression", compression, input=data)
            good = self.read("pixel_storage/a.pxi")
            bad = bytearray(good)
            bad[len(bad) // 2] ^= 4
            self.write("pixel_storage/a.pxi", bad)
            self.assertEqual(self.fails("verify", "a", says="a.pxi: pxif: "), b"FAIL pixel_storage/a.pxi\n")
            report = self.run_it("verify", "a", "--json")
            self.assertEqual(report.returncode, 1)
            self.assertFalse(json.loads(report.stdout)["ok"])
            self.fails("read", "a", "-o", "out", "--verify", says="pxif")
            self.fails("read", "a", "--verify", says="pxif")
            self.fails("export-png", "a", "--verify", says="pxif")
            self.assertNotIn("out", self.files())
            self.assertEqual(self.ok("read", "a", "-o", "-", "--length", "100"), data[:100])
            for n in (0, 10, 63, 64, 1000, len(good) - 1):
                self.write("pixel_storage/a.pxi", good[:n])
                for verb in ("read", "info", "verify", "export-png"):
                    self.fails(verb, "a", says="pxif")
            self.write("pixel_storage/a.pxi", good + b"\0")
            self.fails("verify", "a", says="pxif")
        self.write("pixel_storage/p.pxi", b"\x89PNG\r\n\x1a\n" + bytes(100))
        self.fails("read", "p", says="begins with 89504e47")
        self.ok("write", "-", "fine", input=b"x")
        r = self.run_it("list", "--json")
        self.assertEqual([x["name"] for x in json.loads(r.stdout)], ["fine"])
        self.assertEqual((r.returncode, r.stderr.count(b"warning")), (0, 2))


class Disk(Story):
    def test_disk_full(self):
        """A file-size limit stands in for a full disk: the write fails in the same place."""
        self.ok("write", "-", "a", input=b"old")
        self.write("in", mixed(3000000, seed=3))

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))

        for compression in COMPRESSIONS:
            self.fails("write", "in", "a", "--compression", compression, preexec_fn=limit, says="pixel_storage/a.pxi: cannot write: File too large")
        self.ok("write", "in", "b")
        self.fails("read", "b", "-o", "out", preexec_fn=limit, says="out: cannot write")
        self.fails("export-png", "b", preexec_fn=limit, says="b.png: cannot write")
        self.assertEqual(self.ok("read", "a", "-o", "-"), b"old")
        self.assertEqual(self.files(), ["in", "pixel_storage/a.pxi", "pixel_storage/b.pxi"])

    def in_mounted_folder(self, options, script):
        """Runs a script with a small file system at $2; skips where mounting is not allowed."""
        os.mkdir(self.path("mounted"))
        script = f'mount -t tmpfs -o size=300k none "$2" || exit 77; {script}'.replace("REMOUNT", f'mount -o remount,{options} "$2"')
        r = subprocess.run(["unshare", "--mount", "/bin/sh", "-c", script, PIXELLM, self.path("in"), self.path("mounted")],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        if r.returncode == 77 or b"unshare" in r.stderr:
            self.skipTest("mounting is not allowed here")
        return r

    def test_full_file_system(self):
        self.write("in", mixed(1000000))
        r = self.in_mounted_folder("rw", 'echo old | "$0" fs write - a --root "$2" >/dev/null; "$0" fs write "$1" a --root "$2"; s=$?; '
                                         'ls -A "$2"; "$0" fs read a --root "$2"; exit $s')
        self.assertEqual((r.returncode, r.stdout), (1, b"a.pxi\nold\n"))
        self.assertIn(b"a.pxi: cannot write: No space left on device", r.stderr)

    def test_read_only_file_system(self):
        self.write("in", b"new")
        r = self.in_mounted_folder("ro", 'echo old | "$0" fs write - a --root "$2" >/dev/null; REMOUNT; "$0" fs write "$1" a --root "$2"; s=$?; '
                                         '"$0" fs remove a --root "$2"; "$0" fs read a --root "$2"; exit $s')
        self.assertEqual((r.returncode, r.stdout), (1, b"old\n"))
        self.assertEqual(r.stderr.count(b"a.pxi: cannot change: Read-only file system"), 2)

    def test_killed_writers(self):
        old = mixed(100000, seed=9)
        self.ok("write", "-", "a", input=old)
        for compression in COMPRESSIONS:
            for seconds in (0, 0.02, 0.1):
                writer = subprocess.Popen([PIXELLM, "fs", "write", "-", "a", "--compression", compression], stdin=subprocess.PIPE,
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder.name)
                writer.stdin.write(mixed(2000000))
                writer.stdin.flush()
                time.sleep(seconds)
                writer.send_signal(signal.SIGKILL)
                writer.wait()
                writer.stdin.close()
                self.assertEqual(self.ok("read", "a", "-o", "-", "--verify"), old)
        self.ok("write", "-", "a", "--wait", "0", input=b"the lock went with the process")
        self.assertEqual(self.files(), ["pixel_storage/a.pxi"])

    def test_one_writer_a_name(self):
        first = subprocess.Popen([PIXELLM, "fs", "write", "-", "a"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=self.folder.name)
        lock = self.path("pixel_storage/.a.pxi.pixellm-lock")
        while not os.path.exists(lock):
            self.assertIsNone(first.poll())
            time.sleep(0.01)
        # The file is made a moment before it is locked.
        for _ in range(1000):
            r = self.run_it("write", "-", "a", "--wait", "0", input=b"second")
            if r.returncode != 0:
                break
        self.assertIn(b"another program is changing it", r.stderr)
        self.ok("write", "-", "b", "--wait", "0", input=b"another name")
        first.communicate(b"first")
        self.assertEqual(self.ok("read", "a", "-o", "-"), b"first")
        self.assertEqual(self.files(), ["pixel_storage/a.pxi", "pixel_storage/b.pxi"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
