// Activations of many tokens times Q4_K or Q5_K (spec/plan.md, "Products"; spec/cells.md).
//
// 0 step | 1 params | 2 weights, n_groups groups of 16 rows by K columns | 3 activations of K columns | 4 vectors
// 5 y or x | 6 activations out, a column for each row.
// Dispatch: [ceil(16 groups / ROW_TILE), ceil(tokens / TOKEN_TILE), 1], a tile of rows by tokens a workgroup.
// Step by step along K weights and activations go to workgroup memory; an invocation multiplies 4 rows by 4 tokens.
// Features: packed dot products. Mirrors scalar::matmul of kernels/scalar_products.cpp; the order of sums is its own.

override TYPE: u32 = 12u;  // GGUF's id
override K: u32 = 256u;
override CELL_TEXELS: u32 = select(176u, 144u, TYPE == 12u);
override SCALES: u32 = 1u;  // scales a block
override MINS: u32 = 1u;    // 1: there are mins
override STEPS_A_CELL: u32 = 4u;
override CELLS: u32 = K / 256u;  // of a group
override ROW_TILE: u32 = 64u;    // 32 or 64
override TOKEN_TILE: u32 = 64u;  // a multiple of 4 up to 64
override LANES: u32 = ROW_TILE * TOKEN_TILE / 16u;
override SLOTS: u32 = LANES;
override QUADS: u32 = ROW_TILE / 4u;

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

// ---- shared: matmul
var<workgroup> squares_in: array<f32, 2u * TOKEN_TILE>;  // of each token, in two parts

struct Tokens { first: u32, count: u32 }

fn tokens() -> Tokens {
  if (params.of_logits == 1u) { return Tokens(step.logit_token, step.n_logits); }
  return Tokens(0u, step.n_tokens);
}

// Cell n of the group of a quad of the tile, of the second matrix if asked for.
fn tile_cell(first: u32, quad: u32, second: bool, cells: u32, n: u32) -> vec3<u32> {
  let at = group_at(first + quad / 4u);
  let place = params.places[select(at.segment, 1u, second)];
  return cell_at(place, min(at.index, place.w - 1u) * cells + n);
}

