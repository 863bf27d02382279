#!/usr/bin/env python3
"""Read a model that is a picture, without Pixel-LLM: a second reader, written from spec/pixel-plane.md, spec/pxi-llm.md
and spec/cells.md alone. Python's standard library and numpy.

  pxi_reader.py MODEL.png                 header, tensors and metadata as JSON
  pxi_reader.py MODEL.png --check         every hash that the model holds; exit 1 when one is wrong
  pxi_reader.py MODEL.png --values DIR    every tensor dequantised: DIR/INDEX.npy, float32, slowest dimension first

Takes any 8-bit RGB PNG that is not interlaced, and PXIF. Version 2.0 models only. Whole file in memory: a reference, not a
tool for speed.
"""
import argparse
import hashlib
import json
import os
import struct
import sys
import zlib

import numpy as np


class FormatError(Exception):
    pass


def need(condition, message):
    if not condition:
        raise FormatError(message)


# ---- pictures: spec/pixel-plane.md


def unfilter(data, row_bytes, rows):
    """Undoes PNG's row filters for 3 bytes a pixel; returns the samples [rows, row_bytes]."""
    lines = np.frombuffer(data, np.uint8).reshape(rows, row_bytes + 1)
    out = np.empty((rows, row_bytes), np.uint8)
    above = np.zeros(row_bytes, np.uint8)
    for y in range(rows):
        kind, line = lines[y, 0], lines[y, 1:]
        if kind == 0:
            out[y] = line
        elif kind == 1:
            out[y] = np.cumsum(line.reshape(-1, 3), axis=0, dtype=np.uint8).reshape(-1)
        elif kind == 2:
            out[y] = line + above
        elif kind in (3, 4):
            row, up = bytearray(line.tobytes()), above.tolist()
            for i in range(row_bytes):
                a = row[i - 3] if i >= 3 else 0
                b, c = up[i], up[i - 3] if i >= 3 else 0
                if kind == 3:
                    guess = (a + b) // 2
                else:
                    pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - 2 * c)
                    guess = a if pa <= pb and pa <= pc else b if pb <= pc else c
                row[i] = (row[i] + guess) & 255
            out[y] = np.frombuffer(bytes(row), np.uint8)
        else:
            raise FormatError(f"png: row {y} has filter {kind}")
        above = out[y]
    return out


def read_png(data):
    at, parts, size, flat, first_idat = 8, [], None, None, None
    while True:
        need(at + 12 <= len(data), "png: a chunk begins after the file's end")
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        need(at + 12 + length <= len(data), f"png: chunk {kind} is longer than the file")
        body = data[at + 8:at + 8 + length]
        crc = struct.unpack(">I", data[at + 8 + length:at + 12 + length])[0]
        need(zlib.crc32(kind + body) == crc, f"png: chunk {kind} at {at} has a wrong CRC-32")
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
            need((depth, colour, interlace) == (8, 2, 0), "png: not 8-bit RGB, or interlaced")
            size = (width, height)
        elif kind == b"pxLM":
            flat = body
        elif kind == b"IDAT":
            first_idat = at if first_idat is None else first_idat
            parts.append(body)
        elif kind == b"IEND":
            break
        at += 12 + length
    need(size is not None, "png: no IHDR")
    row_bytes, rows = 3 * size[0], size[1]
    pixels = zlib.decompress(b"".join(parts))
    need(len(pixels) == rows * (row_bytes + 1), "png: the pixels do not fill the picture")
    samples = unfilter(pixels, row_bytes, rows)
    plane = {"base": 0, "row_bytes": row_bytes, "row_stride": row_bytes, "rows": rows}
    if flat is not None and len(flat) >= 56:
        version, r, stride, n_rows, base = struct.unpack("<IIIIQ", flat[:24])
        if (version, r, stride, n_rows) == (1, row_bytes, row_bytes + 128, rows) and base == first_idat + 126:
            # The promise of the flat PNG: the same rows stand in the file as they are.
            for y in range(rows):
                need(data[base + y * stride:base + y * stride + r] == samples[y].tobytes(), f"flat png: row {y} is elsewhere")
            need(hashlib.sha256(samples).digest() == flat[24:56], "flat png: the payload has another SHA-256")
            plane.update(base=base, row_stride=stride)
    return plane, samples


