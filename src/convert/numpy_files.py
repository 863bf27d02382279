"""The other side of numpy_files_test.cpp: files of the real NumPy and zipfile, and its verdict on ours.

  numpy_files.py make FOLDER    writes *.npz of every kind and, for each, NAME.expected: per array a line "name shape sha256" of
                                its float32 values in C order, in the file's order
  numpy_files.py same FOLDER    FOLDER/ours.npz must be what numpy.savez writes of the arrays that it holds; prints their lines
"""
import hashlib
import io
import os
import sys
import zipfile

import numpy as np


def describe(arrays):
    lines = []
    for name, a in arrays.items():
        data = np.ascontiguousarray(a, dtype="<f4").tobytes()
        lines.append(f"{name} {'x'.join(map(str, np.shape(a)))} {hashlib.sha256(data).hexdigest()}\n")
    return "".join(lines)


class NoSeek(io.RawIOBase):
    """A stream that zipfile cannot go back in, so that sizes and CRC-32 go into data descriptors."""

    def __init__(self, file):
        self.file = file

    def writable(self):
        return True

    def write(self, data):
        return self.file.write(data)


def npy(a, version):
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(a), version=version)
    return out.getvalue()


def make(folder):
    rng = np.random.default_rng(7)

    def normal(*shape):
        return rng.standard_normal(shape).astype("<f4")

    def expect(name, arrays):
        with open(os.path.join(folder, name + ".expected"), "w") as f:
            f.write(describe(arrays))

    def path(name):
        return os.path.join(folder, name + ".npz")

    v0 = {"embed": normal(64, 8), "hidden": normal(8, 8), "b_hidden": normal(8), "out": normal(8, 64), "b_out": normal(64)}
    kinds = {
        "v0": v0,
        "reversed": dict(reversed(v0.items())),
        "fortran": {"two": np.asfortranarray(normal(5, 7)), "three": np.asfortranarray(normal(2, 3, 4)),
                    "four": np.asfortranarray(normal(3, 1, 2, 5)), "empty": np.asfortranarray(np.zeros((3, 0, 2), "<f4"))},
        "big_endian": {"f4": normal(5, 7).astype(">f4"), "f8": rng.standard_normal((3, 4)).astype(">f8")},
        "doubles": {"f8": rng.standard_normal((9, 4)), "fortran": np.asfortranarray(rng.standard_normal((3, 5)).astype(">f8"))},
        "special": {"values": np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4e38], "<f4"),
                    "doubles": np.array([np.nan, np.inf, 1e-60, 1.00000006])},
        "shapes": {"scalar": np.array(2.5, "<f4"), "one": normal(1), "none": np.zeros(0, "<f4"), "flat": normal(0x1234),
                   "deep": normal(*[1] * 31, 2), "grad/blk.0.weight": normal(2, 2), "größe": normal(3)},
        "nothing": {},
    }
    for name, arrays in kinds.items():
        np.savez(path(name), **arrays)
        expect(name, arrays)
        np.savez_compressed(path(name + "_compressed"), **arrays)
        expect(name + "_compressed", arrays)
        with open(path(name + "_stream"), "wb") as f, zipfile.ZipFile(NoSeek(f), "w", zipfile.ZIP_DEFLATED) as z:
            for key, a in arrays.items():
                with z.open(key + ".npy", "w", force_zip64=len(key) % 2 == 0) as member:
                    member.write(npy(a, None))
        expect(name + "_stream", arrays)
    for version in ((1, 0), (2, 0), (3, 0)):
        name = f"version{version[0]}"
        with zipfile.ZipFile(path(name), "w") as z:
            z.writestr("with.npy", npy(v0["embed"], version))
            z.writestr("without", npy(v0["hidden"], version))
            z.comment = b"a comment " * 6000
        expect(name, {"with": v0["embed"], "without": v0["hidden"]})


def same(folder):
    path = os.path.join(folder, "ours.npz")
    with np.load(path, allow_pickle=False) as f:
        arrays = {name: f[name] for name in f.files}
    again = io.BytesIO()
    np.savez(again, **arrays)
    with open(path, "rb") as f:
        if f.read() != again.getvalue():
            raise SystemExit("not the bytes of numpy.savez")
    sys.stdout.write(describe(arrays))


{"make": make, "same": same}[sys.argv[1]](sys.argv[2])
