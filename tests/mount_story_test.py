#!/usr/bin/python3
"""Models in the world: from a GGUF file to a mounted picture, every weight found from its pixel and back, pictures of it.

  mount_story_test.py PATH/TO/pixellm        (python3-numpy and python3-pil)
"""
import base64
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

import numpy as np
from PIL import Image

PIXELLM = os.path.abspath(sys.argv.pop(1))
F32, Q8_0, Q4_K = 0, 8, 12
AT = (-1000, -2000)


def text(s):
    return struct.pack("<Q", len(s.encode())) + s.encode()


def u32(key, value):
    return text(key) + struct.pack("<II", 4, value)


class Tensors:
    """A small model: its GGUF file and the values that its bytes mean, computed here."""

    def __init__(self, seed=1):
        random = np.random.default_rng(seed)
        self.q8_bytes = random.integers(0, 256, (33 * 2, 34), dtype=np.uint8)  # [33, 64]
        self.q4_bytes = random.integers(0, 256, (64 * 2, 144), dtype=np.uint8)  # [64, 512], four heads
        self.norm = random.standard_normal(64).astype("<f4")
        for blocks, halves in ((self.q8_bytes, 1), (self.q4_bytes, 2)):
            scales = (random.standard_normal((len(blocks), halves)) * 0.1).astype("<f2")
            blocks[:, : 2 * halves] = scales.view(np.uint8).reshape(len(blocks), -1)
        self.list = [("token_embd.weight", Q8_0, (64, 33), self.q8_bytes.tobytes()),
                     ("blk.0.attn_norm.weight", F32, (64,), self.norm.tobytes()),
                     ("blk.0.attn_q.weight", Q4_K, (512, 64), self.q4_bytes.tobytes())]
        self.values = {"token_embd.weight": self.q8_0(self.q8_bytes).reshape(33, 64),
                       "blk.0.attn_q.weight": self.q4_k(self.q4_bytes).reshape(64, 512),
                       "blk.0.attn_norm.weight": self.norm.reshape(1, 64)}
        self.types = {"token_embd.weight": "Q8_0", "blk.0.attn_q.weight": "Q4_K", "blk.0.attn_norm.weight": "F32"}

    @staticmethod
    def halves(blocks, at):
        return blocks[:, at:at + 2].copy().view("<f2").astype(np.float32)

    @classmethod
    def q8_0(cls, blocks):
        return cls.halves(blocks, 0) * blocks[:, 2:].view(np.int8).astype(np.float32)

    @classmethod
    def q4_k(cls, blocks):
        d, dmin = cls.halves(blocks, 0), cls.halves(blocks, 2)
        s = blocks[:, 4:16].astype(np.int32)
        scale = np.concatenate([s[:, 0:4] & 63, (s[:, 8:12] & 15) | (s[:, 0:4] >> 6) << 4], axis=1)
        minimum = np.concatenate([s[:, 4:8] & 63, (s[:, 8:12] >> 4) | (s[:, 4:8] >> 6) << 4], axis=1)
        qs = blocks[:, 16:].reshape(-1, 4, 1, 32)
        q = np.concatenate([qs & 15, qs >> 4], axis=2).reshape(-1, 8, 32).astype(np.float32)
        a = (d * scale.astype(np.float32))[:, :, None]
        b = (dmin * minimum.astype(np.float32))[:, :, None]
        return a * q - b

    def gguf(self):
        pairs = [text("general.architecture") + struct.pack("<I", 8) + text("llama"), u32("llama.block_count", 1),
                 u32("llama.attention.head_count", 4)]
        head = struct.pack("<4sIQQ", b"GGUF", 3, len(self.list), len(pairs)) + b"".join(pairs)
        data = b""
        for name, kind, dims, content in self.list:
            head += text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims)
            head += struct.pack("<IQ", kind, len(data))
            data += content + bytes(-len(content) % 32)
        return head + bytes(-len(head) % 32) + data


