#!/usr/bin/env python3
"""Writes the seeds of the fuzz target `pxif` (standard library only). Usage: make_pxif_seeds.py FOLDER"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "spec" / "fixtures"))
from make_pixel_fixtures import pattern, pxif  # noqa: E402
from make_pixelfs_fixtures import FIXTURES, container, lz4_frame, rle_block, zstd_frame  # noqa: E402

runs = bytes(200) + b"RGB" * 100 + pattern(100) + b"x" * 300
seeds = {name.replace("pixelfs-", ""): make() for name, make in FIXTURES.items()}
seeds |= {
    "none.pxif": pxif(pattern(40), width=4),
    "rle-blocks.pxif": container(1, runs, 5, 250, [rle_block(runs[i:i + 250]) for i in range(0, len(runs), 250)]),
    "lz4-one.pxif": container(2, b"a", 1, 1, [lz4_frame(b"a", (False, b"a"))]),
    "zstd-one.pxif": container(3, b"a", 1, 1, [zstd_frame(b"a", (0, b"a"))]),
}
for name, data in seeds.items():
    Path(sys.argv[1]).joinpath(name).write_bytes(data)
