#!/usr/bin/env python3
"""The command line as people and programs meet it: exit codes, help, wrong paths, full disks, kills, round trips.

  cli_story_test.py PATH/TO/pixellm        (Python's standard library only)
"""
import hashlib
import json
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PIXELLM = os.path.abspath(sys.argv.pop(1))
F32, Q8_0 = 0, 8


def text(s):
    data = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(data)) + data


def gguf(tensors, pairs=(), alignment=32, seed=1):
    """tensors: (name, type, dims, bytes); pairs: (key, type, encoded value)."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(pairs))
    for key, kind, value in pairs:
        head += text(key) + struct.pack("<I", kind) + value
    offset, data = 0, b""
    source = random.Random(seed)
    for name, kind, dims, size in tensors:
        head += text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims)
        head += struct.pack("<IQ", kind, len(data))
        data += source.randbytes(size)
        data += bytes(-len(data) % alignment)
    return head + bytes(-len(head) % alignment) + data


def small_gguf(rows=48):
    return gguf(
        [("token_embd.weight", Q8_0, (64, rows), 68 * rows),
         ("blk.0.attn_norm.weight", F32, (64,), 256),
         ("blk.0.attn_q.weight", Q8_0, (64, 64), 68 * 64),
         ("blk.0.ffn_up.weight", Q8_0, (64, 128), 68 * 128),
         ("output_norm.weight", F32, (64,), 256)],
        [("general.architecture", 8, text("llama")), ("llama.block_count", 4, struct.pack("<I", 1)),
         ("llama.attention.head_count", 4, struct.pack("<I", 4)), ("general.name", 8, text(b"not \xff utf-8 \x1b[31m")),
         ("many", 9, struct.pack("<IQ", 4, 100) + struct.pack("<100I", *range(100))),
         ("eps", 6, struct.pack("<f", 1e-5))])


def sha(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


class Story(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pixellm-cli-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def run_it(self, *args, **kwargs):
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        kwargs.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([PIXELLM, *args], stderr=subprocess.PIPE, timeout=120, **kwargs)

    def ok(self, *args, **kwargs):
        r = self.run_it(*args, **kwargs)
        self.assertEqual(r.returncode, 0, (args, r.stderr))
        return r

    def fails(self, *args, says=b"", **kwargs):
        """Exit 1 and one message that begins with the program's name."""
        r = self.run_it(*args, **kwargs)
        self.assertEqual(r.returncode, 1, (args, r.stdout, r.stderr))
        self.assertTrue(r.stderr.startswith(b"pixellm: "), r.stderr)
        self.assertEqual(r.stderr.count(b"\n"), 1, r.stderr)
        self.assertIn(says, r.stderr)
        return r

    def usage(self, *args, says=b""):
        r = self.run_it(*args)
        self.assertEqual(r.returncode, 2, (args, r.stderr))
        self.assertIn(says, r.stderr)
        self.assertEqual(r.stdout, b"")
        return r

    def model(self, name="model.png"):
        self.write("in.gguf", small_gguf())
        self.ok("import", self.path("in.gguf"), "-o", self.path(name))
        return self.path(name)


