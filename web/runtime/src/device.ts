// The GPU: a device with the limits that a plan needs, errors as messages, the loss of the device.

import type { Plan } from "./plan.js";

const kHowToGetIt = "a current Chrome, Edge, Safari or Firefox has WebGPU, on a page that came by https or from localhost";

export async function requestAdapter(): Promise<GPUAdapter> {
  const gpu = (navigator as Navigator | WorkerNavigator).gpu as GPU | undefined;
  if (!gpu) throw new Error(`this browser does not offer WebGPU here: ${kHowToGetIt}`);
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new Error("this browser has WebGPU, but no GPU that it could use (no WebGPU adapter)");
  return adapter;
}

/** Limits over the defaults that running the plan takes. */
function neededLimits(plan: Plan): Record<string, number> {
  const { row_bytes, rows_per_layer } = plan.picture;
  const heights = plan.textures.map((t) => Math.min(t.rows, rows_per_layer));
  const layers = plan.textures.map((t) => Math.ceil(t.rows / rows_per_layer));
  const largest = Math.max(...plan.buffers.map((b) => b.bytes));
  return {
    maxTextureDimension2D: Math.max(row_bytes / 16, ...heights),
    maxTextureArrayLayers: Math.max(...layers),
    maxBufferSize: largest,
    maxStorageBufferBindingSize: largest,
  };
}

export interface Gpu {
  readonly device: GPUDevice;
  /** Throws when the device was lost or an earlier command was refused. */
  check(): void;
  /** Runs `make` and throws what WebGPU reports of it: no memory, or a refusal. `what` names it. */
  guarded<T>(what: string, make: () => T | Promise<T>): Promise<T>;
  /** Ends everything; what waits for the device fails. */
  destroy(): void;
}

export async function requestDevice(adapter: GPUAdapter, plan: Plan): Promise<Gpu> {
  const requiredLimits: Record<string, number> = {};
  const offered = adapter.limits as unknown as Record<string, number>;
  for (const [name, needed] of Object.entries(neededLimits(plan))) {
    if (needed > offered[name]!) throw new Error(`this model needs a GPU with ${name} of ${needed}, this one allows ${offered[name]}`);
    requiredLimits[name] = needed;
  }
  const device = await adapter.requestDevice({ requiredLimits: raised(requiredLimits) });
  let problem: string | undefined, closed = false;
  void device.lost.then((info) => {
    if (!closed) problem = `the GPU was lost (${info.message || info.reason}); load the page again`;
  });
  device.addEventListener("uncapturederror", (event) => {
    problem ??= `the GPU refused a command: ${event.error.message}`;
  });
  const check = (): void => {
    if (closed) throw new Error("the engine was disposed of");
    if (problem !== undefined) throw new Error(problem);
  };
  const guarded = async <T>(what: string, make: () => T | Promise<T>): Promise<T> => {
    check();
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    let made: T | Promise<T>;
    try {
      made = make();
    } catch (error) {
      await Promise.all([device.popErrorScope(), device.popErrorScope()]);
      throw new Error(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
    const [memory, validation] = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    try {
      const value = await made;
      if (memory) throw new Error(`the GPU has no memory for it (${memory.message})`);
      if (validation) throw new Error(validation.message);
      check();
      return value;
    } catch (error) {
      check();
      throw new Error(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  const destroy = (): void => {
    closed = true;
    device.destroy();
  };
  return { device, check, guarded, destroy };
}

// Only what is over the defaults may be named without risk: asking for less than a default is no gain.
function raised(limits: Record<string, number>): Record<string, number> {
  const defaults: Record<string, number> = {
    maxTextureDimension2D: 8192,
    maxTextureArrayLayers: 256,
    maxBufferSize: 268435456,
    maxStorageBufferBindingSize: 134217728,
  };
  return Object.fromEntries(Object.entries(limits).filter(([name, value]) => value > (defaults[name] ?? 0)));
}
