/**
 * Runs a language model that is a picture, on the GPU of a browser: in a page or in a worker.
 *
 *     import { createEngine } from "./engine.js";
 *     const engine = await createEngine("model.png", { onProgress: (p) => console.log(p.text) });
 *     for await (const { text } of engine.generate("The sky is", { maxTokens: 50 })) show(text);
 *     engine.dispose();
 *
 * The picture comes from any server that answers range requests; pixellm.wasm and shaders/ lie beside this file.
 */

import { requestAdapter, requestDevice, type Gpu } from "./device.js";
import { RangeFile } from "./download.js";
import { Executor, fetchShaders } from "./executor.js";
import { parsePlan } from "./plan.js";
import { WasmModel, type ModelDescription, type Sampling } from "./wasm.js";
import { loadWeights } from "./weights.js";

export interface Progress {
  stage: "head" | "weights" | "shaders";
  /** Of `total`: bytes of weights, or shaders. */
  done: number;
  total: number;
  /** The same for people. */
  text: string;
}

export interface EngineOptions {
  onProgress?: (progress: Progress) => void;
  /** Positions that prompt and answer can fill; at most the model's. Default: the model's, at most 4096. */
  context?: number;
  /** Tokens of a prompt that are computed together. */
  batch?: number;
  /** Ends the loading. */
  signal?: AbortSignal;
}

export interface GenerateOptions {
  /** Default 256. */
  maxTokens?: number;
  /** 0, the default: always the likeliest token. */
  temperature?: number;
  /** Same seed, same answer. Whole, from 0 on. */
  seed?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repeatPenalty?: number;
  /** Puts the prompt into the model's chat template as a user's message; otherwise it is taken as it is. */
  chat?: boolean;
  /** A chat's system message. */
  system?: string;
  signal?: AbortSignal;
}

export interface Token {
  id: number;
  /** What has become sure with it: whole characters, "" where one is not complete yet. */
  text: string;
}

/** What generate() returns when it is done. */
export interface Ended {
  reason: "eos" | "length" | "context";
  /** Prompt tokens and generated ones. */
  promptTokens: number;
  tokens: number;
  promptMs: number;
  generateMs: number;
}

export interface Engine {
  readonly model: Readonly<ModelDescription>;
  /** Positions that prompt and answer can fill. */
  readonly context: number;
  /** Why there is no chat template, or "". */
  readonly noChat: string;
  /** The answer's tokens as they come; a prompt is text or token ids. One answer at a time. */
  generate(prompt: string | readonly number[], options?: GenerateOptions): AsyncGenerator<Token, Ended, undefined>;
  /** Ids of a text, nothing added: those of `pixellm tokenize`. */
  tokenize(text: string, special?: boolean): number[];
  /** The bytes of tokens. */
  detokenize(ids: readonly number[]): Uint8Array;
  /** Gives the GPU's memory back. Nothing works afterwards. */
  dispose(): void;
}

/** Enough for the part of a picture before its first row, and that row. */
const kFirstRequestBytes = 256 * 1024;

export async function createEngine(url: string | URL, options: EngineOptions = {}): Promise<Engine> {
  const { signal } = options;
  const report = (stage: Progress["stage"], done: number, total: number, text: string): void => options.onProgress?.({ stage, done, total, text });
  const here = new URL("./", import.meta.url);
  const address = new URL(url, self.location.href).href;
  report("head", 0, 1, "Opening the picture");
  const [adapter, wasm] = await Promise.all([requestAdapter(), WasmModel.load(new URL("pixellm.wasm", here), signal)]);
  const { file, start } = await RangeFile.open(address, kFirstRequestBytes, signal);
  const model = await named(address, async () => {
    const head = wasm.headBytes(start, file.bytes);
    if (head <= start.length) return wasm.open(start, file.bytes);
    const whole = new Uint8Array(head);
    whole.set(start);
    whole.set(await file.read(start.length, head), start.length);
    return wasm.open(whole, file.bytes);
  });
  const plan = await named(address, () => parsePlan(wasm.makePlan(options.context ?? 0, options.batch ?? 0, adapter.limits)));
  const gpu = await requestDevice(adapter, plan);
  try {
    signal?.throwIfAborted();
    const shaders = await fetchShaders(plan, new URL("shaders/", here), signal);
    const executor = await Executor.create(gpu, plan);
    const { textures } = await named(address, () => loadWeights(gpu, plan, wasm, file, model, executor.buffer("vectors"), (done, total) =>
      report("weights", done, total, `Loading weights: ${mebibytes(done)} of ${mebibytes(total)} MiB`)));
    await executor.prepare(shaders, textures, (done, total) => report("shaders", done, total, `Compiling shaders: ${done} of ${total}`));
    return new GpuEngine(gpu, executor, wasm, model);
  } catch (error) {
    gpu.destroy();
    throw error;
  }
}

class GpuEngine implements Engine {
  readonly context: number;
  private readonly batch: number;
  private readonly localRope: boolean;
  private busy = false;

