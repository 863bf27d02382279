"""llama.cpp through the PyPI package llama-cpp-python 0.3.36, low-level calls only: the peer of our measurements.

Used by compare_llama.py (agreement) and bench_llama.py (speed). Needs llama-cpp-python, gguf, numpy.
"""
import ctypes
import time

import gguf
import llama_cpp as lib
import numpy as np

QUIET = lib.llama_log_callback(lambda level, text, user: None)


def dequantize(src, dst):
    """Writes `src` with every tensor as F32."""
    r = gguf.GGUFReader(str(src))
    w = gguf.GGUFWriter(str(dst), r.fields["general.architecture"].contents())
    for k, f in r.fields.items():
        if k.startswith("GGUF.") or k in ("general.architecture", "general.file_type"):
            continue
        kind = f.types[0]
        w.add_key_value(k, f.contents(), kind, f.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
    w.add_file_type(0)
    for t in r.tensors:
        w.add_tensor(t.name, gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def start():
    """Silences llama.cpp's log; once a process, before anything else."""
    lib.llama_log_set(QUIET, ctypes.c_void_p(0))
    lib.llama_backend_init()


class Llama:
    """A model with one sequence. exact: no flash attention and an F32 cache, for use on F32 files."""

    def __init__(self, path, exact=False, context=512, threads=2):
        mp = lib.llama_model_default_params()
        mp.n_gpu_layers = 0
        self.model = lib.llama_model_load_from_file(str(path).encode(), mp)
        assert self.model, f"llama.cpp cannot load {path}"
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.n_vocab = lib.llama_vocab_n_tokens(self.vocab)
        cp = lib.llama_context_default_params()
        cp.n_ctx = cp.n_batch = cp.n_ubatch = context
        cp.n_threads = cp.n_threads_batch = threads
        if exact:
            cp.type_k = cp.type_v = 0
            cp.flash_attn_type = 0
        self.ctx = lib.llama_init_from_model(self.model, cp)
        assert self.ctx

    def __del__(self):
        lib.llama_free(self.ctx)
        lib.llama_model_free(self.model)

    def clear(self):
        lib.llama_memory_clear(lib.llama_get_memory(self.ctx), True)

    def feed(self, ids, position, every=False):
        b = lib.llama_batch_init(len(ids), 0, 1)
        b.n_tokens = len(ids)
        for i, t in enumerate(ids):
            b.token[i], b.pos[i], b.n_seq_id[i] = t, position + i, 1
            b.logits[i] = every or i == len(ids) - 1
            b.seq_id[i][0] = 0
        assert lib.llama_decode(self.ctx, b) == 0
        lib.llama_batch_free(b)

    def row(self, i):
        return np.ctypeslib.as_array(lib.llama_get_logits_ith(self.ctx, i), shape=(self.n_vocab,)).copy()

    def logits(self, ids):
        """float32 [len(ids), n_vocab] of a fresh sequence."""
        self.clear()
        self.feed(ids, 0, True)
        return np.stack([self.row(i) for i in range(len(ids))])

    def speed(self, prompt, generate):
        """Tokens a second: (prompt of that many tokens, generation one by one from an empty context)."""
        ids = [(7 * i + 11) % self.n_vocab for i in range(max(prompt, generate))]
        self.clear()
        t0 = time.perf_counter()
        self.feed(ids[:prompt], 0)
        self.row(-1)
        t1 = time.perf_counter()
        self.clear()
        t2 = time.perf_counter()
        for i in range(generate):
            self.feed(ids[i:i + 1], i)
            lib.llama_get_logits_ith(self.ctx, -1)
        return prompt / (t1 - t0), generate / (time.perf_counter() - t2)

    def tokenize(self, data):
        out = (lib.llama_token * (len(data) + 8))()
        return list(out[:lib.llama_tokenize(self.vocab, data, len(data), out, len(data) + 8, False, False)])

    def perplexity(self, data, c=512):
        ids, nll, n = self.tokenize(data), 0.0, 0
        for lo in range(0, len(ids) - c, c):
            chunk = ids[lo:lo + c]
            x = self.logits(chunk)[c // 2:c - 1].astype(np.float64)
            m = x.max(axis=1)
            nll += (m + np.log(np.exp(x - m[:, None]).sum(axis=1)) - x[np.arange(len(x)), chunk[c // 2 + 1:]]).sum()
            n += len(x)
        return float(np.exp(nll / n))
