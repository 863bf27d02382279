#!/usr/bin/env python3
"""Read an InfiniteMap world without Pixel-LLM and without LMDB: a second reader, written from spec/infinite-map.md and
the layout of LMDB 0.9 files. Python's standard library only.

  world_reader.py WORLD                    the world's record, its tiles, erased versions, lengths and records, as JSON
  world_reader.py WORLD --tile X,Y         the tile's RGB bytes on standard output
  world_reader.py WORLD --check            every checksum, reference and count; exit 1 when one is wrong

Reads data.mdb into memory and sees the newest state, so no writer may be at work. A reference, not a tool for speed.
"""
import argparse
import hashlib
import json
import os
import struct
import sys
import zlib

NONE = 2**64 - 1


class FormatError(Exception):
    pass


def need(condition, message):
    if not condition:
        raise FormatError(message)


# ---- LMDB


class Lmdb:
    """The named databases of an LMDB file's newest state: a list of (key, value) for each."""

    def __init__(self, data):
        self.data = data
        self.page_size = struct.unpack_from("=I", data, 16 + 24)[0]
        metas = [self.meta(0), self.meta(self.page_size)]
        self.txn_id, root = max(metas)
        self.databases = {}
        for name, value, is_tree in self.walk(root):
            need(is_tree, f"{name}: not a database")
            self.databases[name.decode()] = [(k, v) for k, v, _ in self.walk(struct.unpack("=IHHQQQQQ", value)[7])]

    def meta(self, at):
        need(struct.unpack_from("=II", self.data, at + 16) == (0xBEEFC0DE, 1), "not an LMDB data file")
        return struct.unpack_from("=Q", self.data, at + 16 + 128)[0], struct.unpack_from("=Q", self.data, at + 16 + 112)[0]

    def walk(self, root):
        if root == NONE:
            return
        page = memoryview(self.data)[root * self.page_size:(root + 1) * self.page_size]
        number, _, flags, lower, _ = struct.unpack_from("=QHHHH", page)
        need(number == root and flags in (1, 2), f"page {root} is damaged")
        for i in range((lower - 16) // 2):
            at = struct.unpack_from("=H", page, 16 + 2 * i)[0]
            low, high, node_flags, key_size = struct.unpack_from("=HHHH", page, at)
            if flags == 1:
                yield from self.walk(low | high << 16 | node_flags << 32)
                continue
            key, size, begin = bytes(page[at + 8:at + 8 + key_size]), low | high << 16, at + 8 + key_size
            if node_flags & 1:
                first = struct.unpack_from("=Q", page, begin)[0] * self.page_size + 16
                value = self.data[first:first + size]
            else:
                value = bytes(page[begin:begin + size])
            need(len(value) == size, f"page {root}: a value ends beyond the file")
            yield key, value, bool(node_flags & 2)


# ---- spec/infinite-map.md


def place_of(key):
    """Section 1: bits y, x, y, x ... from the top, each coordinate plus 2^63."""
    bits, x, y = int.from_bytes(key[:16], "big"), 0, 0
    for i in range(64):
        x |= (bits >> 2 * i & 1) << i
        y |= (bits >> 2 * i + 1 & 1) << i
    return x - 2**63, y - 2**63


def checked(key, value):
    need(len(value) >= 4 and struct.unpack("<I", value[-4:])[0] == zlib.crc32(key + value[:-4]),
         f"a value at {key.hex()} has a wrong checksum")
    return value[:-4]


class World:
    def __init__(self, folder):
        with open(os.path.join(folder, "data.mdb"), "rb") as f:
            lmdb = Lmdb(f.read())
        self.db = lmdb.databases
        (key, value), = self.db["world"]
        need(key == b"world" and len(value) == 60, "the world's record")
        magic, version, self.tile_size, zero, self.version, txn_id, self.next_run, self.next_erase, self.live_slots = (
            struct.unpack("<4sIIIQQQQQ", checked(key, value)))
        need(magic == b"PXIW" and version == 1 and zero == 0, "not a world of format version 1")
        need(txn_id == lmdb.txn_id, f"the record is of transaction {txn_id}, the file of {lmdb.txn_id}")
        self.tile_bytes = 3 * self.tile_size**2
        self.runs = {struct.unpack("=Q", k)[0]: v for k, v in self.db["runs"]}
        self.tiles = {place_of(k): (k, *struct.unpack("<QQ", v)) for k, v in self.db["tiles"]}

    def slots(self, run):
        n, rest = divmod(len(self.runs[run]), self.tile_bytes + 20)
        need(rest == 0 and 1 <= n <= max(1, 196608 // self.tile_bytes), f"run {run} has a wrong length")
        return n

    def rgb(self, key, location):
        run, slot = divmod(location, 2**16)
        need(run in self.runs and slot < self.slots(run), f"tile {place_of(key)}: location {location}")
        value, n = self.runs[run], self.slots(run)
        names = value[n * (self.tile_bytes + 4):]
        need(names[16 * slot:16 * slot + 16] == key[:16], f"run {run} slot {slot} names another tile")
        return checked(key[:16], value[slot * (self.tile_bytes + 4):(slot + 1) * (self.tile_bytes + 4)])

    def history(self):
        """(tile, erase, key, location or NONE, boxes) of every entry."""
        for key, value in self.db["history"]:
            body = checked(key, value)
            boxes = [struct.unpack_from("<4H", body, at) for at in range(8, len(body), 8)]
            need(boxes and all(x0 < x1 <= self.tile_size and y0 < y1 <= self.tile_size for x0, y0, x1, y1 in boxes),
                 "the boxes of an erased version")
            yield place_of(key), struct.unpack(">Q", key[16:])[0], key, struct.unpack_from("<Q", body)[0], boxes

    def lengths(self, name):
        return [(place_of(k), struct.unpack("<Q", checked(k, v))[0]) for k, v in self.db[name]]

    def records(self):
        out = {}
        for key, value in self.db["records"]:
            body = checked(b"", value)
            length = struct.unpack_from("<I", body)[0]
            name, data = body[4:4 + length], body[4 + length:]
            need(hashlib.sha256(name).digest() == key, f"record {name}")
            out[name.decode()] = data
        return out

    def check(self):
        used = set()
        for key, current, replaced in self.tiles.values():
            used.update(at for at in (current, replaced) if at != NONE)
            self.rgb(key, current)
            need(replaced == NONE or self.rgb(key, replaced), "a replaced version")
        for _, erase, key, location, _ in self.history():
            need(0 < erase < self.next_erase, f"erase {erase}")
            if location != NONE:
                used.add(location)
                self.rgb(key, location)
        live = {struct.unpack("=Q", k)[0]: struct.unpack("<I", v)[0] for k, v in self.db["live"]}
        for run in self.runs:
            need(0 < run < self.next_run, f"run {run}")
            count = sum(1 for at in used if at >> 16 == run)
            need(count == live.pop(run, self.slots(run)) and count > 0, f"the count of run {run}")
        need(not live and len(used) == self.live_slots, "the counts")
        self.lengths("lengths"), self.lengths("old-lengths"), self.records()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world")
    parser.add_argument("--tile")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    try:
        world = World(args.world)
        if args.check:
            world.check()
        elif args.tile:
            tile = tuple(int(v) for v in args.tile.split(","))
            need(tile in world.tiles, f"there is no tile {tile}")
            sys.stdout.buffer.write(world.rgb(*world.tiles[tile][:2]))
        else:
            json.dump({"tile_size": world.tile_size, "version": world.version, "tiles": sorted(world.tiles),
                       "erased": [[*tile, erase, boxes] for tile, erase, _, _, boxes in world.history()],
                       "lengths": world.lengths("lengths"), "old_lengths": world.lengths("old-lengths"),
                       "records": {k: v.hex() for k, v in world.records().items()}}, sys.stdout, indent=1)
            print()
    except (FormatError, OSError, KeyError, struct.error) as e:
        sys.exit(f"world_reader: {e}")


if __name__ == "__main__":
    main()
