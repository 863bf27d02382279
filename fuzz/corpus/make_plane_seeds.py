#!/usr/bin/env python3
"""Writes the seeds of the fuzz target `plane` (standard library only). Usage: make_plane_seeds.py FOLDER"""
import struct
import sys
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "spec" / "fixtures"))
from make_pixel_fixtures import chunk, flat_png, pattern, pxif  # noqa: E402

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = chunk(b"IEND", b"")


def ihdr(width, height, depth=8, color=2, interlace=0):
    return SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))


def filtered(width, height, kind=0):
    """Scanlines of a pattern, each with the filter type `kind` before it."""
    return b"".join(bytes([kind]) + pattern(3 * width) for _ in range(height))


flat = flat_png(192, pattern(192 * 2))
text = chunk(b"tEXt", b"a\0b")
seeds = {
    "flat.png": flat,
    "flat-one-row.png": flat_png(192, pattern(192)),
    "flat-text-after.png": flat[:-12] + text + END,
    "flat-text-before.png": flat[:33] + text + flat[33:],
    "flat-truncated.png": flat[:600],
    "rgb.png": ihdr(5, 4) + chunk(b"IDAT", zlib.compress(filtered(5, 4, 4))) + END,
    "rgb-two-idat.png": ihdr(5, 4) + b"".join(chunk(b"IDAT", p) for p in (
        zlib.compress(filtered(5, 4, 2))[:9], zlib.compress(filtered(5, 4, 2))[9:])) + END,
    "interlaced.png": ihdr(2, 2, interlace=1) + chunk(b"IDAT", zlib.compress(
        b"".join(b"\0" + pattern(3 * n) for n in (1, 1, 2)))) + END,
    "grey.png": ihdr(2, 2, color=0) + chunk(b"IDAT", zlib.compress(b"\0ab\0cd")) + END,
    "metadata.png": ihdr(2, 2) + chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"zTXt", b"k\0\0" + zlib.compress(
        b"text")) + chunk(b"IDAT", zlib.compress(filtered(2, 2))) + END,
    "small.pxif": pxif(pattern(40), width=4),
    "empty.pxif": pxif(b""),
}
for name, data in seeds.items():
    Path(sys.argv[1]).joinpath(name).write_bytes(data)
