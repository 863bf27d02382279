// Runs a plan: pipelines and bind groups are made once, a step only records and submits. spec/plan.md.

import type { Gpu } from "./device.js";
import { extent, kLists, shaderFiles, type Dispatch, type ListName, type Plan, type StepSize } from "./plan.js";

interface Ready {
  dispatch: Dispatch;
  pipeline: GPUComputePipeline;
  group: GPUBindGroup;
}

interface Layout {
  layout: GPUBindGroupLayout;
  bindings: Set<number>;
}

/** The shaders' texts by file name, fetched from beside this module. */
export async function fetchShaders(plan: Plan, folder: URL, signal?: AbortSignal): Promise<Map<string, string>> {
  const load = async (file: string): Promise<[string, string]> => {
    const response = await fetch(new URL(file, folder), signal ? { signal } : {});
    if (!response.ok) throw new Error(`${new URL(file, folder).href}: HTTP ${response.status}, a shader is expected there`);
    return [file, await response.text()];
  };
  return new Map(await Promise.all(shaderFiles(plan).map(load)));
}

export class Executor {
  private readonly buffers = new Map<string, GPUBuffer>();
  private readonly lists = new Map<ListName, Ready[]>();
  private readonly staging: GPUBuffer;
  private readonly logitsBytes: number;

  private constructor(private readonly gpu: Gpu, readonly plan: Plan) {
    this.logitsBytes = 4 * plan.model.vocab_size;
    this.staging = gpu.device.createBuffer({ label: "read back", size: 16 + this.logitsBytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  }

  /** Buffers first, so that weights can be loaded while shaders compile. */
  static async create(gpu: Gpu, plan: Plan): Promise<Executor> {
    return gpu.guarded("the plan's buffers", () => {
      const e = new Executor(gpu, plan);
      for (const b of plan.buffers)
        e.buffers.set(b.name, gpu.device.createBuffer({
          label: b.name,
          size: b.bytes,
          usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC | (b.usage === "uniform" ? GPUBufferUsage.UNIFORM : GPUBufferUsage.STORAGE),
        }));
      return e;
    });
  }

  buffer(name: string): GPUBuffer {
    const found = this.buffers.get(name);
    if (!found) throw new Error(`the plan has no buffer ${name}`);
    return found;
  }

  async prepare(shaders: Map<string, string>, textures: GPUTexture[], onProgress: (done: number, total: number) => void): Promise<void> {
    const layouts = await this.makeLayouts(shaders);
    const pipelines = await this.makePipelines(shaders, layouts, onProgress);
    const params = await this.makeParams();
    await this.gpu.guarded("the plan's bind groups", () => {
      const views = textures.map((t) => t.createView({ dimension: "2d-array" }));
      for (const list of kLists)
        this.lists.set(list, this.plan[list].map((dispatch) => {
          const pipeline = pipelines.get(pipelineKey(dispatch))!;
          const resource = (b: Dispatch["bindings"][number]): GPUBindingResource =>
            b.params ? params.get(dispatch)! : b.texture !== undefined ? views[b.texture]! : { buffer: this.buffer(b.buffer!) };
          const group = this.gpu.device.createBindGroup({
            label: `${dispatch.shader} (${dispatch.label})`,
            layout: layouts.get(dispatch.shader)!.layout,
            entries: dispatch.bindings.filter((b) => layouts.get(dispatch.shader)!.bindings.has(b.binding))
              .map((b) => ({ binding: b.binding, resource: resource(b) })),
          });
          return { dispatch, pipeline, group };
        }));
    });
  }

  /** Writes what a step needs. Values of RoPE: `rope`, `rope_local` as spec/plan.md has them. */
  write(name: string, data: Uint32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>): void {
    if (data.length > 0) this.gpu.device.queue.writeBuffer(this.buffer(name), 0, data);
  }

  /** A step; without `output` its last dispatch, the logits, is left out. */
  run(list: "decode" | "prefill", step: StepSize, output: boolean): void {
    const all = this.lists.get(list)!;
    this.submit([...(output ? all : all.slice(0, -1))], step);
  }

  /** The largest logit of row 0, and the logits where they are wanted. */
  async choose(step: StepSize, withLogits: boolean): Promise<{ id: number; finite: boolean; logits: Uint8Array | undefined }> {
    const encoder = this.record(this.lists.get("argmax")!, step);
    encoder.copyBufferToBuffer(this.buffer("best"), 0, this.staging, 0, 8);
    if (withLogits) encoder.copyBufferToBuffer(this.buffer("logits"), 0, this.staging, 16, this.logitsBytes);
    this.gpu.device.queue.submit([encoder.finish()]);
    const bytes = withLogits ? 16 + this.logitsBytes : 16;
    try {
      await this.staging.mapAsync(GPUMapMode.READ, 0, bytes);
    } catch (error) {
      this.gpu.check();
      throw error;
    }
    const copy = this.staging.getMappedRange(0, bytes).slice(0);
    this.staging.unmap();
    this.gpu.check();
    const [id, bad] = new Uint32Array(copy, 0, 2);
    return { id: id!, finite: bad === 0, logits: withLogits ? new Uint8Array(copy, 16) : undefined };
  }

  // ---- inside

  private submit(list: Ready[], step: StepSize): void {
    this.gpu.device.queue.submit([this.record(list, step).finish()]);
  }

  private record(list: Ready[], step: StepSize): GPUCommandEncoder {
    const encoder = this.gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const { dispatch, pipeline, group } of list) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      const [x, y, z] = dispatch.workgroups;
      pass.dispatchWorkgroups(extent(x ?? 1, step), extent(y ?? 1, step), extent(z ?? 1, step));
    }
    pass.end();
    return encoder;
  }

