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
import json
import pathlib
import subprocess

import numpy as np

from llama_peer import Llama, dequantize, start

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
    start()
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
        peer = Llama(path)
        sets = prompts(peer, a.prompts, a.tokens, not path.stem.startswith("tiny"))
        truth_oracle = Llama(exact, True, max(64, a.tokens))
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
