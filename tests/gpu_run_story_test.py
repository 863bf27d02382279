#!/usr/bin/env python3
"""Models on the GPU as the command line runs them, beside the CPU. Usage: gpu_run_story_test.py PIXELLM [-v] [CLASS]"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

from tiny_gguf import write_gguf

PIXELLM = sys.argv.pop(1)
NO_LIBRARY = {"PIXELLM_WEBGPU": "/no/such/lib.so"}


def run(*arguments, **variables):
    environment = {k: v for k, v in os.environ.items() if k != "PIXELLM_WEBGPU"}
    environment.update(variables)
    return subprocess.run([PIXELLM, *arguments], capture_output=True, text=True, env=environment, timeout=600)


class World(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.model, cls.text = os.path.join(cls.folder.name, "m.png"), os.path.join(cls.folder.name, "t.txt")
        gguf = os.path.join(cls.folder.name, "m.gguf")
        write_gguf(gguf, matrices="F32", layers=2)
        with open(cls.text, "w") as f:
            f.write("a picture of a model, " * 20)
        imported = run("import", gguf, "-o", cls.model)
        assert imported.returncode == 0, imported.stderr

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()


class WithoutAGpu(World):
    def test_plan_needs_no_gpu(self):
        plan = json.loads(run("plan", self.model, "--json", **NO_LIBRARY).stdout)
        self.assertEqual((plan["version"], plan["layers"]), (1, 2))
        self.assertLessEqual(plan["dispatches_a_layer"], 6)
        self.assertEqual([d["shader"] for d in plan["decode"]][::13], ["embed.wgsl", "matvec_float.wgsl"])
        self.assertIn("at most 6 a layer", run("plan", self.model).stdout)
        self.assertEqual(run("plan", self.model, "--context", "99999999").returncode, 1)
        self.assertEqual(run("plan", self.text).returncode, 1)

    def test_the_cpu_takes_over_only_when_asked(self):
        refused = run("run", self.model, "-p", "hi", "-n", "2", "--device", "gpu", **NO_LIBRARY)
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn("Vulkan", refused.stderr)
        taken = run("run", self.model, "-p", "hi", "-n", "2", "--temp", "0", "--device", "auto", **NO_LIBRARY)
        self.assertEqual(taken.returncode, 0)
        self.assertIn("device: cpu (", taken.stderr)
        self.assertEqual(taken.stdout, run("run", self.model, "-p", "hi", "-n", "2", "--temp", "0").stdout)
        self.assertEqual(run("run", self.model, "-p", "hi", "--device", "tpu").returncode, 2)

    def test_a_certificate_needs_a_gpu_and_leaves_nothing_without(self):
        out = os.path.join(self.folder.name, "none.json")
        refused = run("certify", self.model, "-o", out, **NO_LIBRARY)
        self.assertEqual(refused.returncode, 1)
        self.assertFalse(os.path.exists(out))


class WithAGpu(World):
    def setUp(self):
        shown = run("gpu", "info")
        if shown.returncode != 0:
            if os.environ.get("PIXELLM_GPU_REQUIRED", "0") not in ("", "0"):
                self.fail(shown.stderr)
            self.skipTest("skipped without a GPU adapter: " + shown.stderr.strip())

    def both(self, *arguments):
        answers = [run(*arguments, "--device", device) for device in ("cpu", "gpu")]
        for a in answers:
            self.assertEqual(a.returncode, 0, a.stderr)
        return [json.loads(a.stdout) for a in answers]

    def test_greedy_and_seeded_text(self):
        for how in (["--temp", "0"], ["--temp", "0.8", "--seed", "3", "--top-k", "40"]):
            cpu, gpu = self.both("run", self.model, "-p", "a picture of", "-n", "16", "--json", "--context", "64", *how)
            self.assertEqual(gpu["ids"], cpu["ids"])

    def test_options_of_the_cpu_are_refused(self):
        for option in (["--activations", "16"], ["--kv-cache", "8"]):
            refused = run("run", self.model, "-p", "a", "-n", "1", "--device", "gpu", *option)
            self.assertEqual((refused.returncode, refused.stdout), (1, ""))
            self.assertIn(option[0], refused.stderr)
        self.assertEqual(run("bench", self.model, "--device", "gpu", "--roofline").returncode, 2)

    def test_perplexity(self):
        cpu, gpu = self.both("eval", self.model, self.text, "--context", "64", "--json")
        self.assertEqual(gpu["tokens"], cpu["tokens"])
        self.assertAlmostEqual(gpu["nll"], cpu["nll"], delta=0.001)

    def test_certificate(self):
        out = os.path.join(self.folder.name, "c.json")
        done = run("certify", self.model, "-o", out, "--tokens", "40")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(out) as f:
            record = json.load(f)
        self.assertEqual((record["tokens"], record["top1"]), (40, 1))
        self.assertLess(record["rms"], 0.001)
        self.assertTrue(record["adapter"] and record["driver"] and record["backend"].startswith("webgpu/"))
        few = run("certify", self.model, "-o", out, "--text", self.text, "--tokens", "100000")
        self.assertEqual(few.returncode, 1)

    def test_bench(self):
        done = run("bench", self.model, "-p", "8", "-n", "4", "-r", "1", "--device", "gpu", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        line = json.loads(done.stdout)
        self.assertLessEqual(line["dispatches_per_layer"], 6)
        self.assertTrue(line["pp8"] > 0 and line["tg4"] > 0 and line["read_gb_s"] > 0)


if __name__ == "__main__":
    unittest.main()