class Frame(Story):
    def test_help_and_version(self):
        top = self.ok("--help").stdout
        self.assertEqual(self.ok("help").stdout, top)
        self.assertRegex(self.ok("--version").stdout, rb"^pixellm \d+\.\d+\.\d+\n$")
        commands = [line.split()[0].decode() for line in top.split(b"Commands:\n")[1].split(b"\n\n")[0].splitlines()]
        self.assertIn("import", commands)
        for command in commands:
            page = self.ok(command, "--help").stdout
            self.assertIn(b"Usage: pixellm " + command.encode(), page)
            self.assertIn(b"Example", page, command)
            self.assertEqual(self.ok("help", command).stdout, page)

    def test_wrong_usage(self):
        self.usage(says=b"Usage: pixellm COMMAND")
        self.usage("imprt", says=b"did you mean 'import'?")
        self.usage("help", "exprt", says=b"did you mean 'export'?")
        self.assertNotIn(b"did you mean", self.usage("frobnicate").stderr)
        self.usage("", says=b"no command ''")
        self.usage("import", says=b"pixellm: import: ")
        self.usage("import", "a", "-o", "b", "--colour", says=b"--colour")
        self.usage("export", "a", says=b"--output")
        self.usage("import", "a", "-o", "b", "--width", "100", says=b"multiple of 64")
        self.usage("import", "a", "-o", "b", "--width", "99999", says=b"--width")
        self.usage("info", "a", "--verify", "md5", says=b"md5")
        self.usage("info", "a", "--threads", "-3", says=b"--threads")
        self.usage("verify", "a", "--verify", "none", says=b"none")
        self.usage("thumbnail", "a", "-o", "b", "--size", "65", says=b"multiple of 64")

    def test_output_that_cannot_be_written(self):
        model = self.model()
        with open("/dev/full", "wb") as full:
            for args in (["info", model], ["info", model, "--json"], ["verify", model], ["--help"], ["import", "--help"],
                         ["export", model, "-o", "-"]):
                self.fails(*args, stdout=full, says=b"No space left on device")

    def test_a_reader_that_goes_away(self):
        model = self.model()
        for args in (["info", model, "--json"], ["export", model, "-o", "-"]):
            read, write = os.pipe()
            os.close(read)
            r = self.run_it(*args, stdout=write)
            os.close(write)
            self.assertEqual(r.returncode, 1, (args, r.stderr))

    def test_closed_standard_streams(self):
        model = self.model()
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            command = f'"$0" export "$1" -o "$2" {closed}'
            r = subprocess.run(["/bin/sh", "-c", command, PIXELLM, model, self.path("out.gguf")], timeout=60,
                               stderr=subprocess.PIPE)
            self.assertEqual(r.returncode, 0, closed)
            self.assertEqual(sha(self.path("out.gguf")), sha(self.path("in.gguf")), closed)
            os.remove(self.path("out.gguf"))
        r = subprocess.run(["/bin/sh", "-c", '"$0" info "$1" >&-', PIXELLM, model], stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"standard output", r.stderr)