  // A shader's bindings are what its text declares, whether constants leave them in use or not.
  private makeLayouts(shaders: Map<string, string>): Promise<Map<string, Layout>> {
    return this.gpu.guarded("the shaders' bindings", () => new Map([...shaders].map(([file, text]) => {
      const entries = declaredBindings(text);
      return [file, {
        bindings: new Set(entries.map((e) => e.binding)),
        layout: this.gpu.device.createBindGroupLayout({ label: file, entries }),
      }];
    })));
  }

  private async makePipelines(shaders: Map<string, string>, layouts: Map<string, Layout>, onProgress: (done: number, total: number) => void): Promise<Map<string, GPUComputePipeline>> {
    const modules = new Map<string, GPUShaderModule>();
    for (const [file, text] of shaders)
      modules.set(file, await this.gpu.guarded(file, () => this.gpu.device.createShaderModule({ label: file, code: text })));
    const wanted = new Map<string, Dispatch>();
    for (const list of kLists) for (const d of this.plan[list]) wanted.set(pipelineKey(d), d);
    let done = 0;
    const made = await Promise.all([...wanted].map(async ([key, d]): Promise<[string, GPUComputePipeline]> => {
      try {
        const pipeline = await this.gpu.device.createComputePipelineAsync({
          label: d.shader,
          layout: this.gpu.device.createPipelineLayout({ bindGroupLayouts: [layouts.get(d.shader)!.layout] }),
          compute: { module: modules.get(d.shader)!, entryPoint: "main", constants: d.constants },
        });
        onProgress(++done, wanted.size);
        return [key, pipeline];
      } catch (error) {
        this.gpu.check();
        throw new Error(`${d.shader} (${d.label}): ${error instanceof Error ? error.message : String(error)}`);
      }
    }));
    return new Map(made);
  }

  // All parameters in one buffer, each at an offset that a uniform binding may have.
  private makeParams(): Promise<Map<Dispatch, GPUBufferBinding>> {
    const unit = this.gpu.device.limits.minUniformBufferOffsetAlignment;
    const all = kLists.flatMap((list) => this.plan[list]);
    const slot = Math.max(...all.map((d) => Math.ceil(Math.max(4 * d.params.length, 16) / unit) * unit));
    return this.gpu.guarded("the dispatches' parameters", () => {
      const buffer = this.gpu.device.createBuffer({ label: "params", size: slot * all.length, usage: GPUBufferUsage.UNIFORM, mappedAtCreation: true });
      const words = new Uint32Array(buffer.getMappedRange());
      const bindings = new Map<Dispatch, GPUBufferBinding>();
      all.forEach((d, i) => {
        words.set(d.params, (slot / 4) * i);
        bindings.set(d, { buffer, offset: slot * i, size: Math.ceil(Math.max(4 * d.params.length, 16) / 16) * 16 });
      });
      buffer.unmap();
      return bindings;
    });
  }
}

function declaredBindings(text: string): GPUBindGroupLayoutEntry[] {
  const declaration = /@group\(0\)\s*@binding\((\d+)\)\s*var\s*(?:<([^>]*)>)?\s*\w+\s*:\s*(\w+)/g;
  return [...text.matchAll(declaration)].map(([, binding, space = "", type]) => {
    const entry = { binding: Number(binding), visibility: GPUShaderStage.COMPUTE };
    if (type === "texture_2d_array") return { ...entry, texture: { sampleType: "uint", viewDimension: "2d-array" } };
    if (space === "uniform") return { ...entry, buffer: { type: "uniform" } };
    return { ...entry, buffer: { type: /\bread_write\b/.test(space) ? "storage" : "read-only-storage" } };
  });
}

function pipelineKey(d: Dispatch): string {
  return `${d.shader} ${JSON.stringify(d.constants)}`;
}