// From sums of a quad's rows (sum_2: of the second matrix) and one token to y, x and activations. Every invocation
// calls it.
fn finish(lane: u32, first: u32, token: u32, sum: vec4<f32>, sum_2: vec4<f32>) {
  let quad = lane % QUADS;
  let at = group_at(first + quad / 4u);
  let on = at.on && token < tokens().count;
  let row = 16u * first + 4u * quad;
  var value = vec4(0.0);
  if (on) {
    var f = 1.0;
    if (NORMED == 1u) {
      let i = token % TOKEN_TILE * 2u;
      f = inverseSqrt((squares_in[i] + squares_in[i + 1u]) / f32(K) + params.eps);
    }
    value = f * sum + bias(at, quad % 4u);
    let i = (params.y_at + token * params.y_stride + row) / 4u;
    if (EPILOGUE == 1u) { value += y[i]; }
    if (EPILOGUE <= 1u) { y[i] = value; }
    if (EPILOGUE >= 2u) { value = activate(value); }
    if (EPILOGUE == 2u) { value *= f * sum_2 + bias(Group(1u, at.index, true), quad % 4u); }
  }
  if (EMIT != 0u) {
    let squares = dot(value, value);
    if (on && params.norm != 0xffffffffu) { value *= vectors[(params.norm + row) / 4u]; }
    emit(lane, on, token * params.out_stride, 16u * params.places[0].w, row, value, squares);
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = id.x * (ROW_TILE / 16u);
  let token = id.y * TOKEN_TILE;
  let sum = multiply(lane, first, token, false);
  var sum_2 = mat4x4<f32>();
  if (EPILOGUE == 2u) { sum_2 = multiply(lane, first, token, true); }
  workgroupBarrier();
  let own = token + lane / QUADS * 4u;
  finish(lane, first, own, sum[0], sum_2[0]);
  finish(lane, first, own + 1u, sum[1], sum_2[1]);
  finish(lane, first, own + 2u, sum[2], sum_2[2]);
  finish(lane, first, own + 3u, sum[3], sum_2[3]);
}
// ---- end

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

// ---- shared: multiply
// A step is 64 columns, two blocks of 32.
var<workgroup> w_tile: array<vec4<u32>, 4u * ROW_TILE>;                // [block][word][quad]: 4 rows of 4 columns
var<workgroup> scales: array<vec4<f32>, SCALES * (ROW_TILE / 2u)>;     // [block][half][quad]; one half if SCALES is 1
var<workgroup> mins: array<vec4<f32>, ROW_TILE / 2u>;                      // [block][quad]
var<workgroup> x_tile: array<vec4<u32>, 4u * TOKEN_TILE>;              // [token][block][half]
var<workgroup> x_scales: array<vec2<f32>, 2u * TOKEN_TILE>;            // [token][block]: dx, sx

// 16 columns: four words of a quad's rows from workgroup memory times one token.
fn dot16(w: array<vec4<u32>, 4>, a: vec4<u32>) -> vec4<i32> {
  return dot4(w[0], a.x) + dot4(w[1], a.y) + dot4(w[2], a.z) + dot4(w[3], a.w);
}

fn load_step(lane: u32, first: u32, first_token: u32, second: bool, s: u32) {
  for (var i = lane; i < 8u * QUADS; i += LANES) {
    load(tile_cell(first, i % QUADS, second, CELLS, s / STEPS_A_CELL), s % STEPS_A_CELL, i / QUADS, i % QUADS);
  }
  for (var i = lane; i < 2u * QUADS; i += LANES) {
    load_scales(tile_cell(first, i % QUADS, second, CELLS, s / STEPS_A_CELL), s % STEPS_A_CELL, i / QUADS, i % QUADS);
  }
  let all = tokens();
  for (var i = lane; i < 4u * TOKEN_TILE; i += LANES) {
    let token = first_token + i / 4u;
    var x = vec4(0u);
    if (token < all.count) {
      x = activations[(all.first + token) * params.in_stride / 4u + 2u * block_at(s, i / 2u % 2u) + i % 2u];
    }
    x_tile[i] = x;
  }
  if (lane < 2u * TOKEN_TILE) {
    let token = first_token + lane / 2u;
    var x = vec4(0.0);
    if (token < all.count) {
      let i = (all.first + token) * params.in_stride / 4u + K_PADDED / 16u + block_at(s, lane % 2u);
      x = bitcast<vec4<f32>>(activations[i]);
    }
    x_scales[lane] = x.xy;
    if (!second) { squares_in[lane] += x.z; }
  }
}

// Products of 4 rows (vectors) and 4 tokens; every invocation calls it.
fn multiply(lane: u32, first: u32, first_token: u32, second: bool) -> mat4x4<f32> {
  if (!second && lane < 2u * TOKEN_TILE) { squares_in[lane] = 0.0; }
  let quad = lane % QUADS;
  let token = lane / QUADS * 4u;
  var out = mat4x4<f32>();
  for (var s = 0u; s < (K + 63u) / 64u; s++) {
    workgroupBarrier();
    load_step(lane, first, first_token, second, s);
    workgroupBarrier();
    for (var b = 0u; b < 2u; b++) {
      let x_0 = x_scales[2u * token + b];
      let x_1 = x_scales[2u * token + b + 2u];
      let x_2 = x_scales[2u * token + b + 4u];
      let x_3 = x_scales[2u * token + b + 6u];
      var sum_0 = vec4(0i);
      var sum_1 = vec4(0i);
      var sum_2 = vec4(0i);
      var sum_3 = vec4(0i);
      for (var half = 0u; half < 2u; half++) {
        let i = (8u * b + 4u * half) * QUADS + quad;
        let w = array(w_tile[i], w_tile[i + QUADS], w_tile[i + 2u * QUADS], w_tile[i + 3u * QUADS]);
        let x = 4u * token + 2u * b + half;
        sum_0 += dot16(w, x_tile[x]);
        sum_1 += dot16(w, x_tile[x + 4u]);
        sum_2 += dot16(w, x_tile[x + 8u]);
        sum_3 += dot16(w, x_tile[x + 12u]);
        if (SCALES == 2u || half == 1u) {
          let d = scales[(b * SCALES + half * (SCALES - 1u)) * QUADS + quad];
          out[0] += vec4<f32>(sum_0) * (d * x_0.x);
          out[1] += vec4<f32>(sum_1) * (d * x_1.x);
          out[2] += vec4<f32>(sum_2) * (d * x_2.x);
          out[3] += vec4<f32>(sum_3) * (d * x_3.x);
          sum_0 = vec4(0i);
          sum_1 = vec4(0i);
          sum_2 = vec4(0i);
          sum_3 = vec4(0i);
        }
      }
      if (MINS == 1u) {
        let m = mins[b * QUADS + quad];
        out[0] += m * x_0.y;
        out[1] += m * x_1.y;
        out[2] += m * x_2.y;
        out[3] += m * x_3.y;
      }
    }
  }
  return out;
}
// ---- end

fn block_at(s: u32, b: u32) -> u32 { return 2u * s + b; }

// Vector j of columns 64 c .. 64 c + 63 to the tile's quad.
fn load(cell: vec3<u32>, c: u32, j: u32, quad: u32) {
  var v = 16u + 4u * (8u * c + j) + quad % 4u;
  var h = vec4(0u);
  if (TYPE == 13u) {
    v = 16u + 20u * j + quad % 4u;
    h = texel(cell, v) >> vec4(2u * c);
    v += 4u + 4u * c;
  }
  let w = texel(cell, v);
  let low = vec4(0x0f0f0f0fu);
  let bit = vec4(0x10101010u);
  w_tile[j * QUADS + quad] = (w & low) | ((h << vec4(4u)) & bit);
  w_tile[(8u + j) * QUADS + quad] = ((w >> vec4(4u)) & low) | ((h << vec4(3u)) & bit);
}

// Byte i of a word a row.
fn byte(words: vec4<u32>, i: u32) -> vec4<u32> { return (words >> vec4(8u * i)) & vec4(255u); }

// Scale and min of sub-block 2 c + b.
fn load_scales(cell: vec3<u32>, c: u32, b: u32, quad: u32) {
  let i = 2u * c % 4u + b;
  let first = byte(texel(cell, quad % 4u), i);
  let second = byte(texel(cell, 4u + quad % 4u), i);
  let third = byte(texel(cell, 8u + quad % 4u), i);
  var scale = first & vec4(63u);
  var minimum = second & vec4(63u);
  if (c >= 2u) {
    scale = (third & vec4(15u)) | ((first >> vec4(2u)) & vec4(48u));
    minimum = (third >> vec4(4u)) | ((second >> vec4(2u)) & vec4(48u));
  }
  scales[b * QUADS + quad] = halves(texel(cell, 12u + quad % 4u / 2u), quad) * vec4<f32>(scale);
  mins[b * QUADS + quad] = -halves(texel(cell, 14u + quad % 4u / 2u), quad) * vec4<f32>(minimum);
}
