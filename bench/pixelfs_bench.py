#!/usr/bin/env python3
"""What `pixellm fs` costs beside the tools that do the same without pictures (standard library only).

  pixelfs_bench.py PATH/TO/pixellm [--folder /tmp] [--mb 2000] [--rounds 5]

Every round, in turn, with the file in the page cache:
  copy     cp, then sync of the copy           write    pixellm fs write (which hashes, and syncs)
  hash     sha256sum of the copy               read     pixellm fs read -o FILE --verify (which syncs, too)
  openssl  openssl dgst -sha256 of the copy    verify   pixellm fs verify
A line for people, then one of JSON; seconds are medians. write_ratio and read_ratio are (copy + hash) / ours, write_vs_copy_ratio is
copy / write, verify_ratio is hash / verify: above 1 we are faster. The strict ones have openssl's hash in place of sha256sum's.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
import time


def seconds(*command, **kwargs):
    begin = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **kwargs)
    return time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pixellm", type=os.path.abspath)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--mb", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    times = {k: [] for k in ("copy", "hash", "openssl", "write", "read", "verify")}
    with tempfile.TemporaryDirectory(prefix="pixellm-bench-", dir=args.folder) as folder:
        os.chdir(folder)
        chunk = bytearray(random.Random(1).randbytes(1000000))
        with open("source", "wb") as f:
            for i in range(args.mb):
                chunk[:8] = i.to_bytes(8, "little")
                f.write(chunk)
        seconds("sync", "source")
        for _ in range(args.rounds):
            times["copy"].append(seconds("cp", "source", "copy") + seconds("sync", "copy"))
            times["hash"].append(seconds("sha256sum", "copy"))
            times["openssl"].append(seconds("openssl", "dgst", "-sha256", "copy"))
            os.remove("copy")
            times["write"].append(seconds(args.pixellm, "fs", "write", "source", "a", stderr=subprocess.DEVNULL))
            times["verify"].append(seconds(args.pixellm, "fs", "verify", "a", stderr=subprocess.DEVNULL))
            times["read"].append(seconds(args.pixellm, "fs", "read", "a", "-o", "back", "--verify", stderr=subprocess.DEVNULL))
            os.remove("back")
            os.remove("pixel_storage/a.pxi")
    t = {k: statistics.median(v) for k, v in times.items()}
    out = {"bytes": args.mb * 1000000, "rounds": args.rounds, **{k + "_s": round(v, 3) for k, v in t.items()},
           "write_ratio": round((t["copy"] + t["hash"]) / t["write"], 3), "read_ratio": round((t["copy"] + t["hash"]) / t["read"], 3),
           "write_vs_copy_ratio": round(t["copy"] / t["write"], 3), "verify_ratio": round(t["hash"] / t["verify"], 3),
           "write_strict_ratio": round((t["copy"] + t["openssl"]) / t["write"], 3),
           "read_strict_ratio": round((t["copy"] + t["openssl"]) / t["read"], 3),
           "verify_strict_ratio": round(t["openssl"] / t["verify"], 3)}
    print("{:.1f} GB: cp + sync {:.2f} s, sha256sum {:.2f} s, openssl {:.2f} s; write {:.2f} s, verified read {:.2f} s, verify {:.2f} s".format(
        args.mb / 1000, t["copy"], t["hash"], t["openssl"], t["write"], t["read"], t["verify"]))
    print(json.dumps(out))


main()