  constructor(private readonly gpu: Gpu, private readonly executor: Executor, private readonly wasm: WasmModel, readonly model: ModelDescription) {
    this.context = executor.plan.model.context;
    this.batch = executor.plan.model.batch;
    this.localRope = Object.values(executor.plan.decode).some((d) => d.bindings.some((b) => b.buffer === "rope_local"));
  }

  get noChat(): string {
    return this.model.noChat;
  }

  async *generate(prompt: string | readonly number[], options: GenerateOptions = {}): AsyncGenerator<Token, Ended, undefined> {
    this.gpu.check();
    if (this.busy) throw new Error("generate: an answer is under way; one at a time");
    this.busy = true;
    try {
      return yield* this.answer(prompt, options);
    } finally {
      this.busy = false;
    }
  }

  tokenize(text: string, special = false): number[] {
    return [...this.wasm.encode(text, special)];
  }
  detokenize(ids: readonly number[]): Uint8Array {
    return this.wasm.decode(Int32Array.from(ids));
  }
  dispose(): void {
    this.gpu.destroy();
  }

  private async *answer(prompt: string | readonly number[], options: GenerateOptions): AsyncGenerator<Token, Ended, undefined> {
    const started = performance.now();
    const chat = options.chat ?? false;
    const ids = typeof prompt === "string" ? this.wasm.encodePrompt(prompt, options.system ?? "", chat) : Int32Array.from(prompt);
    if (ids.length === 0) throw new Error("generate: the prompt has no tokens");
    if (ids.length >= this.context)
      throw new Error(`generate: the prompt has ${ids.length} tokens, a context of ${this.context} takes at most ${this.context - 1}`);
    const maxTokens = whole("maxTokens", options.maxTokens ?? 256);
    const greedy = this.wasm.begin(ids, chat, sampling(options));

    let position = 0;
    for (; position < ids.length; position += this.batch) {
      options.signal?.throwIfAborted();
      const part = ids.slice(position, position + this.batch);
      this.step(position, part, maxTokens > 0 && position + part.length === ids.length);
      if (position + part.length < ids.length) await this.gpu.device.queue.onSubmittedWorkDone();
    }
    position = ids.length;
    const most = Math.min(maxTokens, this.context - ids.length);
    let reason: Ended["reason"] = most === maxTokens ? "length" : "context", tokens = 0, promptMs = 0;
    let waiting: Token | undefined;   // one with a character's beginning: it is the last word on that character if the answer ends here
    while (tokens < most) {
      const id = await this.next(position, greedy);
      if (tokens === 0) promptMs = performance.now() - started;
      if (this.wasm.isEnd(id)) {
        reason = "eos";
        break;
      }
      tokens++;
      const { text, held } = this.wasm.push(id);
      if (tokens < most) this.step(position++, Int32Array.of(id), true);   // computed while the caller looks at the text
      if (waiting) yield waiting;
      waiting = held ? { id, text } : undefined;
      if (!waiting) yield { id, text };
      options.signal?.throwIfAborted();
    }
    if (waiting) yield { id: waiting.id, text: waiting.text + this.wasm.flush() };
    return { reason, promptTokens: ids.length, tokens, promptMs, generateMs: performance.now() - started - promptMs };
  }

  /** Feeds tokens at consecutive positions. */
  private step(position: number, ids: Int32Array<ArrayBuffer>, output: boolean): void {
    const nTokens = ids.length;
    this.executor.write("step", Uint32Array.of(position, nTokens, nTokens - 1, 1));
    this.executor.write("tokens", ids);
    this.executor.write("rope", this.wasm.ropeTable(position, nTokens, false));
    if (this.localRope) this.executor.write("rope_local", this.wasm.ropeTable(position, nTokens, true));
    this.executor.run(nTokens === 1 ? "decode" : "prefill", { position, nTokens, nLogits: 1 }, output);
  }

  private async next(position: number, greedy: boolean): Promise<number> {
    const { id, finite, logits } = await this.executor.choose({ position: position - 1, nTokens: 1, nLogits: 1 }, !greedy);
    if (!finite) throw new Error("the model computed values that are not finite: its weights are damaged, or this GPU miscomputes");
    return logits ? this.wasm.sample(logits) : id;
  }
}

function sampling(options: GenerateOptions): Sampling {
  return {
    temperature: options.temperature ?? 0,
    topK: whole("topK", options.topK ?? 0),
    topP: options.topP ?? 1,
    minP: options.minP ?? 0,
    repeatPenalty: options.repeatPenalty ?? 1,
    seed: whole("seed", options.seed ?? 0),
  };
}

function whole(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`generate: ${name} is ${value}, whole numbers from 0 on are allowed`);
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0);
}

// Puts the picture's address before what the C++ side says about "model".
async function named<T>(address: string, action: () => T | Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new Error(text.startsWith(address) ? text : `${address}: ${text.replace(/^model: /, "")}`);
  }
}
