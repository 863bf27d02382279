// One token's activations times F32, F16 or BF16 (spec/plan.md, "Products"; spec/cells.md).
//
// 0 step | 1 params | 2 weights, n_groups groups of 16 rows by K columns | 3 activations of K columns | 4 vectors
// 5 y or x | 6 activations out, a column for each row. Dispatch: [ceil(groups / 2), 1, 1], 32 rows a workgroup.
// An invocation multiplies 8 rows of a group by every (LANES / 4)-th run of 8 columns; they are joined in the end.
// Mirrors scalar::matmul of kernels/scalar_products.cpp; the order of sums is its own.

override TYPE: u32 = 1u;  // GGUF's id
override K: u32 = 256u;
override SHARING: u32 = 4u;  // invocations with the same columns
override CELL_TEXELS: u32 = select(128u, 256u, TYPE == 0u);
override LANES: u32 = 256u;  // 64, 128 or 256
override SLOTS: u32 = 8u;

// ---- shared: product
override CELLS_PER_ROW: u32 = 64u;
override ROWS_PER_LAYER: u32 = 8192u;
override SEGMENTS: u32 = 1u;
override EPILOGUE: u32 = 0u;
override NORMED: u32 = 0u;
override EMIT: u32 = 0u;
override ACTIVATION: u32 = 0u;
override K_PADDED: u32 = (K + 255u) / 256u * 256u;

struct Step { position: u32, n_tokens: u32, logit_token: u32, n_logits: u32 }
struct Params {
  places: array<vec4<u32>, 3>,
  biases: vec3<u32>,
  norm: u32,
  y_at: u32,
  y_stride: u32,
  in_stride: u32,
  out_stride: u32,
  eps: f32,
  of_logits: u32,
}

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var weights: texture_2d_array<u32>;
@group(0) @binding(3) var<storage, read> activations: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> vectors: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> emitted: array<u32>;

// Where 16 rows lie: group `index` of a segment; `on` is false past the last.
struct Group { segment: u32, index: u32, on: bool }

fn group_at(n: u32) -> Group {
  var at = Group(0u, n, false);
  if (SEGMENTS > 1u && EPILOGUE == 0u && at.index >= params.places[0].w) {
    at = Group(1u, at.index - params.places[0].w, false);
    if (SEGMENTS > 2u && at.index >= params.places[1].w) {
      at = Group(2u, at.index - params.places[1].w, false);
    }
  }
  at.on = at.index < params.places[at.segment].w;
  return at;
}

fn bias(at: Group, quad: u32) -> vec4<f32> {
  let first = params.biases[at.segment];
  if (first == 0xffffffffu) { return vec4(0.0); }
  return vectors[first / 4u + 4u * at.index + quad];
}

fn activate(x: vec4<f32>) -> vec4<f32> {
  if (ACTIVATION == 0u) { return x / (1.0 + exp(min(-x, vec4(80.0)))); }
  let u = x + 0.044715 * x * x * x;
  return x / (1.0 + exp(min(-1.5957691 * u, vec4(80.0))));
}
// ---- end

// ---- shared: cells
// x, y and layer of a cell's first texel.
fn cell_at(place: vec4<u32>, cell: u32) -> vec3<u32> {
  var x = place.y + cell * CELL_TEXELS;
  var row = place.x;
  if (cell >= place.z) {
    x = (cell - place.z) % CELLS_PER_ROW * CELL_TEXELS;
    row += 1u + (cell - place.z) / CELLS_PER_ROW;
  }
  return vec3(x, row % ROWS_PER_LAYER, row / ROWS_PER_LAYER);
}

fn texel(cell: vec3<u32>, i: u32) -> vec4<u32> {
  return textureLoad(weights, vec2(cell.x + i, cell.y), cell.z, 0);
}
// ---- end

// ---- shared: emit
var<workgroup> largest: array<u32, SLOTS>;
var<workgroup> sums: array<i32, SLOTS>;
var<workgroup> squares_of: array<f32, SLOTS>;

// Writes columns column .. + 3 of a token's activations, its words from `at` on. The 8 slots from a multiple of 8 on
// hold a block. Every invocation calls it; those from SLOTS on and those not `on` write nothing.
fn emit(slot: u32, on: bool, at: u32, columns: u32, column: u32, x: vec4<f32>, squares: f32) {
  let magnitude = bitcast<vec4<u32>>(x) & vec4(0x7fffffffu);  // as ordered as the values, a NaN on top
  if (slot < SLOTS) {
    largest[slot] = max(max(magnitude.x, magnitude.y), max(magnitude.z, magnitude.w));
  }
  workgroupBarrier();
  let first = slot / 8u * 8u;
  var bits = 0u;
  var word = 0u;
  if (slot < SLOTS) {
    for (var i = first; i < first + 8u; i++) { bits = max(bits, largest[i]); }
    let inverse = select(127.0 / bitcast<f32>(bits), 0.0, bits < 0x12800000u);  // 2^-90
    word = pack4xI8(vec4<i32>(clamp(round(x * inverse), vec4(-127.0), vec4(127.0))));
    sums[slot] = dot4I8Packed(word, 0x01010101u);
    squares_of[slot] = squares;
  }
  workgroupBarrier();
  if (!on || slot >= SLOTS) { return; }
  let padded = (columns + 255u) / 256u * 256u;
  if ((EMIT & 1u) != 0u) { emitted[at + column / 4u] = word; }
  if ((EMIT & 2u) != 0u) {
    let values = at + padded / 8u * 3u + column;
    for (var i = 0u; i < 4u; i++) { emitted[values + i] = bitcast<u32>(x[i]); }
  }
  if (slot == first) {
    var sum = 0i;
    var square = 0.0;
    for (var i = first; i < first + 8u; i++) {
      sum += sums[i];
      square += squares_of[i];
    }
    let dx = select(bitcast<f32>(bits) / 127.0, 0.0, bits < 0x12800000u);
    let block = at + padded / 4u + column / 8u;
    emitted[block] = bitcast<u32>(dx);
    emitted[block + 1u] = bitcast<u32>(dx * f32(sum));
    emitted[block + 2u] = bitcast<u32>(square);
  }
}
// ---- end

