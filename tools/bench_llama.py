#!/usr/bin/env python3
"""Speed beside llama.cpp: interleaved rounds of the same GGUF in both programs, medians with ranges.

  bench_llama.py --pixellm build/release/pixellm --work DIR MODEL.gguf... [-t 1,2] [-p 512] [-n 128] [-r 7]

A Markdown row a model and thread count. Every round runs `pixellm bench -r 1` and the same token pattern in llama.cpp, each
after a warm-up. `ping` is the cache-line hand-over between two cores that pixellm measured (the cores of a virtual
machine move). Needs: llama-cpp-python 0.3.36, gguf, numpy; a machine that does nothing else.
"""
import argparse
import json
import pathlib
import statistics
import subprocess

from llama_peer import Llama, start


def show(values, digits=0):
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}-{max(values):.{digits}f}]"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("models", nargs="+", type=pathlib.Path)
    ap.add_argument("--pixellm", required=True)
    ap.add_argument("--work", type=pathlib.Path, required=True)
    ap.add_argument("-t", default="1,2")
    ap.add_argument("-p", type=int, default=512)
    ap.add_argument("-n", type=int, default=128)
    ap.add_argument("-r", type=int, default=7)
    a = ap.parse_args()
    start()
    a.work.mkdir(parents=True, exist_ok=True)
    print(f"| model | threads | pp{a.p} llama.cpp | ours | ratio | tg{a.n} llama.cpp | ours | ratio | share of read bandwidth | int8 peak | ping ns |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for path in a.models:
        picture = a.work / (path.stem + ".png")
        subprocess.run([a.pixellm, "import", path, "-o", picture], check=True, capture_output=True)
        for threads in map(int, a.t.split(",")):
            peer = Llama(path, context=max(a.p, a.n) + 8, threads=threads)
            peer.speed(16, 4)
            rows = {k: [] for k in ("pp", "tg", "peer_pp", "peer_tg", "read", "int8", "ping")}
            for _ in range(a.r):
                out = subprocess.run([a.pixellm, "bench", picture, "-p", str(a.p), "-n", str(a.n), "-t", str(threads), "-r", "1", "--json"],
                                     check=True, capture_output=True).stdout
                ours = json.loads(out.splitlines()[-1])
                pp, tg = peer.speed(a.p, a.n)
                rows["pp"].append(ours[f"pp{a.p}"])
                rows["tg"].append(ours[f"tg{a.n}"])
                rows["peer_pp"].append(pp)
                rows["peer_tg"].append(tg)
                rows["read"].append(100 * ours[f"tg{a.n}"] * ours["bytes_per_token"] / 1e9 / ours["read_gb_s"])
                rows["int8"].append(ours["int8_gops"])
                rows["ping"].append(ours["ping_ns"])
            med = {k: statistics.median(v) for k, v in rows.items()}
            print(f"| {path.stem} | {threads} | {show(rows['peer_pp'])} | {show(rows['pp'])} | {med['pp'] / med['peer_pp']:.2f} | "
                  f"{show(rows['peer_tg'])} | {show(rows['tg'])} | {med['tg'] / med['peer_tg']:.2f} | {med['read']:.0f} % | "
                  f"{med['int8']:.0f} GOP/s | {show(rows['ping'])} |", flush=True)
            del peer
        picture.unlink()


main()
