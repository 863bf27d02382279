// softmax(Q K^T / sqrt(d)) V: flash style, 16 queries and 64 columns of V a workgroup against tiles of 64 keys; nothing
// grows with the sequence, and d and d_v are any.
//
//   1 params  uniform    0 queries; 1 keys; 2 d; 3 d_v; 4 scale (bits); 5: 1 when query t sees keys 0..t only
//   2 q       f32 / f16  [queries][d]
//   3 k       f32 / f16  [keys][d]
//   4 v       f32 / f16  [keys][d_v]
//   5 y       f32        [queries][d_v]
//
// Workgroups [ceil(d_v / 64), ceil(queries / 16), 1]. The host may write f16 for f32 in the alias. Loops are unrolled by eight:
// llvmpipe ends an invocation's loops after 65,535 iterations in all.
alias real = f32;

const WG = 256u;
const KEYS = 64u;
const DEPTH = 32u;     // of d at a time
const STRIDE = 33u;    // of k_tile, against bank conflicts
const LOWEST = -3.0e38;

@group(0) @binding(1) var<uniform> params: array<vec4<u32>, 2>;
@group(0) @binding(2) var<storage, read> q: array<real>;
@group(0) @binding(3) var<storage, read> k: array<real>;
@group(0) @binding(4) var<storage, read> v: array<real>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

// Vectors of four are four queries side by side.
var<workgroup> q4: array<vec4<f32>, 128>;      // [queries / 4][DEPTH]
var<workgroup> k_tile: array<f32, 2112>;       // [KEYS][STRIDE]
var<workgroup> w4: array<vec4<f32>, 256>;      // [queries / 4][KEYS]: scores, then weights
var<workgroup> lanes4: array<vec4<f32>, 64>;   // [queries / 4][16]
var<workgroup> factors4: array<vec4<f32>, 4>;

fn load_q(query: u32, i: u32) -> f32 {
  if (query >= params[0].x || i >= params[0].z) { return 0.0; }
  return f32(q[query * params[0].z + i]);
}

fn load_k(key: u32, i: u32) -> f32 {
  if (key >= params[0].y || i >= params[0].z) { return 0.0; }
  return f32(k[key * params[0].z + i]);
}

fn load_v(key: u32, column: u32) -> f32 {
  if (key >= params[0].y || column >= params[0].w) { return 0.0; }
  return f32(v[key * params[0].w + column]);
}

fn add_score(dot: vec4<f32>, q0: u32, k0: u32) -> vec4<f32> {
  let a = fma(vec4(k_tile[k0 + 1u]), q4[q0 + 1u], fma(vec4(k_tile[k0]), q4[q0], dot));
  return fma(vec4(k_tile[k0 + 3u]), q4[q0 + 3u], fma(vec4(k_tile[k0 + 2u]), q4[q0 + 2u], a));
}

