#!/usr/bin/env python3
"""Writes the seeds of the tokenizer's fuzz target beside this file: make_tokenizer_seeds.py

Format: see fuzz/tokenizer_fuzz.cpp.
"""
import pathlib

HERE = pathlib.Path(__file__).parent / "tokenizer"
MERGES = ["h e", "l l", "he ll", "hell o", "Ġ w", "o r", "1 2", "Ġ Ġ", "a a", "aa aa", "Ċ Ċ"]
TEXT = "hello  world's 123 12345\n\n x\t日本 é 😀 aaaaaaaa 'LL <|im_start|><tool>".encode() + b"\xff\xc0\x80\xed\xa0\x80\xf4\x90"
CHAT = (b"{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
        b"'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
MARKERS = ["<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>", "<|start_header_id|>", "<|end_header_id|>",
           "<|eot_id|>", "[INST]", "[/INST]"]


def line(kind, text, what=b"t"):
    return what + bytes([kind]) * (what == b"t") + text.encode() + b"\n"


def main():
    HERE.mkdir(exist_ok=True)
    tokens = b"".join(line(ord("1"), m.replace(" ", "")) for m in MERGES)
    tokens += b"".join(line(ord("3"), m) for m in MARKERS) + line(ord("4"), "<tool>") + line(ord("4"), "\t\t")
    merges = b"".join(line(0, m, b"m") for m in MERGES)
    for choice in range(8):
        (HERE / f"bpe-{choice}").write_bytes(bytes([128 | choice]) + tokens + merges + b"x" + TEXT)
    (HERE / "chat").write_bytes(bytes([128]) + tokens + merges + b"x" + CHAT)
    spm = b"".join(line(ord("1"), t) for t in ["▁", "a", "aa", "▁hello", "he", "ll", "o", "hello", "日", "<s"])
    spm += b"".join(line(ord("6"), f"<0x{b:02X}>") for b in range(256)) + line(ord("3"), "<s>") + line(ord("2"), "<unk>")
    for choice in (8, 40, 56):
        (HERE / f"spm-{choice}").write_bytes(bytes([choice]) + spm + b"x" + TEXT)


if __name__ == "__main__":
    main()
