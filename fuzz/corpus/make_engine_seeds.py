#!/usr/bin/env python3
"""Writes the seeds of fuzz_engine into fuzz/corpus/engine: a tiny model of each architecture, unchanged and with one edit."""
import os
import struct

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "engine")


def edit(what, which, detail, value):
    return struct.pack("<BBBI", what, which, detail, value)


def main():
    os.makedirs(FOLDER, exist_ok=True)
    edits = {"none": b"", "integer": edit(0, 3, 5, 64), "left-out": edit(1, 4, 0, 0), "window": edit(2, 10, 5, 2) + edit(2, 11, 4, 0x105),
             "shape": edit(3, 2, 1, 17), "type": edit(5, 0, 3, 0) + edit(5, 2, 4, 0), "name": edit(6, 1, 1, 0), "less": edit(7, 2, 0, 0)}
    for architecture in range(6):
        for name, data in edits.items():
            with open(os.path.join(FOLDER, f"{architecture}-{name}"), "wb") as f:
                f.write(bytes([architecture + 6 * 8 * architecture & 255]) + data)


if __name__ == "__main__":
    main()
