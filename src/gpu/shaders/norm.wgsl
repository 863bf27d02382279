// Adds a product to x if asked to, norms a token and emits it as activations (spec/plan.md, "norm").
//
// 0 step | 1 params | 2 y | 4 vectors | 5 x | 6 activations out. Dispatch: [tokens, 1, 1], a token a workgroup; an
// invocation takes columns 4 lane .. 4 lane + 3 of every 1,024. Mirrors rms_norm, layer_norm and add of kernels/scalar.cpp.

override K: u32 = 256u;
override POST: u32 = 0u;  // 0: the input is x; 1: x += y; 2: x += rms(y) * post weights; 3: the input is y
override NORM: u32 = 1u;  // 0 none, 1 RMSNorm, 2 LayerNorm
override EMIT: u32 = 1u;
override SLOTS: u32 = 256u;

struct Step { position: u32, n_tokens: u32, logit_token: u32, n_logits: u32 }
struct Params { post: u32, weights: u32, bias: u32, y_stride: u32, x_stride: u32, out_stride: u32, eps: f32 }

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> vectors: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> emitted: array<u32>;

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

var<workgroup> parts: array<f32, 256>;
var<workgroup> sums_of_16: array<f32, 16>;

// The sum over all invocations; each of them calls it.
fn total(lane: u32, part: f32) -> f32 {
  workgroupBarrier();
  parts[lane] = part;
  workgroupBarrier();
  if (lane < 16u) {
    var sum = 0.0;
    for (var i = lane; i < 256u; i += 16u) { sum += parts[i]; }
    sums_of_16[lane] = sum;
  }
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < 16u; i++) { sum += sums_of_16[i]; }
  return sum;
}

// Zeros where a column is none.
fn within(v: vec4<f32>, column: u32) -> vec4<f32> {
  return select(vec4(0.0), v, vec4(column) + vec4(0u, 1u, 2u, 3u) < vec4(K));
}

fn vector_at(first: u32, column: u32, otherwise: f32) -> vec4<f32> {
  if (first == 0xffffffffu) { return vec4(otherwise); }
  return vectors[(first + column) / 4u];
}

// Columns column .. + 3 of what is normed, after x has been added to.
fn input(token: u32, column: u32) -> vec4<f32> {
  if (POST == 3u) { return within(y[(token * params.y_stride + column) / 4u], column); }
  return within(x[(token * params.x_stride + column) / 4u], column);
}

fn add_to_x(lane: u32, token: u32) {
  var f = 1.0;
  if (POST == 2u) {
    var squares = 0.0;
    for (var c = 4u * lane; c < K; c += 1024u) {
      let v = within(y[(token * params.y_stride + c) / 4u], c);
      squares += dot(v, v);
    }
    f = inverseSqrt(total(lane, squares) / f32(K) + params.eps);
  }
  for (var c = 4u * lane; c < K; c += 1024u) {
    var v = within(y[(token * params.y_stride + c) / 4u], c);
    if (POST == 2u) { v = v * f * vector_at(params.post, c, 1.0); }
    x[(token * params.x_stride + c) / 4u] += v;
  }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let token = id.x;
  if (token >= step.n_tokens) { return; }
  if (POST == 1u || POST == 2u) { add_to_x(lane, token); }
  var mean = 0.0;
  var f = 1.0;
  if (NORM == 2u) {
    var sum = 0.0;
    for (var c = 4u * lane; c < K; c += 1024u) { sum += dot(input(token, c), vec4(1.0)); }
    mean = total(lane, sum) / f32(K);
  }
  if (NORM != 0u) {
    var squares = 0.0;
    for (var c = 4u * lane; c < K; c += 1024u) {
      let v = within(input(token, c) - mean, c);
      squares += dot(v, v);
    }
    f = inverseSqrt(total(lane, squares) / f32(K) + params.eps);
  }
  if (EMIT == 0u) { return; }
  for (var i = 0u; i < (K + 1023u) / 1024u; i++) {
    let column = 1024u * i + 4u * lane;
    let on = column < (K + 31u) / 32u * 32u;
    var v = vec4(0.0);
    if (column < K) {
      v = input(token, column);
      if (NORM != 0u) { v = (v - mean) * f * vector_at(params.weights, column, 1.0); }
      if (NORM == 2u) { v += vector_at(params.bias, column, 0.0); }
      v = within(v, column);
    }
    emit(lane, on, token * params.out_stride, K, column, v, 0.0);
  }
}
