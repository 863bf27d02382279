// From the picture's file to the GPU: rows go from range requests into textures as they lie, by the file's own row stride. What
// the browser holds of the weights at any time is two parts of a step.

import type { Gpu } from "./device.js";
import type { RangeFile } from "./download.js";
import type { Plan } from "./plan.js";
import type { ModelDescription, VectorPlace, WasmModel } from "./wasm.js";

/** Bytes of file asked for at a time; two such parts are under way. */
const kPartBytes = 8 * 2 ** 20;

export interface Weights {
  textures: GPUTexture[];
  vectors: GPUBuffer;
}

interface Part {
  first: number;
  count: number;
}

export async function loadWeights(gpu: Gpu, plan: Plan, wasm: WasmModel, file: RangeFile, model: ModelDescription,
  vectors: GPUBuffer, onProgress: (done: number, total: number) => void): Promise<Weights> {
  const textures = await gpu.guarded("the weights' textures", () => plan.textures.map((t) => gpu.device.createTexture({
    label: `rows ${t.first_row} to ${t.first_row + t.rows - 1}`,
    size: [plan.picture.row_bytes / 16, Math.min(t.rows, plan.picture.rows_per_layer), Math.ceil(t.rows / plan.picture.rows_per_layer)],
    format: "rgba32uint",
    usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST,
  })));
  const places = wasm.vectorPlaces().map((place) => new VectorBytes(place, model.rowBytes));
  const parts = partsOf(neededRows(plan, places), Math.max(1, Math.floor(kPartBytes / model.rowStride)));
  const total = parts.reduce((n, p) => n + p.count * model.rowStride, 0);
  let done = 0;
  const read = (p: Part): Promise<Uint8Array<ArrayBuffer>> => {
    const { begin, end } = wasm.chunkRange(p.first, p.count);
    const bytes = file.read(begin, end);
    bytes.catch(() => undefined);   // reported where it is waited for
    return bytes;
  };
  let next = parts[0] ? read(parts[0]) : undefined;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!, bytes = await next!;
    const after = parts[i + 1];
    next = after ? read(after) : undefined;
    wasm.checkRows(part.first, part.count, bytes);
    const pixels = model.base + part.first * model.rowStride - wasm.chunkRange(part.first, part.count).begin;
    await gpu.guarded("uploading weights", () => writeRows(gpu.device, plan, textures, model, part, bytes, pixels));
    for (const place of places) place.take(part, bytes, pixels, model.rowStride);
    await gpu.device.queue.onSubmittedWorkDone();   // or parts would pile up on their way
    done += part.count * model.rowStride;
    onProgress(done, total);
  }
  gpu.check();
  places.forEach((place, i) => {
    const floats = wasm.vectorFloats(i, place.bytes);
    if (place.at >= 0) gpu.device.queue.writeBuffer(vectors, 4 * place.at, floats);
  });
  return { textures, vectors };
}

// Rows of textures and of vectors, as ascending intervals [first, end).
function neededRows(plan: Plan, places: VectorBytes[]): [number, number][] {
  const all: [number, number][] = plan.textures.map((t) => [t.first_row, t.first_row + t.rows]);
  for (const place of places) all.push([place.firstRow, place.lastRow + 1]);
  all.sort((a, b) => a[0] - b[0]);
  const joined: [number, number][] = [];
  for (const [first, end] of all) {
    const last = joined.at(-1);
    if (last && first <= last[1]) last[1] = Math.max(last[1], end);
    else joined.push([first, end]);
  }
  return joined;
}

function partsOf(rows: [number, number][], most: number): Part[] {
  const parts: Part[] = [];
  for (const [first, end] of rows)
    for (let row = first; row < end; row += most) parts.push({ first: row, count: Math.min(most, end - row) });
  return parts;
}

// `pixels`: where in `bytes` the part's first row begins. A row may be in two textures.
function writeRows(device: GPUDevice, plan: Plan, textures: GPUTexture[], model: ModelDescription, part: Part,
  bytes: Uint8Array<ArrayBuffer>, pixels: number): void {
  const perLayer = plan.picture.rows_per_layer;
  plan.textures.forEach((t, i) => {
    const end = Math.min(part.first + part.count, t.first_row + t.rows);
    for (let row = Math.max(part.first, t.first_row); row < end;) {
      const inTexture = row - t.first_row, y = inTexture % perLayer;
      const n = Math.min(end - row, perLayer - y);
      device.queue.writeTexture(
        { texture: textures[i]!, origin: [0, y, Math.floor(inTexture / perLayer)] },
        bytes,
        { offset: pixels + (row - part.first) * model.rowStride, bytesPerRow: model.rowStride, rowsPerImage: n },
        [model.rowBytes / 16, n, 1],
      );
      row += n;
    }
  });
}

/** Gathers a tensor's payload bytes out of the parts as they pass. */
class VectorBytes {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly firstRow: number;
  readonly lastRow: number;
  readonly at: number;

  constructor(private readonly place: VectorPlace, private readonly rowBytes: number) {
    this.bytes = new Uint8Array(place.bytes);
    this.firstRow = Math.floor(place.offset / rowBytes);
    this.lastRow = Math.floor((place.offset + place.bytes - 1) / rowBytes);
    this.at = place.at;
  }

  take(part: Part, bytes: Uint8Array, pixels: number, stride: number): void {
    const last = Math.min(this.lastRow, part.first + part.count - 1);
    for (let row = Math.max(this.firstRow, part.first); row <= last; row++) {
      const begin = Math.max(this.place.offset, row * this.rowBytes);
      const end = Math.min(this.place.offset + this.place.bytes, (row + 1) * this.rowBytes);
      const from = pixels + (row - part.first) * stride + (begin - row * this.rowBytes);
      this.bytes.set(bytes.subarray(from, from + end - begin), begin - this.place.offset);
    }
  }
}
