#!/usr/bin/env python3
"""The story of the first brain: NumPy makes the v0 network, it becomes a picture, and the picture computes what NumPy computes.

  mlp_story_test.py build/release/pixellm [NAME...]      Python's standard library and numpy
"""
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np

PIXELLM = ""
V, D = 1024, 128


def v0_arrays():
    rng = np.random.default_rng(42)

    def normal(shape, fan_in):
        return (rng.standard_normal(shape) * np.sqrt(2.0 / fan_in)).astype(np.float32)

    embed, hidden, out = normal((V, D), V), normal((D, D), D), normal((D, V), D)
    return {"embed": embed, "hidden": hidden, "b_hidden": np.zeros(D, np.float32), "out": out, "b_out": np.zeros(V, np.float32)}


def trained(arrays):
    """Biases that are not zero, as a training leaves them."""
    rng = np.random.default_rng(7)
    return arrays | {"b_hidden": rng.standard_normal(D).astype("f4") / 8, "b_out": rng.standard_normal(V).astype("f4") / 8}


def reference(arrays, ids):
    """Logits after every token."""
    rows = []
    for n in range(1, len(ids) + 1):
        x = arrays["embed"][np.array(ids[:n])].mean(axis=0)
        hidden = np.maximum(x @ arrays["hidden"] + arrays["b_hidden"], 0)
        rows.append(hidden @ arrays["out"] + arrays["b_out"])
    return np.array(rows)


def ids_of(text):
    return [ord(c) % V for c in text]


