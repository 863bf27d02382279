#!/usr/bin/env python3
"""Stories of the browser's runtime, told to build/web in headless Chromium on its software GPU, with tiny random models.

  web_story_test.py build/test/pixellm build/web [NAME...]      all stories, or those named
"""
import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
import serve  # noqa: E402
from chromium import Chromium  # noqa: E402
from tiny_gguf import write_gguf  # noqa: E402

LONG = "It was the best of times, it was the worst of times, the age of wisdom. " * 5   # over a batch and a chunk of attention
TEXTS = ["", "the cat", "  two  spaces\n\n\ttab ", "don't we'll I'M", "3.14159 1234567890 a1b2", "naïve café Ünïcödé ǅ",
         "日本語のテキスト、句読点。", "한국어 १२३ ٣٤٥ Ⅷ ½", "emoji 👩‍👩‍👧 🇩🇪 e\u0301", "<|im_start|>user<|im_end|> <|endoftext|>",
         "a\u00a0b\u2003c\u3000d\u200be\x00f", "\u0600\U0001f600\U000e0001\U0002ebf0\U0010ffff", "x" * 3000 + " thethethe" * 200]


# ---- Programs and servers

class Program:
    def __init__(self, path):
        self.path = path

    def __call__(self, *args, stdin=b""):
        p = subprocess.run([self.path, *map(str, args)], input=stdin, capture_output=True)
        if p.returncode != 0:
            raise AssertionError(f"pixellm {' '.join(map(str, args))}: exit {p.returncode}\n{p.stderr.decode()}")
        return p.stdout.decode()

    def run(self, model, *args):
        return json.loads(self("run", model, "--json", "--temp", "0", *args))

    def has_gpu(self):
        p = subprocess.run([self.path, "gpu", "info", "--json"], capture_output=True)
        return p.returncode == 0 and bool(json.loads(p.stdout).get("adapters"))


class Handler(serve.Handler):
    """serve.py's, and under /no-ranges/ a server without them, under /short/ one whose connections break."""
    requests = []

    def do_GET(self):
        self.requests.append((urllib.parse.urlsplit(self.path).path, self.headers.get("Range")))
        first, _, rest = self.path.lstrip("/").partition("/")
        if first == "no-ranges":
            self.path = rest
            del self.headers["Range"]
        if first != "short" or self.command == "HEAD":
            return super().do_GET()
        begin, end = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        data = self.files[rest].read_bytes()
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{min(end, len(data) - 1)}/{len(data)}")
        self.send_header("Content-Length", str(min(end + 1, len(data)) - begin))
        self.end_headers()
        self.wfile.write(data[begin:end + 1] if begin == 0 else data[begin:begin + 100])
        self.close_connection = True


