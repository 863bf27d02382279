#!/usr/bin/env python3
"""Compares `pixellm tokenize` with llama.cpp's tokenizer, id by id.

  compare_tokenizer.py MODEL.gguf PIXELLM [--files 60] [--seed 1] [--text FILE]...

Texts: every code point (alone, beside letters, digits, spaces), random mixtures of scripts, code, white space, markers,
control characters and invalid UTF-8, long runs of one character, and the files given; with and without special
tokens. Prints a line for every text that differs, and a summary; exit 1 when one does. Needs: llama-cpp-python 0.3.36.
"""
import argparse
import ctypes
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import llama_cpp as lib

RANGES = {
    "ascii": (0x20, 0x7F), "control": (0, 0x20), "latin": (0xC0, 0x250), "marks": (0x300, 0x370), "greek": (0x370, 0x400),
    "cyrillic": (0x400, 0x500), "hebrew": (0x590, 0x600), "arabic": (0x600, 0x700), "devanagari": (0x900, 0x980),
    "thai": (0xE00, 0xE60), "kana": (0x3040, 0x3100), "han": (0x4E00, 0x5000), "hangul": (0xAC00, 0xAE00),
    "emoji": (0x1F300, 0x1F650), "symbols": (0x2190, 0x2600), "letters": (0x61, 0x7B), "capitals": (0x41, 0x5B),
    "digits": (0x30, 0x3A),
}
SPACES = " \t\n\r\v\f\u0085\u00a0\u1680\u2003\u2028\u202f\u3000\u200b\ufeff"
WORDS = ["'s", "'T", "'re", "'VE", "'ll", "'", "don't", " the", "  ", "    ", "\t\t", "\n\n", "\r\n", " \n", "123", " 2024",
         "3.14", "<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<start_of_turn>", "[INST]", "▁", "▁▁",
         "<0x0A>", "ſ", "٣", "²", "👨‍👩‍👧", "🇩🇪", "e\u0301", "if (x != 0) {\n\treturn f(x);\n}\n"]
BROKEN = [b"\xff", b"\x80", b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc3", b"\xf8\x88",
          b"\xf0\x80\x80\x80", b"\xc3\xc3\xa9"]


def every_code_point(rng):
    for low in range(0, 0x110000, 0x8000):
        out = []
        for c in range(low, low + 0x8000):
            char = chr(c).encode("utf-8", "surrogatepass")
            out.append(rng.choice([b"", b"a", b" ", b"1", b"\n", b"."]) + char + rng.choice([b"", b"b", b" ", b"2", b"\n", b"!"]))
        yield f"code points from {low:#x}", b"".join(out)


def mixture(rng, size):
    ranges = rng.sample(sorted(RANGES), rng.randint(1, 6))
    broken, words = rng.random() < 0.3, rng.random() * 0.5
    out, length = [], 0
    while length < size:
        x = rng.random()
        if broken and x < 0.1:
            piece = rng.choice(BROKEN)
        elif x < words:
            piece = rng.choice(WORDS).encode()
        elif x < words + 0.1:
            piece = "".join(rng.choice(SPACES) for _ in range(rng.randint(1, 5))).encode()
        else:
            low, high = RANGES[rng.choice(ranges)]
            n = rng.choice([1, 1, 2, 3, 5, 8, rng.randint(1, 40)])
            chars = [rng.randrange(low, high)] * n if rng.random() < 0.2 else [rng.randrange(low, high) for _ in range(n)]
            piece = "".join(map(chr, chars)).encode("utf-8", "surrogatepass")
        out.append(piece)
        length += len(piece)
    return b"".join(out)


def readable(data):
    """llama.cpp aborts on what would be above U+10FFFF; its bytes become question marks."""
    out = bytearray(data)
    for i in range(len(out) - 1):
        if 0xF5 <= out[i] <= 0xF7 or (out[i] == 0xF4 and out[i + 1] >= 0x90):
            out[i] = 0x3F
    return bytes(out)


def texts(a, rng):
    for path in a.text:
        yield path, readable(pathlib.Path(path).read_bytes())
    yield from every_code_point(rng)
    for char in ["a", " ", "\n", "7", "'", "=", "\t", "\0", "😀"]:
        yield f"a run of {char!r}", char.encode() * 20000
    for i in range(a.files):
        yield f"mixture {i}", readable(mixture(rng, rng.choice([3, 30, 300, 3000, 30000])))


class Oracle:
    def __init__(self, path):
        self.quiet = lib.llama_log_callback(lambda level, text, user: None)
        lib.llama_log_set(self.quiet, ctypes.c_void_p(0))
        lib.llama_backend_init()
        params = lib.llama_model_default_params()
        params.vocab_only = True
        self.model = lib.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            sys.exit(f"llama.cpp cannot load {path}")
        self.vocab = lib.llama_model_get_vocab(self.model)

    def ids(self, data, special):
        size = 4 * len(data) + 16
        out = (lib.llama_token * size)()
        n = lib.llama_tokenize(self.vocab, data, len(data), out, size, False, special)
        assert n >= 0
        return list(out[:n])

    def piece(self, token):
        out = ctypes.create_string_buffer(1024)
        return out.raw[:lib.llama_token_to_piece(self.vocab, token, out, 1024, 0, True)]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model")
    ap.add_argument("pixellm")
    ap.add_argument("--files", type=int, default=60)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--text", action="append", default=[])
    a = ap.parse_args()
    oracle, rng = Oracle(a.model), random.Random(a.seed)
    n_texts = n_bytes = n_different = 0
    with tempfile.TemporaryDirectory() as folder:
        picture, file = pathlib.Path(folder, "model.png"), pathlib.Path(folder, "text")
        subprocess.run([a.pixellm, "import", a.model, "-o", picture], check=True, stderr=subprocess.DEVNULL)
        for name, data in texts(a, rng):
            file.write_bytes(data)
            for special in (False, True):
                command = [a.pixellm, "tokenize", picture, file, "--verify", "none"] + ["--special"] * special
                run = subprocess.run(command, check=True, capture_output=True)
                ours, theirs = json.loads(run.stdout), oracle.ids(data, special)
                n_texts, n_bytes = n_texts + 1, n_bytes + len(data)
                if ours == theirs:
                    continue
                n_different += 1
                at = next((i for i, (x, y) in enumerate(zip(ours, theirs)) if x != y), min(len(ours), len(theirs)))
                before = b"".join(oracle.piece(t) for t in theirs[max(0, at - 8):at])
                print(f"{name}, special {special}: id {at} of {len(theirs)}, after {before!r}: ours {ours[at:at + 6]}, "
                      f"llama.cpp {theirs[at:at + 6]}")
    print(json.dumps({"model": a.model, "texts": n_texts, "bytes": n_bytes, "different": n_different}))
    sys.exit(n_different > 0)


if __name__ == "__main__":
    main()
