#!/usr/bin/env python3
"""Stories of the commands that run a model, on a tiny random model that this file makes itself (standard library only).

  run_story_test.py build/release/pixellm [NAME...]      all stories, or those named
"""
import hashlib
import json
import math
import os
import signal
import struct
import subprocess
import sys
import tempfile

from tiny_gguf import CONTEXT, END, IM_END, IM_START, VOCAB, byte_symbols, write_gguf

PIXELLM = ""


# ---- Running commands

def pixellm(*args, status=0, stdin=b""):
    p = subprocess.run([PIXELLM, *map(str, args)], input=stdin, capture_output=True)
    if p.returncode != status:
        raise AssertionError(f"pixellm {' '.join(map(str, args))}: exit {p.returncode}, wanted {status}\n{p.stderr.decode()}")
    return p.stdout, p.stderr.decode(errors="replace")


def run_json(model, *args, **kw):
    out, _ = pixellm("run", model, "--json", *args, **kw)
    return json.loads(out.decode())   # must be valid UTF-8


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def same(found, wanted, what):
    check(found == wanted, f"{what}: found {found!r}, wanted {wanted!r}")


def only(ids):
    """Flags that forbid every token but these."""
    return [x for i in range(VOCAB) if i not in ids for x in ("--bias", f"{i}=-inf")]


LETTERS = only([ord(c) for c in "abcdefgh"])


def read_npy(data):
    check(data[:8] == b"\x93NUMPY\x01\x00", "npy magic")
    (length,) = struct.unpack("<H", data[8:10])
    same((10 + length) % 64, 0, "npy alignment")
    header = eval(data[10:10 + length].decode(), {})
    same((header["descr"], header["fortran_order"]), ("<f4", False), "npy header")
    rows, columns = header["shape"]
    same(len(data), 10 + length + 4 * rows * columns, "npy size")
    values = struct.unpack("<%df" % (rows * columns), data[10 + length:])
    return [values[i * columns:(i + 1) * columns] for i in range(rows)]


def surprise(row, token):
    m = max(row)
    return m + math.log(sum(math.exp(x - m) for x in row)) - row[token]


# ---- Stories

def story_run(t):
    g = run_json(t.model, "-p", "Hello", "-n", 20)
    same(sorted(g), ["ids", "prompt_ids", "seed", "stop_reason", "text", "timings"], "keys")
    same(sorted(g["timings"]), ["generate_ms", "generate_per_s", "load_ms", "prompt_ms", "prompt_per_s", "verify_ms"], "timings")
    same(g["prompt_ids"], list(b"Hello"), "the prompt as it is")
    same((len(g["ids"]), g["stop_reason"]), (20, "length"), "length")
    for flags in (["--threads", 1], ["--threads", 3], ["--batch", 1], ["--verify", "none"], ["--verify", "sha256"]):
        same(run_json(t.model, "-p", "Hello", "-n", 20, *flags)["ids"], g["ids"], f"the same tokens with {flags}")
    for isa in ("scalar", "avx2", "avx512"):
        p = subprocess.run([PIXELLM, "run", t.model, "-p", "Hello", "-n", "20", "--json"], capture_output=True,
                           env={**os.environ, "PIXELLM_ISA": isa})
        if isa == "scalar" or p.returncode == 0:
            same(json.loads(p.stdout)["ids"], g["ids"], f"the same tokens with {isa} kernels")
    t.write("ids.json", json.dumps(g["ids"]).encode())
    out, talk = pixellm("run", t.model, "-p", "Hello", "-n", 20)
    same(out, pixellm("detokenize", t.model, t.path("ids.json"))[0] + b"\n", "streamed text")
    check("length" in talk, "the stop reason on stderr")
    t.write("prompt.txt", b"Hello")
    same(run_json(t.model, "-f", t.path("prompt.txt"), "-n", 20)["ids"], g["ids"], "prompt from a file")
    same(run_json(t.model, "-f", "-", "-n", 20, stdin=b"Hello")["ids"], g["ids"], "prompt from standard input")


