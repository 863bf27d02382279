// The C++ side, compiled to WebAssembly: picture format, plan, tokenizer, sampler. web/wasm/exports.cpp documents the functions.

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(bytes: number): number;
  release(address: number): void;
  result_data(): number;
  result_bytes(): number;
  head_bytes(start: number, size: number, fileBytes: number): number;
  open(start: number, size: number, fileBytes: number): number;
  chunks_begin(first: number, count: number): number;
  chunks_end(first: number, count: number): number;
  check_rows(first: number, count: number, chunks: number, size: number): number;
  make_plan(context: number, batch: number, textureSize: number, textureLayers: number, bufferBytes: number): number;
  vector_places(): number;
  vector_floats(index: number, stored: number, size: number): number;
  rope_table(position: number, n: number, local: number): number;
  encode(text: number, size: number, special: number): number;
  encode_prompt(text: number, size: number, system: number, systemSize: number, chat: number): number;
  decode(ids: number, count: number): number;
  begin(prompt: number, count: number, chat: number, temperature: number, topK: number, topP: number, minP: number,
    repeatPenalty: number, seed: bigint): number;
  sample(logits: number, count: number): number;
  is_end(id: number): number;
  push(id: number): number;
  flush(): number;
}

/** What the head of a picture says about its model. */
export interface ModelDescription {
  name: string;
  architecture: string;
  vocabSize: number;
  contextLength: number;
  /** Byte of row 0's first pixel in the file, bytes of a row, from one row's beginning to the next. */
  base: number;
  rowBytes: number;
  rowStride: number;
  rows: number;
  firstWeightRow: number;
  /** Values of a head that are rotated by position. */
  rotated: number;
  /** Family of the chat template; "": none, and noChat says why. */
  chat: string;
  noChat: string;
}

/** A tensor of one dimension: its bytes in the payload (rows joined), and where its floats belong in the buffer `vectors`, or -1. */
export interface VectorPlace {
  name: string;
  offset: number;
  bytes: number;
  at: number;
}

export interface Sampling {
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  repeatPenalty: number;
  seed: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();   // what is not UTF-8 becomes U+FFFD

/** The module's memory and functions. One model at a time; every result is a copy. */
export class WasmModel {
  private readonly e: Exports;

  private constructor(exports: Exports) {
    this.e = exports;
  }

  static async load(url: URL, signal?: AbortSignal): Promise<WasmModel> {
    const response = await fetch(url, signal ? { signal } : {});
    if (!response.ok) throw new Error(`${url.href}: HTTP ${response.status}, the runtime's WebAssembly module is expected there`);
    const module = await WebAssembly.compile(await response.arrayBuffer());
    const wasi = new Wasi();
    const instance = await WebAssembly.instantiate(module, wasi.imports(module));
    const exports = instance.exports as unknown as Exports;
    wasi.memory = exports.memory;
    exports._initialize();
    return new WasmModel(exports);
  }

  /** Bytes of the file that hold the head, told from its first ones. */
  headBytes(start: Uint8Array, fileBytes: number): number {
    return this.with(start, (at) => this.checked(this.e.head_bytes(at, start.length, fileBytes)));
  }
  open(start: Uint8Array, fileBytes: number): ModelDescription {
    this.with(start, (at) => this.checked(this.e.open(at, start.length, fileBytes)));
    return JSON.parse(this.text()) as ModelDescription;
  }

  /** Bytes [begin, end) of the file that hold rows [first, first + count) with their checksums. */
  chunkRange(first: number, count: number): { begin: number; end: number } {
    return { begin: this.e.chunks_begin(first, count), end: this.e.chunks_end(first, count) };
  }
  /** Throws an error that names damaged rows and their tensors. */
  checkRows(first: number, count: number, chunks: Uint8Array): void {
    this.with(chunks, (at) => this.checked(this.e.check_rows(first, count, at, chunks.length)));
  }

