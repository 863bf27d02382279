#!/usr/bin/env python3
"""Writes the seeds of the fuzz target `v0` (standard library only). Usage: make_v0_seeds.py FOLDER"""
import json
import math
import struct
import sys
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "spec" / "fixtures"))
from make_pixel_fixtures import chunk, pattern, pxif  # noqa: E402


def png(width, height, rgb):
    rows = b"".join(b"\0" + rgb[3 * width * y:3 * width * (y + 1)] for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def model(vocab, dim, indent=None):
    shapes = {"b_hidden": [dim], "b_out": [vocab], "embed": [vocab, dim], "hidden": [dim, dim], "out": [dim, vocab]}
    tensors, offset = [], 0
    for name, shape in shapes.items():
        tensors.append({"name": name, "shape": shape, "dtype": "float32", "w_min": -0.5, "w_max": 1.25, "offset": offset,
                        "length": math.prod(shape)})
        offset += math.prod(shape)
    pixels = -(-offset // 3)
    width = math.isqrt(pixels - 1) + 1
    height = -(-pixels // width)
    meta = {"model_name": "a", "version": "1", "architecture": {"type": "mlp", "vocab_size": vocab, "model_dim": dim,
            "layers": ["embed", "hidden", "out"]}, "image_path": "a.pxi", "image_width": width, "image_height": height,
            "total_bytes": pixels * 3, "total_params": offset, "quantization": "uint8_per_tensor", "tensors": tensors}
    return json.dumps(meta, indent=indent).encode(), png(width, height, pattern(3 * width * height))


def tokens(ids, version=1):
    return bytes([len(ids) % 256, len(ids) // 256, version]) + b"".join(bytes([i % 256, i // 256, 0]) for i in ids)


small, picture = model(3, 2)
other, other_picture = model(5, 1, indent=2)
four = tokens([112, 120, 79, 83])
seeds = {
    "meta-small": b"\0" + small,
    "meta-indented": b"\0" + other,
    "meta-constant": b"\0" + small.replace(b"1.25", b"-0.5"),
    "model-small": b"\1" + struct.pack("<H", len(small)) + small + picture,
    "model-indented": b"\1" + struct.pack("<H", len(other)) + other + other_picture,
    "tokens": b"\2" + png(5, 1, four),
    "tokens-large-ids": b"\2" + png(4, 1, tokens([1023, 256, 0])),
    "tokens-pxif": b"\2" + pxif(four, 5),
    "tokens-version": b"\2" + png(5, 1, tokens([112, 120, 79, 83], 2)),
    "text": b"\3" + "aé→😀\n".encode(),
}
folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for name, data in seeds.items():
    (folder / name).write_bytes(data)
