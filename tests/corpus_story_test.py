#!/usr/bin/env python3
"""pixellm corpus as people and programs meet it: the same bytes as a second, independent builder makes, nothing eaten twice,
nothing secret, every file that is left out named.

  corpus_story_test.py PATH/TO/pixellm        (Python's standard library only)
"""
import json
import os
import random
import resource
import string
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PIXELLM = os.path.abspath(sys.argv.pop(1))
SUFFIXES = (".py", ".md", ".json", ".yaml", ".txt")
SKIPPED = {".git", "__pycache__", ".pytest_cache", "node_modules", ".venv", "venv", "build", "dist", ".mypy_cache"}


def reference(root):
    """Corpus and statistics of a tree without secrets, links and outputs, from spec/corpus.md."""
    bar = "=" * 60
    corpus = ["# pxOS Training Corpus\n# Auto-generated from repository\n"
              f"# This corpus contains all code, docs, and specs for training Pixel-LLM\n\n{bar}\n\n"]
    stats = {"total_files": 0, "total_chars": 0, "total_lines": 0, "by_extension": {}, "files": []}
    for path in sorted(p for p in Path(root).rglob("*") if p.is_file()):
        name = path.relative_to(root)
        if path.suffix not in SUFFIXES or SKIPPED & set(name.parts):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        corpus.append(f"\n{bar}\nFILE: {name}\n{bar}\n\n{text}\n\n")
        chars, lines = len(text), text.count("\n") + 1
        sums = stats["by_extension"].setdefault(path.suffix, {"files": 0, "chars": 0, "lines": 0})
        for where, key in ((stats, "total_{}"), (sums, "{}")):
            where[key.format("files")] += 1
            where[key.format("chars")] += chars
            where[key.format("lines")] += lines
        stats["files"].append({"path": str(name), "extension": path.suffix, "chars": chars, "lines": lines})
    return "".join(corpus).encode(), json.dumps(stats, indent=2).encode()