def story_prompt_tokens(t):
    same(run_json(t.model, "-p", "<|im_end|>", "-n", 1)["prompt_ids"], list(b"<|im_end|>"), "nobody types a special token")
    same(run_json(t.model, "-p", "<|im_end|>", "-n", 1, "--special")["prompt_ids"], [IM_END], "--special")
    chat = run_json(t.model, "-p", "the <|im_end|>", "-n", 1, "--chat", "--system", "S")["prompt_ids"]
    want = [IM_START, *b"system\nS", IM_END, *b"\n", IM_START, *b"user\n", 260, *b" <|im_end|>", IM_END, *b"\n", IM_START, *b"assistant\n"]
    same(chat, want, "--chat")
    same(run_json(t.model, "-p", "Hi", "-n", 1, "--chat", "--template", "chatml")["prompt_ids"],
         run_json(t.model, "-p", "Hi", "-n", 1, "--chat")["prompt_ids"], "--template")
    _, error = pixellm("run", t.model, "-p", "", status=1)
    check("empty" in error, error)
    with_bos = t.import_gguf("bos", **{"tokenizer.ggml.add_bos_token": True})
    same(run_json(with_bos, "-p", "a", "-n", 1)["prompt_ids"], [END, ord("a")], "add_bos_token")
    same(run_json(with_bos, "-p", "", "-n", 1)["prompt_ids"], [END], "the start token alone")
    bare = t.import_gguf("bare", **{"tokenizer.chat_template": "{{ messages }}"})
    _, error = pixellm("run", bare, "-p", "a", "--chat", status=1)
    check("chatml" in error, error)
    run_json(bare, "-p", "a", "--chat", "--template", "chatml", "-n", 1)
    _, error = pixellm("run", bare, "-p", "a", "--chat", "--template", "nonsense", status=1)
    check("nonsense" in error and "chatml" in error, error)


def story_endings(t):
    free = run_json(t.model, "-p", "Once", "-n", 30, "--temp", 1.5, "--seed", 3, *LETTERS)
    text = free["text"]
    same(len(text), 30, "letters only")
    for at in (0, 7, 20):
        stop = text[at:at + 5]
        g = run_json(t.model, "-p", "Once", "-n", 30, "--temp", 1.5, "--seed", 3, "--stop", "zzz", "--stop", stop, *LETTERS)
        same((g["text"], g["stop_reason"]), (text[:text.find(stop)], "stop"), f"stop text {stop}")
    g = run_json(t.model, "-p", "Once", "--bias", f"{END}=1000")
    same((g["text"], g["ids"], g["stop_reason"]), ("", [], "eos"), "end token")
    g = run_json(t.model, "-p", "Once", "--chat", "--bias", f"{IM_END}=1000")
    same((g["text"], g["ids"], g["stop_reason"]), ("", [], "eos"), "end of the answer's turn")
    g = run_json(t.model, "-p", "0123456789", "--context", 16, *LETTERS)
    same((len(g["ids"]), g["stop_reason"]), (6, "context"), "context")
    _, error = pixellm("run", t.model, "-p", "x" * 100, "--context", 64, status=1)
    check("100" in error and "64" in error, error)
    _, error = pixellm("run", t.model, "-p", "x", "--context", CONTEXT + 1, status=1)
    check(str(CONTEXT) in error and str(CONTEXT + 1) in error, error)


def story_sampling(t):
    base = ["-p", "Once", "-n", 30, "--temp", 1.2, "--top-k", 100, "--top-p", 0.97, "--min-p", 0.001, "--repeat-penalty", 1.1,
            "--presence", 0.1, "--frequency", 0.1]
    a = run_json(t.model, *base, "--seed", 11)
    same(run_json(t.model, *base, "--seed", 11, "--threads", 1)["ids"], a["ids"], "same seed, same text")
    check(run_json(t.model, *base, "--seed", 12)["ids"] != a["ids"], "another seed, another text")
    out, talk = pixellm("run", t.model, *base)
    seed = [line.split()[1] for line in talk.splitlines() if line.startswith("seed ")]
    same(len(seed), 1, "the drawn seed is shown")
    same(pixellm("run", t.model, *base, "--seed", seed[0])[0], out, "the drawn seed gives the text again")
    same(run_json(t.model, *[1 if x == 100 else x for x in base], "--seed", 1)["ids"],
         run_json(t.model, *[0 if x == 1.2 else x for x in base])["ids"], "top-k 1 is greedy")
    same(run_json(t.model, "-p", "Once", "-n", 3, "--bias", f"{ord('q')}=1000")["text"], "qqq", "bias")
    same(sorted(run_json(t.model, "-p", "ab", "-n", 6, "--presence", 1e6, *LETTERS)["text"]), list("cdefgh"), "presence")


