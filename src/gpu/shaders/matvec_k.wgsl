// One token's activations times Q4_K or Q5_K (spec/plan.md, "Products"; spec/cells.md).
//
// 0 step | 1 params | 2 weights, n_groups groups of 16 rows by K columns | 3 activations of K columns | 4 vectors
// 5 y or x | 6 activations out, a column for each row. Dispatch: [ceil(groups / 2), 1, 1], 32 rows a workgroup.
// An invocation multiplies 4 rows of a group (a quad) by every (LANES / 8)-th half of a cell; they are joined in the end.
// Features: packed dot products. Mirrors scalar::matmul of kernels/scalar_products.cpp; the order of sums is its own.

override TYPE: u32 = 12u;  // GGUF's id
override K: u32 = 256u;
override SHARING: u32 = 8u;  // invocations with the same columns
override CELL_TEXELS: u32 = select(176u, 144u, TYPE == 12u);
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

alias Rows = vec4<f32>;
fn put(lane: u32, rows: Rows) { partials[lane] = rows; }

// ---- shared: dot
fn dot4(w: vec4<u32>, a: u32) -> vec4<i32> {
  return vec4(dot4I8Packed(w.x, a), dot4I8Packed(w.y, a), dot4I8Packed(w.z, a), dot4I8Packed(w.w, a));
}

// float16 of a quad's rows, 8 rows a texel.
fn halves(t: vec4<u32>, quad: u32) -> vec4<f32> {
  let pair = select(t.xy, t.zw, quad % 2u == 1u);
  return vec4(unpack2x16float(pair.x), unpack2x16float(pair.y));
}
// ---- end

fn byte(words: vec4<u32>, i: u32) -> vec4<f32> { return vec4<f32>((words >> vec4(8u * i)) & vec4(255u)); }

// 128 columns of a quad's rows, sub-blocks 4 h .. 4 h + 3: their activations from `a` on, dx and sx from `s` on.
fn half_cell(cell: vec3<u32>, h: u32, quad: u32, a: u32, s: u32) -> vec4<f32> {
  var sum = array<vec4<i32>, 4>();
  for (var j = 0u; j < 8u; j++) {
    var w = texel(cell, 16u + 4u * (16u * h + j) + quad);  // V(8c + j), c = 2 h
    var w_2 = vec4(0u);
    var fifth = vec4(0u);
    if (TYPE == 12u) {
      w_2 = texel(cell, 48u + 4u * (16u * h + j) + quad);
    } else {
      let v = 16u + 20u * j + quad;
      fifth = texel(cell, v) >> vec4(4u * h);
      w = texel(cell, v + 4u + 8u * h);
      w_2 = texel(cell, v + 8u + 8u * h);
    }
    let i = a + j / 4u;
    let low = vec4(0x0f0f0f0fu);
    let bit = vec4(0x10101010u);
    sum[0] += dot4((w & low) | ((fifth << vec4(4u)) & bit), activations[i][j % 4u]);
    sum[1] += dot4(((w >> vec4(4u)) & low) | ((fifth << vec4(3u)) & bit), activations[i + 2u][j % 4u]);
    sum[2] += dot4((w_2 & low) | ((fifth << vec4(2u)) & bit), activations[i + 4u][j % 4u]);
    sum[3] += dot4(((w_2 >> vec4(4u)) & low) | ((fifth << vec4(1u)) & bit), activations[i + 6u][j % 4u]);
  }

  // Six bits of four scales, and of four mins, in a word.
  let first = texel(cell, quad);
  let second = texel(cell, 4u + quad);
  let third = texel(cell, 8u + quad);
  let low = vec4(0x0f0f0f0fu);
  let high = vec4(0x30303030u);
  let scales = select((third & low) | ((first >> vec4(2u)) & high), first & vec4(0x3f3f3f3fu), h == 0u);
  let mins = select(((third >> vec4(4u)) & low) | ((second >> vec4(2u)) & high), second & vec4(0x3f3f3f3fu), h == 0u);
  let d = halves(texel(cell, 12u + quad / 2u), quad);
  let dmin = halves(texel(cell, 14u + quad / 2u), quad);
  var rows = vec4(0.0);
  for (var i = 0u; i < 4u; i++) {
    let x = bitcast<vec4<f32>>(activations[s + i]);
    rows += vec4<f32>(sum[i]) * (d * byte(scales, i) * x.x) - dmin * byte(mins, i) * x.y;
  }
  return rows;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let first = 2u * (id.x + id.y * n.x);
  let quad = lane % 4u;
  let at = group_at(first + lane / 4u % 2u);
  let a = select(0u, step.logit_token, params.of_logits == 1u) * params.in_stride / 4u;
  let first_cell = at.index * (K / 256u);
  var rows = vec4(0.0);
  var rows_2 = vec4(0.0);
  var squares = 0.0;
  for (var i = lane / 8u; i < K / 128u && at.on; i += LANES / 8u) {
    let cell = first_cell + i / 2u;
    rows += half_cell(cell_at(params.places[at.segment], cell), i % 2u, quad, a + 8u * i, a + K / 16u + 4u * i);
    if (EPILOGUE == 2u) {
      rows_2 += half_cell(cell_at(params.places[1], cell), i % 2u, quad, a + 8u * i, a + K / 16u + 4u * i);
    }
    if (NORMED == 1u) {
      for (var s = 0u; s < 4u; s++) { squares += bitcast<f32>(activations[a + K / 16u + 4u * i + s].z); }
    }
  }
  finish(lane, first, rows, rows_2, squares);
}