class Conversion(Story):
    def test_round_trip(self):
        model = self.model()
        r = self.ok("export", model, "-o", self.path("back.gguf"))
        self.assertEqual(r.stdout, b"")
        self.assertEqual(sha(self.path("back.gguf")), sha(self.path("in.gguf")))
        piped = self.ok("export", model, "-o", "-", "--verify", "sha256", "--threads", "2").stdout
        self.assertEqual(hashlib.sha256(piped).hexdigest(), sha(self.path("in.gguf")))
        piped = self.ok("import", self.path("in.gguf"), "-o", "-")
        self.assertEqual(hashlib.sha256(piped.stdout).hexdigest(), sha(model))
        self.assertIn(b"standard output: 5 tensors", piped.stderr)
        r = self.ok("import", self.path("in.gguf"), "-o", self.path("wide.png"), "--width", "3200")
        self.assertIn(b"5 tensors", r.stderr)
        self.ok("export", self.path("wide.png"), "-o", self.path("back.gguf"))
        self.assertEqual(sha(self.path("back.gguf")), sha(self.path("in.gguf")))
        self.ok("import", self.path("back.gguf"), "-o", self.path("again.png"))
        self.assertEqual(sha(self.path("again.png")), sha(model))

    def test_wrong_inputs(self):
        out = self.path("out.png")
        self.fails("import", self.path("absent.gguf"), "-o", out, says=b"absent.gguf: cannot open: No such file")
        self.fails("import", self.folder.name, "-o", out, says=b"a folder")
        self.fails("import", "/dev/null", "-o", out, says=b"not a regular file")
        self.fails("import", self.write("empty", b""), "-o", out, says=b"is empty, neither a GGUF nor an npz file")
        self.fails("import", self.write("x.npz", b"PK\3\4" + bytes(100)), "-o", out, says=b"x.npz: zip: the end record is missing")
        self.fails("import", self.write("x.gguf", b"\x89PNG\r\n"), "-o", out, says=b"neither a GGUF nor an npz file (begins with 89504e47")
        self.fails("import", self.write("cut", small_gguf()[:-100]), "-o", out, says=b"output_norm.weight")
        self.fails("import", self.write("type", gguf([("odd.one", 16, (256,), 66)])), "-o", out, says=b"IQ2_XXS")
        self.fails("export", self.write("text", b"hello"), "-o", out, says=b"text: ")
        self.fails("export", self.write("in.gguf", small_gguf()), "-o", out, says=b"in.gguf: ")
        for command in ("info", "verify"):
            for name in ("absent.gguf", "", "empty", "text"):
                self.fails(command, self.path(name))
        self.assertFalse(os.path.exists(out))

    def test_wrong_outputs(self):
        source = self.write("in.gguf", small_gguf())
        before = sha(source)
        self.fails("import", source, "-o", source, says=b"is the input")
        os.symlink("in.gguf", self.path("link"))
        self.fails("import", source, "-o", self.path("link"), says=b"is the input")
        self.fails("import", source, "-o", self.folder.name, says=b"not a regular file")
        self.fails("import", source, "-o", self.path("no/such/folder.png"), says=b"No such file")
        self.fails("import", source, "-o", "/proc/model.png", says=b"/proc/model.png: cannot create")
        self.fails("import", source, "-o", "/dev/full", says=b"/dev/full")
        self.fails("import", source, "-o", "", says=b"")
        model = self.model()
        self.fails("export", model, "-o", model, says=b"is the input")
        self.fails("export", model, "-o", "/proc/x.gguf", says=b"/proc/x.gguf")
        self.fails("thumbnail", model, "-o", "/proc/x.png", says=b"/proc/x.png")
        self.assertEqual(sha(source), before)
        self.assertEqual(sorted(os.listdir(self.folder.name)), ["in.gguf", "link", "model.png"])

    def test_disk_full(self):
        """A file-size limit stands in for a full disk: the write fails in the same place."""
        source = self.write("in.gguf", small_gguf(rows=4800))
        model = self.path("model.png")
        old = b"an older file"
        self.write("model.png", old)

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))

        self.fails("import", source, "-o", model, preexec_fn=limit, says=b"model.png")
        with open(model, "rb") as f:
            self.assertEqual(f.read(), old)
        self.ok("import", source, "-o", model)
        self.fails("export", model, "-o", self.path("back.gguf"), preexec_fn=limit, says=b"back.gguf")
        self.assertEqual(sorted(os.listdir(self.folder.name)), ["in.gguf", "model.png"])

    def in_mounted_folder(self, options, source):
        """Imports `source` into a small file system of its own; skips where mounting is not allowed."""
        place = self.path("mounted")
        os.mkdir(place)
        script = f'mount -t tmpfs -o {options} none "$2" || exit 77; "$0" import "$1" -o "$2/x.png"; s=$?; ls -A "$2"; exit $s'
        r = subprocess.run(["unshare", "--mount", "/bin/sh", "-c", script, PIXELLM, source, place],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        if r.returncode == 77 or b"unshare" in r.stderr:
            self.skipTest("mounting is not allowed here")
        return r

    def test_full_file_system(self):
        r = self.in_mounted_folder("size=100k", self.write("in.gguf", small_gguf(rows=4800)))
        self.assertEqual((r.returncode, r.stdout), (1, b""))
        self.assertIn(b"x.png: cannot write: No space left on device", r.stderr)

    def test_read_only_file_system(self):
        r = self.in_mounted_folder("ro", self.write("in.gguf", small_gguf()))
        self.assertEqual((r.returncode, r.stdout), (1, b""))
        self.assertIn(b"x.png: cannot create: Read-only file system", r.stderr)

    def test_kill_at_any_moment(self):
        source = self.write("in.gguf", small_gguf(rows=200000))
        model = self.path("model.png")
        start = time.monotonic()
        self.ok("import", source, "-o", model)
        seconds = time.monotonic() - start
        whole = sha(model)
        chance = random.Random(7)
        killed = i = 0
        while killed < 16:
            i += 1
            self.assertLess(i, 200, "the import is always over before it can be killed")
            old = i % 2 == 0
            if old:
                self.write("model.png", b"old")
            elif os.path.exists(model):
                os.remove(model)
            process = subprocess.Popen([PIXELLM, "import", source, "-o", model], stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, seconds))
            process.kill()
            if process.wait() == -9:
                killed += 1
            else:
                seconds *= 0.8   # the machine is faster now than when it was measured
            if os.path.exists(model):
                with open(model, "rb") as f:
                    data = f.read()
                self.assertTrue(data == b"old" or hashlib.sha256(data).hexdigest() == whole, f"{len(data)} bytes")
            else:
                self.assertFalse(old)
            for name in os.listdir(self.folder.name):
                self.assertIn(name.split(".pixellm-")[0], ("in.gguf", "model.png", ".model.png"))