def story_beams(t):
    flags = ["-p", "Once", "-n", 8, *LETTERS]
    greedy, beams = (run_json(t.model, *flags, "--beams", n) for n in (1, 4))
    same(len(beams["text"]), 8, "beams")
    same(run_json(t.model, *flags, "--beams", 4, "--threads", 1)["ids"], beams["ids"], "beams do not depend on threads")

    def score(ids):   # only relative: every token but the letters is forbidden
        pixellm("logits", t.model, "--ids", ",".join(map(str, [*b"Once", *ids])), "--out", t.path("b.npy"))
        rows = read_npy(t.read("b.npy"))[3:]
        return -sum(surprise([row[i] for i in range(97, 105)], token - 97) for row, token in zip(rows, ids))
    check(score(beams["ids"]) >= score(greedy["ids"]) - 1e-6, "beams find a text at least as likely")
    out, _ = pixellm("run", t.model, *flags, "--beams", 4)
    same(out.decode(), beams["text"] + "\n", "text of a beam search")


def story_speculate(t):
    """The same answer with drafts from the text and from a model, the counts of both, and drafts that cannot be."""
    prompt = "abc def abc def abc d"
    for flags in (["--temp", 0], ["--temp", 0.9, "--seed", 3, "--repeat-penalty", 1.1, "--top-p", 0.9], ["--temp", 0, "--stop", "b"],
                  ["--temp", 0, "--context", 40], ["--temp", 0, "--batch", 1]):
        flags = ["-p", prompt, "-n", 60, *LETTERS, *flags]
        plain = run_json(t.model, *flags)
        for mode, more in (("ngram", ["--speculate", "ngram"]), ("ngram", ["--speculate", "ngram:64"]), ("draft", ["--draft", t.model])):
            g = run_json(t.model, *flags, *more)
            same({k: g[k] for k in ("text", "ids", "stop_reason", "seed")}, {k: plain[k] for k in ("text", "ids", "stop_reason", "seed")}, more)
            counts = g["speculation"]
            same((list(counts), counts["mode"]), (["mode", "drafted", "accepted", "steps"], mode), "counts")
            check(counts["accepted"] <= counts["drafted"], counts)
            same(1 + counts["steps"] + counts["accepted"], len(g["ids"]), "tokens by steps")
    out, talk = pixellm("run", t.model, *flags, "--speculate", "ngram")
    same(out.decode(), plain["text"] + "\n", "text")
    check("accepted" in talk and "drafted" in talk, talk)
    chat = [pixellm("chat", t.model, "--temp", 0, "-n", 12, *LETTERS, *more, stdin=b"Hi\nAnd more?\n/reset\nHi\n")[0]
            for more in ([], ["--speculate", "ngram"], ["--draft", t.model])]
    same(chat[1:], [chat[0]] * 2, "chat")

    tokens = byte_symbols() + ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "ht", "the", "<|unused|>"]
    other = t.import_gguf("other", **{"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": ["h t"]})
    _, error = pixellm("run", t.model, "-p", "a", "--draft", other, status=1)
    check("other.png" in error and "token 259" in error and '"ht"' in error and '"th"' in error, error)
    _, error = pixellm("run", t.model, "-p", "a", "--draft", t.path("missing.png"), status=1)
    check("missing.png" in error, error)


