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


def texts(count, size):
    """`count` stretches of about `size` bytes of English text that every Debian has."""
    folder = pathlib.Path("/usr/share/common-licenses")
    data = b"\n".join(p.read_bytes() for p in sorted(folder.glob("*")) if p.is_file() and not p.is_symlink())
    step = (len(data) - size) // count
    return [data[i * step:i * step + size].decode("ascii", "ignore").encode() for i in range(count)]


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
        sets = [peer.tokenize(t)[:a.tokens] for t in texts(a.prompts, 8 * a.tokens)]
        truth_oracle = Llama(exact, True, 512)
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
        for text in texts(6, 100):
            (a.work / "prompt.txt").write_bytes(text)
            out = json.loads(ours("run", picture, "-f", a.work / "prompt.txt", "-n", a.greedy, "--temp", 0, "--json"))
            ids, generated = out["prompt_ids"] + out["ids"], len(out["ids"])
            x = peer.logits(ids)[-generated - 1:-1] if generated else peer.logits(ids)[:0]
            if generated:
                gap = max(gap, float((x.max(1) - x[np.arange(generated), ids[-generated:]]).max()))
        ppl = "-"
        if a.ppl:
            mine = json.loads(ours("eval", picture, a.ppl, "--context", 512, "--json"))["perplexity"]
            theirs = peer.perplexity(a.ppl.read_bytes())
            ppl = f"{theirs:.6g} / {mine:.6g} ({100 * (mine / theirs - 1):+.3f} %)"
        dp, do = np.concatenate(d_peer), np.concatenate(d_ours)
        print(f"| {path.stem} | {100 * np.median(dp):.4f} % ({100 * dp.max():.2f} %) | {100 * np.median(do):.4f} % "
              f"({100 * do.max():.2f} %) | {np.median(do) / np.median(dp):.2f} | {np.concatenate(top_peer).mean():.3f} / "
              f"{np.concatenate(top_ours).mean():.3f} | {gap:.3f} | {ppl} |", flush=True)
        picture.unlink()
        del peer


main()