class MlpStory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="pixellm-mlp-")
        cls.arrays = v0_arrays()
        np.savez(cls.path("pixellm_v0.npz"), **cls.arrays)
        np.savez_compressed(cls.path("trained.npz"), **trained(cls.arrays))
        for name in ("pixellm_v0", "trained"):
            cls.ok("import", cls.path(name + ".npz"), "-o", cls.path(name + ".png"))
        cls.model = cls.path("pixellm_v0.png")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    @classmethod
    def run_program(cls, *args, env=None, input=None):
        return subprocess.run([PIXELLM, *args], capture_output=True, input=input, env=os.environ | (env or {}), timeout=300)

    @classmethod
    def ok(cls, *args, **more):
        r = cls.run_program(*args, **more)
        if r.returncode != 0:
            raise AssertionError(f"{args}: {r.returncode}\n{r.stderr.decode()}")
        return r

    def fails(self, *args, says, **more):
        r = self.run_program(*args, **more)
        self.assertEqual(r.returncode, 1, r.stderr)
        self.assertIn(says, r.stderr)
        self.assertEqual(r.stdout, b"")
        return r

    def logits(self, model, ids, *more, env=None):
        self.ok("logits", model, "--ids", ",".join(map(str, ids)), "--out", self.path("l.npy"), *more, env=env)
        return np.load(self.path("l.npy"))

    def test_numpy_is_the_one_of_the_original(self):
        for name, digest in (("embed", "6d7cf80e1a25e076"), ("hidden", "2a33982c9bbdfecd"), ("out", "488d6fb1f3257cba")):
            self.assertEqual(hashlib.sha256(self.arrays[name].tobytes()).hexdigest()[:16], digest)
        self.assertEqual(os.path.getsize(self.path("pixellm_v0.npz")), 1119956)

    def test_info_verify_thumbnail(self):
        info = json.loads(self.ok("info", self.model, "--json").stdout)
        header = info["header"]
        self.assertEqual((header["architecture"], header["vocab_size"], header["embed_dim"], header["hidden_dim"],
                          header["num_layers"]), ("mlp", V, D, D, 1))
        self.assertEqual(info["metadata"]["general.name"], "pixellm_v0")
        self.assertEqual({t["name"]: t["shape"] for t in info["tensors"]},
                         {"token_embd.weight": [D, V], "blk.0.ffn_up.weight": [D, D], "blk.0.ffn_up.bias": [D],
                          "output.weight": [D, V], "output.bias": [V]})
        self.assertEqual({t["type"] for t in info["tensors"]}, {"F32"})
        embed = next(t for t in info["tensors"] if t["name"] == "token_embd.weight")
        self.assertEqual(embed["sha256"], hashlib.sha256(self.arrays["embed"].tobytes()).hexdigest())
        self.assertIn(b"intact", self.ok("verify", self.model).stdout)
        self.ok("thumbnail", self.model, "-o", self.path("thumb.png"))
        self.assertGreater(os.path.getsize(self.path("thumb.png")), 1000)

    def test_a_damaged_row_is_named(self):
        plane = json.loads(self.ok("info", self.model, "--json").stdout)["plane"]
        with open(self.model, "rb") as f:
            data = bytearray(f.read())
        data[plane["base"] + 10 * plane["row_stride"] + 5] ^= 1
        with open(self.path("damaged.png"), "wb") as f:
            f.write(data)
        r = self.run_program("verify", self.path("damaged.png"))
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"row 10", r.stdout + r.stderr)
        self.assertIn(b"token_embd.weight", r.stdout + r.stderr)

    def test_logits_are_numpys(self):
        for name, arrays in (("pixellm_v0", self.arrays), ("trained", trained(self.arrays))):
            for text in ("hello pixels", "pxOS", "a", "naïve ∀ text 🙂", "x" * 300):
                ids = ids_of(text)
                truth = reference(arrays, ids)
                ours = self.logits(self.path(name + ".png"), ids)
                self.assertEqual(ours.shape, truth.shape)
                self.assertLess(np.abs(ours - truth).max(), 1e-5, (name, text))

    def test_logits_do_not_depend_on_threads_batch_or_instructions(self):
        ids = ids_of("The same bits for every machine.")
        first = self.logits(self.model, ids, "--batch", "1", "--threads", "1", env={"PIXELLM_ISA": "scalar"})
        for threads in "1", "2", "3":
            for batch in "1", "5", "512":
                again = self.logits(self.model, ids, "--batch", batch, "--threads", threads)
                self.assertEqual(first.tobytes(), again.tobytes(), (threads, batch))

    def test_the_golden_prompt(self):
        # 971 is also the original's best for its network quantised to 8 bits.
        logits = self.logits(self.model, ids_of("hello pixels"))[-1]
        self.assertEqual(list(np.argsort(-logits)[:5]), [971, 702, 665, 8, 680])
        self.assertLess(abs(logits[971] - 0.0826), 0.001)

    def test_run(self):
        ids = ids_of("hello pixels")
        for _ in range(5):
            ids.append(int(reference(self.arrays, ids)[-1].argmax()))
        r = json.loads(self.ok("run", self.model, "-p", "hello pixels", "-n", "5", "--temp", "0", "--json").stdout)
        self.assertEqual(r["prompt_ids"], ids[:12])
        self.assertEqual(r["ids"], ids[12:])
        self.assertEqual(r["text"], "".join(chr(i) if i < 128 else "?" for i in ids[12:]))
        self.assertEqual(r["stop_reason"], "length")
        one = self.ok("run", self.model, "-p", "hello", "-n", "8", "--seed", "3", "--threads", "1").stdout
        self.assertEqual(one, self.ok("run", self.model, "-p", "hello", "-n", "8", "--seed", "3", "--threads", "3").stdout)
        self.ok("run", self.model, "-p", "hello", "-n", "4", "--temp", "0", "--beams", "3")
        self.fails("run", self.model, "-p", "", says=b"the prompt is empty")
        self.fails("run", self.model, "-p", "hi", "--chat", says=b"no chat template")
        self.fails("chat", self.model, says=b"no chat template", input=b"")
        self.fails("run", self.model, "-p", "hi", "--context", "65536", says=b"65535")

    def test_tokenize_and_back(self):
        text = "Größe: 5 €\n\0end".encode() + b"\xff\xe2\x82"
        with open(self.path("text"), "wb") as f:
            f.write(text)
        ids = json.loads(self.ok("tokenize", self.model, self.path("text")).stdout)
        self.assertEqual(ids, ids_of(text.decode("utf-8", "replace")))
        with open(self.path("ids"), "w") as f:
            json.dump(ids, f)
        back = self.ok("detokenize", self.model, self.path("ids")).stdout
        self.assertEqual(back, bytes(i if i < 128 else ord("?") for i in ids))

    def test_eval(self):
        text = "All work and no play makes a dull network. " * 4
        with open(self.path("text"), "w") as f:
            f.write(text)
        r = json.loads(self.ok("eval", self.model, self.path("text"), "--context", "64", "--json").stdout)
        ids, total, count = ids_of(text), 0.0, 0
        for start in range(0, (len(ids) - 1) // 64 * 64, 64):
            window = ids[start:start + 64]
            logits = reference(self.arrays, window).astype(np.float64)
            for i in range(33, 64):
                row = logits[i - 1]
                total += np.log(np.exp(row).sum()) - row[window[i]]
                count += 1
        self.assertEqual(r["tokens"], count)
        self.assertAlmostEqual(r["nll"], total / count, places=5)

    def test_bench(self):
        line = json.loads(self.ok("bench", self.model, "-p", "32", "-n", "4", "-r", "1", "-t", "1", "--json").stdout)
        self.assertGreater(line["pp32"], 0)
        self.assertEqual(line["bytes_per_token"], (D * D + D * V + D + V + D) * 4)

    def test_export_and_back(self):
        self.ok("export", self.model, "-o", self.path("v0.gguf"))
        self.ok("import", self.path("v0.gguf"), "-o", self.path("again.png"))
        ids = ids_of("again")
        self.assertEqual(self.logits(self.path("again.png"), ids).tobytes(), self.logits(self.model, ids).tobytes())

    def test_other_arrays_give_the_same_picture(self):
        with open(self.model, "rb") as f:
            picture = f.read()
        folder = self.path("other")
        os.makedirs(folder)
        source, out = os.path.join(folder, "pixellm_v0.npz"), os.path.join(folder, "out.png")
        variants = {"f8": {k: a.astype(np.float64) for k, a in self.arrays.items()},
                    "big-endian": {k: a.astype(">f4") for k, a in self.arrays.items()},
                    "fortran": {k: np.asfortranarray(a) for k, a in self.arrays.items()},
                    "reversed": dict(reversed(self.arrays.items()))}
        for name, arrays in variants.items():
            for save in np.savez, np.savez_compressed:
                save(source, **arrays)
                self.ok("import", source, "-o", out)
                with open(out, "rb") as f:
                    self.assertEqual(f.read(), picture, name)

    def test_wrong_networks(self):
        def refused(says, **changes):
            arrays = {k: a for k, a in (self.arrays | changes).items() if a is not None}
            np.savez(self.path("wrong.npz"), **arrays)
            self.fails("import", self.path("wrong.npz"), "-o", self.path("wrong.png"), says=says)
            self.assertFalse(os.path.exists(self.path("wrong.png")))

        refused(b"array 'out' is missing", out=None)
        refused(b"array 'bias' is no part", bias=np.zeros(3, "f4"))
        refused(b"array 'hidden' has the shape [128, 64], beside embed [1024, 128] it must be [128, 128]", hidden=np.zeros((D, 64), "f4"))
        refused(b"array 'b_out' holds nan", b_out=np.full(V, np.nan, "f4"))
        refused(b"'b_out': holds int64", b_out=np.zeros(V, np.int64))
        refused(b"'b_out': holds Python objects (pickle)", b_out=np.array([None] * V))
        with open(self.path("pixellm_v0.npz"), "rb") as f:
            data = f.read()
        for cut in (0, 3, 100, len(data) // 2, len(data) - 1):
            with open(self.path("cut.npz"), "wb") as f:
                f.write(data[:cut])
            self.fails("import", self.path("cut.npz"), "-o", self.path("wrong.png"), says=b"cut.npz: ")
        self.assertFalse(os.path.exists(self.path("wrong.png")))


if __name__ == "__main__":
    PIXELLM = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=1)