def story_usage(t):
    for args, word in [
            ([], "-p"), (["-p", "a", "-f", "b"], "-f"), (["-p", "a", "--temp", "-1"], "temperature"), (["-p", "a", "--top-p", "0"], "top-p"),
            (["-p", "a", "--bias", "x=1"], "--bias"), (["-p", "a", "--bias", "5"], "--bias"), (["-p", "a", "--beams", "0"], "beams"),
            (["-p", "a", "--beams", "2", "--temp", "1"], "temperature"), (["-p", "a", "--stop", ""], "stop"), (["-p", "a", "-n", "-1"], "-n"),
            (["-p", "a", "--batch", "0"], "--batch"), (["-p", "a", "--context", "0"], "--context"), (["-p", "a", "--system", "x"], "--chat"),
            (["-p", "a", "--speculate", "words"], "--speculate"), (["-p", "a", "--speculate", "ngram:0"], "1 to 64"),
            (["-p", "a", "--speculate", "ngram:65"], "1 to 64"), (["-p", "a", "--speculate", "ngram:"], "--speculate"),
            (["-p", "a", "--speculate", ""], "--speculate"), (["-p", "a", "--speculate", "ngram", "--beams", "2"], "--beams"),
            (["-p", "a", "--draft", t.model, "--beams", "2"], "--beams"), (["-p", "a", "--draft", t.model, "--speculate", "ngram"], "--draft"),
            (["-p", "a", "--verify", "md5"], "--verify")]:
        _, error = pixellm("run", t.model, *args, status=2)
        check(word in error, f"{args}: {error}")
    for args, word in [(["--bias", "999=1"], "999"), (["--bias", "-1=1"], "-1")]:
        _, error = pixellm("run", t.model, "-p", "a", *args, status=1)
        check(word in error, f"{args}: {error}")
    for command in ("run", "chat", "tokenize", "detokenize", "logits", "eval", "bench"):
        out, _ = pixellm(command, "--help")
        check(b"Example" in out and b"--verify" in out, f"help of {command}")
    for args in (["bench"], ["eval", t.model], ["logits", t.model, "--ids", "1"], ["logits", t.model, "--ids", "1,x", "--out", "-"]):
        pixellm(*args, status=2)


def story_prompts_as_given(t):
    for prompt in ("-n", "--json", "{}", "[a,b]", "a,b", "%", "\\n", "'x'", " padded "):
        same(bytes(run_json(t.model, "-p", prompt, "-n", 1)["prompt_ids"]), prompt.encode(), "prompt")
    g = run_json(t.model, "-p", "Once", "-n", 30, "--stop", "[a,b]", "--stop", "{}", *LETTERS)
    same(g["stop_reason"], "length", "stop texts with brackets are texts")


def story_logits(t):
    ids = [*b"The quick brown fox", 260, END, IM_START]
    listed = ",".join(map(str, ids))
    pixellm("logits", t.model, "--ids", listed, "--out", t.path("a.npy"))
    a = t.read("a.npy")
    rows = read_npy(a)
    same((len(rows), len(rows[0])), (len(ids), VOCAB), "shape")
    check(all(math.isfinite(x) for row in rows for x in row), "finite")
    pixellm("logits", t.model, "--ids", listed, "--out", t.path("b.npy"), "--batch", 1, "--threads", 1)
    check(t.read("b.npy") == a, "token by token, bit for bit")
    check(pixellm("logits", t.model, "--ids", listed, "--out", "-", "--batch", 5)[0] == a, "on standard output")
    fine, small = t.path("fine.npy"), t.path("small.npy")
    pixellm("logits", t.model, "--ids", listed, "--out", fine, "--activations", 16, "--pin")
    check(t.read("fine.npy") != a, "16-bit activations give other logits")
    check(pixellm("logits", t.model, "--ids", listed, "--out", "-", "--batch", 1, "--threads", 3, "--activations", 16)[0] == t.read("fine.npy"), "token by token")
    pixellm("logits", t.model, "--ids", listed, "--out", small, "--kv-cache", 8)
    for name in ("fine.npy", "small.npy"):
        other = read_npy(t.read(name))
        far = sum((x - y) ** 2 for r, s in zip(rows, other) for x, y in zip(r, s)) / sum(x * x for r in rows for x in r)
        check(far < 0.05 ** 2, f"{name} is {far ** 0.5} away")
    for flag, value in (("--activations", 12), ("--kv-cache", 4), ("--activations", "kInt8")):
        pixellm("logits", t.model, "--ids", listed, "--out", "-", flag, value, status=2)
    t.write("p.txt", bytes(i for i in ids if i < 256)[:10])
    g = run_json(t.model, "-f", t.path("p.txt"), "-n", 1, "--bias", f"{END}=-1000")
    same(g["ids"][0], max((i for i in range(VOCAB) if i != END), key=lambda i: (rows[9][i], -i)), "greedy is the largest logit")
    _, error = pixellm("logits", t.model, "--ids", f"1,{VOCAB}", "--out", t.path("c.npy"), status=1)
    check(str(VOCAB) in error and not os.path.exists(t.path("c.npy")), error)
    pixellm("logits", t.model, "--ids", "1", "--out", t.path("no/such/folder.npy"), status=1)