def read_pxif(data):
    _, major, minor, size, width, height, compression, digest = struct.unpack(">4sBBQIIB32s", data[:55])
    need((major, minor, compression) == (1, 0, 0), "pxif: only version 1.0 without compression")
    need(len(data) == 64 + 3 * width * height and size <= 3 * width * height, "pxif: the sizes contradict each other")
    need(hashlib.sha256(data[64:64 + size]).digest() == digest, "pxif: the payload has another SHA-256")
    plane = {"base": 64, "row_bytes": 3 * width, "row_stride": 3 * width, "rows": height}
    return plane, np.frombuffer(data, np.uint8, offset=64).reshape(height, 3 * width)


def read_picture(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return read_png(data)
    need(data[:4] == b"PXIF" and len(data) >= 64, "neither a PNG nor a PXIF container")
    return read_pxif(data)


# ---- weights: spec/cells.md

# type id -> (name, elements of a block, bytes of a block, columns of a cell, bytes of a cell)
TYPES = {
    0: ("F32", 1, 4, 64, 4096),
    1: ("F16", 1, 2, 64, 2048),
    30: ("BF16", 1, 2, 64, 2048),
    8: ("Q8_0", 32, 34, 64, 1088),
    2: ("Q4_0", 32, 18, 64, 576),
    3: ("Q4_1", 32, 20, 64, 640),
    6: ("Q5_0", 32, 22, 64, 704),
    7: ("Q5_1", 32, 24, 64, 768),
    12: ("Q4_K", 256, 144, 256, 2304),
    13: ("Q5_K", 256, 176, 256, 2816),
    14: ("Q6_K", 256, 210, 256, 3392),
}

# GGUF blocks: field -> (offset, bytes)
BLOCK_FIELDS = {
    "Q8_0": {"d": 0, "qs": 2},
    "Q4_0": {"d": 0, "qs": 2},
    "Q4_1": {"d": 0, "m": 2, "qs": 4},
    "Q5_0": {"d": 0, "qh": 2, "qs": 6},
    "Q5_1": {"d": 0, "m": 2, "qh": 4, "qs": 8},
    "Q4_K": {"d": 0, "dmin": 2, "scales": 4, "qs": 16},
    "Q5_K": {"d": 0, "dmin": 2, "scales": 4, "qh": 16, "qs": 48},
    "Q6_K": {"ql": 0, "qh": 128, "scales": 192, "d": 208},
}


def cell_permutation(type_id):
    """For each byte of a cell: its place in the cell's 16 rows of GGUF bytes joined together, or -1 (a zero byte)."""
    name, block_elements, block_bytes, columns, cell_bytes = TYPES[type_id]
    row_bytes = columns // block_elements * block_bytes
    place = np.full(cell_bytes, -1, np.int64)
    if name in ("F32", "F16", "BF16"):
        size = block_bytes
        for k in range(columns):
            for r in range(16):
                for i in range(size):
                    place[16 * size * k + size * r + i] = r * row_bytes + size * k + i
        return place
    field = BLOCK_FIELDS[name]

    def put(at, width, block, source):
        """A field of every row: row r's bytes stand at `at + width * r`."""
        for r in range(16):
            for i in range(width):
                assert place[at + width * r + i] == -1
                place[at + width * r + i] = r * row_bytes + block * block_bytes + source + i

    def vector(n, block, field_name, dword):
        put(head + 64 * n, 4, block, field[field_name] + 4 * dword)

    if name in ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"):
        head = 128 if "m" in field else 64
        for b in range(2):
            put(32 * b, 2, b, field["d"])
            if "m" in field:
                put(64 + 32 * b, 2, b, field["m"])
            n_words = 8 if name == "Q8_0" else 4
            if "qh" in field:
                vector(5 * b, b, "qh", 0)
                for j in range(4):
                    vector(5 * b + 1 + j, b, "qs", j)
            else:
                for j in range(n_words):
                    vector(n_words * b + j, b, "qs", j)
    elif name in ("Q4_K", "Q5_K"):
        head = 256
        for v in range(3):
            put(64 * v, 4, 0, field["scales"] + 4 * v)
        put(192, 2, 0, field["d"])
        put(224, 2, 0, field["dmin"])
        for j in range(8):
            if name == "Q5_K":
                vector(5 * j, 0, "qh", j)
            for c in range(4):
                vector(5 * j + 1 + c if name == "Q5_K" else 8 * c + j, 0, "qs", 8 * c + j)
    else:
        head = 320
        put(0, 2, 0, field["d"])
        for v in range(4):
            put(64 + 64 * v, 4, 0, field["scales"] + 4 * v)
        for h in range(2):
            for j in range(8):
                vector(24 * h + 3 * j, 0, "ql", 16 * h + j)
                vector(24 * h + 3 * j + 1, 0, "ql", 16 * h + 8 + j)
                vector(24 * h + 3 * j + 2, 0, "qh", 8 * h + j)
    return place


def halves(blocks, offset):
    """The f16 field at `offset` of every block, as float32, [n_blocks, 1]."""
    return blocks[:, offset:offset + 2].copy().view("<f2").astype(np.float32)


def low_high(nibbles):
    """[..., n] bytes -> [..., 2, n]: low nibbles, then high nibbles."""
    return np.stack([nibbles & 15, nibbles >> 4], axis=-2)


def dequantize(type_id, blocks):
    """GGUF blocks as bytes [n_blocks, block_bytes] -> float32 [n_blocks * block_elements]."""
    name = TYPES[type_id][0]
    if name == "F32":
        return blocks.copy().view("<f4").reshape(-1).astype(np.float32)
    if name == "F16":
        return blocks.copy().view("<f2").reshape(-1).astype(np.float32)
    if name == "BF16":
        return (blocks.copy().view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(-1)
    n = len(blocks)
    field = BLOCK_FIELDS[name]
    d = halves(blocks, field["d"])
    if name == "Q8_0":
        return (d * blocks[:, 2:34].copy().view(np.int8).astype(np.float32)).reshape(-1)
    if name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1"):
        q = low_high(blocks[:, field["qs"]:field["qs"] + 16]).reshape(n, 32).astype(np.int32)
        if "qh" in field:
            bits = blocks[:, field["qh"]:field["qh"] + 4].copy().view("<u4")
            q |= ((bits >> np.arange(32, dtype=np.uint32)) & 1).astype(np.int32) << 4
        if "m" in field:
            return (d * q.astype(np.float32) + halves(blocks, field["m"])).reshape(-1)
        return (d * (q - (16 if "qh" in field else 8)).astype(np.float32)).reshape(-1)
    if name in ("Q4_K", "Q5_K"):
        s = blocks[:, 4:16].astype(np.int32)
        sc = np.concatenate([s[:, 0:4] & 63, (s[:, 8:12] & 15) | (s[:, 0:4] >> 6) << 4], axis=1)
        mn = np.concatenate([s[:, 4:8] & 63, (s[:, 8:12] >> 4) | (s[:, 4:8] >> 6) << 4], axis=1)
        q = low_high(blocks[:, field["qs"]:field["qs"] + 128].reshape(n, 4, 32)).reshape(n, 8, 32).astype(np.int32)
        if name == "Q5_K":
            qh = blocks[:, None, 16:48].astype(np.int32)
            q |= ((qh >> np.arange(8)[None, :, None]) & 1) << 4
        scale = (d * sc.astype(np.float32))[:, :, None]
        minimum = (halves(blocks, field["dmin"]) * mn.astype(np.float32))[:, :, None]
        return (scale * q.astype(np.float32) - minimum).reshape(-1)
    q = low_high(blocks[:, 0:128].reshape(n, 2, 64)).reshape(n, 2, 2, 2, 32).reshape(n, 2, 4, 32).astype(np.int32)
    qh = blocks[:, 128:192].reshape(n, 2, 1, 32).astype(np.int32)
    q |= (qh >> np.array([0, 2, 4, 6])[None, None, :, None] & 3) << 4
    scale = d * blocks[:, 192:208].copy().view(np.int8).astype(np.float32)
    return (scale[:, :, None] * (q.reshape(n, 16, 16) - 32).astype(np.float32)).reshape(-1)


# ---- the model: spec/pxi-llm.md

HEADER = [("version_major", "B", 0x04), ("version_minor", "B", 0x05), ("architecture", "H", 0x06),
          ("model_size_bytes", "Q", 0x08), ("vocab_size", "I", 0x10), ("num_layers", "I", 0x14),
          ("embed_dim", "I", 0x18), ("num_heads", "I", 0x1C), ("hidden_dim", "I", 0x20), ("context_length", "I", 0x24),
          ("weight_encoding", "B", 0x28), ("precision", "B", 0x29), ("tile_size", "H", 0x2A), ("total_width", "I", 0x2C),
          ("total_height", "I", 0x30), ("directory_count", "I", 0x54), ("directory_offset", "Q", 0x58),
          ("strings_offset", "Q", 0x60), ("strings_bytes", "Q", 0x68), ("metadata_offset", "Q", 0x70),
          ("metadata_bytes", "Q", 0x78), ("metadata_count", "I", 0x80), ("first_weight_row", "I", 0x84),
          ("source_offset", "Q", 0x88), ("source_bytes", "Q", 0x90), ("world_width", "I", 0x98),
          ("world_height", "I", 0x9C)]

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


class Pairs:
    """Metadata: key/value pairs in GGUF's encoding."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(n <= len(self.data) - self.at, "metadata: a value is longer than the metadata")
        self.at += n
        return self.data[self.at - n:self.at]

    def scalar(self, code):
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def string(self):
        return self.take(self.scalar("Q")).decode("utf-8", "backslashreplace")

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            element, count = self.scalar("I"), self.scalar("Q")
            if element in SCALARS:
                size = struct.calcsize("<" + SCALARS[element])
                return list(struct.unpack(f"<{count}{SCALARS[element]}", self.take(count * size)))
            return [self.value(element) for _ in range(count)]
        need(kind in SCALARS, f"metadata: type {kind}")
        return self.scalar(SCALARS[kind])

    def read(self, count):
        pairs = {}
        for _ in range(count):
            key = self.string()
            need(key not in pairs, f"metadata: {key} stands twice")
            pairs[key] = self.value(self.scalar("I"))
        need(self.at == len(self.data), "metadata: bytes are left over")
        return pairs


class Tensor:
    def __init__(self, entry, strings):
        (self.offset, w, h, self.layer_type, self.layout, self.layer, self.type, x, y, self.stored_bytes, n_dims, self.parts,
         name_bytes, name_at) = struct.unpack_from("<QIIBBHIIIQHHIQ", entry)
        dims = struct.unpack_from("<4Q", entry, 0x38)
        self.source_offset = struct.unpack_from("<Q", entry, 0x58)[0]
        self.sha256 = entry[0x60:0x80]
        self.name = strings[name_at:name_at + name_bytes].decode("utf-8", "backslashreplace")
        self.world = {"x": x, "y": y, "w": w, "h": h}
        need(self.type in TYPES, f"{self.name}: tensor type {self.type}")
        need(1 <= n_dims <= 4 and self.layout == (1 if n_dims == 1 else 0), f"{self.name}: dimensions and layout")
        self.shape = list(dims[:n_dims])
        self.k, self.n_rows = dims[0], dims[1] * dims[2] * dims[3]
        _, block_elements, block_bytes, columns, self.cell_bytes = TYPES[self.type]
        need(self.k % block_elements == 0, f"{self.name}: broken blocks")
        self.row_bytes = self.k // block_elements * block_bytes
        self.across = -(-self.k // columns)
        self.groups = -(-self.n_rows // 16)
        stored = self.row_bytes * self.n_rows if self.layout == 1 else self.groups * self.across * self.cell_bytes
        need(stored == self.stored_bytes, f"{self.name}: {self.stored_bytes} stored bytes, the shape needs {stored}")

    def runs(self, row_bytes):
        """[(payload offset, bytes)] of the tensor, in order."""
        unit = 1 if self.layout == 1 else self.cell_bytes
        left, at, out = self.stored_bytes // unit, self.offset, []
        while left:
            n = min(left, (row_bytes - at % row_bytes) // unit)
            need(n > 0, f"{self.name}: not even one cell fits")
            out.append((at, n * unit))
            left -= n
            at = (at // row_bytes + 1) * row_bytes
        return out

    def world_size(self):
        pixels = -(-(self.stored_bytes // self.parts) // 3)
        root = int(pixels ** 0.5)
        root += ((root + 1) ** 2 <= pixels) - (root ** 2 > pixels)
        w = 64 * max(1, (root + 32) // 64)
        h = 64 * -(-pixels // (64 * w))
        return w * min(8, self.parts), h * -(-self.parts // 8)


class Model:
    def __init__(self, path):
        self.plane, rows = read_picture(path)
        self.row_bytes = self.plane["row_bytes"]
        self.payload = np.ascontiguousarray(rows).reshape(-1)
        head = self.payload[:256].tobytes()
        need(len(head) == 256 and head[:4] == b"PXIM", "not a model")
        self.header = {name: struct.unpack_from("<" + code, head, at)[0] for name, code, at in HEADER}
        h = self.header
        need((h["version_major"], h["version_minor"], h["weight_encoding"], h["precision"]) == (2, 0, 4, 255), "not version 2.0")
        need(not any(head[0xC0:]), "reserved bytes")
        need((h["total_width"] * 3, h["total_height"]) == (self.row_bytes, self.plane["rows"]), "the picture has another size")
        self.weights_sha256, self.head_sha256 = head[0x34:0x54], head[0xA0:0xC0]
        self.head_bytes = h["first_weight_row"] * self.row_bytes
        data = self.payload[:self.head_bytes].tobytes()
        strings = data[h["strings_offset"]:h["strings_offset"] + h["strings_bytes"]]
        at = h["directory_offset"]
        self.tensors = [Tensor(data[at + 128 * i:at + 128 * (i + 1)], strings) for i in range(h["directory_count"])]
        self.metadata = Pairs(data[h["metadata_offset"]:h["metadata_offset"] + h["metadata_bytes"]]).read(h["metadata_count"])
        end = self.head_bytes
        for t in sorted(self.tensors, key=lambda t: t.offset):
            need(t.offset % 64 == 0 and t.offset >= end, f"{t.name}: begins at byte {t.offset}")
            end = sum(t.runs(self.row_bytes)[-1])
            need((t.world["w"], t.world["h"]) == t.world_size(), f"{t.name}: its rectangle")
        need(end == h["model_size_bytes"] <= len(self.payload), "model_size_bytes")

    def source_bytes(self, t):
        """The tensor's GGUF bytes [n_rows, row_bytes]."""
        stored = np.concatenate([self.payload[at:at + n] for at, n in t.runs(self.row_bytes)])
        if t.layout == 1:
            return stored.reshape(t.n_rows, t.row_bytes)
        place = cell_permutation(t.type)
        cells = stored.reshape(-1, t.cell_bytes)
        need(not cells[:, place < 0].any(), f"{t.name}: zero bytes of its cells are not zero")
        width = int(np.count_nonzero(place >= 0)) // 16
        rows = np.empty((len(cells), 16 * width), np.uint8)
        rows[:, place[place >= 0]] = cells[:, place >= 0]
        rows = rows.reshape(t.groups, t.across, 16, width).transpose(0, 2, 1, 3).reshape(t.groups * 16, t.across * width)
        need(not rows[t.n_rows:].any() and not rows[:, t.row_bytes:].any(), f"{t.name}: the padding is not zero")
        return np.ascontiguousarray(rows[:t.n_rows, :t.row_bytes])

    def values(self, t):
        """float32, slowest dimension first."""
        blocks = self.source_bytes(t).reshape(-1, TYPES[t.type][2])
        with np.errstate(invalid="ignore", over="ignore"):
            return dequantize(t.type, blocks).reshape(t.shape[::-1])

    def wrong_hashes(self):
        wrong = []
        head = bytearray(self.payload[:self.head_bytes].tobytes())
        head[0xA0:0xC0] = bytes(32)
        if hashlib.sha256(head).digest() != self.head_sha256:
            wrong.append("head")
        if hashlib.sha256(self.payload[self.head_bytes:]).digest() != self.weights_sha256:
            wrong.append("weights")
        return wrong + [t.name for t in self.tensors if hashlib.sha256(self.source_bytes(t)).digest() != t.sha256]

    def describe(self):
        def tensor(t):
            runs = t.runs(self.row_bytes)
            rows = [runs[0][0] // self.row_bytes, runs[-1][0] // self.row_bytes]
            return {"name": t.name, "type": TYPES[t.type][0], "shape": t.shape, "offset": t.offset,
                    "bytes": t.row_bytes * t.n_rows, "rows": rows, "world": t.world, "sha256": t.sha256.hex()}

        return {"plane": self.plane, "header": self.header, "tensors": [tensor(t) for t in self.tensors],
                "metadata": self.metadata}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--values", metavar="DIR")
    args = parser.parse_args()
    try:
        model = Model(args.file)
        if args.check:
            wrong = model.wrong_hashes()
            for name in wrong:
                print(f"{name}: wrong SHA-256")
            return 1 if wrong else 0
        if args.values:
            os.makedirs(args.values, exist_ok=True)
            for i, t in enumerate(model.tensors):
                np.save(os.path.join(args.values, f"{i}.npy"), model.values(t))
        else:
            json.dump(model.describe(), sys.stdout, indent=1)
            print()
    except (FormatError, OSError, struct.error, zlib.error, ValueError) as error:
        print(f"pxi_reader.py: {args.file}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