class MountStory(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pixellm-mount-")
        self.addCleanup(self.folder.cleanup)
        self.tensors = Tensors()
        self.model = self.make_model("model.png", self.tensors)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def make_model(self, name, tensors):
        with open(self.path("in.gguf"), "wb") as f:
            f.write(tensors.gguf())
        self.ok("import", self.path("in.gguf"), "-o", self.path(name))
        return self.path(name)

    def run_it(self, *args, **kwargs):
        return subprocess.run([PIXELLM, *args], capture_output=True, timeout=300, **kwargs)

    def ok(self, *args, **kwargs):
        r = self.run_it(*args, **kwargs)
        self.assertEqual(r.returncode, 0, (args, r.stderr))
        return r.stdout

    def map(self, *args, **kwargs):
        return self.ok("map", *args, "--world", self.path("world"), **kwargs)

    def fails(self, *args, says=b"", world="world"):
        r = self.run_it("map", *args, "--world", self.path(world))
        self.assertEqual(r.returncode, 1, (args, r.stdout, r.stderr))
        self.assertEqual(r.stdout, b"")
        self.assertEqual(r.stderr.count(b"\n"), 1, r.stderr)
        self.assertIn(says, r.stderr)

    def script(self, operations):
        """The answers to many operations in one process."""
        lines = "".join(json.dumps(o) + "\n" for o in operations)
        answers = [json.loads(line) for line in self.map("script", "-", "--read-only", input=lines.encode()).splitlines()]
        self.assertEqual(len(answers), len(operations))
        for question, answer in zip(operations, answers):
            self.assertTrue(answer.pop("ok"), (question, answer))
        return answers

    def mount(self):
        self.map("mount", self.model, "--at", f"{AT[0]},{AT[1]}")

    def rect_of(self, tensor):
        return json.loads(self.map("locate", self.model, tensor, "--json"))

    def pixels(self, x, y, w, h):
        answer, = self.script([{"op": "read", "x": x, "y": y, "w": w, "h": h}])
        return np.frombuffer(base64.b64decode(answer["data"]), np.uint8).reshape(h, w, 3)

    def picture(self, *args):
        self.map("export-png", *args, "-o", self.path("out.png"))
        with Image.open(self.path("out.png")) as image:
            self.assertEqual(image.mode, "RGB")
            return np.array(image)

    # ---- weights

    def test_every_element_and_every_pixel(self):
        self.mount()
        for name, values in self.tensors.values.items():
            rows, columns = values.shape
            places = self.script([{"op": "locate", "model": self.model, "tensor": name, "row": r, "column": c}
                                  for r in range(rows) for c in range(columns)])
            r = self.rect_of(name)
            pixels = [(x, y) for y in range(r["y"], r["y"] + r["h"]) for x in range(r["x"], r["x"] + r["w"])]
            found = dict(zip(pixels, self.script([{"op": "where", "x": x, "y": y} for x, y in pixels])))
            seen = np.zeros(values.shape, bool)
            for answer in found.values():
                if answer["model"] is None:
                    self.assertEqual(answer, {"model": None, "tensor": None, "type": None, "elements": []})
                    continue
                self.assertEqual((answer["model"], answer["tensor"], answer["type"]),
                                 (os.path.realpath(self.model), name, self.tensors.types[name]))
                order = [(e["row"], e["column"]) for e in answer["elements"]]
                self.assertEqual(order, sorted(set(order)))
                for e in answer["elements"]:
                    self.assertEqual(e["value"], float(values[e["row"], e["column"]]), (name, e))
                    seen[e["row"], e["column"]] = True
            self.assertTrue(seen.all())
            raw = self.pixels(r["x"], r["y"], r["w"], r["h"])
            for i, place in enumerate(places):
                row, column = divmod(i, columns)
                x, y = place["x"], place["y"]
                self.assertTrue(any((e["row"], e["column"]) == (row, column) for e in found[x, y]["elements"]))
                byte, mask = self.own_byte(name, row, column)
                samples = [int(v) & mask for v in raw[y - r["y"], x - r["x"]]]
                self.assertIn(byte & mask, samples, (name, row, column))

    def own_byte(self, name, row, column):
        """The byte in the GGUF file with the element's low bits, and which of its bits."""
        if name == "token_embd.weight":
            return int(self.tensors.q8_bytes[row * 2 + column // 32, 2 + column % 32]), 0xFF
        if name == "blk.0.attn_q.weight":
            block, c = self.tensors.q4_bytes[row * 2 + column // 256], column % 256
            return int(block[16 + c // 64 * 32 + c % 32]), 0xF0 if c % 64 >= 32 else 0x0F
        return self.tensors.norm.tobytes()[4 * column], 0xFF

    def test_the_commands_one_by_one(self):
        self.mount()
        name, values = "blk.0.attn_q.weight", self.tensors.values["blk.0.attn_q.weight"]
        info = json.loads(self.ok("info", self.model, "--json"))
        world = next(t["world"] for t in info["tensors"] if t["name"] == name)
        r = self.rect_of(name)
        self.assertEqual(r, {"x": AT[0] + world["x"], "y": AT[1] + world["y"], "w": world["w"], "h": world["h"]})
        self.assertEqual(self.map("locate", self.model, name).decode(), f"{r['x']},{r['y']},{r['w']},{r['h']}\n")
        for row, column in ((0, 0), (63, 511), (17, 300)):
            p = json.loads(self.map("locate", self.model, name, "--row", str(row), "--column", str(column), "--json"))
            self.assertEqual(set(p), {"x", "y"})
            w = json.loads(self.map("where", f"{p['x']},{p['y']}", "--json"))   # bare and negative
            self.assertEqual(list(w), ["model", "tensor", "type", "elements"])
            mine, = [e for e in w["elements"] if (e["row"], e["column"]) == (row, column)]
            self.assertEqual(mine["value"], float(values[row, column]))
            words = self.map("where", f"{p['x']},{p['y']}").decode()
            self.assertIn(f"row {row} column {column}: ", words)
            self.assertIn(f"{name} Q4_K", words)
        self.map("where", f"{r['x']},{r['y']}", "--verify", "sha256")

    def test_heads_are_neighbours(self):
        self.mount()
        r = self.rect_of("blk.0.attn_q.weight")
        w = r["w"] // 4   # four heads beside each other
        corners = self.script([{"op": "where", "x": r["x"] + head * w, "y": r["y"]} for head in range(4)])
        self.assertEqual([c["elements"][0]["row"] for c in corners], [0, 16, 32, 48])
        last = self.script([{"op": "locate", "model": self.model, "tensor": "blk.0.attn_q.weight", "row": row, "column": 511}
                            for row in (15, 31, 47, 63)])
        self.assertEqual([(p["x"] - r["x"]) // w for p in last], [0, 1, 2, 3])

    # ---- mounts

    def test_what_is_refused_leaves_the_world_as_it_was(self):
        self.mount()
        other = self.make_model("other.png", Tensors(2))
        self.fails("mount", other, "--at=-999,-1999", says=b"model.png")
        self.fails("mount", self.model, "5000,5000", says=b"mounted already")
        self.fails("mount", other, "--at", "9223372036854775807,0", says=b"leaves the world")
        self.fails("mount", self.path("no.png"), "--at", "0,0", says=b"no.png")
        self.fails("mount", self.path("in.gguf"), "--at", "0,0", says=b"pixellm import")
        self.fails("set", f"{AT[0]},{AT[1]}", "1,2,3", says=b"model.png")
        self.map("set", "7000,7000", "1,2,3")
        self.fails("mount", other, "--at", "6990,6990", says=b"painted")
        self.map("mount", other, "--at", "8000,-8000")
        self.assertEqual(self.script([{"op": "where", "x": 8000, "y": -8000}])[0]["model"], os.path.realpath(other))
        self.map("unmount", self.model)
        self.fails("locate", self.model, "token_embd.weight", says=b"not mounted")
        self.fails("unmount", self.model, says=b"not mounted")
        self.assertFalse(self.pixels(AT[0], AT[1], 64, 64).any())
        self.fails("mount", self.path("no.png"), "--at", "0,0", world="fresh")
        self.fails("mount", other, "--at", "9223372036854775807,0", says=b"leaves the world", world="fresh")
        self.assertFalse(os.path.exists(self.path("fresh")))
        before = os.stat(other)                 # a mounted model is an input
        self.fails("export-png", "--rect", "8000,-8000,64,64", "-o", other, says=b"is the input")
        self.fails("read", "8000,-8000,64,64", "-o", other, says=b"is the input")
        self.assertTrue(os.path.samestat(os.stat(other), before))
        self.assertFalse(os.path.exists(self.path("fresh")))

    def test_damaged_and_lost_models(self):
        self.mount()
        with open(self.model, "rb") as f:
            good = f.read()
        bad = bytearray(good)
        bad[-300] ^= 1
        with open(self.path("bad.png"), "wb") as f:
            f.write(bad)
        self.fails("mount", self.path("bad.png"), "--at", "0,9000", says=b"damaged: row")
        self.map("set", "0,0", "9,9,9")
        os.rename(self.model, self.path("elsewhere.png"))
        where = f"{AT[0]},{AT[1]}"
        self.fails("where", where, says=b"model.png")
        self.fails("export-png", "--rect", where + ",10,10", "-o", self.path("no.png"), says=b"model.png")
        self.assertFalse(os.path.exists(self.path("no.png")))
        self.assertEqual(self.picture("--rect", "0,0,1,1").tolist(), [[[9, 9, 9]]])
        os.rename(self.make_model("new.png", Tensors(3)), self.model)
        self.fails("get", where, says=b"not the model that was mounted")
        os.remove(self.model)
        self.map("unmount", self.model)

    def test_where_nothing_lies(self):
        self.mount()
        self.fails("where", "0,0", says=b"0,0")
        self.assertEqual(json.loads(self.map("where", "--at", "-1,-1", "--json")),
                         {"model": None, "tensor": None, "type": None, "elements": []})
        self.fails("locate", self.model, "no.such", says=b"no.such")
        self.fails("locate", self.model, "token_embd.weight", "--row", "33", "--column", "0", says=b"33 rows")
        r = self.run_it("map", "locate", self.model, "token_embd.weight", "--row", "3", "--world", self.path("world"))
        self.assertEqual(r.returncode, 2)
        self.assertIn(b"--column", r.stderr)

    # ---- pictures

    def test_pictures_of_models_and_of_paint(self):
        self.mount()
        random = np.random.default_rng(4)
        painted = random.integers(0, 256, (90, 131, 3), dtype=np.uint8)
        Image.fromarray(painted).save(self.path("in.png"))
        self.map("import-png", self.path("in.png"), "--at=-1131,-2050")
        self.map("import-png", self.path("in.png"), "--at", "5,-7")
        self.assertTrue((self.pixels(-1131, -2050, 131, 90) == painted).all())
        info = json.loads(self.ok("info", self.model, "--json"))["header"]
        w, h = info["world_width"] + 200, info["world_height"] + 120
        whole = self.pixels(-1140, -2055, w, h)
        self.assertTrue(whole[55:119, 140:204].any())   # the model is in it
        self.assertTrue((self.picture("--rect", f"-1140,-2055,{w},{h}") == whole).all())
        for zoom in (1, 2, 5, 12):
            side = 2 ** zoom
            expected = [[self.average(whole[y:y + side, x:x + side]) for x in range(0, w, side)] for y in range(0, h, side)]
            found = self.picture(f"-1140,-2055,{w},{h}", "--zoom", str(zoom))   # bare
            self.assertTrue((found == np.array(expected)).all(), zoom)
        # From so far away that everything is a fraction of a pixel.
        far = self.picture("--rect", f"{-2**40},{-2**40},{2**41},{2**41}", "--zoom", "32")
        self.assertEqual(far.shape, (512, 512, 3))
        stdout = self.map("export-png", "--rect", "0,-10,64,20", "-o", "-")
        self.assertTrue((np.array(Image.open(io.BytesIO(stdout))) == self.pixels(0, -10, 64, 20)).all())

    @staticmethod
    def average(square):
        n, total = square.shape[0] * square.shape[1], square.reshape(-1, 3).sum(axis=0, dtype=np.int64)
        return (2 * total + n) // (2 * n)

    def test_pictures_that_are_refused(self):
        self.mount()
        Image.new("RGB", (50, 50), (1, 2, 3)).save(self.path("in.png"))
        self.fails("import-png", self.path("in.png"), "--at=-1049,-2049", says=b"model.png")
        self.fails("import-png", self.path("in.png"), "--at", "9223372036854775790,0", says=b"leaves the world")
        Image.new("RGBA", (5, 5)).save(self.path("alpha.png"))
        self.fails("import-png", self.path("alpha.png"), "--at", "0,0", says=b"alpha.png", world="fresh")
        self.fails("import-png", self.path("in.png"), "--at", "9223372036854775790,0", says=b"leaves the world", world="fresh")
        self.assertFalse(os.path.exists(self.path("fresh")))
        self.assertEqual(json.loads(self.map("stats", "--json"))["tiles_on_disk"], 0)
        self.fails("export-png", "--rect", "0,0,3000000000,2", "-o", self.path("no.png"), says=b"--zoom")
        self.fails("export-png", "--rect", "0,0,0,2", "-o", self.path("no.png"), says=b"empty")
        r = self.run_it("map", "export-png", "--rect", "0,0,1,1", "--zoom", "33", "-o", "x", "--world", self.path("world"))
        self.assertEqual(r.returncode, 2)
        self.assertFalse(os.path.exists(self.path("no.png")))


if __name__ == "__main__":
    unittest.main()