def story_tokenize(t):
    data = "".join(map(chr, range(0x250))).encode() + "the theme: ünïcödé 🎨\n the <|im_end|>".encode()
    t.write("text", data)
    out, _ = pixellm("tokenize", t.model, t.path("text"))
    ids = json.loads(out)
    check(260 in ids and IM_END not in ids, "merged tokens, no special ones")
    same(json.loads(pixellm("tokenize", t.model, t.path("text"), "--json")[0]), ids, "--json")
    same(pixellm("tokenize", t.model, t.path("text"), "--count")[0].strip(), str(len(ids)).encode(), "--count")
    same(pixellm("tokenize", t.model, "-", stdin=data)[0], out, "from standard input")
    special = json.loads(pixellm("tokenize", t.model, t.path("text"), "--special")[0])
    same(special[-1], IM_END, "--special")
    same(pixellm("detokenize", t.model, "-", stdin=out)[0], data, "back again")
    same(pixellm("detokenize", t.model, "-", "--special", stdin=json.dumps(special).encode())[0], data, "back again with special tokens")
    same(pixellm("detokenize", t.model, "-", stdin=b"[]")[0], b"", "nothing")
    for bad in (b"", b"{}", b"[1", b"[1.5]", b"[-1]", b'["a"]', b"[%d]" % VOCAB, b"[[1]]", b"[99999999999999999999]"):
        _, error = pixellm("detokenize", t.model, "-", stdin=bad, status=1)
        check(error, "a message")
    _, error = pixellm("tokenize", t.gguf, t.path("text"), status=1)
    check("import" in error, error)
    t.write("tokenizer.json", b'{"version": "1.0"}')
    _, error = pixellm("tokenize", t.path("tokenizer.json"), t.path("text"), status=1)
    check("tokenizer.json" in error and "picture" in error, error)
    _, error = pixellm("tokenize", t.model, t.path("missing"), status=1)
    check("missing" in error, error)