def same(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: found {found!r}, wanted {wanted!r}")


def holds(text, part, what):
    if part not in text:
        raise AssertionError(f"{what}: {part!r} is not in {text!r}")


class World:
    """Models, a server, a browser."""

    def __init__(self, pixellm, site, folder):
        self.pixellm, self.folder = Program(pixellm), pathlib.Path(folder)
        self.server = serve.make_server(site, {}, 0)
        self.server.RequestHandlerClass = type("Served", (Handler,), {"folder": pathlib.Path(site), "files": {}})
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.base = f"http://localhost:{self.server.server_address[1]}/"

    def publish(self, name, data):
        path = self.folder / name
        if isinstance(data, bytes):
            path.write_bytes(data)
        self.server.RequestHandlerClass.files[name] = path
        return path

    def model(self, name, **gguf):
        path = self.folder / f"{name}.png"
        if not path.exists():
            write_gguf(self.folder / f"{name}.gguf", **gguf)
            self.pixellm("import", self.folder / f"{name}.gguf", "-o", path)
        return self.publish(path.name, path)

    def open_page(self, browser, **query):
        return browser.open(self.base + "?" + urllib.parse.urlencode(query))


def state_of(page):
    return page.evaluate("document.querySelector('#status').dataset.state")


def text_of(page, name):
    return page.evaluate(f"document.querySelector('#{name}').textContent")


def wait_for(page, *states, seconds=300):
    page.wait(f"{json.dumps(states)}.includes(document.querySelector('#status').dataset.state)", seconds)
    return state_of(page)


def ask(page, prompt):
    assert wait_for(page, "ready", "done", "error") != "error", text_of(page, "status")
    page.evaluate(f"document.querySelector('#prompt').value = {json.dumps(prompt)}")
    page.evaluate("document.querySelector('#run').click()")
    same(wait_for(page, "done", "error"), "done", f"the page answers ({text_of(page, 'status')})")
    return text_of(page, "output")


# An async function's body in the page or a worker: makes an engine and gives what the tests compare.
def engine_script(base, model, calls):
    return f"""
      const {{ createEngine }} = await import({json.dumps(base + "engine.js")});
      const seen = [];
      const engine = await createEngine({json.dumps(base + model)}, {{ onProgress: (p) => seen.push(p.stage) }});
      const collect = async (prompt, options) => {{
        const ids = [];
        let text = "";
        for await (const token of engine.generate(prompt, options)) {{ ids.push(token.id); text += token.text; }}
        return {{ ids, text }};
      }};
      const out = {{ stages: [...new Set(seen)], answers: [] }};
      for (const [prompt, options] of {json.dumps(calls)}) out.answers.push(await collect(prompt, options));
      out.tokenized = engine.tokenize("the cat");
      engine.dispose();
      out.after = await collect("x", {{}}).catch((e) => e.message);
      return out;"""


# ---- Stories

def every_shader_passes_tint(world, browser):
    page = world.open_page(browser)
    names = sorted(p.name for p in (pathlib.Path(world.server.RequestHandlerClass.folder) / "shaders").glob("*.wgsl"))
    assert len(names) > 10, "the shaders are not in build/web"
    problems = page.evaluate("""(async (names) => {
      const adapter = await navigator.gpu.requestAdapter();
      const device = await adapter.requestDevice();
      const problems = [];
      for (const name of names) {
        const code = await (await fetch("shaders/" + name)).text();
        const module = device.createShaderModule({ code });
        for (const m of (await module.getCompilationInfo()).messages) problems.push(`${name}:${m.lineNum}: ${m.type}: ${m.message}`);
        await device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } }).catch((e) => problems.push(`${name}: ${e.message}`));
      }
      device.destroy();
      return problems;
    })(%s)""" % json.dumps(names))
    page.close()
    same(problems, [], "what Tint says")


def the_page_answers_as_the_program(world, browser):
    model = world.model("f32", matrices="F32", layers=2)
    page = world.open_page(browser, model="f32.png", n=24, raw=1)
    wanted = world.pixellm.run(model, "-p", "Hello there", "-n", 24)
    same(ask(page, "Hello there"), wanted["text"], "greedy text")
    wanted = world.pixellm.run(model, "-p", LONG, "-n", 24)
    same(ask(page, LONG), wanted["text"], "greedy text after a long prompt")
    page.close()
    page = world.open_page(browser, model="f32.png", n=12)
    wanted = json.loads(world.pixellm("run", model, "--json", "--temp", "0", "--chat", "-p", "Hello", "-n", 12))
    same(ask(page, "Hello"), wanted["text"], "greedy text of a chat")
    page.close()


def the_engine_gives_the_programs_tokens(world, browser):
    model = world.model("f32", matrices="F32", layers=2)
    sampled = ["--temp", "0.8", "--seed", "5", "--top-k", "40", "--top-p", "0.9"]
    wanted = [world.pixellm.run(model, "-p", "Once", "-n", 20),
              json.loads(world.pixellm("run", model, "--json", *sampled, "-p", "Once", "-n", 20)),
              json.loads(world.pixellm("run", model, "--json", "--temp", "1.2", "--seed", "7", "-p", LONG, "-n", 20))]
    calls = [["Once", {"maxTokens": 20}], ["Once", {"maxTokens": 20, "temperature": 0.8, "seed": 5, "topK": 40, "topP": 0.9}],
             [LONG, {"maxTokens": 20, "temperature": 1.2, "seed": 7}]]
    page = world.open_page(browser)
    found = page.evaluate(f"(async () => {{ {engine_script(world.base, 'f32.png', calls)} }})()")
    page.close()
    same([a["ids"] for a in found["answers"]], [w["ids"] for w in wanted], "ids")
    same([a["text"] for a in found["answers"]], [w["text"] for w in wanted], "texts")
    same(found["stages"], ["head", "weights", "shaders"], "stages of progress")
    holds(found["after"], "disposed", "a disposed engine")
    if world.pixellm.has_gpu():
        native = world.pixellm.run(model, "--device", "gpu", "-p", "Once", "-n", 20)
        same(found["answers"][0]["ids"], native["ids"], "ids of the program's GPU path")
    else:
        print("  (no GPU for the program here: compared with its CPU path only)", file=sys.stderr)


def quantised_weights_and_a_worker(world, browser):
    model = world.model("mixed")
    wanted = world.pixellm.run(model, "-p", "Hello there", "-n", 4)
    page = world.open_page(browser)
    script = engine_script(world.base, "mixed.png", [["Hello there", {"maxTokens": 4}]])
    found = page.evaluate("""(async () => {
      const code = `(async () => { %s })().then((v) => postMessage({ v }), (e) => postMessage({ e: e.message }))`;
      const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });
      const message = await new Promise((done) => { worker.onmessage = (m) => done(m.data); worker.onerror = (e) => done({ e: e.message }); });
      worker.terminate();
      return message;
    })()""" % script.replace("\\", "\\\\").replace("`", "\\`").replace("${", "\\${"))
    page.close()
    same(found.get("e"), None, "the worker's error")
    same(found["v"]["answers"][0]["ids"], wanted["ids"], "ids in a worker")
    same(found["v"]["tokenized"], json.loads(world.pixellm("tokenize", model, "-", "--json", stdin=b"the cat")), "tokenize")


def texts_become_the_programs_tokens(world, browser):
    variants = {f"pre-{pre}": {"tokenizer.ggml.pre": pre} for pre in ("gpt-2", "llama-bpe", "qwen2", "smollm")}
    page = world.open_page(browser)
    for name, metadata in variants.items():
        model = world.model(name, **metadata)
        found = page.evaluate("""(async (url, texts) => {
          const { WasmModel } = await import("/wasm.js");
          const wasm = await WasmModel.load(new URL("/pixellm.wasm", location.href));
          const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
          const head = wasm.headBytes(bytes, bytes.length);
          wasm.open(bytes.slice(0, head), bytes.length);   // the head is enough
          return texts.map((t) => [[...wasm.encode(t, false)], [...wasm.encode(t, true)],
            btoa(Array.from(wasm.decode(wasm.encode(t, false)), (b) => String.fromCharCode(b)).join(""))]);
        })(%s, %s)""" % (json.dumps(f"{name}.png"), json.dumps(TEXTS)))
        for text, (plain, special, back) in zip(TEXTS, found):
            raw = text.encode()
            same(plain, json.loads(world.pixellm("tokenize", model, "-", "--json", stdin=raw)), f"{name}: ids of {text[:20]!r}")
            same(special, json.loads(world.pixellm("tokenize", model, "-", "--json", "--special", stdin=raw)), f"{name}: with special tokens, {text[:20]!r}")
            same(base64.b64decode(back), raw, f"{name}: {text[:20]!r} there and back")
    page.close()


def the_page_says_what_is_wrong(world, browser):
    model = world.model("f32", matrices="F32", layers=2)
    whole = model.read_bytes()
    world.publish("cut.png", whole[:-5000])
    flipped = bytearray(whole)
    flipped[len(whole) * 2 // 3] ^= 4
    world.publish("flipped.png", bytes(flipped))
    in_head = bytearray(whole)
    in_head[700] ^= 1
    world.publish("in-head.png", bytes(in_head))
    world.publish("empty.png", b"")
    world.publish("text.png", b"this is no picture" * 100)
    world.publish("plain.gguf", (world.folder / "f32.gguf").read_bytes())
    pictures = {"flat.png": (64, 3)}
    for name in pictures:
        world.publish(name, (pathlib.Path(__file__).parent.parent / "spec/fixtures/flat-64x3.png").read_bytes())
    cases = [("nowhere.png", "404"), ("no-ranges/f32.png", "range"), ("short/f32.png", "broke off"), ("cut.png", "truncated"),
             ("flipped.png", "damaged: row"), ("in-head.png", "damaged"), ("empty.png", "empty"), ("text.png", "PNG"), ("plain.gguf", "GGUF"),
             ("flat.png", "PXIM"), ("http://localhost:1/x.png", "no answer")]
    for model_url, part in cases:
        page = world.open_page(browser, model=model_url, raw=1)
        same(wait_for(page, "ready", "error"), "error", f"{model_url}: state")
        holds(text_of(page, "status"), part, f"{model_url}: message")
        holds(text_of(page, "status"), model_url.split("/")[-1], f"{model_url}: message")
        page.close()
    page = world.open_page(browser)
    same(wait_for(page, "error"), "error", "no model")
    holds(text_of(page, "status"), "model", "no model")
    page.close()


def requests_are_small_and_stay_at_home(world, browser):
    seen = Handler.requests
    models = [(path, asked) for path, asked in seen if path.endswith("f32.png") and "/no-ranges/" not in path]
    assert models, "nobody asked for the model"
    for path, asked in models:
        begin, end = map(int, asked.removeprefix("bytes=").split("-"))
        assert end - begin < 64 * 2**20, f"{path}: {asked} is too much at once"


def losses_are_reported(world, browser):
    world.model("f32", matrices="F32", layers=2)
    page = world.open_page(browser)
    found = page.evaluate("""(async () => {
      const { createEngine } = await import("/engine.js");
      let device;
      const request = GPUAdapter.prototype.requestDevice;
      GPUAdapter.prototype.requestDevice = async function (d) { return device = await request.call(this, d); };
      const engine = await createEngine("f32.png");
      const tries = {};
      tries.long = await engine.generate("x".repeat(70000)).next().catch((e) => e.message);
      tries.odd = await engine.generate("x", { temperature: -1 }).next().catch((e) => e.message);
      tries.id = await engine.generate([1, 99999]).next().catch((e) => e.message);
      const first = engine.generate("x", { maxTokens: 50 });
      await first.next();
      tries.two = await engine.generate("y").next().catch((e) => e.message);
      device.destroy();
      tries.lost = "";
      try { for (;;) if ((await first.next()).done) break; } catch (e) { tries.lost = e.message; }
      tries.after = await engine.generate("x").next().catch((e) => e.message);

      const limits = Object.getOwnPropertyDescriptor(GPUSupportedLimits.prototype, "maxTextureDimension2D");
      Object.defineProperty(GPUSupportedLimits.prototype, "maxTextureDimension2D", { get: () => 16 });
      tries.limits = await createEngine("f32.png").catch((e) => e.message);
      Object.defineProperty(GPUSupportedLimits.prototype, "maxTextureDimension2D", limits);
      Object.defineProperty(Navigator.prototype, "gpu", { get: () => undefined });
      tries.none = await createEngine("f32.png").catch((e) => e.message);
      return tries;
    })()""")
    page.close()
    holds(found["long"], "context", "a prompt that is too long")
    holds(found["odd"], "temperature", "a temperature below 0")
    holds(found["id"], "99999", "an id that is none")
    holds(found["two"], "one at a time", "two answers at once")
    holds(found["lost"], "lost", "the device goes away")
    holds(found["after"], "lost", "after the loss")
    holds(found["limits"], "texels wide", "small limits")
    holds(found["none"], "WebGPU", "a browser without WebGPU")


STORIES = [every_shader_passes_tint, texts_become_the_programs_tokens, the_page_says_what_is_wrong, the_page_answers_as_the_program,
           the_engine_gives_the_programs_tokens, quantised_weights_and_a_worker, losses_are_reported, requests_are_small_and_stay_at_home]


def main():
    pixellm, site, *names = sys.argv[1:]
    failed = 0
    with tempfile.TemporaryDirectory() as folder, Chromium() as browser:
        world = World(os.path.abspath(pixellm), os.path.abspath(site), folder)
        for story in STORIES:
            if names and story.__name__ not in names:
                continue
            start = time.monotonic()
            try:
                story(world, browser)
                print(f"ok      {story.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
            except Exception as error:   # the other stories are told all the same
                failed += 1
                print(f"FAILED  {story.__name__}: {type(error).__name__}: {error}\n  console: {browser.console[-3:]}", flush=True)
                browser.console.clear()
    sys.exit(1 if failed else 0)


main()
