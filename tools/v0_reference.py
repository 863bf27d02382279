#!/usr/bin/env python3
"""The arithmetic of spec/v0.md in NumPy, written from the spec alone: what the program's results are compared with.

  v0_reference.py init -o OUT.npz [--seed N]
  v0_reference.py train CORPUS -o OUT.npz [--objective original|next] [--steps N] [--lr X] [--batch N] [--window N] [--seed N]
                        [--float64]            everything after the initial weights in float64, to see how far rounding goes
  v0_reference.py evaluate F.npz TEXT [--objective ...] [--window N]     loss in nats over 4096 windows of TEXT
  v0_reference.py infer F.pxi TEXT -o LOGITS.npy          picture and meta to logits, through Pillow
  v0_reference.py compare A.npz B.npz                     largest absolute difference of each array; exit 1 above 1e-5
Needs NumPy (Debian's python3-numpy), for infer Pillow.
"""
import argparse
import json
import pathlib
import sys

import numpy as np

VOCAB, DIM = 1024, 128
NAMES = ("embed", "hidden", "b_hidden", "out", "b_out")


def tokenize(text):
    return np.array([ord(c) % VOCAB for c in text], dtype=np.int64)


def initialise(seed):
    rng = np.random.default_rng(seed)
    draw = lambda rows, columns, deviation: (rng.standard_normal((rows, columns)) * deviation).astype(np.float32)
    embed = draw(VOCAB, DIM, np.sqrt(2 / VOCAB))
    hidden = draw(DIM, DIM, np.sqrt(2 / DIM))
    out = draw(DIM, VOCAB, np.sqrt(2 / DIM))
    weights = dict(embed=embed, hidden=hidden, b_hidden=np.zeros(DIM, np.float32), out=out, b_out=np.zeros(VOCAB, np.float32))
    return weights, rng


def forward(w, windows):
    x = w["embed"][windows].mean(axis=1)
    before = x @ w["hidden"] + w["b_hidden"]
    h = np.maximum(before, 0)
    return x, before, h, h @ w["out"] + w["b_out"]


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def step(w, windows, targets, lr):
    """One step of plain SGD, in place; the loss before it."""
    batch, window = windows.shape
    rows = np.arange(batch)
    x, before, h, logits = forward(w, windows)
    p = softmax(logits)
    loss = -np.log(p[rows, targets].astype(np.float64)).mean()
    d_logits = p.copy()
    d_logits[rows, targets] -= 1
    d_logits /= batch
    d_h = d_logits @ w["out"].T
    d_h[before <= 0] = 0
    d_x = d_h @ w["hidden"].T
    d_embed = np.zeros_like(w["embed"])
    np.add.at(d_embed, windows.reshape(-1), np.repeat(d_x / window, window, axis=0))
    gradients = dict(embed=d_embed, hidden=x.T @ d_h, b_hidden=d_h.sum(axis=0), out=h.T @ d_logits, b_out=d_logits.sum(axis=0))
    for name in NAMES:
        w[name] -= lr * gradients[name]
    return loss


def windows_at(tokens, starts, window, objective):
    windows = tokens[starts[:, None] + np.arange(window)]
    return windows, tokens[starts + (1 if objective == "original" else window)]


def train(tokens, objective, steps, lr, batch, window, seed, dtype=np.float32, log=None):
    w, rng = initialise(seed)
    w = {name: a.astype(dtype) for name, a in w.items()}
    for i in range(1, steps + 1):
        starts = rng.integers(0, len(tokens) - window - 1, size=batch)
        loss = step(w, *windows_at(tokens, starts, window, objective), lr)
        if log and i % 100 == 0:
            log(i, loss)
    return w


def evaluate(w, tokens, objective, window):
    """Mean loss over evenly spaced windows, and that of the best constant prediction for the same targets."""
    count = min(4096, len(tokens) - window)
    starts = np.arange(count) * (len(tokens) - window) // count
    windows, targets = windows_at(tokens, starts, window, objective)
    total = 0.0
    for i in range(0, count, 256):
        p = softmax(forward(w, windows[i:i + 256])[3].astype(np.float64))
        total -= np.log(p[np.arange(len(p)), targets[i:i + 256]]).sum()
    shares = np.bincount(targets, minlength=VOCAB) / count
    shares = shares[shares > 0]
    return total / count, -(shares * np.log(shares)).sum()


def load_picture(path):
    from PIL import Image
    meta = json.loads(path.with_name(path.name.removesuffix(".pxi") + ".meta.json").read_text())
    stream = np.asarray(Image.open(path)).reshape(-1)
    w = {}
    for t in meta["tensors"]:
        q = stream[t["offset"]:t["offset"] + t["length"]].astype(np.float32)
        w[t["name"]] = (q / 255.0 * (t["w_max"] - t["w_min"]) + t["w_min"]).reshape(t["shape"])
    return w


def compare(a, b):
    worst = 0.0
    for name in NAMES:
        difference = float(np.abs(a[name].astype(np.float64) - b[name]).max())
        print(f"{name:10} {difference:.3g}")
        worst = max(worst, difference)
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("init", "train", "evaluate", "infer", "compare"))
    parser.add_argument("inputs", nargs="*")
    parser.add_argument("-o", "--output")
    parser.add_argument("--objective", choices=("original", "next"), default="next")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--float64", action="store_true")
    a = parser.parse_args()
    read = lambda path: tokenize(pathlib.Path(path).read_bytes().decode())
    if a.action == "init":
        np.savez(a.output, **initialise(a.seed)[0])
    elif a.action == "train":
        w = train(read(a.inputs[0]), a.objective, a.steps, a.lr, a.batch, a.window, a.seed,
                  np.float64 if a.float64 else np.float32, lambda i, loss: print(f"step {i}: loss {loss:.4f}", file=sys.stderr))
        np.savez(a.output, **{name: w[name].astype(np.float32) for name in NAMES})
    elif a.action == "evaluate":
        loss, constant = evaluate(np.load(a.inputs[0]), read(a.inputs[1]), a.objective, a.window)
        print(json.dumps({"loss": loss, "constant": constant}))
    elif a.action == "infer":
        np.save(a.output, forward(load_picture(pathlib.Path(a.inputs[0])), tokenize(a.inputs[1])[None])[3][0])
    else:
        sys.exit(compare(np.load(a.inputs[0]), np.load(a.inputs[1])) > 1e-5)


if __name__ == "__main__":
    main()