def story_eval(t):
    text = (b"In the beginning there was the picture. " * 8)[:260]
    t.write("text", text)
    ids = json.loads(pixellm("tokenize", t.model, t.path("text"))[0])

    def expected(context, stride, first):
        total, scored = 0.0, []
        for lo in range(0, len(ids) - context, stride):
            window = ids[lo:lo + context]
            pixellm("logits", t.model, "--ids", ",".join(map(str, window)), "--out", t.path("w.npy"))
            rows = read_npy(t.read("w.npy"))
            total += sum(surprise(rows[i - 1], window[i]) for i in range(first, context))
            scored += window[first:]
        out, _ = pixellm("detokenize", t.model, "-", stdin=json.dumps(scored).encode())
        return total, len(scored), len(out)

    for flags, stride, first in (([], 32, 17), (["--stride", 32], 32, 17), (["--stride", 20], 20, 12)):
        e = json.loads(pixellm("eval", t.model, t.path("text"), "--context", 32, "--json", *flags)[0])
        total, tokens, size = expected(32, stride, first)
        same((e["tokens"], e["bytes"], e["context"]), (tokens, size, 32), "what was scored")
        check(abs(e["nll"] - total / tokens) < 1e-5, f"nll {e['nll']}, wanted {total / tokens}")
        check(abs(e["perplexity"] - math.exp(e["nll"])) < 1e-6 * e["perplexity"], "perplexity")
        check(abs(e["bits_per_byte"] - e["nll"] * tokens / math.log(2) / size) < 1e-9, "bits_per_byte")
        same(e["sha256"], hashlib.sha256(text).hexdigest(), "sha256")
    check(b"perplexity" in pixellm("eval", t.model, t.path("text"), "--context", 32)[0], "for people")
    _, error = pixellm("eval", t.model, t.path("text"), status=1)
    check(str(len(ids)) in error and "513" in error, error)
    pixellm("eval", t.model, t.path("text"), "--context", 32, "--stride", 33, status=2)


def story_bench(t):
    out, _ = pixellm("bench", t.model, "-p", 16, "-n", 4, "-t", "1,2", "-r", 2, "--json")
    lines = [json.loads(line) for line in out.decode().splitlines()]
    same([line["threads"] for line in lines], [1, 1, 2, 2], "a line for each repeat")
    for line in lines:
        for key in ("pp16", "tg4", "read_gb_s", "int8_gops", "bytes_per_token", "ping_ns"):
            check(line[key] > 0, f"{key} is {line[key]}")
    line = json.loads(pixellm("bench", t.model, "-p", 0, "-n", 4, "-t", 1, "-r", 1, "--json")[0])
    check("pp0" not in line and "tg4" in line, "no prompt test")
    check(b"tok/s" in pixellm("bench", t.model, "-p", 8, "-n", 4, "-t", 1, "-r", 1)[0], "for people")
    out, _ = pixellm("bench", t.model, "-p", 16, "-n", 4, "-t", 2, "-r", 1, "--json", "--roofline", "--profile", "--sequences", "1,3")
    line = json.loads(out)
    check(line["tg4x1"] > 0 and line["tg4x3"] > 0, "several texts at once")
    for phase, tokens in (("prompt", 16), ("generate", 4)):
        check(all(row["bytes"] > 0 and row["operations"] > 0 for row in line["roofline"][phase]), "what was read")
        same(line["profile"][phase]["tokens"], tokens, "tokens of the phase")
        check(line["profile"][phase]["gate_up"] >= 0 and "barrier" in line["profile"][phase], "operations")
    # a token reads every matrix once; norms and the embedding's row are the rest
    share = sum(row["bytes"] for row in line["roofline"]["generate"]) / (4 * line["bytes_per_token"])
    check(0.97 < share <= 1, f"{share} of the bytes of four tokens")
    text = pixellm("bench", t.model, "-p", 8, "-n", 4, "-t", 1, "-r", 1, "--roofline", "--profile")[0]
    check(b"% of reading" in text and b"barrier" in text and b"gate_up" in text, text)
    t.write("before.json", out)
    compared = pixellm("bench", t.model, "-p", 16, "-n", 4, "-t", 2, "-r", 1, "--json", "--compare", t.path("before.json"))[0]
    same([row["what"] for row in json.loads(compared.splitlines()[-1])["comparison"]], ["2 threads pp16", "2 threads tg4"], "what both have")
    for bad, why in ((b"", "holds no line"), (b"{}\n", "no threads"), (b"nonsense\n", "line 1"), (b'[1]\n', "line 1")):
        t.write("bad.json", bad)
        _, error = pixellm("bench", t.model, "--compare", t.path("bad.json"), status=1)
        check("bad.json" in error and why in error, error)
    signature = pixellm("bench", "--signature")[0]
    check(len(signature.strip()) == 64, f"signature {signature}")


