#!/usr/bin/env python3
"""What speculative decoding gains on code edits, summaries with quotes and prose (standard library only).

  speculate_bench.py PATH/TO/pixellm MODEL.png [--speculate ngram[:N] | --draft DRAFT.png] [-n 128] [--threads N] [--rounds 7] [--chat]

Every round runs each prompt without and with, in turns that swap; the answers must be the same to the token. Code edits and summaries
are greedy; prose is drawn at temperature 0.8 with a seed, as a small model's greedy prose soon repeats itself. A line for people for
each kind, then one of JSON: ratio is the median of tokens/s with / tokens/s without, worst the smallest median of one prompt; times are of
the answer without the prompt. Without --chat the prompts are texts to continue, which small models do better.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

INVOICE = '''def invoice_total(items, tax_rate, discount):
    subtotal = 0
    for item in items:
        price = item["price"]
        quantity = item["quantity"]
        if quantity < 0:
            raise ValueError("quantity must not be negative")
        subtotal += price * quantity
    discounted = subtotal * (1 - discount)
    tax = discounted * tax_rate
    total = discounted + tax
    return round(total, 2)
'''
BUFFER = '''class RingBuffer {
 public:
  explicit RingBuffer(size_t capacity) : values_(capacity), head_(0), size_(0) {}

  bool push(int value) {
    if (size_ == values_.size()) return false;
    values_[(head_ + size_) % values_.size()] = value;
    size_++;
    return true;
  }

  bool pop(int* value) {
    if (size_ == 0) return false;
    *value = values_[head_];
    head_ = (head_ + 1) % values_.size();
    size_--;
    return true;
  }
'''
HARBOUR = '''The harbour council met on Tuesday evening to decide what should become of the old lighthouse. The building, which has stood on the
northern pier since 1874, has been empty for eleven years. "We cannot let the sea take it," said Martha Lind, who has led the council since
spring. The engineers had measured the walls in March and found that the foundation is sound, but that the lamp room must be replaced. The
repair would cost about four hundred thousand crowns, half of which the county has promised to pay. Two members of the council wanted to
sell the lighthouse to a hotel company from the capital. "A hotel would keep the lights on all year," said Jonas Berg, who owns the
shipyard next to the pier. After three hours of talk the council voted seven to two to keep the building and to open a small museum of
fishing in it. The work on the lamp room will begin in May, before the storms of autumn.
'''
BEES = '''Beekeepers in the valley have counted their hives after the winter. Of the two thousand colonies that went into the cold season, about
seventeen hundred lived to see the first warm days of March. "That is the best spring in ten years," said the head of the beekeepers'
society, Anna Moreau. The losses of earlier years were blamed on mites and on the lack of late flowers. Since then the farmers along the
river have left strips of their fields to clover and wild mustard, which bloom until October. The society also gave its members a new
treatment against mites, which is used once in summer and once before the first frost. Whether the flowers or the treatment made the
difference is not known. "We changed two things at once, as farmers do," said Moreau, "and now the scientists are cross with us."
'''

PROMPTS = [
    ("code", f"A function:\n\n```python\n{INVOICE}```\n\nThe same function, with the name invoice_total changed to order_total:\n\n"
             f"```python\ndef order_total(items, tax_rate, discount):\n"),
    ("code", f"The old class:\n\n```cpp\n{BUFFER}}};\n```\n\nThe new class is the same, but the type int is replaced by double:\n\n"
             f"```cpp\nclass RingBuffer {{\n public:\n"),
    ("code", f"Before:\n\n{INVOICE}\nAfter, with a docstring added:\n\ndef invoice_total(items, tax_rate, discount):\n"
             f'    """Total of an invoice after discount and tax."""\n'),
    ("summary", f"{HARBOUR}\nThe most important sentences of this text, word by word:\n\n1. "),
    ("summary", f"{BEES}\nWhat the text says, in quotes from it:\n\n- \""),
    ("prose", "The old woman closed the door of the bakery and looked up at the sky. In all her years in the town she had never seen"),
    ("prose", "There are three reasons why people move from the country to the city. The first"),
    ("prose", "Dear Thomas,\n\nthank you for your long letter. I read it on the train, and when I arrived I"),
]


def run(args, prompt, greedy, extra):
    command = [args.pixellm, "run", args.model, "-p", prompt, "-n", str(args.n), "--json", "--verify", "none", "--seed", "1",
               "--temp", "0" if greedy else "0.8", *(["--chat"] if args.chat else []),
               *(["--threads", str(args.threads)] if args.threads else []), *extra]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pixellm", type=os.path.abspath)
    parser.add_argument("model")
    parser.add_argument("--speculate", default=None)
    parser.add_argument("--draft", default=None)
    parser.add_argument("-n", type=int, default=128)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--chat", action="store_true")
    args = parser.parse_args()
    extra = ["--draft", args.draft] if args.draft else ["--speculate", args.speculate or "ngram"]

    ratios = [[] for _ in PROMPTS]
    counts = [{} for _ in PROMPTS]
    speeds = [[] for _ in PROMPTS]
    for round_ in range(args.rounds):
        for i, (kind, prompt) in enumerate(PROMPTS):
            out = {}
            for flags in [[], extra] if round_ % 2 == 0 else [extra, []]:
                out[bool(flags)] = run(args, prompt, kind != "prose", flags)
            if out[False]["ids"] != out[True]["ids"] or out[False]["stop_reason"] != out[True]["stop_reason"]:
                sys.exit(f"the answers to prompt {i} differ")
            per_s = {k: v["timings"]["generate_per_s"] for k, v in out.items()}
            if per_s[False] > 0:
                ratios[i].append(per_s[True] / per_s[False])
                speeds[i].append(per_s[False])
            counts[i] = {**out[True]["speculation"], "tokens": len(out[True]["ids"])}   # the last round's

    kinds = {}
    for kind in dict.fromkeys(kind for kind, _ in PROMPTS):
        of_kind = [i for i, (k, _) in enumerate(PROMPTS) if k == kind and ratios[i]]
        if not of_kind:
            continue
        total = {key: sum(counts[i][key] for i in of_kind) for key in ("tokens", "steps", "drafted", "accepted")}
        kinds[kind] = {"ratio": round(statistics.median(r for i in of_kind for r in ratios[i]), 3),
                       "worst": round(min(statistics.median(ratios[i]) for i in of_kind), 3),
                       "plain_per_s": round(statistics.median(s for i in of_kind for s in speeds[i]), 1), **total}
        k = kinds[kind]
        print(f"{kind:8} x{k['ratio']:.2f} (worst prompt x{k['worst']:.2f}) of {k['plain_per_s']:.1f} tok/s; accepted {k['accepted']} of "
              f"{k['drafted']} drafted; {k['tokens']} tokens in {k['steps']} steps")
    print(json.dumps({"mode": " ".join(["draft", os.path.basename(args.draft)] if args.draft else extra[1:]),
                      "model": os.path.basename(args.model), "rounds": args.rounds, "n": args.n, "threads": args.threads or None,
                      "kinds": kinds}))


if __name__ == "__main__":
    main()
