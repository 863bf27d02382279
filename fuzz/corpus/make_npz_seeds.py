#!/usr/bin/env python3
"""Writes the seeds of fuzz_npz into fuzz/corpus/npz: small files of every kind, written by NumPy and zipfile."""
import io
import os
import struct
import zipfile

import numpy as np

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "npz")


class NoSeek(io.RawIOBase):
    def __init__(self, file):
        self.file = file

    def writable(self):
        return True

    def write(self, data):
        return self.file.write(data)


def npy(a, version=None):
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(a), version=version)
    return out.getvalue()


def save(function, **arrays):
    out = io.BytesIO()
    function(out, **arrays)
    return out.getvalue()


def streamed(arrays, method):
    out = io.BytesIO()
    with zipfile.ZipFile(NoSeek(out), "w", method) as z:
        for i, (name, a) in enumerate(arrays.items()):
            with z.open(name, "w", force_zip64=i % 2 == 0) as member:
                member.write(npy(a))
        z.comment = b"comment"
    return out.getvalue()


def with_end64(data):
    """The same archive with a ZIP64 end record and a saturated end record."""
    count, size, offset = struct.unpack("<HII", data[-12:-2])
    record = struct.pack("<IQHHIIQQQQ", 0x06064b50, 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<IIQI", 0x07064b50, 0, len(data) - 22, 1)
    return data[:-22] + record + locator + struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, 0xffff, 0xffff, 0xffffffff, 0xffffffff, 0)


def main():
    a, b = np.arange(6, dtype="<f4").reshape(2, 3), np.arange(3, dtype=">f8")
    arrays = {"a": a, "b": b, "c": np.asfortranarray(a)}
    seeds = {
        "savez": save(np.savez, **arrays),
        "compressed": save(np.savez_compressed, **arrays),
        "empty": save(np.savez),
        "stream_stored": streamed({"a.npy": a, "b": b}, zipfile.ZIP_STORED),
        "stream_deflated": streamed({"x/a.npy": a, "b": b}, zipfile.ZIP_DEFLATED),
        "end64": with_end64(save(np.savez, **arrays)),
        "npy1": b"\1" + npy(a), "npy2": b"\1" + npy(np.asfortranarray(a), (2, 0)), "npy3": b"\1" + npy(b, (3, 0)),
        "npy_scalar": b"\1" + npy(np.array(1.5)), "npy_int": b"\1" + npy(np.arange(3)),
        "npy_struct": b"\1" + npy(np.zeros(2, [("x", "<f4"), ("y", "<i4")])),
        "npy_deep": b"\1" + npy(np.asfortranarray(np.arange(24, dtype=">f4").reshape(2, 1, 3, 4))),
    }
    os.makedirs(FOLDER, exist_ok=True)
    for name, data in seeds.items():
        with open(os.path.join(FOLDER, name), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    main()
