#!/usr/bin/env python3
"""Writes the seeds of the fuzz target `world` (standard library only). Usage: make_world_seeds.py PIXELLM FOLDER

PIXELLM is the program, which makes the one whole world among them."""
import struct
import subprocess
import sys
import tempfile
from pathlib import Path


def change(page, offset, data):
    return struct.pack("<BHB", page, offset, len(data)) + data


pixellm, folder = sys.argv[1], Path(sys.argv[2])
seeds = {"whole": b"\x01", "empty": b"\x00", "not-a-world": b"\x00" + b"no world" * 20}
for page in (0, 1):                 # number, kind, magic, page size, root of the databases, last page, transaction
    for offset in (0, 10, 16, 40, 128, 136, 144):
        seeds[f"meta-{page}-{offset}"] = b"\x01" + change(page, offset, b"\xff")
for page in range(2, 24):           # bounds and first nodes of each page
    seeds[f"bounds-{page}"] = b"\x01" + change(page, 12, b"\x00\x00")
    seeds[f"node-{page}"] = b"\x01" + change(page, 16, b"\x10\x00")
    seeds[f"pages-{page}"] = b"\x01" + change(page, 12, struct.pack("<I", 0xffffffff))
with tempfile.TemporaryDirectory() as temporary:
    subprocess.run([pixellm, "map", "set", "0,0", "1,2,3", "--world", temporary + "/w", "--tile-size", "16"], check=True)
    file = Path(temporary, "w", "data.mdb").read_bytes()
seeds["file"] = b"\x00" + file
seeds["cut"] = b"\x00" + file[:9000]
for name, data in seeds.items():
    folder.joinpath(name).write_bytes(data)