class Looking(Story):
    def test_info_of_a_model(self):
        model = self.model()
        info = json.loads(self.ok("info", model, "--json").stdout)
        plane = info["plane"]
        self.assertEqual(plane["kind"], "flat png")
        self.assertEqual(plane["row_stride"], plane["row_bytes"] + 128)
        self.assertEqual(plane["base"], 320)
        self.assertEqual(info["file"]["bytes"], os.path.getsize(model))
        header = info["header"]
        self.assertEqual((header["version"], header["architecture"], header["num_layers"]), ("2.0", "llama", 1))
        self.assertEqual([t["name"] for t in info["tensors"]],
                         ["token_embd.weight", "blk.0.attn_norm.weight", "blk.0.attn_q.weight", "blk.0.ffn_up.weight",
                          "output_norm.weight"])
        with open(model, "rb") as f:
            png = f.read()
        starts = range(plane["base"], plane["base"] + plane["rows"] * plane["row_stride"], plane["row_stride"])
        payload = b"".join(png[at:at + plane["row_bytes"]] for at in starts)
        source = small_gguf()
        for t in info["tensors"]:
            self.assertEqual(t["rows"][0], t["offset"] // plane["row_bytes"])
            self.assertGreaterEqual(t["rows"][1], t["rows"][0])
            self.assertEqual(set(t["world"]), {"x", "y", "w", "h"})
            self.assertEqual(t["offset"] % 64, 0)
            if len(t["shape"]) == 1:   # linear tensors stand in the picture as in the GGUF
                data = payload[t["offset"]:t["offset"] + t["bytes"]]
                self.assertTrue(data in source)
                self.assertEqual(hashlib.sha256(data).hexdigest(), t["sha256"])
        self.assertEqual(info["tensors"][0]["shape"], [64, 48])
        self.assertEqual(info["tensors"][0]["type"], "Q8_0")
        self.assertEqual(info["metadata"]["many"], list(range(100)))
        self.assertEqual(info["metadata"]["eps"], 1e-05)
        self.assertEqual(info["metadata"]["general.name"], "not \ufffd utf-8 \x1b[31m")
        o = info["overhead"]
        self.assertEqual(sum(o.values()), os.path.getsize(model))
        page = self.ok("info", model).stdout
        self.assertIn(b"blk.0.attn_q.weight", page)
        self.assertNotIn(b"\x1b", page)
        page.decode()   # is UTF-8

    def test_info_of_other_files(self):
        info = json.loads(self.ok("info", self.write("in.gguf", small_gguf()), "--json").stdout)
        self.assertEqual(info["gguf"]["version"], 3)
        self.assertEqual(info["tensors"][2]["shape"], [64, 64])
        self.assertIn(b"GGUF version 3", self.ok("info", self.path("in.gguf")).stdout)
        self.ok("thumbnail", self.model(), "-o", self.path("small.png"))
        info = json.loads(self.ok("info", self.path("small.png"), "--json").stdout)
        self.assertEqual(info["plane"]["width"], 640)
        self.assertNotIn("tensors", info)

    def test_verify(self):
        model = self.model()
        self.assertIn(b"intact", self.ok("verify", model).stdout)
        good = json.loads(self.ok("verify", model, "--json").stdout)
        self.assertEqual((good["ok"], good["level"], good["rows"], good["damage"]), (True, "sha256", [], []))
        self.assertEqual(json.loads(self.ok("verify", model, "--json", "--verify", "crc").stdout)["level"], "crc")
        info = json.loads(self.ok("info", model, "--json").stdout)
        tensor = info["tensors"][2]
        row, column = divmod(tensor["offset"] + 5, info["plane"]["row_bytes"])
        with open(model, "r+b") as f:
            f.seek(info["plane"]["base"] + row * info["plane"]["row_stride"] + column)
            byte = f.read(1)[0]
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte ^ 0x10]))
        for level in ("crc", "sha256"):
            r = self.fails("verify", model, "--verify", level, says=b"damaged")
            line = next(l for l in r.stdout.splitlines() if l.startswith(b"row"))
            self.assertTrue(line.startswith(b"row %d" % row), line)
            self.assertIn(b"blk.0.attn_q.weight", line)
            r = self.run_it("verify", model, "--verify", level, "--json")
            self.assertEqual(r.returncode, 1)
            bad = json.loads(r.stdout)
            self.assertEqual((bad["ok"], bad["rows"]), (False, [[row, row]]))
            self.assertTrue(bad["damage"])
        self.fails("export", model, "-o", self.path("no.gguf"), says=b"blk.0.attn_q.weight")
        self.fails("info", model, says=b"damaged")
        self.ok("info", model, "--verify", "none")
        self.ok("export", model, "-o", self.path("damaged.gguf"), "--verify", "none")
        self.assertFalse(os.path.exists(self.path("no.gguf")))

    def test_verify_other_files(self):
        r = self.ok("verify", self.write("in.gguf", small_gguf()))
        self.assertIn(b"no checksums", r.stdout)
        self.ok("thumbnail", self.model(), "-o", self.path("small.png"))
        self.assertIn(b"intact", self.ok("verify", self.path("small.png")).stdout)
        payload = bytes(range(48)) * 64
        head = struct.pack(">4sBBQIIB32s9x", b"PXIF", 1, 0, len(payload), 64, 16, 0, hashlib.sha256(payload).digest())
        pxif = self.write("x.pxi", head + payload)
        self.assertIn(b"intact", self.ok("verify", pxif).stdout)
        info = json.loads(self.ok("info", pxif, "--json").stdout)
        self.assertEqual((info["plane"]["kind"], info["plane"]["base"], info["plane"]["rows"]), ("pxif", 64, 16))
        self.write("x.pxi", head + payload[:-1] + b"!")
        self.fails("verify", pxif, says=b"damaged")

    def test_thumbnail(self):
        model = self.model()
        for size in (64, 640):
            small = self.path(f"{size}.png")
            self.ok("thumbnail", model, "-o", small, "--size", str(size))
            with open(small, "rb") as f:
                head = f.read(24)
            self.assertEqual(head[:8], b"\x89PNG\r\n\x1a\n")
            self.assertEqual(struct.unpack(">I", head[16:20])[0], size)
        self.ok("thumbnail", model, "-o", self.path("again.png"))
        self.assertEqual(sha(self.path("again.png")), sha(self.path("640.png")))
        self.write("none.gguf", gguf([]))
        self.ok("import", self.path("none.gguf"), "-o", self.path("none.png"))
        self.fails("thumbnail", self.path("none.png"), "-o", self.path("x.png"), says=b"no tensors")


if __name__ == "__main__":
    unittest.main(verbosity=2)