  makePlan(context: number, batch: number, limits: GPUSupportedLimits): string {
    this.checked(this.e.make_plan(context, batch, limits.maxTextureDimension2D, limits.maxTextureArrayLayers, limits.maxBufferSize));
    return this.text();
  }
  vectorPlaces(): VectorPlace[] {
    this.checked(this.e.vector_places());
    return JSON.parse(this.text()) as VectorPlace[];
  }
  vectorFloats(index: number, stored: Uint8Array): Float32Array<ArrayBuffer> {
    this.with(stored, (at) => this.checked(this.e.vector_floats(index, at, stored.length)));
    return new Float32Array(this.result());
  }
  ropeTable(position: number, n: number, local: boolean): Float32Array<ArrayBuffer> {
    this.checked(this.e.rope_table(position, n, Number(local)));
    return new Float32Array(this.result());
  }

  encode(text: string, special: boolean): Int32Array {
    const bytes = encoder.encode(text);
    this.with(bytes, (at) => this.checked(this.e.encode(at, bytes.length, Number(special))));
    return new Int32Array(this.result());
  }
  encodePrompt(text: string, system: string, chat: boolean): Int32Array {
    const a = encoder.encode(text), b = encoder.encode(system);
    this.with(a, (atA) => this.with(b, (atB) => this.checked(this.e.encode_prompt(atA, a.length, atB, b.length, Number(chat)))));
    return new Int32Array(this.result());
  }
  decode(ids: Int32Array): Uint8Array {
    this.with(ids, (at) => this.checked(this.e.decode(at, ids.length)));
    return new Uint8Array(this.result());
  }

  /** True when only the largest logit of each step matters. */
  begin(prompt: Int32Array, chat: boolean, s: Sampling): boolean {
    return this.with(prompt, (at) => this.checked(this.e.begin(at, prompt.length, Number(chat), s.temperature, s.topK, s.topP, s.minP,
      s.repeatPenalty, BigInt(s.seed)))) === 1;
  }
  sample(logits: Uint8Array): number {
    return this.with(logits, (at) => this.e.sample(at, logits.length / 4));
  }
  isEnd(id: number): boolean {
    return this.e.is_end(id) === 1;
  }
  /** The text that has become sure with this token, and whether bytes of a character wait for the rest of it. */
  push(id: number): { text: string; held: boolean } {
    const held = this.checked(this.e.push(id)) === 1;
    return { text: this.text(), held };
  }
  flush(): string {
    this.checked(this.e.flush());
    return this.text();
  }

  // ---- memory

  private with<T>(data: Uint8Array | Int32Array, use: (address: number) => T): T {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const at = this.e.allocate(Math.max(bytes.length, 1));
    if (at === 0) throw new Error(`the WebAssembly module has no memory for ${bytes.length} bytes more`);
    new Uint8Array(this.e.memory.buffer, at, bytes.length).set(bytes);
    try {
      return use(at);
    } finally {
      this.e.release(at);
    }
  }
  private checked(status: number): number {
    if (status < 0) throw new Error(this.text());
    return status;
  }
  private result(): ArrayBuffer {
    const at = this.e.result_data(), bytes = this.e.result_bytes();
    return (this.e.memory.buffer as ArrayBuffer).slice(at, at + bytes);
  }
  private text(): string {
    return decoder.decode(this.result());
  }
}

/** The few system calls that the C library may make here: messages go to the console, all others do not exist. */
class Wasi {
  memory: WebAssembly.Memory | undefined;

  imports(module: WebAssembly.Module): WebAssembly.Imports {
    const kNotSupported = 52;
    const calls: Record<string, (...args: number[]) => number> = {};
    for (const { module: from, name } of WebAssembly.Module.imports(module)) {
      if (from !== "wasi_snapshot_preview1") throw new Error(`the WebAssembly module wants ${from}.${name}, which nobody offers`);
      calls[name] = () => kNotSupported;
    }
    if (calls["fd_write"]) calls["fd_write"] = (fd, list, count, written) => this.write(fd!, list!, count!, written!);
    return { wasi_snapshot_preview1: calls };
  }

  private write(_fd: number, list: number, count: number, written: number): number {
    const view = new DataView(this.memory!.buffer);
    let text = "", total = 0;
    for (let i = 0; i < count; i++) {
      const at = view.getUint32(list + 8 * i, true), bytes = view.getUint32(list + 8 * i + 4, true);
      text += decoder.decode(new Uint8Array(this.memory!.buffer, at, bytes));
      total += bytes;
    }
    if (text.trim() !== "") console.error(text.trimEnd());
    view.setUint32(written, total, true);
    return 0;
  }
}
