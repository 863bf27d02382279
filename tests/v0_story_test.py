#!/usr/bin/env python3
"""Stories of `pixellm v0`: weights, picture, prediction, training; against NumPy and Pillow (Debian's packages).

  v0_story_test.py PATH/TO/pixellm
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import numpy as np
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
import v0_reference as reference  # noqa: E402

PIXELLM = os.path.abspath(sys.argv.pop(1))


class Story(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.TemporaryDirectory(prefix="pixellm-v0-")
        cls.addClassCleanup(cls.shared.cleanup)
        cls.model = os.path.join(cls.shared.name, "pixellm_v0.pxi")
        cls.npz = os.path.join(cls.shared.name, "pixellm_v0.npz")
        subprocess.run([PIXELLM, "v0", "init", "-o", cls.npz], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([PIXELLM, "v0", "encode", cls.npz, "-o", cls.model], check=True, stdout=subprocess.DEVNULL)
        # Some thirty characters of every kind, the same on every machine.
        rng = np.random.default_rng(5)
        words = ["pixel", "brain ", "weight", "\n", "Größe", "0x1f", " the ", "→", "{}", "of "]
        cls.text = "".join(words[i] for i in rng.integers(0, len(words), size=4000))
        cls.corpus = os.path.join(cls.shared.name, "corpus.txt")
        pathlib.Path(cls.corpus).write_text(cls.text, encoding="utf-8")

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="pixellm-v0-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_it(self, *args, **kwargs):
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([PIXELLM, "v0", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300,
                              **kwargs)

    def ok(self, *args, **kwargs):
        r = self.run_it(*args, **kwargs)
        self.assertEqual(r.returncode, 0, (args, r.stderr.decode()))
        return r.stdout.decode()

    def fails(self, part, *args, status=1, **kwargs):
        r = self.run_it(*args, **kwargs)
        self.assertEqual(r.returncode, status, (args, r.stdout[-300:], r.stderr))
        self.assertIn(part, r.stderr.decode())
        self.assertEqual(r.stdout, b"")
        return r.stderr.decode()


class Weights(Story):
    def test_init_is_numpys_file(self):
        weights, _ = reference.initialise(42)
        np.savez(self.path("numpy.npz"), **weights)
        self.assertEqual(pathlib.Path(self.npz).read_bytes(), pathlib.Path(self.path("numpy.npz")).read_bytes())
        table = self.ok("init", "-o", self.path("a.npz"), "--seed", 2**64 - 1)
        self.assertIn("embed       : (1024, 128)  → 131,072 params | 0.50 MB", table)
        self.assertIn("TOTAL                      → 279,680 params | 1.07 MB", table)
        ours, theirs = np.load(self.path("a.npz")), reference.initialise(2**64 - 1)[0]
        for name in reference.NAMES:
            self.assertTrue((ours[name] == theirs[name]).all(), name)

    def test_to_standard_output(self):
        r = self.run_it("init", "-o", "-")
        self.assertEqual(r.stdout, pathlib.Path(self.npz).read_bytes())
        self.assertIn(b"TOTAL", r.stderr)

    def test_wrong_usage(self):
        self.fails("--output", "init", status=2)
        self.fails("seed", "init", "-o", self.path("a.npz"), "--seed", "-1", status=2)
        self.fails("did you mean 'init'", "innit", status=2)
        self.assertIn("pixellm v0 encode", self.ok("encode", "--help"))
        self.assertEqual(os.listdir(self.folder), [])


class Pictures(Story):
    def test_meta_is_what_python_writes(self):
        text = pathlib.Path(self.shared.name, "pixellm_v0.meta.json").read_text()
        tensors = [("b_hidden", [128], 0.0, 1e-06), ("b_out", [1024], 0.0, 1e-06),
                   ("embed", [1024, 128], -0.19397328794002533, 0.22129061818122864),
                   ("hidden", [128, 128], -0.6019551157951355, 0.5731334686279297),
                   ("out", [128, 1024], -0.6160297989845276, 0.6241595149040222)]
        rows, offset = [], 0
        for name, shape, low, high in tensors:
            length = int(np.prod(shape))
            rows.append({"name": name, "shape": shape, "dtype": "float32", "w_min": low, "w_max": high, "offset": offset,
                         "length": length})
            offset += length
        self.assertEqual(text, json.dumps({
            "model_name": "pixellm_v0", "version": "0.0.1",
            "architecture": {"type": "mlp", "vocab_size": 1024, "model_dim": 128, "layers": ["embed", "hidden", "out"]},
            "image_path": "pixellm_v0.pxi", "image_width": 306, "image_height": 305, "total_bytes": 279681,
            "total_params": 279680, "quantization": "uint8_per_tensor", "tensors": rows}, indent=2))
        with Image.open(self.model) as picture:
            self.assertEqual((picture.format, picture.mode, picture.size), ("PNG", "RGB", (306, 305)))

    def test_any_npz_that_numpy_writes(self):
        weights = dict(np.load(self.npz))
        shuffled = {name: weights[name] for name in ("b_out", "out", "embed", "b_hidden", "hidden")}
        np.savez_compressed(self.path("a.npz"), **{name: a.astype("f8") for name, a in shuffled.items()})
        self.ok("encode", self.path("a.npz"), "-o", self.path("a.pxi"))
        with Image.open(self.path("a.pxi")) as a, Image.open(self.model) as b:
            self.assertEqual(a.tobytes(), b.tobytes())

    def test_decode_gives_what_the_loader_sees(self):
        self.ok("decode", self.model, "-o", self.path("a.npz"))
        ours, theirs = np.load(self.path("a.npz")), reference.load_picture(pathlib.Path(self.model))
        for name in reference.NAMES:
            self.assertTrue((ours[name] == theirs[name]).all(), name)
        # What was rounded once stays: encoding again gives the same pixels.
        self.ok("encode", self.path("a.npz"), "-o", self.path("b.pxi"), "--name", "again")
        self.assertEqual(json.loads(pathlib.Path(self.path("b.meta.json")).read_text())["model_name"], "again")
        with Image.open(self.path("b.pxi")) as a, Image.open(self.model) as b:
            self.assertLessEqual(np.abs(np.asarray(a).astype(int) - np.asarray(b)).max(), 1)

    def test_refusals_leave_no_file(self):
        weights = dict(np.load(self.npz))

        def refused(part, **changes):
            np.savez(self.path("a.npz"), **{k: v for k, v in {**weights, **changes}.items() if v is not None})
            self.fails(part, "encode", self.path("a.npz"), "-o", self.path("a.pxi"))
            self.assertEqual(os.listdir(self.folder), ["a.npz"])

        refused("hidden", hidden=None)
        refused("extra", extra=np.zeros(3, "f4"))
        refused("int32", b_out=np.zeros(1024, "i4"))
        refused("shape", out=weights["out"].T)
        refused("nan", embed=np.where(np.arange(128) == 5, np.nan, weights["embed"]).astype("f4"))
        refused("inf", b_hidden=np.full(128, np.inf, "f4"))
        pathlib.Path(self.path("a.npz")).write_bytes(pathlib.Path(self.npz).read_bytes()[:5000])
        self.fails("a.npz", "encode", self.path("a.npz"), "-o", self.path("a.pxi"))
        self.fails("is the input", "encode", self.path("a.npz"), "-o", self.path("../" + os.path.basename(self.folder) + "/a.npz"))
        self.fails("two files", "encode", self.npz, "-o", "-", status=2)
        self.assertEqual(os.listdir(self.folder), ["a.npz"])

    def test_a_damaged_or_foreign_picture_is_named(self):
        picture, meta = self.path("a.pxi"), self.path("a.meta.json")
        self.fails("a.meta.json", "decode", picture, "-o", self.path("a.npz"))
        shutil.copy(os.path.join(self.shared.name, "pixellm_v0.meta.json"), meta)
        self.fails("a.pxi", "decode", picture, "-o", self.path("a.npz"))
        data = bytearray(pathlib.Path(self.model).read_bytes())
        data[len(data) // 2] ^= 1
        pathlib.Path(picture).write_bytes(data)
        self.fails("a.pxi", "infer", "x", "--model", picture)
        Image.new("RGB", (100, 100)).save(picture, "PNG")
        self.fails("100 x 100", "infer", "x", "--model", picture)
        shutil.copy(self.model, picture)
        pathlib.Path(meta).write_text(pathlib.Path(meta).read_text().replace('"offset": 1152', '"offset": 1151'))
        self.fails("embed", "ask", "run", "x", "--model", picture)
        self.assertEqual(sorted(os.listdir(self.folder)), ["a.meta.json", "a.pxi"])


class Predictions(Story):
    def infer(self, text, *args):
        return json.loads(self.ok("infer", text, "--model", self.model, "--json", *args))

    def test_as_the_original(self):
        out = self.infer("hello pixels")
        self.assertEqual(list(out), ["text", "ids", "num_tokens", "active_hidden", "top"])
        self.assertEqual((out["text"], out["num_tokens"], out["active_hidden"]), ("hello pixels", 12, 67))
        self.assertEqual(out["ids"], [104, 101, 108, 108, 111, 32, 112, 105, 120, 101, 108, 115])
        self.assertEqual([(t["id"], f"{t['logit']:.4f}", f"{t['prob_top_k']:.4f}") for t in out["top"][:5]],
                         [(971, "0.0826", "0.1012"), (702, "0.0794", "0.1009"), (665, "0.0764", "0.1006"),
                          (8, "0.0718", "0.1001"), (680, "0.0712", "0.1000")])
        self.assertEqual(list(out["top"][3]), ["id", "char", "logit", "prob_top_k", "prob"])
        self.assertEqual([t["char"] for t in out["top"][2:4]], ["?", "\b"])
        self.assertEqual(len(out["top"]), 10)
        everything = self.infer("hello pixels", "--top-k", 1024)["top"]
        self.assertAlmostEqual(sum(t["prob"] for t in everything), 1, 9)
        self.assertAlmostEqual(everything[0]["prob"], out["top"][0]["prob"], 12)

    def test_logits_against_numpy(self):
        weights = reference.load_picture(pathlib.Path(self.model))
        for text in ("a", "pxOS", "Größe → 😀\n", "long " * 2000):
            self.ok("infer", text, "--model", self.model, "--logits", self.path("l.npy"))
            ours, theirs = np.load(self.path("l.npy")), reference.forward(weights, reference.tokenize(text)[None])[3][0]
            self.assertEqual((ours.dtype, ours.shape), (np.float32, (1024,)))
            self.assertLess(np.abs(ours - theirs).max(), 1e-5)

    def test_for_people(self):
        out = self.ok("infer", "pxOS", "--model", self.model, "--verbose", "--top-k", 3)
        for part in ("PIXEL-LLM v0 - INFERENCE FROM PIXELS", "Input text: 'pxOS'", "pixellm_v0 v0.0.1", "279,680",
                     "4 tokens", "[112, 120, 79, 83]", "non-zero activations: 66/128", "logits: (1024,)", "Top 3",
                     "1. Token  160 (logit: 0.0994", "Greedy prediction: token 160"):
            self.assertIn(part, out)
        self.assertNotIn("FORWARD PASS", self.ok("infer", "pxOS", "--model", self.model))
        r = self.run_it("infer", "pxOS", "--model", self.model, "--verbose", "--json")
        self.assertEqual(json.loads(r.stdout)["active_hidden"], 66)
        self.assertIn(b"5. Output layer", r.stderr)
        hostile = self.ok("infer", "\x1b[31m", "--model", self.model)
        self.assertNotIn("\x1b", hostile)

    def test_the_model_of_the_current_folder(self):
        self.assertIn("token 160", self.ok("infer", "pxOS", cwd=self.shared.name))
        self.fails("pixellm_v0", "infer", "pxOS", cwd=self.folder)

    def test_pictures_in_and_out(self):
        out = self.path("deep/outputs")
        said = self.infer("pxOS", "--out", out)
        self.assertEqual(sorted(os.listdir(out)), ["input_tokens.pxi", "logits_heatmap.pxi", "output_token.pxi"])
        pixels = lambda name: np.asarray(Image.open(os.path.join(out, name)))
        self.assertEqual(pixels("input_tokens.pxi").tolist(),
                         [[[4, 0, 1], [112, 0, 0], [120, 0, 0], [79, 0, 0], [83, 0, 0]]])
        best = self.infer("pxOS", "--top-k", 5)["top"]
        self.assertEqual(pixels("output_token.pxi").tolist(),
                         [[[t["id"] % 256, t["id"] // 256, int(np.float32(t["prob_top_k"]) * np.float32(255))] for t in best]])
        self.ok("infer", "pxOS", "--model", self.model, "--logits", self.path("l.npy"))
        l = np.load(self.path("l.npy"))
        grey = ((l - l.min()) / (l.max() - l.min()) * 255).astype(np.uint8).reshape(32, 32)
        self.assertTrue((pixels("logits_heatmap.pxi") == grey[:, :, None]).all())
        again = json.loads(self.ok("infer", "--input", os.path.join(out, "input_tokens.pxi"), "--model", self.model, "--json"))
        self.assertIsNone(again["text"])
        for key in ("ids", "num_tokens", "active_hidden", "top"):
            self.assertEqual(again[key], said[key])
        self.fails("no token picture", "infer", "--input", os.path.join(out, "output_token.pxi"), "--model", self.model)
        self.fails("306 x 305 pixels", "infer", "-i", self.model, "--model", self.model)

    def test_what_is_refused(self):
        self.fails("empty", "infer", "", "--model", self.model)
        self.fails("not UTF-8", "infer", b"a\xff".decode(errors="surrogateescape"), "--model", self.model)
        self.fails("--top-k 1025", "infer", "x", "--model", self.model, "--top-k", 1025)
        self.fails("top-k", "infer", "x", "--model", self.model, "--top-k", 0, status=2)
        self.fails("", "infer", "--model", self.model, status=2)
        self.fails("", "infer", "x", "-i", "y", "--model", self.model, status=2)
        self.fails("cannot", "infer", "x", "--model", self.model, "--out", self.corpus)
        self.fails("65535", "infer", "x" * 65536, "--model", self.model, "--out", self.path("d"))
        self.assertEqual(os.listdir(self.folder), [])

    def test_ask(self):
        ask = lambda *args: json.loads(self.ok("ask", *args, "--model", self.model, "--json"))
        run = ask("run", "pxOS")
        for key in ("text", "num_tokens", "top_token", "top_k_tokens", "top_k_probs", "logits_shape", "mean_logit",
                    "max_logit"):
            self.assertIn(key, run)
        weights = reference.load_picture(pathlib.Path(self.model))
        _, _, h, logits = (a[0] for a in reference.forward(weights, reference.tokenize("pxOS")[None]))
        self.assertEqual((run["text"], run["num_tokens"], run["top_token"], run["logits_shape"]), ("pxOS", 4, 160, [1024]))
        self.assertEqual(run["top_k_tokens"], np.argsort(-logits, kind="stable")[:5].tolist())
        self.assertAlmostEqual(sum(run["top_k_probs"]), 1, 6)
        self.assertAlmostEqual(run["mean_logit"], float(logits.mean()), 6)
        self.assertAlmostEqual(run["max_logit"], float(logits.max()), 6)
        embedding = ask("embedding", "pxOS")["embedding"]
        self.assertLess(np.abs(np.array(embedding) - h).max(), 1e-6)
        h2 = reference.forward(weights, reference.tokenize("test")[None])[2][0]
        self.assertAlmostEqual(ask("similarity", "pxOS", "test")["similarity"],
                               float(h @ h2 / np.linalg.norm(h) / np.linalg.norm(h2)), 5)
        self.assertAlmostEqual(ask("similarity", "same", "same")["similarity"], 1, 6)
        scores = ask("score", "test", "pxOS", "hello pixels")
        self.assertEqual([s["text"] for s in scores], ["test", "pxOS", "hello pixels"])
        self.assertEqual(sorted((s["max_logit"] for s in scores), reverse=True), [s["max_logit"] for s in scores])
        self.assertIn("160", self.ok("ask", "run", "pxOS", "--model", self.model))
        for before in (["--json", "--model", self.model], ["--model=" + self.model, "--json"]):
            self.assertEqual(json.loads(self.ok("ask", *before, "run", "pxOS")), run)
        # A question that is not there is named, and not what stands in its place.
        self.fails("no command 'rnu'", "ask", "--json", "--model", self.model, "rnu", "pxOS", status=2)
        self.fails("no command '--jsn'", "ask", "--jsn", "run", "pxOS", status=2)
        self.fails("Usage: pixellm v0 ask COMMAND", "ask", "--json", "--model", status=2)
        dashed = json.loads(self.ok("ask", "score", "--model", self.model, "--json", "--", "-a", "--json"))
        self.assertEqual(sorted(s["text"] for s in dashed), ["--json", "-a"])
        self.fails("not expected: -a", "ask", "score", "-a", "b", "--model", self.model, status=2)
        self.assertIn("behind --", self.ok("ask", "score", "--help"))
        self.fails("empty", "ask", "score", "a", "", "--model", self.model)
        self.fails("", "ask", "similarity", "a", "--model", self.model, status=2)


class Training(Story):
    def train(self, *args, corpus=None):
        self.ok("train", corpus or self.corpus, "-o", self.path("a.npz"), *args)
        return np.load(self.path("a.npz"))

    def test_sixty_steps_match_numpy(self):
        tokens = reference.tokenize(self.text)
        for objective, lr, window in (("original", 0.001, 64), ("next", 0.5, 9)):
            ours = self.train("--objective", objective, "--steps", 60, "--lr", lr, "--window", window, "--seed", 3)
            theirs = reference.train(tokens, objective, 60, lr, 32, window, 3)
            initial = reference.initialise(3)[0]
            for name in reference.NAMES:
                self.assertLess(np.abs(ours[name] - theirs[name]).max(), 1e-5, (objective, name))
                self.assertGreater(np.abs(ours[name] - initial[name]).max(), 2e-5, (objective, name))

    def test_the_references_gradients_are_derivatives(self):
        tokens = reference.tokenize(self.text)
        w = {n: a.astype(np.float64) for n, a in reference.initialise(1)[0].items()}
        windows, targets = reference.windows_at(tokens, np.array([5, 90, 1000]), 4, "next")
        moved = {n: a.copy() for n, a in w.items()}
        reference.step(moved, windows, targets, 1.0)   # lr 1: the gradient is the difference

        def loss():
            p = reference.softmax(reference.forward(w, windows)[3])
            return -np.log(p[np.arange(3), targets]).mean()

        spots = {"embed": (windows[1][2], 7), "hidden": (3, 5), "b_hidden": (9,), "out": (4, targets[0]), "b_out": (targets[2],)}
        for name, at in spots.items():
            w[name][at] += 1e-6
            above = loss()
            w[name][at] -= 2e-6
            below = loss()
            w[name][at] += 1e-6
            self.assertAlmostEqual((above - below) / 2e-6, w[name][at] - moved[name][at], 7, name)

    def test_threads_do_not_matter_and_flags_do(self):
        one = self.train("--steps", 30, "--threads", 1)
        two = self.train("--steps", 30, "--threads", 2)
        other = self.train("--steps", 30, "--seed", 7)
        for name in reference.NAMES:
            self.assertTrue((one[name] == two[name]).all())
        self.assertFalse((one["out"] == other["out"]).all())

    def test_it_learns_and_says_so(self):
        r = self.run_it("train", self.corpus, "-o", self.path("a.npz"), "--steps", 450, "--window", 4, "--json",
                        "--held-out", self.corpus)
        self.assertEqual(r.returncode, 0, r.stderr)
        lines = [json.loads(line) for line in r.stdout.splitlines()]
        self.assertEqual([line["step"] for line in lines], [100, 200, 300, 400, 450, 450])
        self.assertLess(lines[4]["loss"], lines[0]["loss"])
        self.assertLess(lines[5]["val_loss"], lines[5]["val_constant_loss"] - 0.3)
        self.assertIn(b"step 400 of 450: loss", r.stderr)
        tokens = reference.tokenize(self.text)
        loss, constant = reference.evaluate(np.load(self.path("a.npz")), tokens, "next", 4)
        self.assertAlmostEqual(lines[5]["val_loss"], loss, 2)
        self.assertAlmostEqual(lines[5]["val_constant_loss"], constant, 6)
        # From the trained weights to a prediction.
        self.ok("encode", self.path("a.npz"), "-o", self.path("a.pxi"))
        out = json.loads(self.ok("infer", "0x1", "--model", self.path("a.pxi"), "--json"))
        self.assertEqual(len(out["top"]), 10)

    def test_defaults_are_told(self):
        text = " ".join(self.ok("train", "--help").split())
        self.assertIn("default 10000 (original: 2000)", text)
        self.assertIn("default 1 (original: 0.001)", text)

    def test_refusals_leave_no_file(self):
        def refused(part, data, *args, status=1):
            pathlib.Path(self.path("c.txt")).write_bytes(data)
            self.fails(part, "train", self.path("c.txt"), "-o", self.path("a.npz"), *args, status=status)
            self.assertEqual(os.listdir(self.folder), ["c.txt"])

        refused("is empty", b"")
        refused("at least 66", b"x" * 65)
        refused("at least 6", b"x" * 5, "--window", "4")
        refused("byte 3", b"abc\xff" + b"x" * 100)
        for value in ("0", "nan"):
            refused("v0: ", b"x" * 100, "--lr", value)
        for flag, value in (("--steps", "0"), ("--lr", "inf"), ("--lr", "-1"), ("--batch", "0"), ("--batch", "999999"),
                            ("--window", "0")):
            refused(flag, b"x" * 100, flag, value, status=2)
        refused("objective", b"x" * 100, "--objective", "other", status=2)
        refused("steps", b"x" * 100, "--steps", "-5", status=2)
        refused("no finite number", bytes(range(32, 120)) * 5, "--lr", "1000", "--steps", "3000")
        refused("none.txt", b"x" * 100, "--held-out", self.path("none.txt"))
        pathlib.Path(self.shared.name, "short.txt").write_text("12345")
        refused("short.txt: has 5 tokens", b"x" * 100, "--held-out", os.path.join(self.shared.name, "short.txt"))
        os.remove(self.path("c.txt"))
        self.fails("none.txt", "train", self.path("none.txt"), "-o", self.path("a.npz"))
        self.fails("none", "train", self.corpus, "-o", self.path("none/a.npz"), "--steps", "1")
        self.assertEqual(os.listdir(self.folder), [])

    def test_the_shortest_corpus_is_enough(self):
        pathlib.Path(self.path("c.txt")).write_text("abcdef")
        self.train("--window", 4, "--steps", 3, corpus=self.path("c.txt"))

    def test_control_c_writes_nothing(self):
        p = subprocess.Popen([PIXELLM, "v0", "train", self.corpus, "-o", self.path("a.npz"), "--steps", "100000000", "--json"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        json.loads(p.stdout.readline())
        p.send_signal(signal.SIGINT)
        _, errors = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 1)
        self.assertIn(b"interrupted", errors)
        self.assertIn(b"nothing written", errors)
        self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    unittest.main(verbosity=1)
