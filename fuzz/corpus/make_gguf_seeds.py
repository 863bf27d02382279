#!/usr/bin/env python3
"""Writes the seeds of fuzz_gguf into fuzz/corpus/gguf: small GGUF files of every kind (standard library only)."""
import os
import struct

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gguf")
# type id: elements of a block, its bytes
TYPES = {0: (1, 4), 1: (1, 2), 30: (1, 2), 8: (32, 34), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 12: (256, 144),
         13: (256, 176), 14: (256, 210)}


def text(s):
    return struct.pack("<Q", len(s)) + s


def gguf(tensors=(), pairs=(), version=3, alignment=32, fill=0, tail=b""):
    """tensors: (name, type, dims, offset or None); pairs: (key, type, encoded value)."""
    head = struct.pack("<4sIQQ", b"GGUF", version, len(tensors), len(pairs))
    for key, kind, value in pairs:
        head += text(key) + struct.pack("<I", kind) + value
    data = bytearray()
    for name, kind, dims, offset in tensors:
        offset = len(data) if offset is None else offset
        head += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)
        elements = 1
        for d in dims:
            elements *= d
        block, block_bytes = TYPES[kind]
        end = offset + elements // block * block_bytes
        data += bytes([fill]) * (-(-end // alignment) * alignment - len(data))
        data[offset:end] = bytes(i * 7 & 255 for i in range(end - offset))
    return head + bytes([fill]) * (-len(head) % alignment) + bytes(data) + tail


def main():
    arch = (b"general.architecture", 8, text(b"llama"))
    scalars = [(b"k%d" % kind, kind, struct.pack(form, 1)) for kind, form in
               enumerate(("<B", "<b", "<H", "<h", "<I", "<i", "<f", "<B", None, None, "<Q", "<q", "<d")) if form]
    nested = struct.pack("<IQ", 9, 2) + struct.pack("<IQHH", 2, 2, 5, 6) + struct.pack("<IQ", 8, 1) + text(b"x")
    seeds = {
        "empty": gguf(),
        "types": gguf([(b"t%d" % kind, kind, (TYPES[kind][0], 2), None) for kind in TYPES], [arch]),
        "shapes": gguf([(b"a", 1, (7,), None), (b"b", 8, (32, 17), None), (b"c", 0, (3, 2, 2), None), (b"d", 0, (2, 1, 2, 3), None)]),
        "values": gguf([(b"w", 0, (4,), None)], scalars + [arch, (b"nested", 9, nested), (b"ints", 9, struct.pack("<IQ3i", 5, 3, 1, 2, 3)),
                                                          (b"texts", 9, struct.pack("<IQ", 8, 2) + text(b"") + text(b"ab"))]),
        "aligned8": gguf([(b"a", 1, (5,), None), (b"b", 1, (3,), None)], [(b"general.alignment", 4, struct.pack("<I", 8))], alignment=8),
        "moved": gguf([(b"late", 0, (4,), 128), (b"early", 0, (4,), 0)], [arch], version=2, fill=0xa5, tail=b"tail"),
        "layer": gguf([(b"token_embd.weight", 8, (64, 4), None), (b"blk.0.attn_q.weight", 8, (64, 64), None),
                       (b"blk.0.ffn_norm.weight", 0, (64,), None), (b"output_norm.weight", 0, (64,), None)],
                      [arch, (b"llama.attention.head_count", 4, struct.pack("<I", 4))]),
    }
    os.makedirs(FOLDER, exist_ok=True)
    for name, data in seeds.items():
        with open(os.path.join(FOLDER, name + ".gguf"), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    main()