def story_chat(t):
    flags = ["--temp", 0, "-n", 12, *LETTERS]

    def chat(*lines, more=()):
        return pixellm("chat", t.model, *flags, *more, stdin=("\n".join(lines) + "\n").encode())[0].decode().splitlines()

    first = run_json(t.model, "-p", "Hi", "--chat", *flags)["text"]
    answers = chat("Hi", "And more?", "/reset", "", "Hi", "/exit", "ignored")
    same(len(answers), 3, "three answers")
    same((answers[0], answers[2]), (first, first), "/reset begins anew")
    # The second turn, from a cache that was kept, against the whole conversation fed at once.
    prompt = "".join(f"<|im_start|>{who}\n{text}<|im_end|>\n" for who, text in
                     (("user", "Hi"), ("assistant", first), ("user", "And more?"))) + "<|im_start|>assistant\n"
    same(answers[1], run_json(t.model, "-p", prompt, "--special", *flags)["text"], "the kept cache gives the same answer")
    check(chat("Hi", more=["--system", "Be brief."]) != [first], "--system")
    same(chat("Hi"), [first], "end of input leaves")
    out, talk = pixellm("chat", t.model, *flags, "--context", 40, stdin=b"Hi\nAnd more of it?\n/reset\nHi\n")
    same(out.decode().splitlines(), [first, first], "a message that does not fit is refused, and the chat goes on")
    check("40" in talk and "/reset" in talk, talk)
    _, talk = pixellm("chat", t.model, *flags, stdin=b"/nonsense\n")
    check("/nonsense" in talk, talk)


def story_interrupt(t):
    flags = ["--context", str(CONTEXT), "-n", str(CONTEXT), *LETTERS]
    p = subprocess.Popen([PIXELLM, "run", t.model, "-p", "Hi", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = p.stdout.read(1)
    p.send_signal(signal.SIGINT)
    out, talk = p.communicate()
    same(p.returncode, 0, "Ctrl-C ends cleanly")
    check(b"interrupted" in talk and out.endswith(b"\n"), talk)
    check(pixellm("run", t.model, "-p", "Hi", "-n", 1, *LETTERS)[0][:1] == first, "what was generated stands")

    p = subprocess.Popen([PIXELLM, "run", t.model, "-p", "Hi", *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    p.stdout.read(1)
    p.stdout.close()
    p.wait()   # a reader that went away ends the generation

    p = subprocess.Popen([PIXELLM, "chat", t.model, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for _ in range(2):
        p.stdin.write(b"Hi\n")
        p.stdin.flush()
        p.stdout.read(1)
        p.send_signal(signal.SIGINT)
        p.stdout.readline()
    p.stdin.write(b"/exit\n")
    p.communicate()
    same(p.returncode, 0, "Ctrl-C stops the answer, not the chat")


def story_damage(t):
    data = bytearray(t.read("model.png"))
    data[len(data) * 3 // 4] ^= 16
    t.write("damaged.png", data)
    for command in (["run", "-p", "a"], ["eval", t.gguf], ["logits", "--ids", "1", "--out", t.path("d.npy")], ["bench"], ["tokenize", t.gguf]):
        _, error = pixellm(command[0], t.path("damaged.png"), *command[1:], status=1)
        check("row" in error and "damaged.png" in error, f"{command[0]}: {error}")
    check(not os.path.exists(t.path("d.npy")), "no output of a refused command")


class Folder:
    def __init__(self, path):
        self.folder = path
        self.gguf = self.path("model.gguf")
        self.model = self.import_gguf("model")

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def import_gguf(self, name, **metadata):
        write_gguf(self.path(name + ".gguf"), **metadata)
        pixellm("import", self.path(name + ".gguf"), "-o", self.path(name + ".png"))
        return self.path(name + ".png")


def main():
    global PIXELLM
    PIXELLM = os.path.abspath(sys.argv[1])
    stories = {name[6:]: f for name, f in globals().items() if name.startswith("story_")}
    with tempfile.TemporaryDirectory() as folder:
        t = Folder(folder)
        for name in sys.argv[2:] or stories:
            print("==", name, flush=True)
            stories[name](t)
    print("run story: passed")


if __name__ == "__main__":
    main()
