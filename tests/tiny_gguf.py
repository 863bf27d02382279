"""A tiny random Llama as a GGUF, for the stories (standard library only).

  write_gguf(path, **metadata)      one layer of F16, F32 and Q8_0, the GPT-2 byte vocabulary and a few tokens more;
                                    matrices="F32", layers=2: all matrices of that type, so many layers
"""
import struct

VOCAB, EMBEDDING, CONTEXT = 262, 64, 65536
END, IM_START, IM_END = 256, 257, 258
CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
          "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


class Random:
    def __init__(self, seed):
        self.state = seed

    def next(self):   # uniform in [-1, 1)
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 40) / 2**23 - 1


def byte_symbols():
    symbols, extra = [], 0x100
    for b in range(256):
        if 33 <= b <= 126 or 161 <= b != 173:
            symbols.append(chr(b))
        else:
            symbols.append(chr(extra))
            extra += 1
    return symbols


def encode_value(value):
    """(GGUF type id, bytes)"""
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        data = value.encode()
        return 8, struct.pack("<Q", len(data)) + data
    kinds = [encode_value(v) for v in value]
    kind = kinds[0][0] if kinds else 8
    return 9, struct.pack("<IQ", kind, len(value)) + b"".join(data for _, data in kinds)


def encode_rows(kind, values):
    if kind == "F32":
        return 0, struct.pack("<%df" % len(values), *values)
    if kind == "F16":
        return 1, struct.pack("<%de" % len(values), *values)
    out = b""   # Q8_0
    for i in range(0, len(values), 32):
        block = values[i:i + 32]
        d = max(abs(v) for v in block) / 127
        out += struct.pack("<e32b", d, *(max(-127, min(127, round(v / d))) for v in block))
    return 8, out


def write_gguf(path, matrices=None, layers=1, **metadata):
    tokens = byte_symbols() + ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "th", "the", "<|unused|>"]
    pairs = {
        "general.architecture": "llama", "general.name": "tiny", "llama.block_count": layers, "llama.context_length": CONTEXT,
        "llama.embedding_length": EMBEDDING, "llama.feed_forward_length": 64, "llama.attention.head_count": 2,
        "llama.attention.head_count_kv": 1, "llama.rope.dimension_count": 32, "llama.rope.freq_base": 10000.0,
        "llama.attention.layer_norm_rms_epsilon": 1e-5, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": [1] * 256 + [3, 3, 3, 1, 1, 5],
        "tokenizer.ggml.merges": ["t h", "th e"], "tokenizer.ggml.bos_token_id": END, "tokenizer.ggml.eos_token_id": END,
        "tokenizer.chat_template": CHATML, **metadata}
    shapes = [("token_embd.weight", "F16", VOCAB, 64), ("output_norm.weight", "F32", None, 64), ("output.weight", "Q8_0", VOCAB, 64)]
    for layer in range(layers):
        shapes += [(f"blk.{layer}.{name}.weight", kind, rows, 64) for name, kind, rows in (
            ("attn_norm", "F32", None), ("ffn_norm", "F32", None), ("attn_q", "Q8_0", 64), ("attn_k", "Q8_0", 32), ("attn_v", "F16", 32),
            ("attn_output", "F32", 64), ("ffn_gate", "Q8_0", 64), ("ffn_up", "Q8_0", 64), ("ffn_down", "F16", 64))]
    random = Random(7)
    infos, data = b"", b""
    for name, kind, rows, columns in shapes:
        n = (rows or 1) * columns
        if rows is not None and matrices:
            kind = matrices
        values = [(1 + 0.1 * random.next()) if rows is None else 0.3 * random.next() for _ in range(n)]
        type_id, encoded = encode_rows(kind, values)
        dims = [columns] if rows is None else [columns, rows]
        infos += encode_value(name)[1] + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, type_id, len(data))
        data += encoded + bytes(-len(encoded) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(pairs))
    for key, value in pairs.items():
        kind, encoded = encode_value(value)
        head += encode_value(key)[1] + struct.pack("<I", kind) + encoded
    head += infos
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32) + data)
