#!/usr/bin/env python3
"""Measures how far our logits and llama.cpp's are from the truth: the same weights dequantised and computed in f32.

  compare_llama.py --pixellm build/release/pixellm --work DIR MODEL.gguf...       a Markdown row a model
                   [--prompts 12] [--tokens 48] [--greedy 32] [--ppl TEXT]

Truth: llama.cpp on an F32 file with the dequantised weights, no flash attention, F32 cache. Relative RMS of a position is
RMS(logits - truth) / RMS(truth); the table has medians over positions and, behind, the largest. Greedy: along our own
tokens, how far each lies below llama.cpp's favourite in llama.cpp's logits (largest gap). --ppl: perplexity of a text
by both programs. Needs: llama-cpp-python 0.3.36, gguf, numpy.
"""
import argparse
import ctypes
import json
import pathlib
import subprocess

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


class Oracle:
    def __init__(self, path, exact, context):
        mp = lib.llama_model_default_params()
        mp.n_gpu_layers = 0
        self.model = lib.llama_model_load_from_file(str(path).encode(), mp)
        assert self.model, f"llama.cpp cannot load {path}"
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.n_vocab = lib.llama_vocab_n_tokens(self.vocab)
        cp = lib.llama_context_default_params()
        cp.n_ctx = cp.n_batch = cp.n_ubatch = context
        cp.n_threads = cp.n_threads_batch = 2
        if exact:
            cp.type_k = cp.type_v = 0
            cp.flash_attn_type = 0
        self.ctx = lib.llama_init_from_model(self.model, cp)
        assert self.ctx

    def __del__(self):
        lib.llama_free(self.ctx)
        lib.llama_model_free(self.model)

    def logits(self, ids):
        lib.llama_memory_clear(lib.llama_get_memory(self.ctx), True)
        b = lib.llama_batch_init(len(ids), 0, 1)
        b.n_tokens = len(ids)
        for i, t in enumerate(ids):
            b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = t, i, 1, 1
            b.seq_id[i][0] = 0
        assert lib.llama_decode(self.ctx, b) == 0
        out = np.stack([np.ctypeslib.as_array(lib.llama_get_logits_ith(self.ctx, i), shape=(self.n_vocab,)).copy()
                        for i in range(len(ids))])
        lib.llama_batch_free(b)
        return out

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


def distance(x, truth):
    d = (x.astype(np.float64) - truth)
    return np.sqrt((d * d).mean(axis=1) / (truth.astype(np.float64) ** 2).mean(axis=1))


def prompts(oracle, count, tokens, real):
    if not real:
        rng = np.random.default_rng(7)
        return [rng.integers(3, 20000, tokens).tolist() for _ in range(count)]
    text = b"\n".join(p.read_bytes() for p in sorted(pathlib.Path("/usr/share/common-licenses").glob("*")) if p.is_file())
    ids = oracle.tokenize(text[:400000])
    step = (len(ids) - tokens) // count
    return [ids[i * step:i * step + tokens] for i in range(count)]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("models", nargs="+", type=pathlib.Path)
    ap.add_argument("--pixellm", required=True)
    ap.add_argument("--work", type=pathlib.Path, required=True)
    ap.add_argument("--prompts", type=int, default=12)
    ap.add_argument("--tokens", type=int, default=48)
    ap.add_argument("--greedy", type=int, default=32)
    ap.add_argument("--ppl", type=pathlib.Path)
    a = ap.parse_args()
    lib.llama_log_set(QUIET, ctypes.c_void_p(0))
    lib.llama_backend_init()
    a.work.mkdir(parents=True, exist_ok=True)

    def ours(*args):
        return subprocess.run([a.pixellm, *map(str, args)], check=True, capture_output=True).stdout

    print("| model | llama.cpp from truth, median (max) | ours from truth, median (max) | ratio | top-1 llama.cpp / ours | "
          "greedy gap | perplexity llama.cpp / ours |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for path in a.models:
        picture, exact = a.work / (path.stem + ".png"), a.work / (path.stem + "-f32.gguf")
        ours("import", path, "-o", picture)
        dequantize(path, exact)
        peer = Oracle(path, False, 512)
        sets = prompts(peer, a.prompts, a.tokens, not path.stem.startswith("tiny"))
        truth_oracle = Oracle(exact, True, max(64, a.tokens))
        d_peer, d_ours, top_peer, top_ours = [], [], [], []
        for ids in sets:
            truth, theirs = truth_oracle.logits(ids), peer.logits(ids)
            ours("logits", picture, "--ids", ",".join(map(str, ids)), "--out", a.work / "l.npy")
            mine = np.load(a.work / "l.npy")
            d_peer.append(distance(theirs, truth))
            d_ours.append(distance(mine, truth))
            top_peer.append(theirs.argmax(1) == truth.argmax(1))
            top_ours.append(mine.argmax(1) == truth.argmax(1))
        del truth_oracle
        exact.unlink()
        gap = 0.0
        for ids in sets[:6]:
            head, cur = ids[:16], list(ids[:16])
            for _ in range(a.greedy):   # one call a token keeps to the public command; --ids carries the whole sequence
                ours("logits", picture, "--ids", ",".join(map(str, cur)), "--out", a.work / "l.npy")
                cur.append(int(np.load(a.work / "l.npy", mmap_mode="r")[-1].argmax()))
            x = peer.logits(cur)[len(head) - 1:-1]
            gap = max(gap, float((x.max(1) - x[np.arange(len(x)), cur[len(head):]]).max()))
        ppl = "-"
        if a.ppl:
            mine = json.loads(ours("eval", picture, a.ppl, "--context", 512, "--json"))["perplexity"]
            theirs = peer.perplexity(a.ppl.read_bytes())
            ppl = f"{theirs:.4f} / {mine:.4f} ({100 * (mine / theirs - 1):+.3f} %)"
        dp, do = np.concatenate(d_peer), np.concatenate(d_ours)
        print(f"| {path.stem} | {100 * np.median(dp):.4f} % ({100 * dp.max():.2f} %) | {100 * np.median(do):.4f} % "
              f"({100 * do.max():.2f} %) | {np.median(do) / np.median(dp):.2f} | {np.concatenate(top_peer).mean():.3f} / "
              f"{np.concatenate(top_ours).mean():.3f} | {gap:.3f} | {ppl} |", flush=True)
        picture.unlink()
        del peer


main()
