#!/usr/bin/env python3
"""`pixellm gpu op`: NumPy arrays go in, and what NumPy computes in float64 comes out. Usage: gpu_op_story_test.py PIXELLM"""
import io
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np

PIXELLM = sys.argv.pop(1)
RNG = np.random.default_rng(3)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(q, k, v, causal=False):
    s = q @ k.T / np.sqrt(q.shape[1])
    return softmax(np.where(np.tri(*s.shape, dtype=bool), s, -np.inf) if causal else s) @ v


def normal(*shape):
    return RNG.standard_normal(shape).astype("f4")


class Story(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="pixellm-op-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_op(self, name, *arrays, flags=(), output=None, **variables):
        files = []
        for i, a in enumerate(arrays):
            files.append(self.path(f"in{i}.npy"))
            np.save(files[-1], a)
        return subprocess.run([PIXELLM, "gpu", "op", name, *files, "-o", output or self.path("out.npy"), *flags], capture_output=True,
                              env=os.environ | variables, timeout=300)


class WithAGpu(Story):
    def setUp(self):
        super().setUp()
        shown = subprocess.run([PIXELLM, "gpu", "info"], capture_output=True, text=True, timeout=120)
        if shown.returncode != 0:
            if os.environ.get("PIXELLM_GPU_REQUIRED", "0") not in ("", "0"):
                self.fail(shown.stderr)
            self.skipTest("skipped without a GPU adapter: " + shown.stderr.strip())
        self.f16 = any("f16" in line for line in shown.stdout.splitlines() if line.strip().startswith("features") and "none of" not in line)

    def check(self, reference, name, *arrays, flags=(), tolerance=2e-5):
        for dtype in ("f32", "f16") if self.f16 else ("f32",):
            done = self.run_op(name, *arrays, flags=(*flags, "--dtype", dtype))
            self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)
            got = np.load(self.path("out.npy"))
            self.assertEqual(got.dtype, np.float32)
            seen = [a.astype("f2" if dtype == "f16" else "f4").astype("f8") for a in arrays]
            want = np.asarray(reference(*seen))
            self.assertEqual(got.shape, want.shape)
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=f"{name} {dtype}")

    def test_products(self):
        self.check(lambda a, b: a @ b, "matmul", normal(70, 33), normal(33, 90))
        self.check(lambda a, b: a.T @ b, "matmul", normal(33, 70), normal(33, 90), flags=["--transpose-a"])
        self.check(lambda a, x: a @ x, "matvec", normal(70, 33), normal(33))
        self.check(lambda a, b: np.array([a @ b]), "dot", np.arange(1, 5, dtype="f4"), np.arange(5, 9, dtype="f4"))
        self.check(lambda a, b: a @ b, "matmul", normal(3, 4).astype("f8"), np.asfortranarray(normal(4, 5)))

    def test_softmax(self):
        self.check(softmax, "softmax", normal(5, 1000))
        self.check(softmax, "softmax", normal(7))
        x = normal(3, 20)
        x[0, 3:9] = -np.inf
        self.check(softmax, "softmax", x)
        done = self.run_op("softmax", np.full((2, 3), -np.inf, "f4"))
        self.assertEqual(done.returncode, 0, done.stderr)
        np.testing.assert_array_equal(np.load(self.path("out.npy")), np.zeros((2, 3)))

    def test_activations(self):
        x = normal(4, 5, 60) * 3
        self.check(lambda v: 0.5 * v * (1 + np.tanh(np.sqrt(2 / np.pi) * (v + 0.044715 * v**3))), "gelu", x)
        self.check(lambda v: v / (1 + np.exp(-1.702 * v)), "gelu-fast", x)
        self.check(lambda v: np.maximum(v, 0), "relu", x)
        self.check(lambda v: v / (1 + np.exp(-v)), "silu", x)
        self.check(lambda v: np.where(v < 0, 0.01 * v, v), "leaky-relu", x)
        self.check(lambda v: np.where(v < 0, 0.3 * v, v), "leaky-relu", x, flags=["--alpha", "0.3"])

    def test_attention(self):
        for n, d in ((4, 8), (8, 16), (16, 32), (32, 64), (100, 80)):
            self.check(attention, "attention", normal(n, d), normal(n, d), normal(n, d))
            self.check(lambda q, k, v: attention(q, k, v, True), "attention", normal(n, d), normal(n, d), normal(n, d), flags=["--causal"])
        self.check(attention, "attention", normal(5, 12), normal(90, 12), normal(90, 300))

    def test_standard_output(self):
        done = self.run_op("relu", np.array([-1, 2], "f4"), output="-")
        self.assertEqual(done.returncode, 0, done.stderr)
        np.testing.assert_array_equal(np.load(io.BytesIO(done.stdout)), [0, 2])

    def test_bad_input_leaves_no_output(self):
        def fails(says, name, *arrays, flags=()):
            done = self.run_op(name, *arrays, flags=flags)
            self.assertEqual((done.returncode, done.stdout), (1, b""))
            self.assertIn(says, done.stderr.decode())
            self.assertEqual(done.stderr.count(b"\n"), 1)
            self.assertFalse(os.path.exists(self.path("out.npy")))

        fails("(2, 3) and (2, 3)", "matmul", normal(2, 3), normal(2, 3))
        fails("2 dimensions needed", "matmul", normal(3), normal(3))
        fails("empty", "softmax", normal(0, 3))
        fails("int64", "relu", np.arange(3))
        fails("causal", "attention", normal(2, 3), normal(4, 3), normal(4, 3), flags=["--causal"])
        if self.f16:
            fails("float16 ends at 65504", "relu", np.array([1e6], "f4"), flags=["--dtype", "f16"])


class WithoutAGpu(Story):
    def test_no_driver(self):
        none = self.path("none.json")
        done = self.run_op("relu", normal(3), VK_ICD_FILENAMES=none, VK_DRIVER_FILES=none, XDG_DATA_HOME=self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"Vulkan", done.stderr)
        self.assertFalse(os.path.exists(self.path("out.npy")))

    def test_wrong_usage(self):
        for name, n, flags, says in (("matmull", 2, (), "matmull"), ("matmul", 1, (), "takes 2"), ("relu", 2, (), "takes 1"),
                                     ("relu", 1, ("--causal",), "--causal"), ("softmax", 1, ("--alpha", "1"), "--alpha"),
                                     ("dot", 2, ("--transpose-a",), "--transpose-a"), ("relu", 1, ("--dtype", "f64"), "f64")):
            done = self.run_op(name, *[normal(3) for _ in range(n)], flags=flags)
            self.assertEqual(done.returncode, 2, (name, done.stderr))
            self.assertIn(says, done.stderr.decode())

    def test_a_missing_file_and_the_input_as_output(self):
        done = subprocess.run([PIXELLM, "gpu", "op", "relu", self.path("none.npy"), "-o", self.path("out.npy")], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"none.npy", done.stderr)
        done = self.run_op("relu", normal(3), output=self.path("in0.npy"))
        self.assertEqual(done.returncode, 1)
        np.load(self.path("in0.npy"))


if __name__ == "__main__":
    unittest.main()
