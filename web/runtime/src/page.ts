// The page: a prompt, a button, the answer as it comes. Its query: model (address of the picture), n (tokens at most), temp,
// seed, raw=1 (the prompt as it is, without the model's chat template).

import { createEngine, type Engine } from "./engine.js";

type State = "loading" | "ready" | "running" | "done" | "error";

function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${id}`);
  return found;
}

const status = element("status", HTMLElement);
const progress = element("progress", HTMLProgressElement);
const prompt = element("prompt", HTMLTextAreaElement);
const run = element("run", HTMLButtonElement);
const stop = element("stop", HTMLButtonElement);
const output = element("output", HTMLElement);
const speed = element("speed", HTMLElement);
const query = new URLSearchParams(location.search);

function show(state: State, text: string): void {
  status.textContent = text;
  status.dataset["state"] = state;
}

function showError(error: unknown): void {
  show("error", error instanceof Error ? error.message : String(error));
}

// A number of the query, or `otherwise` where there is none.
function number(name: string, otherwise: number): number {
  const text = query.get(name);
  if (text === null || text === "") return otherwise;
  const value = Number(text);
  if (!Number.isFinite(value)) throw new Error(`${name}=${text}: a number is expected`);
  return value;
}

async function answer(engine: Engine): Promise<void> {
  const chat = query.get("raw") !== "1" && engine.noChat === "";
  const aborter = new AbortController();
  const onStop = (): void => aborter.abort();
  output.textContent = "";
  speed.textContent = "";
  run.disabled = true;
  stop.disabled = false;
  stop.addEventListener("click", onStop);
  show("running", "Running");
  try {
    const options = { maxTokens: number("n", 256), temperature: number("temp", 0), seed: number("seed", 0), chat, signal: aborter.signal };
    const tokens = engine.generate(prompt.value, options);
    for (;;) {
      const next = await tokens.next();
      if (next.done) {
        const { tokens: count, generateMs, promptTokens, promptMs, reason } = next.value;
        if (count > 1) speed.textContent = `${((count - 1) / generateMs * 1e3).toFixed(1)} tokens/s`;
        show("done", `${promptTokens} tokens of prompt in ${(promptMs / 1e3).toFixed(2)} s, ${count} of answer (${
          { eos: "it ended", length: "as many as asked for", context: "the context is full" }[reason]})`);
        break;
      }
      output.append(next.value.text);
    }
  } catch (error) {
    if (aborter.signal.aborted) show("done", "Stopped");
    else showError(error);
  } finally {
    stop.removeEventListener("click", onStop);
    run.disabled = false;
    stop.disabled = true;
  }
}

async function main(): Promise<void> {
  const model = query.get("model");
  if (!model) {
    element("choose", HTMLFormElement).hidden = false;
    show("error", "Which model? Its address goes into this page's own: ?model=ADDRESS");
    return;
  }
  const engine = await createEngine(model, {
    onProgress: (p) => {
      progress.value = p.done / p.total;
      show("loading", p.text);
    },
  });
  const { name, architecture } = engine.model;
  element("model", HTMLElement).textContent = `${name || model.split("/").at(-1)} (${architecture}, ${engine.context} tokens of context)`;
  element("ask", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    if (!run.disabled) void answer(engine);
  });
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element("ask", HTMLFormElement).requestSubmit();
  });
  run.disabled = false;
  show("ready", query.get("raw") !== "1" && engine.noChat ? `Ready; the prompt is taken as it is (${engine.noChat})` : "Ready");
}

main().catch(showError);
