#!/usr/bin/env python3
"""world_reader_test.py PATH/TO/pixellm: the Python reader, which knows the spec only, against worlds that pixellm wrote."""
import base64
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

import world_reader

PIXELLM = os.path.abspath(sys.argv.pop(1))


class Worlds(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="pixellm-reader-")
        self.addCleanup(folder.cleanup)
        self.world = os.path.join(folder.name, "world")

    def script(self, operations, *args):
        text = "".join(json.dumps(op) + "\n" for op in operations)
        done = subprocess.run([PIXELLM, "map", "script", "-", "--world", self.world, *args], input=text.encode(),
                              stdout=subprocess.PIPE, check=True)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertTrue(all(a["ok"] for a in answers), answers)
        return answers

    def both_agree(self):
        world = world_reader.World(self.world)
        world.check()
        s = world.tile_size
        reads = [{"op": "read", "x": x * s, "y": y * s, "w": s, "h": s} for x, y in world.tiles]
        for (key, current, _), answer in zip(world.tiles.values(), self.script(reads, "--read-only")):
            self.assertEqual(world.rgb(key, current), base64.b64decode(answer["data"]))
        return world

    def test_random_worlds(self):
        for size in (16, 25, 64, 300):
            rng = random.Random(size)
            self.world += str(size)

            def rect(most):
                return {"x": rng.randrange(-4 * size, 3 * size), "y": rng.randrange(-4 * size, 3 * size),
                        "w": rng.randrange(1, most), "h": rng.randrange(1, most)}

            for _ in range(4):
                operations = []
                for _ in range(12):
                    kind, r = rng.randrange(6), rect(2 * size)
                    if kind < 3:
                        operations.append({"op": "write", **r, "data": base64.b64encode(rng.randbytes(3 * r["w"] * r["h"])).decode()})
                    elif kind == 3:
                        operations.append({"op": "write_bytes", "x": r["x"], "y": r["y"],
                                           "data": base64.b64encode(rng.randbytes(rng.randrange(500))).decode()})
                    else:
                        operations.append({"op": "erase" if kind == 4 else "restore", **r})
                    if rng.randrange(2):
                        operations.append({"op": "flush"})
                self.script(operations, "--tile-size", str(size))
                world = self.both_agree()
                self.assertEqual(world.tile_size, size)
            reads = [{"op": "read_bytes", "x": x, "y": y} for (x, y), _ in world.lengths("lengths")]
            for (_, length), answer in zip(world.lengths("lengths"), self.script(reads, "--read-only")):
                self.assertEqual(len(base64.b64decode(answer["data"])), length)
            self.assertTrue(any(True for _ in world.history()))
            subprocess.run([PIXELLM, "map", "compact", "--world", self.world], check=True, stdout=subprocess.DEVNULL)
            self.assertEqual(set(self.both_agree().tiles), set(world.tiles))

    def test_damage_is_noticed(self):
        self.script([{"op": "write", "x": 0, "y": 0, "w": 64, "h": 64, "data": base64.b64encode(bytes(range(256)) * 48).decode()}])
        path = os.path.join(self.world, "data.mdb")
        with open(path, "rb") as f:
            data = bytearray(f.read())
        data[data.index(bytes(range(256)) * 48) + 5000] ^= 1
        with open(path, "wb") as f:
            f.write(data)
        with self.assertRaises(world_reader.FormatError):
            world_reader.World(self.world).check()


if __name__ == "__main__":
    unittest.main(verbosity=1)
