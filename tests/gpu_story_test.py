#!/usr/bin/env python3
"""The GPU as the command line shows it: what there is, and what is said where there is nothing. Usage: gpu_story_test.py PIXELLM [-v] [CLASS]"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

PIXELLM = sys.argv.pop(1)


def run(*arguments, **variables):
    environment = {k: v for k, v in os.environ.items() if k != "PIXELLM_WEBGPU"}
    environment.update(variables)
    return subprocess.run([PIXELLM, *arguments], capture_output=True, text=True, env=environment, timeout=120)


def built_without():
    return "built without WebGPU" in run("gpu", "info").stderr


class WithoutAGpu(unittest.TestCase):
    def test_a_bad_library_is_named_and_only_where_the_gpu_is_asked_for(self):
        if built_without():
            self.skipTest("built without WebGPU")
        shown = run("gpu", "info", PIXELLM_WEBGPU="/no/such/lib.so")
        self.assertEqual((shown.returncode, shown.stdout), (1, ""))
        self.assertIn("/no/such/lib.so", shown.stderr)
        self.assertIn("Vulkan", shown.stderr)
        self.assertEqual(shown.stderr.count("\n"), 1)
        self.assertEqual(run("--version", PIXELLM_WEBGPU="/no/such/lib.so").returncode, 0)

    def test_no_driver(self):
        with tempfile.TemporaryDirectory() as empty:
            none = os.path.join(empty, "none.json")
            shown = run("gpu", "info", "--json", VK_ICD_FILENAMES=none, VK_DRIVER_FILES=none, XDG_DATA_HOME=empty)
        self.assertEqual((shown.returncode, shown.stdout), (1, ""))
        self.assertIn("Vulkan", shown.stderr)

    def test_help_and_mistakes(self):
        self.assertIn("info", run("gpu", "--help").stdout)
        self.assertEqual(run("gpu", "inf").returncode, 2)
        self.assertIn("did you mean 'info'", run("gpu", "inf").stderr)
        self.assertEqual(run("gpu", "info", "--nonsense").returncode, 2)


class WithAGpu(unittest.TestCase):
    def setUp(self):
        self.shown = run("gpu", "info", "--json")
        if self.shown.returncode != 0:
            if os.environ.get("PIXELLM_GPU_REQUIRED", "0") not in ("", "0"):
                self.fail(self.shown.stderr)
            self.skipTest("skipped without a GPU adapter: " + self.shown.stderr.strip())

    def test_json(self):
        self.assertEqual(self.shown.stderr, "")
        answer = json.loads(self.shown.stdout)
        self.assertTrue(os.path.exists(answer["library"]))
        for index, adapter in enumerate(answer["adapters"]):
            print(f"adapter {index}: {adapter['name']}, {adapter['driver']}", file=sys.stderr)
            self.assertEqual(adapter["index"], index)
            self.assertIn(adapter["type"], ("discrete", "integrated", "cpu", "unknown"))
            self.assertTrue(adapter["name"] and adapter["backend"])
            self.assertEqual(set(adapter["features"]), {"f16", "subgroups", "timestamps"})
            self.assertTrue(all(isinstance(v, bool) for v in adapter["features"].values()))
            # What WebGPU promises of every adapter.
            self.assertGreaterEqual(adapter["limits"]["max_texture_size"], 8192)
            self.assertGreaterEqual(adapter["limits"]["max_texture_layers"], 256)
            self.assertGreaterEqual(adapter["limits"]["max_binding_bytes"], 128 << 20)

    def test_text_names_the_same_adapters(self):
        text = run("gpu", "info")
        self.assertEqual((text.returncode, text.stderr), (0, ""))
        for adapter in json.loads(self.shown.stdout)["adapters"]:
            self.assertIn(f"{adapter['index']} {adapter['name']}\n", text.stdout)
            self.assertIn(f"max_buffer_bytes       {adapter['limits']['max_buffer_bytes']}\n", text.stdout)


if __name__ == "__main__":
    unittest.main()
