#!/usr/bin/env python3
"""A world as people and programs meet it through `pixellm map`.

  map_story_test.py PATH/TO/pixellm        (Python's standard library only)
"""
import base64
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import unittest

PIXELLM = os.path.abspath(sys.argv.pop(1))


def b64(data):
    return base64.b64encode(data).decode()


class Script:
    """A running `map script -`: asks one operation, waits for its answer."""

    def __init__(self, world, *args):
        self.process = subprocess.Popen([PIXELLM, "map", "script", "-", "--world", world, *args],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def line(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __call__(self, op, **fields):
        return self.line(json.dumps({"op": op, **fields}))

    def end(self):
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, err.decode()


class Story(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pixellm-map-")
        self.addCleanup(self.folder.cleanup)
        self.world = self.path("world")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def content(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def run_it(self, *args, **kwargs):
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        kwargs.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([PIXELLM, "map", *args], stderr=subprocess.PIPE, timeout=120, **kwargs)

    def ok(self, *args, **kwargs):
        r = self.run_it(*args, **kwargs)
        self.assertEqual(r.returncode, 0, (args, r.stderr))
        return r.stdout.decode() if kwargs.get("stdout") is None and r.stdout is not None else ""

    def json(self, *args):
        return json.loads(self.ok(*args, "--world", self.world, "--json"))

    def fails(self, *args, status=1, says=(), **kwargs):
        r = self.run_it(*args, **kwargs)
        self.assertEqual(r.returncode, status, (args, r.stdout, r.stderr))
        error = r.stderr.decode()
        self.assertTrue(error.startswith("pixellm: "), error)
        for word in says:
            self.assertIn(word, error)
        return error

    def script(self, *args, world=None):
        s = Script(world or self.world, *args)

        def close():
            if s.process.poll() is None:
                s.process.kill()
                s.process.wait()
            for stream in (s.process.stdin, s.process.stdout, s.process.stderr):
                stream.close()

        self.addCleanup(close)
        return s

    def damage(self, content):
        """Flips a bit in the data file's only copy of `content`."""
        path = os.path.join(self.world, "data.mdb")
        with open(path, "r+b") as f:
            data = f.read()
            at = data.index(content)
            self.assertEqual(data.count(content), 1)
            f.seek(at + 1)
            f.write(bytes([data[at + 1] ^ 4]))


class Commands(Story):
    def test_demo(self):
        out = self.ok("demo")
        for word in ("origin", "10000,20000", "retrieved both correctly", "8 pixels around"):
            self.assertIn(word, out)
        self.ok("demo", "--world", self.world)
        self.ok("demo", "--world", self.world)      # its own pixels may be there
        self.assertEqual(self.ok("tiles", "0,0,20000,30000", "--world", self.world), "0,0\n156,312\n")
        self.assertEqual(self.ok("read", "--bytes", "10000,20000", "-o", "-", "--world", self.world),
                         "Data ten thousand pixels away")
        other = self.path("other")
        self.ok("set", "10001,20001", "1,2,3", "--world", other)
        self.fails("demo", "--world", other, says=("10000,20000",))
        self.assertEqual(self.ok("get", "10001,20001", "--world", other), "1,2,3\n")
        self.assertEqual(self.ok("get", "0,0", "--world", other), "0,0,0\n")

    def test_numbers_may_be_negative_wherever_they_stand(self):
        w = ("--world", self.world)
        self.ok("set", "-5,-7", "255,0,0", *w)
        self.ok("set", *w, "--at", "-6,-7", "#00ff10")
        self.ok("set", "1,2,3", "--at=-7,-7", *w)
        for args in (("-5,-7",), ("--at", "-5,-7"), ("--at=-5,-7",)):
            self.assertEqual(self.ok("get", *args, *w), "255,0,0\n")
            self.assertEqual(self.ok("get", *w, *args), "255,0,0\n")
        self.assertEqual(self.ok("neighbors", "-6,-7", *w).splitlines()[3:5], ["-7,-7 1,2,3", "-5,-7 255,0,0"])
        for args in (("-64,-64,64,64",), ("--rect", "-64,-64,64,64")):
            self.assertEqual(self.ok("tiles", *args, *w), "-1,-1\n")
        self.assertEqual(self.ok("bounds", *w), "-64,-64 to -1,-1\n")
        self.assertEqual(self.ok("erase", "-64,-64,64,64", *w), "1\n")
        self.assertEqual(self.ok("get", "-5,-7", *w), "0,0,0\n")
        self.assertEqual(self.ok("restore", "--rect=-64,-64,64,64", *w), "1\n")
        self.assertEqual(self.ok("get", "-5,-7", *w), "255,0,0\n")

    def test_each_operation_alone(self):
        pixels = random.Random(1).randbytes(3 * 30 * 20)
        self.ok("write", "-10,-10,30,20", self.write("p.rgb", pixels), "--world", self.world)
        self.ok("write", self.path("p.rgb"), "--rect", "100,100,30,20", "--world", self.world, "--tile-size", "64")
        with open(self.path("p.rgb"), "rb") as f:
            self.ok("write", "-10,50,30,20", "-", "--world", self.world, stdin=f)
        for place in ("-10,-10,30,20", "100,100,30,20", "-10,50,30,20"):
            self.ok("read", place, "-o", self.path("back.rgb"), "--world", self.world)
            with open(self.path("back.rgb"), "rb") as f:
                self.assertEqual(f.read(), pixels)
        self.ok("write", "--bytes", "1000,-1000", self.path("p.rgb"), "--world", self.world)
        r = self.run_it("read", "--bytes", "1000,-1000", "-o", "-", "--world", self.world)
        self.assertEqual(r.stdout, pixels)
        self.assertEqual(self.json("get", "-10,-10"), {"ok": True, "rgb": list(pixels[:3])})
        self.assertEqual(len(self.json("neighbors", "0,0", "--radius", "3")["pixels"]), 48)
        tiles = self.json("tiles", "-64,-64,256,256")["tiles"]
        self.assertEqual(tiles, [[-1, -1], [0, -1], [-1, 0], [-1, 1], [0, 0], [0, 1], [1, 1], [2, 1]])
        self.assertEqual(self.json("tiles", "-64,-64,256,256", "--count")["count"], len(tiles))
        self.assertEqual(self.json("regions", "0,0")["regions"], [[-1, -1], [0, -1], [-1, 0], [-1, 1], [0, 1], [1, 1]])
        self.assertEqual(self.json("bounds")["bounds"], [-64, -1024, 1087, 127])
        stats = self.json("stats")
        self.assertEqual((stats["tile_size"], stats["dirty_tiles"]), (64, 0))
        self.assertGreater(stats["tiles_on_disk"], len(tiles))
        self.ok("flush", "--world", self.world)
        self.assertEqual(self.json("verify")["bad_tiles"], [])

    def test_wrong_usage(self):
        w = ("--world", self.world)
        self.fails("get", "5", *w, status=2, says=("X,Y",))
        self.fails("get", "5,x", *w, status=2)
        self.fails("get", "5,9223372036854775808", *w, status=2, says=("64 bits",))
        self.fails("get", "1,2,3", *w, status=2)
        self.fails("get", "1,2", status=2, says=("--world",))
        self.fails("tiles", "0,0,-5,5", *w, status=2, says=("W and H",))
        self.fails("set", "1,2", "1,2,256", *w, status=2, says=("0 to 255",))
        self.fails("set", "1,2", "#12345", *w, status=2)
        self.fails("set", "1,2", "1,2,3", *w, "--tile-size", "8", status=2, says=("16", "1024"))
        self.fails("read", "1,2", "-o", "-", *w, status=2, says=("X,Y,W,H",))
        r = self.run_it("gett", "1,2", *w)
        self.assertEqual(r.returncode, 2)
        self.assertIn(b"did you mean 'get'", r.stderr)
        self.assertFalse(os.path.exists(self.world))

    def test_what_is_refused_makes_nothing(self):
        w = ("--world", self.world)
        for args in (("get", "0,0"), ("read", "0,0,1,1", "-o", self.path("out")), ("stats",), ("tiles", "0,0,1,1"), ("bounds",),
                     ("erase", "0,0,1,1"), ("restore", "0,0,1,1"), ("flush",), ("verify",), ("repair",), ("compact",),
                     ("script", "-", "--read-only")):
            self.fails(*args, *w, says=(self.world,))
        self.fails("write", "0,0,2,2", self.write("short", b"12345"), *w, says=("5 bytes", "12"))
        self.fails("write", "9223372036854775807,0,2,2", self.path("short"), *w, says=("leaves the world",))
        self.fails("write", "0,0,100000,100000", self.path("short"), *w, says=("100000",))
        self.fails("write", "0,0,1,1", self.path("none"), *w, says=("none",))
        self.fails("script", self.path("none"), *w, says=("none",))
        # found out only when the world is there
        self.fails("write", "--bytes", "9223372036854775807,0", self.path("short"), *w, says=("leaves the world",))
        self.fails("script", self.folder.name, *w, says=("is a folder",))
        self.assertEqual(os.listdir(self.folder.name), ["short"])
        os.mkdir(self.world)
        self.fails("write", "--bytes", "9223372036854775807,0", self.path("short"), *w, says=("leaves the world",))
        self.assertEqual(os.listdir(self.world), [])
        self.ok("set", "0,0", "1,2,3", *w)
        self.fails("write", "--bytes", "9223372036854775807,0", self.path("short"), *w, says=("leaves the world",))
        self.fails("read", "0,0,4000000000,4000000000", "-o", self.path("out"), *w, says=("4000000000",))
        self.fails("read", "--bytes", "5,5", "-o", self.path("out"), *w, says=("5,5",))
        self.assertFalse(os.path.exists(self.path("out")))

    def test_no_output_replaces_a_file_of_the_world(self):
        self.ok("write", "--bytes", "0,0", self.write("notes", b"some notes"), "--world", self.world)
        os.symlink("world/data.mdb", self.path("link"))
        for out in ("world/data.mdb", "world/lock.mdb", "world/../world/data.mdb"):
            before = os.stat(self.path(out))
            for command in (("read", "0,0,4,4"), ("read", "--bytes", "0,0"), ("export-png", "--rect", "0,0,64,64")):
                self.fails(*command, "-o", self.path(out), "--world", self.world, says=("mdb: is the input",))
            self.assertTrue(os.path.samestat(os.stat(self.path(out)), before))
        self.fails("read", "0,0,4,4", "-o", self.path("link"), "--world", self.world, says=("is the input",))
        self.ok("read", "--bytes", "0,0", "-o", self.path("world/notes"), "--world", self.world)    # another file beside them
        self.assertEqual(self.content("world/notes"), b"some notes")

    def test_one_tile_size(self):
        self.ok("set", "0,0", "1,2,3", "--world", self.world, "--tile-size", "100")
        for command in (("get", "0,0"), ("set", "0,0", "1,1,1"), ("stats",)):
            self.fails(*command, "--world", self.world, "--tile-size", "64", says=("100", "64"))
        self.assertEqual(self.ok("get", "0,0", "--world", self.world), "1,2,3\n")
        self.assertEqual(self.json("bounds")["bounds"], [0, 0, 99, 99])


class Scripts(Story):
    def test_the_protocol(self):
        s = self.script()
        pixels = random.Random(2).randbytes(3 * 70 * 5)
        self.assertEqual(s("set", x=-5, y=7, rgb=[1, 2, 3]), {"ok": True})
        self.assertEqual(s("get", x=-5, y=7), {"ok": True, "rgb": [1, 2, 3]})
        self.assertEqual(s("get", x=2**45, y=-2**45), {"ok": True, "rgb": [0, 0, 0]})
        self.assertEqual(s("write", x=-3, y=100, w=70, h=5, data=b64(pixels)), {"ok": True})
        self.assertEqual(base64.b64decode(s("read", x=-3, y=100, w=70, h=5)["data"]), pixels)
        self.assertEqual(s("read", x=0, y=0, w=0, h=5), {"ok": True, "data": ""})
        self.assertEqual(s("write_bytes", x=5000, y=5000, data=b64(b"seven b")), {"ok": True})
        self.assertEqual(base64.b64decode(s("read_bytes", x=5000, y=5000)["data"]), b"seven b")
        around = s("neighbors", x=-4, y=7, radius=1)["pixels"]
        self.assertEqual([(p["x"], p["y"]) for p in around],
                         [(-5, 6), (-4, 6), (-3, 6), (-5, 7), (-3, 7), (-5, 8), (-4, 8), (-3, 8)])
        self.assertEqual(around[3]["rgb"], [1, 2, 3])
        self.assertEqual(s("tiles", x=-64, y=0, w=192, h=128)["tiles"], [[-1, 0], [-1, 1], [0, 1], [1, 1]])
        self.assertEqual(s("regions", x=0, y=64, radius=1)["regions"], [[-1, 0], [-1, 1], [1, 1]])
        self.assertEqual(s("bounds"), {"ok": True, "bounds": [-64, 0, 5055, 5055]})
        stats = s("stats")
        self.assertEqual((stats["tiles_on_disk"], stats["dirty_tiles"], stats["tiles_in_memory"]), (0, 5, 5))
        self.assertEqual(stats["cache_bytes"], 5 * 12288)
        self.assertEqual(s("flush"), {"ok": True})
        self.assertEqual(s("erase", x=-64, y=0, w=64, h=64), {"ok": True, "count": 1})
        self.assertEqual(s("get", x=-5, y=7)["rgb"], [0, 0, 0])
        self.assertEqual(s("restore", x=-64, y=0, w=64, h=64), {"ok": True, "count": 1})
        self.assertEqual(s("get", x=-5, y=7)["rgb"], [1, 2, 3])
        self.assertTrue(s("prefetch", x=0, y=0, w=1000, h=1000)["ok"])
        for x, y in ((2**63 - 1, -2**63), (-2**63, 2**63 - 1)):
            self.assertEqual(s("set", x=x, y=y, rgb=[9, 9, 9]), {"ok": True})
            self.assertEqual(s("get", x=x, y=y)["rgb"], [9, 9, 9])
        self.assertEqual(s("bounds")["bounds"], [-2**63, -2**63, 2**63 - 1, 2**63 - 1])
        self.assertEqual(s("count", x=-2**63, y=-2**63, w=2**64 - 1, h=2**64 - 1)["count"], 7)
        self.assertEqual(s.end(), (0, ""))

    def test_bad_lines_are_answered_and_the_next_one_runs(self):
        s = self.script()
        s("set", x=0, y=0, rgb=[1, 2, 3])
        bad = ["nonsense", "{", "[]", "5", "null", '"get"', "{}", '{"op":5}', '{"op":"fly"}', '{"op":"get"}', '{"op":"get","x":1}',
               '{"op":"get","x":1.5,"y":0}', '{"op":"get","x":1.0,"y":0}', '{"op":"get","x":"1","y":0}', '{"op":"get","x":1e3,"y":0}',
               '{"op":"get","x":9223372036854775808,"y":0}', '{"op":"get","x":-9223372036854775809,"y":0}',
               '{"op":"get","x":1e999,"y":0}', '{"op":"get","x":99999999999999999999999999,"y":0}', '{"op":"get","x":true,"y":0}',
               '{"op":"set","x":0,"y":0,"rgb":[1,2]}', '{"op":"set","x":0,"y":0,"rgb":[1,2,256]}', '{"op":"set","x":0,"y":0,"rgb":[1,2,-1]}',
               '{"op":"set","x":0,"y":0,"rgb":[1,2,3,4]}', '{"op":"set","x":0,"y":0,"rgb":"red"}', '{"op":"set","x":0,"y":0,"rgb":[1,2,[3]]}',
               '{"op":"write","x":0,"y":0,"w":1,"h":1,"data":"AAA"}', '{"op":"write","x":0,"y":0,"w":1,"h":1,"data":"AA A"}',
               '{"op":"write","x":0,"y":0,"w":1,"h":1,"data":"AAAAAA=="}', '{"op":"write","x":0,"y":0,"w":1,"h":1,"data":7}',
               '{"op":"write","x":0,"y":0,"w":-1,"h":1,"data":"AAAA"}', '{"op":"write","x":9223372036854775807,"y":0,"w":2,"h":1,"data":"AAAAAAAA"}',
               '{"op":"read","x":0,"y":0,"w":1000000000,"h":1000000000}', '{"op":"read","x":0,"y":0,"w":20000,"h":20000}',
               '{"op":"read","x":0,"y":0,"w":18446744073709551615,"h":18446744073709551615}',
               '{"op":"neighbors","x":0,"y":0,"radius":-1}', '{"op":"neighbors","x":0,"y":0,"radius":5000}',
               '{"op":"read_bytes","x":0,"y":0}', '{"op":"erase","x":0,"y":0,"w":1}', '{"op":"get","x":0,"y":0} trailing',
               '[' * 100000, '{"op":"get","x":' + '[' * 1000 + ']' * 1000 + ',"y":0}', '{"op":"\\ud800"}', "\x00"]
        for line in bad:
            answer = s.line(line)
            self.assertIs(answer["ok"], False, line[:200])
            self.assertGreater(len(answer["error"]), 10)
            self.assertLess(len(answer["error"]), 400)
        s.process.stdin.write(b'{"op":"\xff\xfe"}\n\n  \r\n{"op":"get","x":0,"y":0,"more":1}\r\n')    # not UTF-8; blank lines
        s.process.stdin.flush()
        self.assertIs(json.loads(s.process.stdout.readline())["ok"], False)
        self.assertEqual(json.loads(s.process.stdout.readline()), {"ok": True, "rgb": [1, 2, 3]})
        self.assertIn('"rgb" is missing', s("set", x=0, y=0)["error"])
        for fields, missing in (({}, "x"), ({"y": 1}, "x"), ({"x": 1}, "y")):
            self.assertIn(f'"{missing}" is missing', s("get", **fields)["error"])
        self.assertIn('"w" is missing', s("read", x=0, y=0)["error"])
        n = len(bad) + 11                       # the next line, with the two blank ones
        self.assertEqual(s.line('{"op":"get","x":1e999,"y":0}')["error"], f"line {n}: a number is too large for any field")
        self.assertTrue(s.line("nonsense")["error"].startswith(f"line {n + 1}: not a JSON object"))
        for length in (3000, 5000, 1000000):    # long names are cut short
            for fields in ({"model": "m" * length, "tensor": "t"}, {"model": "m", "tensor": "t" * length}):
                self.assertLess(len(s("locate", **fields)["error"]), 400)
        self.assertEqual(s("get", x=0, y=0)["rgb"], [1, 2, 3])
        self.assertEqual(s.end(), (0, ""))

    def test_a_file_of_operations_without_a_last_line_end(self):
        ops = '{"op":"set","x":1,"y":1,"rgb":[5,6,7]}\n{"op":"oops"}\n\n{"op":"get","x":1,"y":1}'
        out = self.ok("script", self.write("ops", ops.encode()), "--world", self.world)
        self.assertEqual([json.loads(line)["ok"] for line in out.splitlines()], [True, False, True])
        self.assertEqual(self.ok("get", "1,1", "--world", self.world), "5,6,7\n")     # the end flushed
        self.assertEqual(self.ok("script", self.write("empty", b""), "--world", self.world), "")

    def test_one_writer_and_readers_that_follow(self):
        writer = self.script()
        writer("set", x=0, y=0, rgb=[1, 1, 1])
        self.fails("set", "0,0", "2,2,2", "--world", self.world, says=(self.world,))
        self.fails("script", "-", "--world", self.world)
        writer("flush")
        reader = self.script("--read-only")
        self.assertEqual(reader("get", x=0, y=0)["rgb"], [1, 1, 1])
        writer("set", x=0, y=0, rgb=[3, 3, 3])
        writer("set", x=1000, y=0, rgb=[3, 3, 3])
        self.assertEqual(reader("get", x=0, y=0)["rgb"], [1, 1, 1])
        self.assertEqual(self.ok("get", "0,0", "--world", self.world), "1,1,1\n")
        writer("flush")
        self.assertEqual(reader("get", x=0, y=0)["rgb"], [3, 3, 3])
        self.assertEqual(len(reader("tiles", x=0, y=0, w=2000, h=10)["tiles"]), 2)
        for refused in (reader("set", x=0, y=0, rgb=[1, 2, 3]), reader("erase", x=0, y=0, w=1, h=1),
                        reader("write", x=0, y=0, w=1, h=1, data="AAAA"), reader("write_bytes", x=0, y=0, data="")):
            self.assertIs(refused["ok"], False)
            self.assertIn("reading only", refused["error"])
        writer("write", x=0, y=0, w=1, h=1, data=b64(b"\x04\x04\x04"))
        self.assertEqual(writer.end()[0], 0)
        self.assertEqual(reader("get", x=0, y=0)["rgb"], [4, 4, 4])
        self.ok("set", "0,0", "5,5,5", "--world", self.world)       # the writer is gone, the reader is not
        self.assertEqual(reader("get", x=0, y=0)["rgb"], [5, 5, 5])
        self.assertEqual(reader.end()[0], 0)

    def test_what_flush_answered_for_survives_a_kill(self):
        for round_ in range(5):
            s = self.script()
            s("set", x=round_, y=0, rgb=[round_, 1, 1])
            s("write_bytes", x=0, y=1000 * round_ + 1000, data=b64(b"kept %d" % round_))
            self.assertEqual(s("flush"), {"ok": True})
            s("set", x=round_, y=0, rgb=[99, 99, 99])
            s.process.send_signal(signal.SIGKILL)
            s.process.wait()
        reader = self.script("--read-only")
        for round_ in range(5):
            self.assertEqual(reader("get", x=round_, y=0)["rgb"], [round_, 1, 1])
            self.assertEqual(base64.b64decode(reader("read_bytes", x=0, y=1000 * round_ + 1000)["data"]), b"kept %d" % round_)
        self.assertEqual(self.json("verify")["bad_tiles"], [])

    def test_interrupting_flushes(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            s = self.script()
            s("set", x=0, y=0, rgb=[number, 0, 0])
            s.process.send_signal(number)
            self.assertEqual(s.process.wait(timeout=60), 0)
            self.assertEqual(self.ok("get", "0,0", "--world", self.world), f"{int(number)},0,0\n")

    def test_a_small_cache_and_its_limit(self):
        s = self.script("--cache-bytes", str(2 * 12288))
        for i in range(30):
            self.assertTrue(s("set", x=64 * i, y=0, rgb=[i, 0, 0])["ok"])
            self.assertLessEqual(s("stats")["tiles_in_memory"], 2)
        for i in range(30):
            self.assertEqual(s("get", x=64 * i, y=0)["rgb"], [i, 0, 0])
        self.assertEqual(s.end()[0], 0)

    def test_a_full_disk_is_said_and_keeps_what_was(self):
        self.ok("set", "0,0", "7,7,7", "--world", self.world)
        size = os.path.getsize(os.path.join(self.world, "data.mdb"))
        ops = [{"op": "write", "x": 0, "y": 64, "w": 640, "h": 640, "data": b64(random.Random(3).randbytes(3 * 640 * 640))},
               {"op": "flush"}, {"op": "get", "x": 0, "y": 0}]
        path = self.write("ops", "\n".join(map(json.dumps, ops)).encode())
        r = self.run_it("script", path, "--world", self.world,
                        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
        answers = [json.loads(line) for line in r.stdout.splitlines()]
        self.assertEqual([a["ok"] for a in answers], [True, False, True])
        self.assertEqual(r.returncode, 1)       # the end could not flush either
        self.assertIn(self.world, r.stderr.decode())
        self.assertEqual(self.ok("get", "0,0", "--world", self.world), "7,7,7\n")
        self.assertEqual(self.json("tiles", "-1000,-1000,3000,3000")["tiles"], [[0, 0]])

    def test_nobody_reads_the_answers(self):
        s = self.script()
        s.process.stdout.close()
        s.process.stdin.write(b'{"op":"set","x":0,"y":0,"rgb":[8,8,8]}\n')
        s.process.stdin.flush()
        self.assertEqual(s.process.wait(timeout=60), 1)
        self.assertEqual(self.ok("get", "0,0", "--world", self.world), "8,8,8\n")


class Damage(Story):
    def test_a_damaged_tile(self):
        pixels = random.Random(4).randbytes(12288)
        self.ok("write", "128,-64,64,64", self.write("p.rgb", pixels), "--world", self.world)
        self.ok("set", "0,0", "1,2,3", "--world", self.world)
        self.damage(pixels[3000:3100])
        r = self.run_it("verify", "--world", self.world, "--json")
        self.assertEqual(r.returncode, 1)
        self.assertEqual(json.loads(r.stdout)["bad_tiles"], [[2, -1]])
        r = self.run_it("verify", "--world", self.world)
        self.assertEqual((r.returncode, r.stdout), (1, b"tile 2,-1 is damaged\n"))
        s = self.script()
        for answer in (s("get", x=130, y=-3), s("read", x=0, y=-64, w=200, h=64), s("set", x=130, y=-3, rgb=[1, 1, 1])):
            self.assertIs(answer["ok"], False)
            self.assertIn("2, -1", answer["error"])
        self.assertEqual(s("get", x=0, y=0)["rgb"], [1, 2, 3])
        self.assertEqual(s.end()[0], 0)
        out = self.ok("repair", "--world", self.world)
        self.assertIn("dropped tile 2,-1", out)
        self.assertEqual(self.json("verify")["bad_tiles"], [])
        self.assertEqual(self.ok("get", "130,-3", "--world", self.world), "0,0,0\n")
        self.assertEqual(self.ok("get", "0,0", "--world", self.world), "1,2,3\n")

    def test_a_damaged_meta_page(self):
        self.ok("set", "0,0", "1,2,3", "--world", self.world)
        self.ok("set", "200,0", "4,5,6", "--world", self.world)
        data = os.path.join(self.world, "data.mdb")
        with open(data, "r+b") as f:
            pages = f.read(8192)
            newest = max((0, 1), key=lambda i: int.from_bytes(pages[4096 * i + 144:4096 * i + 152], sys.byteorder))
            f.seek(4096 * newest + 16)          # the magic number
            f.write(b"\0")
        before = self.content("world/data.mdb")
        for command in (("get", "0,0"), ("set", "0,0", "9,9,9"), ("verify",), ("compact",)):
            self.fails(*command, "--world", self.world, says=("data.mdb", f"meta page {newest} is damaged", "map repair"))
        self.assertEqual(self.content("world/data.mdb"), before)
        other, = self.json("repair")["other"]
        self.assertIn("as version 1 left it", other)
        self.assertEqual(self.ok("get", "0,0", "--world", self.world), "1,2,3\n")
        self.assertEqual(self.ok("get", "200,0", "--world", self.world), "0,0,0\n")   # the last commit
        self.assertIs(self.json("verify")["intact"], True)

    def test_compact_ends_what_can_be_restored(self):
        self.ok("write", "0,0,640,640", self.write("p.rgb", random.Random(5).randbytes(3 * 640 * 640)), "--world", self.world)
        self.assertEqual(self.ok("erase", "0,0,640,640", "--world", self.world), "100\n")
        before = os.path.getsize(os.path.join(self.world, "data.mdb"))
        self.ok("compact", "--world", self.world)
        self.assertLess(os.path.getsize(os.path.join(self.world, "data.mdb")), before / 2)
        self.assertEqual(self.ok("restore", "0,0,640,640", "--world", self.world), "0\n")
        s = self.script()
        s("flush")
        self.fails("compact", "--world", self.world)
        self.assertEqual(s.end()[0], 0)


if __name__ == "__main__":
    unittest.main(verbosity=1)