fn sees(first: u32, key: u32) -> vec4<bool> {
  let query = vec4(first) + vec4(0u, 1u, 2u, 3u);
  return (vec4(key) < vec4(params[0].y)) & ((vec4(key) <= query) | vec4(params[1].y == 0u));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let query0 = group.y * 16u;
  let four = t / 64u;                    // of the scores and of the weighted values
  let soft = t / 16u;                    // of the running softmax, below 4
  let column = group.x * 64u + t % 64u;
  let end = select(params[0].y, min(params[0].y, query0 + 16u), params[1].y != 0u);
  var largest = vec4<f32>(LOWEST);
  var sum = vec4<f32>();
  var total = vec4<f32>();
  for (var key0 = 0u; key0 < end; key0 += KEYS) {
    var dot = vec4<f32>();
    for (var d0 = 0u; d0 < params[0].z; d0 += DEPTH) {
      if (t < 128u) {
        let query = query0 + t / DEPTH * 4u;
        let i = d0 + t % DEPTH;
        q4[t] = vec4(load_q(query, i), load_q(query + 1u, i), load_q(query + 2u, i), load_q(query + 3u, i));
      }
      for (var j = t / DEPTH; j < KEYS; j += 32u) {
        let i = d0 + t % DEPTH;
        let at = j * STRIDE + t % DEPTH;
        k_tile[at] = load_k(key0 + j, i);
        k_tile[at + 8u * STRIDE] = load_k(key0 + j + 8u, i);
        k_tile[at + 16u * STRIDE] = load_k(key0 + j + 16u, i);
        k_tile[at + 24u * STRIDE] = load_k(key0 + j + 24u, i);
      }
      workgroupBarrier();
      for (var i = 0u; i < DEPTH; i += 8u) {
        dot = add_score(dot, four * DEPTH + i, t % 64u * STRIDE + i);
        dot = add_score(dot, four * DEPTH + i + 4u, t % 64u * STRIDE + i + 4u);
      }
      workgroupBarrier();
    }
    w4[t] = select(vec4(LOWEST), dot * bitcast<f32>(params[1].x), sees(query0 + four * 4u, key0 + t % 64u));
    workgroupBarrier();
    if (soft < 4u) {
      let at = soft * KEYS + t % 16u;
      lanes4[t] = max(max(w4[at], w4[at + 16u]), max(w4[at + 32u], w4[at + 48u]));
    }
    workgroupBarrier();
    if (soft < 4u) {
      var m = largest;
      for (var i = soft * 16u; i < soft * 16u + 16u; i += 8u) {
        m = max(m, max(max(lanes4[i], lanes4[i + 1u]), max(lanes4[i + 2u], lanes4[i + 3u])));
        m = max(m, max(max(lanes4[i + 4u], lanes4[i + 5u]), max(lanes4[i + 6u], lanes4[i + 7u])));
      }
      let factor = exp(largest - m);
      largest = m;
      if (t % 16u == 0u) { factors4[soft] = factor; }
      var added = vec4<f32>();
      for (var j = t % 16u; j < KEYS; j += 32u) {
        let at = soft * KEYS + j;
        let a = select(vec4<f32>(), exp(w4[at] - m), sees(query0 + soft * 4u, key0 + j));
        let b = select(vec4<f32>(), exp(w4[at + 16u] - m), sees(query0 + soft * 4u, key0 + j + 16u));
        w4[at] = a;
        w4[at + 16u] = b;
        added += a + b;
      }
      sum = fma(sum, factor, added);
    }
    workgroupBarrier();
    var added = vec4<f32>();
    for (var j = 0u; j < KEYS; j += 8u) {
      let at = four * KEYS + j;
      let key = key0 + j;
      added = fma(vec4(load_v(key, column)), w4[at], added);
      added = fma(vec4(load_v(key + 1u, column)), w4[at + 1u], added);
      added = fma(vec4(load_v(key + 2u, column)), w4[at + 2u], added);
      added = fma(vec4(load_v(key + 3u, column)), w4[at + 3u], added);
      added = fma(vec4(load_v(key + 4u, column)), w4[at + 4u], added);
      added = fma(vec4(load_v(key + 5u, column)), w4[at + 5u], added);
      added = fma(vec4(load_v(key + 6u, column)), w4[at + 6u], added);
      added = fma(vec4(load_v(key + 7u, column)), w4[at + 7u], added);
    }
    total = fma(total, factors4[four], added);
    workgroupBarrier();
  }
  if (soft < 4u) { lanes4[t] = sum; }
  workgroupBarrier();
  var weights = vec4<f32>();
  for (var i = 0u; i < 16u; i++) { weights += lanes4[four * 16u + i]; }
  total /= weights;
  for (var c = 0u; c < 4u; c++) {
    let query = query0 + four * 4u + c;
    if (query < params[0].x && column < params[0].w) { y[query * params[0].w + column] = total[c]; }
  }
}
