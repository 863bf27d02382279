// Rows of a matrix of any type, dequantised, to x and activations (spec/plan.md, "embed"; spec/cells.md).
//
// 0 step | 1 params | 2 matrix, rows of K columns | 3 tokens | 4 vectors | 5 x | 6 activations out
// Dispatch: [ceil(K / 256), tokens, 1]; an invocation takes 4 columns. Mirrors tensor/dequantize.cpp.

override TYPE: u32 = 8u;  // GGUF's id
override K: u32 = 256u;
override CELLS_PER_ROW: u32 = 64u;
override ROWS_PER_LAYER: u32 = 8192u;
override SOURCE: u32 = 0u;
override ADD: u32 = 0u;
override EMIT: u32 = 0u;
override SLOTS: u32 = 64u;
override FLOATS: u32 = select(0u, 1u, TYPE <= 1u || TYPE == 30u);
override SUPER: u32 = select(0u, 1u, TYPE >= 12u && TYPE <= 14u);
override HEAD: u32 = select(4u + TYPE % 2u * 4u, 4u, TYPE == 8u);  // texels of d and m, where blocks are of 32
override CELL_TEXELS: u32 = select(
    select(select(36u + TYPE / 4u * 8u + TYPE % 2u * 4u, 68u, TYPE == 8u),
           select(212u, select(144u, 176u, TYPE == 13u), TYPE < 14u), SUPER == 1u),
    select(128u, 256u, TYPE == 0u), FLOATS == 1u);
override CELL_COLUMNS: u32 = select(64u, 256u, SUPER == 1u);

struct Step { position: u32, n_tokens: u32, logit_token: u32, n_logits: u32 }
struct Params { place: vec4<u32>, norm: u32, x_stride: u32, out_stride: u32, scale: f32 }

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var weights: texture_2d_array<u32>;
@group(0) @binding(3) var<storage, read> tokens: array<u32>;
@group(0) @binding(4) var<storage, read> vectors: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> emitted: array<u32>;

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

// Row r's word of the vector at texel t.
fn word_at(cell: vec3<u32>, t: u32, r: u32) -> u32 { return texel(cell, t + r / 4u)[r % 4u]; }

// Row r's float16 of the 16 from texel t on.
fn half_at(cell: vec3<u32>, t: u32, r: u32) -> f32 {
  return unpack2x16float(texel(cell, t + r / 8u)[r / 2u % 4u])[r % 2u];
}

fn bytes(word: u32) -> vec4<f32> { return vec4<f32>(unpack4xU8(word)); }

fn float_column(cell: vec3<u32>, c: u32, r: u32) -> f32 {
  if (TYPE == 0u) { return bitcast<f32>(word_at(cell, 4u * c, r)); }
  if (TYPE == 1u) { return half_at(cell, 2u * c, r); }
  return bitcast<f32>((texel(cell, 2u * c + r / 8u)[r / 2u % 4u] >> (r % 2u * 16u)) << 16u);
}

// Columns c .. c + 3 of a cell of blocks of 32.
fn small_block(cell: vec3<u32>, c: u32, r: u32) -> vec4<f32> {
  let b = c / 32u;
  let j = c / 4u % 8u;
  let d = half_at(cell, 2u * b, r);
  if (TYPE == 8u) { return d * vec4<f32>(unpack4xI8(word_at(cell, HEAD + 32u * b + 4u * j, r))); }
  var v = HEAD + 16u * b + 4u * (j % 4u);
  var q = 0u;
  if (TYPE >= 6u) {
    let h = (word_at(cell, HEAD + 20u * b, r) >> (4u * j)) & 15u;
    q = (h * 0x02040810u) & 0x10101010u;
    v += 4u * b + 4u;
  }
  q |= (word_at(cell, v, r) >> (j / 4u * 4u)) & 0x0f0f0f0fu;
  if (TYPE % 2u == 1u) { return d * bytes(q) + half_at(cell, 4u + 2u * b, r); }
  return d * (bytes(q) - select(8.0, 16.0, TYPE == 6u));
}

// Columns c .. c + 3 of a cell of 256.
fn super_block(cell: vec3<u32>, c: u32, r: u32) -> vec4<f32> {
  let s = c / 32u;
  let j = c / 4u % 8u;
  if (TYPE == 14u) {
    let v = 20u + 4u * (c / 128u * 24u + 3u * j);
    let low = (word_at(cell, v + s % 2u * 4u, r) >> (s % 4u / 2u * 4u)) & 0x0f0f0f0fu;
    let high = (word_at(cell, v + 8u, r) >> (s % 4u * 2u)) & 0x03030303u;
    let scale = unpack4xI8(word_at(cell, 4u + c / 64u * 4u, r))[c / 16u % 4u];
    return (half_at(cell, 0u, r) * f32(scale)) * (bytes(low | (high << 4u)) - 32.0);
  }
  let i = 8u * (s % 4u);
  let first = word_at(cell, 0u, r) >> i;
  let second = word_at(cell, 4u, r) >> i;
  let third = word_at(cell, 8u, r) >> i;
  var scale = first & 63u;
  var minimum = second & 63u;
  if (s >= 4u) {
    scale = (third & 15u) | ((first >> 2u) & 48u);
    minimum = ((third >> 4u) & 15u) | ((second >> 2u) & 48u);
  }
  var v = 16u + 4u * (s / 2u * 8u + j);
  var q = 0u;
  if (TYPE == 13u) {
    v = 16u + 20u * j;
    q = ((word_at(cell, v, r) >> s) & 0x01010101u) << 4u;
    v += 4u + s / 2u * 4u;
  }
  q |= (word_at(cell, v, r) >> (s % 2u * 4u)) & 0x0f0f0f0fu;
  return (half_at(cell, 12u, r) * f32(scale)) * bytes(q) - half_at(cell, 14u, r) * f32(minimum);
}

fn columns(row: u32, column: u32) -> vec4<f32> {
  let cells = (K + CELL_COLUMNS - 1u) / CELL_COLUMNS;
  let cell = cell_at(params.place, row / 16u * cells + column / CELL_COLUMNS);
  let c = column % CELL_COLUMNS;
  let r = row % 16u;
  if (FLOATS == 1u) {
    return vec4(float_column(cell, c, r), float_column(cell, c + 1u, r),
                float_column(cell, c + 2u, r), float_column(cell, c + 3u, r));
  }
  if (SUPER == 1u) { return super_block(cell, c, r); }
  return small_block(cell, c, r);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let token = id.y;
  let column = 256u * id.x + 4u * lane;
  let on = column < (K + 31u) / 32u * 32u && token < step.n_tokens;
  var value = vec4(0.0);
  if (on) {
    let row = select(tokens[token], step.position + token, SOURCE == 1u);
    let i = (token * params.x_stride + column) / 4u;
    value = columns(row, column);
    if (ADD == 1u) { value += x[i]; } else { value *= params.scale; }
    x[i] = value;
  }
  if (EMIT != 0u) {
    let squares = dot(value, value);
    if (on && params.norm != 0xffffffffu) { value *= vectors[(params.norm + column) / 4u]; }
    emit(lane, on, token * params.out_stride, K, column, value, squares);
  }
}