// ---- shared: matvec
var<workgroup> partials: array<vec4<f32>, 8u * (LANES / SHARING)>;
var<workgroup> partial_squares: array<f32, LANES>;

// The sums of rows 4 lane .. 4 lane + 3 for the first 8 invocations; every invocation calls it.
fn join(lane: u32, rows: Rows) -> vec4<f32> {
  workgroupBarrier();
  put(lane, rows);
  workgroupBarrier();
  var sum = vec4(0.0);
  if (lane < 8u) {
    for (var i = lane; i < 8u * (LANES / SHARING); i += 8u) { sum += partials[i]; }
  }
  return sum;
}

// From each invocation's part of the sums of groups first and first + 1 (rows_2: of the second matrix) and of the input's
// squares to y, x and activations.
fn finish(lane: u32, first: u32, rows: Rows, rows_2: Rows, squares: f32) {
  partial_squares[lane] = squares;
  let sum = join(lane, rows);
  var sum_2 = vec4(0.0);
  if (EPILOGUE == 2u) { sum_2 = join(lane, rows_2); }
  var value = vec4(0.0);
  let at = group_at(first + lane / 4u % 2u);
  let on = lane < 8u && at.on;
  let row = 16u * first + 4u * lane;
  if (on) {
    var f = 1.0;
    if (NORMED == 1u) {
      var square = 0.0;
      for (var i = 0u; i < LANES; i += SHARING) { square += partial_squares[i]; }
      f = inverseSqrt(square / f32(K) + params.eps);
    }
    value = f * sum + bias(at, lane % 4u);
    let i = (params.y_at + row) / 4u;
    if (EPILOGUE == 1u) { value += y[i]; }
    if (EPILOGUE <= 1u) { y[i] = value; }
    if (EPILOGUE >= 2u) { value = activate(value); }
    if (EPILOGUE == 2u) { value *= f * sum_2 + bias(Group(1u, at.index, true), lane % 4u); }
  }
  if (EMIT != 0u) {
    let squares_out = dot(value, value);
    if (on && params.norm != 0xffffffffu) { value *= vectors[(params.norm + row) / 4u]; }
    emit(lane, on, 0u, 16u * params.places[0].w, row, value, squares_out);
  }
}
// ---- end

alias Rows = mat2x4<f32>;
fn put(lane: u32, rows: Rows) {
  partials[2u * lane] = rows[0];
  partials[2u * lane + 1u] = rows[1];
}

// Rows 8 h .. 8 h + 7 of a column.
fn column(cell: vec3<u32>, c: u32, h: u32) -> Rows {
  if (TYPE == 0u) {
    let t = 4u * c + 2u * h;
    return Rows(bitcast<vec4<f32>>(texel(cell, t)), bitcast<vec4<f32>>(texel(cell, t + 1u)));
  }
  let t = texel(cell, 2u * c + h);
  if (TYPE == 1u) {
    return Rows(vec4(unpack2x16float(t.x), unpack2x16float(t.y)), vec4(unpack2x16float(t.z), unpack2x16float(t.w)));
  }
  let even = bitcast<vec4<f32>>(t << vec4(16u));
  let odd = bitcast<vec4<f32>>(t & vec4(0xffff0000u));
  return Rows(vec4(even.x, odd.x, even.y, odd.y), vec4(even.z, odd.z, even.w, odd.w));
}

fn columns(cell: vec3<u32>, c: u32, h: u32, a: vec4<u32>) -> Rows {
  let x = bitcast<vec4<f32>>(a);
  return column(cell, c, h) * x.x + column(cell, c + 1u, h) * x.y +
         column(cell, c + 2u, h) * x.z + column(cell, c + 3u, h) * x.w;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let first = 2u * (id.x + id.y * n.x);
  let h = lane % 2u;
  let at = group_at(first + lane / 2u % 2u);
  let a = select(0u, step.logit_token, params.of_logits == 1u) * params.in_stride / 4u;
  let x = a + K_PADDED / 32u * 3u;
  let first_cell = at.index * ((K + 63u) / 64u);
  var rows = Rows();
  var rows_2 = Rows();
  var squares = 0.0;
  for (var i = lane / 4u; i < (K + 7u) / 8u && at.on; i += LANES / 4u) {
    let low = activations[x + 2u * i];
    let high = activations[x + 2u * i + 1u];
    let c = 8u * (i % 8u);
    let cell = cell_at(params.places[at.segment], first_cell + i / 8u);
    rows += columns(cell, c, h, low) + columns(cell, c + 4u, h, high);
    if (EPILOGUE == 2u) {
      let cell_2 = cell_at(params.places[1], first_cell + i / 8u);
      rows_2 += columns(cell_2, c, h, low) + columns(cell_2, c + 4u, h, high);
    }
    if (NORMED == 1u && i % 4u == 0u) { squares += bitcast<f32>(activations[a + K_PADDED / 16u + i / 4u].z); }
  }
  finish(lane, first, rows, rows_2, squares);
}