class CorpusStory(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pixellm-corpus-")
        self.addCleanup(self.folder.cleanup)
        self.base = Path(self.folder.name)
        self.root = self.base / "tree"
        self.root.mkdir()
        self.out, self.stats = self.base / "corpus.out", self.base / "stats.out"

    def put(self, name, data):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())

    def run_it(self, *args, **kwargs):
        kwargs.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([PIXELLM, "corpus", *map(str, args)], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                              timeout=120, **kwargs)

    def ok(self, *args, **kwargs):
        r = self.run_it(*args, **kwargs)
        self.assertEqual(r.returncode, 0, (args, r.stderr))
        return r

    def build(self, *args):
        return json.loads(self.ok("build", self.root, "-o", self.out, *args, "--json").stdout)

    def names_left_out(self, report):
        return {item["path"]: item["reason"] for item in report["left_out"]}

    # ---- the same bytes as the reference

    def random_tree(self, seed):
        source = random.Random(seed)
        alphabet = "ab \n\r\t=#äß€日本😀\u2028\x0b\x00\ufeff"
        folders = ["", "a/", "a-b/", "a.py/", "B/", "a/a/", "build/", "a/venv/x/", "ä/", "zz/.git/", "space here/"]
        for _ in range(120):
            name = "".join(source.choice("abAB._- é") for _ in range(source.randint(1, 8))).strip()
            name = source.choice(folders) + name + source.choice((".py", ".md", ".json", ".yaml", ".txt", ".c", ".PY", ""))
            if os.path.basename(name) in ("", ".", "..") or (self.root / name).exists():
                continue
            text = "".join(source.choice(alphabet) for _ in range(source.choice((0, 1, 5, 300, 5000)))).encode()
            self.put(name, text + source.choice((b"", b"", b"", b"\xff", b"\xe2\x82", b"\r")))

    def test_equals_an_independent_builder(self):
        for seed in range(4):
            self.root = self.base / f"tree-{seed}"
            self.root.mkdir()
            self.random_tree(seed)
            report = self.build("--stats", self.stats)
            corpus, stats = reference(self.root)
            self.assertEqual(self.out.read_bytes(), corpus)
            self.assertEqual(self.stats.read_bytes(), stats)
            expected = json.loads(stats)
            self.assertGreater(report["files"], 20)
            self.assertEqual([report["files"], report["chars"], report["lines"], report["bytes"], report["output"]],
                             [expected["total_files"], expected["total_chars"], expected["total_lines"], len(corpus),
                              str(self.out)])
            self.assertEqual(set(self.names_left_out(report).values()), {"not UTF-8", "skipped folder"})

    def test_golden_example_of_the_spec(self):
        self.put("b.md", "# B\r\n")
        self.put("a/x.py", "print(1)")
        self.build()
        spec = (Path(__file__).parent.parent / "spec/corpus.md").read_text()
        example = spec.split("```text\n")[1].split("```")[0]
        self.assertEqual(self.out.read_text(), example)

    # ---- its own outputs

    def test_runs_feed_on_nothing_of_earlier_runs(self):
        self.put("a.md", "text\n")
        inside, stats = self.root / "corpus.txt", self.root / "stats.json"
        seen = []
        for _ in range(3):
            self.ok("build", self.root, "-o", inside, "--stats", stats)
            seen.append((inside.read_bytes(), stats.read_bytes()))
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(seen[0], seen[2])
        os.link(inside, self.root / "hard-link.md")
        (self.root / "sub").mkdir()
        self.ok("build", ".", "-o", "./sub/../corpus.txt", "--stats", f"../{self.root.name}/stats.json", cwd=self.root)
        self.assertEqual((inside.read_bytes(), stats.read_bytes()), seen[0])
        with open(self.root / "shell.txt", "wb") as out, open(self.root / "log.txt", "wb") as log:
            subprocess.run([PIXELLM, "corpus", "build", str(self.root), "-o", "-"], stdout=out, stderr=log, check=True)
        self.assertEqual((self.root / "shell.txt").read_bytes(), seen[0][0])
        self.assertIn(b"left out: log.txt: own output", (self.root / "log.txt").read_bytes())

    def test_a_checkout_below_build_is_taken(self):
        self.root = self.base / "build" / "venv" / "checkout"
        self.root.mkdir(parents=True)
        self.put("a.md", "text")
        self.assertEqual(self.build()["files"], 1)
        relative = self.ok("build", ".", "-o", "-", cwd=self.root).stdout
        self.assertEqual(relative, self.out.read_bytes())

    # ---- what is left out

    def secrets(self):
        source = random.Random(5)
        tail = "".join(source.choice(string.ascii_letters + string.digits) for _ in range(64))
        block = "-" * 5 + "BEGIN RSA PRIVATE KEY" + "-" * 5 + f"\n{tail}\n{tail}\n"
        return {"github-token": "gh" + "p_" + tail[:36], "private-key": block, "sk-key": "sk" + "-" + tail[:48],
                "url-password": "postgres" + "://ann:" + tail[:12] + "@host/db", "assigned-secret": f"api_key = '{tail[:32]}'"}

    def test_secrets_are_named_and_never_shown(self):
        self.put("a.md", "text")
        for rule, secret in self.secrets().items():
            self.put(f"{rule}.txt", f"first\n\nthird {secret}\n")
        self.put(".env.yaml", "")
        self.put("secrets.json", "{}")
        r = self.ok("build", self.root, "-o", self.out, "--json")
        report = json.loads(r.stdout)
        self.assertEqual(report["files"], 1)
        found = {item["path"]: item for item in report["left_out"]}
        for rule, secret in self.secrets().items():
            self.assertEqual(found[f"{rule}.txt"], {"path": f"{rule}.txt", "reason": "secret", "line": 3, "rule": rule})
            self.assertIn(f"left out: {rule}.txt: line 3: secret ({rule})".encode(), r.stderr)
            for piece in secret.split():
                if len(piece) > 20:
                    for shown in (r.stdout, r.stderr, self.out.read_bytes()):
                        self.assertNotIn(piece.encode(), shown)
        self.assertEqual(found["secrets.json"], {"path": "secrets.json", "reason": "secret", "rule": "secrets-file"})
        self.assertEqual(self.build("--keep-secrets")["files"], 8)

    def test_placeholders_are_taken(self):
        self.put("a.yaml", "password: changeme\napi_key: <your key>\ntoken: ${TOKEN}\nsecret: xxxxxxxxxxxxxxxxxxxxxxxx\n")
        self.put("b.md", "Set `API_KEY=your-api-key-here-1234` and open https://user:password@example.com/\n")
        self.assertEqual(self.build()["left_out"], [])

    def test_links_special_files_and_odd_names_are_named(self):
        self.put("a.md", "text")
        (self.root / "up").symlink_to("..", target_is_directory=True)
        (self.root / "self.txt").symlink_to("self.txt")
        os.mkfifo(self.root / "pipe.md")
        self.put("two\nlines.txt", "x")
        self.put("esc\x1b[2J.md", "x")
        os.close(os.open(os.fsencode(self.root) + b"/\xff.txt", os.O_CREAT | os.O_WRONLY))
        r = self.ok("build", self.root, "-o", self.out, "--json")
        self.assertEqual(self.names_left_out(json.loads(r.stdout)), {
            "up": "symbolic link", "self.txt": "symbolic link", "pipe.md": "special file", "two\\x0alines.txt": "name",
            "esc\\x1b[2J.md": "name", "\\xff.txt": "name"})
        self.assertNotIn(b"\x1b", r.stderr)
        self.assertEqual(r.stderr.count(b"\n"), 6)

    # ---- wrong use, refusals

    def test_refusals_leave_everything_as_it_was(self):
        self.out.write_text("earlier")
        for folder, code in ((self.root, b"no text to collect"), (self.base / "missing", b"missing"), (self.out, b"folder")):
            r = self.run_it("build", folder, "-o", self.out, "--stats", self.stats)
            self.assertEqual(r.returncode, 1, r.stderr)
            self.assertIn(code, r.stderr)
            self.assertEqual(self.out.read_text(), "earlier")
            self.assertFalse(self.stats.exists())
        self.put("a.md", "text")
        for args in (("-o", self.base / "no" / "corpus"), ("-o", self.root), ("-o", self.out, "--stats", self.out)):
            self.assertEqual(self.run_it("build", self.root, *args).returncode, 1, args)
        self.assertEqual(self.out.read_text(), "earlier")
        self.assertEqual(sorted(os.listdir(self.base)), ["corpus.out", "tree"])

    def test_wrong_usage(self):
        self.put("a.md", "text")
        for args in ((), ("biuld",), ("build",), ("build", self.root), ("build", self.root, "-o", "-", "--json"),
                     ("build", self.root, "-o", "-", "--stats", "-"), ("build", self.root, "-o", "")):
            self.assertEqual(self.run_it(*args).returncode, 2, args)
        self.assertIn(b"did you mean 'build'", self.run_it("buld").stderr)
        self.assertIn(b"Example:", self.ok("build", "--help").stdout)

    def as_a_plain_user(self, *args):
        """Root reads and writes everything, so it works as nobody here."""
        self.base.chmod(0o755)
        if os.geteuid() != 0:
            return self.run_it(*args)
        try:
            return self.run_it(*args, user=65534, group=65534)
        except PermissionError:
            self.skipTest("this root cannot run the program as another user")

    def test_read_only_and_unreadable_folders(self):
        self.put("a.md", "text")
        self.put("closed/b.md", "text")
        self.put("closed.txt", "text")
        (self.root / "closed").chmod(0)
        (self.root / "closed.txt").chmod(0)
        self.root.chmod(0o555)
        self.addCleanup((self.root / "closed").chmod, 0o755)
        self.addCleanup(self.root.chmod, 0o755)
        r = self.as_a_plain_user("build", self.root, "-o", self.root / "corpus.txt")
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"corpus.txt: cannot create", r.stderr)
        self.assertFalse((self.root / "corpus.txt").exists())
        r = self.as_a_plain_user("build", self.root, "-o", "-")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(r.stdout.count(b"FILE: "), 1)
        for line in (b"left out: closed/: unreadable (Permission denied)", b"left out: closed.txt: unreadable (",
                     b"warning: 2 could not be read"):
            self.assertIn(line, r.stderr)

    def test_full_disk(self):
        self.put("a.txt", "x" * 100_000)
        self.out.write_text("earlier")

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        r = self.run_it("build", self.root, "-o", self.out, preexec_fn=limit)
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"cannot write", r.stderr)
        self.assertEqual(self.out.read_text(), "earlier")
        self.assertEqual(sorted(os.listdir(self.base)), ["corpus.out", "tree"])

    def test_stats_to_standard_output(self):
        self.put("a.md", "text")
        stats = json.loads(self.ok("build", self.root, "-o", self.out, "--stats", "-").stdout)
        self.assertEqual(stats["files"], [{"path": "a.md", "extension": ".md", "chars": 4, "lines": 1}])


unittest.main()
