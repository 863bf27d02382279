#!/usr/bin/env python3
"""pxi_reader_test.py MAKE_TEST_MODELS: the Python reader against the C++ one, on small models of every type.

MAKE_TEST_MODELS writes pictures and, by the C++ reader, the values of every tensor. Each picture is read as it is, as a
compressed PNG with every row filter, and as PXIF; each time values, hashes and placement have to agree. Then the reader
has to notice damage.
"""
import hashlib
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

import numpy as np

import pxi_reader

FOLDER = None


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def paeth(a, b, c):
    a, b, c = a.astype(int), b.astype(int), c.astype(int)
    pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    return np.where((pa <= pb) & (pa <= pc), a, np.where(pb <= pc, b, c)).astype(np.uint8)


def compressed_png(samples):
    """The same pixels as another program would write them: all five filters in turn, deflate, IDATs of 5,000 bytes."""
    rows, row_bytes = samples.shape
    lines, above = [], np.zeros(row_bytes, np.uint8)
    for y in range(rows):
        row = samples[y]
        left, corner = np.zeros_like(row), np.zeros_like(row)
        left[3:], corner[3:] = row[:-3], above[:-3]
        kind = y % 5
        average = ((left.astype(int) + above) // 2).astype(np.uint8)
        guess = [np.zeros_like(row), left, above, average, paeth(left, above, corner)][kind]
        lines.append(bytes([kind]) + (row - guess).tobytes())
        above = row
    data = zlib.compress(b"".join(lines), 6)
    idats = b"".join(chunk(b"IDAT", data[i:i + 5000]) for i in range(0, len(data), 5000))
    header = struct.pack(">IIBBBBB", row_bytes // 3, rows, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + idats + chunk(b"IEND", b"")


def pxif(samples):
    rows, row_bytes = samples.shape
    digest = hashlib.sha256(samples).digest()
    return struct.pack(">4sBBQIIB32s9x", b"PXIF", 1, 0, samples.size, row_bytes // 3, rows, 0, digest) + samples.tobytes()


class TwoReaders(unittest.TestCase):
    def names(self):
        names = sorted(f[:-4] for f in os.listdir(FOLDER) if f.endswith(".png"))
        self.assertIn("every-type", names)
        return [n for n in names if "@" not in n]

    def path(self, name):
        return os.path.join(FOLDER, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def compare(self, path, name):
        model = pxi_reader.Model(path)
        self.assertEqual(model.wrong_hashes(), [])
        for i, t in enumerate(model.tensors):
            wanted = np.fromfile(self.path(f"{name}.{i}.f32"), "<f4").reshape(t.shape[::-1])
            found = model.values(t)
            self.assertEqual(found.dtype, np.float32)
            same = (found.view(np.uint32) == wanted.view(np.uint32)) | (np.isnan(found) & np.isnan(wanted))
            self.assertTrue(same.all(), f"{path}: {t.name}: {np.count_nonzero(~same)} values differ")
        return model

    def test_values_and_hashes(self):
        types = set()
        for name in self.names():
            model = self.compare(self.path(name + ".png"), name)
            types |= {t.type for t in model.tensors if t.layout == 0}
            self.assertEqual(model.plane["base"], 320)
            self.assertEqual(model.plane["row_stride"], model.row_bytes + 128)
        self.assertEqual(types, set(pxi_reader.TYPES))

    def test_other_containers(self):
        for name in self.names():
            _, samples = pxi_reader.read_picture(self.path(name + ".png"))
            self.compare(self.write("@compressed.png", compressed_png(samples)), name)
            self.compare(self.write("@container.pxi", pxif(samples)), name)

    def test_world(self):
        for name in self.names():
            model = pxi_reader.Model(self.path(name + ".png"))
            rects = [t.world for t in model.tensors]
            for i, a in enumerate(rects):
                for b in rects[:i]:
                    apart = (a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"] or
                             b["y"] + b["h"] <= a["y"])
                    self.assertTrue(apart)
            extent = [max([r["x"] + r["w"] for r in rects], default=0), max([r["y"] + r["h"] for r in rects], default=0)]
            self.assertEqual(extent, [model.header["world_width"], model.header["world_height"]])
        heads = {t.name: t.parts for t in pxi_reader.Model(self.path("heads.png")).tensors}
        self.assertEqual((heads["blk.0.attn_q.weight"], heads["blk.1.attn_v.weight"]), (4, 2))

    def test_metadata(self):
        model = pxi_reader.Model(self.path("heads.png"))
        self.assertEqual(model.metadata["general.architecture"], "qwen2")
        self.assertEqual(model.metadata["tokenizer.ggml.tokens"], ["<s>", "a", "\u00e9"])
        self.assertEqual((model.header["architecture"], model.header["vocab_size"]), (2, 3))

    def test_fixture(self):
        spec = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "spec", "fixtures")
        model = pxi_reader.Model(os.path.join(spec, "pxi-llm-2.0.png"))
        self.assertEqual(model.wrong_hashes(), [])
        self.assertEqual([t.name for t in model.tensors], ["blk.0.attn_q.weight", "blk.0.attn_norm.weight"])

    def test_damage_is_found(self):
        _, samples = pxi_reader.read_picture(self.path("every-type.png"))
        model = pxi_reader.Model(self.path("every-type.png"))
        for t in model.tensors:
            bad = samples.copy()
            bad.reshape(-1)[t.offset] ^= 1
            try:
                found = pxi_reader.Model(self.write("@bad.pxi", pxif(bad))).wrong_hashes()
            except pxi_reader.FormatError:
                continue
            self.assertIn("weights", found)
            self.assertIn(t.name, found)


if __name__ == "__main__":
    program = sys.argv.pop(1)
    with tempfile.TemporaryDirectory() as FOLDER:
        subprocess.run([program, FOLDER], check=True)
        unittest.main()
