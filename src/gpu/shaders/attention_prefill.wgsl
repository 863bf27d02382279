// Causal attention of a step's tokens, whose keys and values are in the cache already: flash style, a tile of QUERIES
// tokens of one head against tiles of positions, with running largest scores and sums; nothing grows with the sequence.
//
//   0 step      uniform   position of the first token, n_tokens
//   1 params    uniform   0 where q begins in a token of qkv; 5 window (0: none); 6 scale, 7 soft cap (0: none); 9 context;
//                         11 floats a token of qkv; 12 floats a token of attended (others: rope_store's, unused)
//   2 qkv       f32       [token]: q [n_heads][HEAD_DIM], rotated
//   3 keys      u32       [kv head][context / 32][HEAD_DIM / 2][32]: two f16 of one position a word
//   4 values    u32       [kv head][context][HEAD_DIM / 2]
//   5 attended  f32       [token][n_heads][HEAD_DIM]
//
// Workgroups [n_heads, ceil(n_tokens / QUERIES), 1]. HEAD_DIM even, at most 256; QUERIES 4, 8, 16 or 32, at most
// 2048 / HEAD_DIM. Mirrors scalar::attention with f16 keys and values.
override HEAD_DIM: u32 = 64u;
override GROUP: u32 = 1u;     // heads of a kv head
override QUERIES: u32 = 32u;

const WG = 256u;
const LOWEST = -3.0e38;

struct Step { position: u32, n_tokens: u32, logit_token: u32, n_logits: u32 }
@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> params: array<vec4<u32>, 4>;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(3) var<storage, read> keys: array<u32>;
@group(0) @binding(4) var<storage, read> values: array<u32>;
@group(0) @binding(5) var<storage, read_write> attended: array<f32>;

// Vectors of four are four tokens of the tile side by side.
var<workgroup> q4: array<vec4<f32>, 512>;      // [QUERIES / 4][HEAD_DIM]
var<workgroup> w4: array<vec4<f32>, 256>;      // [QUERIES / 4][positions of a tile]: scores, then weights
var<workgroup> lanes4: array<vec4<f32>, 128>;  // [QUERIES / 4][16]
var<workgroup> factors4: array<vec4<f32>, 8>;  // [QUERIES / 4]: what the sums so far are multiplied by

// The scores of four tokens at 32-bit words of one key.
fn score(q0: u32, k0: u32) -> vec4<f32> {
  var dot = vec4<f32>();
  var w = 0u;
  for (; w + 4u <= HEAD_DIM / 2u; w += 4u) {
    let a = unpack2x16float(keys[k0 + w * 32u]);
    let b = unpack2x16float(keys[k0 + w * 32u + 32u]);
    let c = unpack2x16float(keys[k0 + w * 32u + 64u]);
    let d = unpack2x16float(keys[k0 + w * 32u + 96u]);
    let at = q0 + 2u * w;
    dot = fma(vec4(a.x), q4[at], dot);
    dot = fma(vec4(a.y), q4[at + 1u], dot);
    dot = fma(vec4(b.x), q4[at + 2u], dot);
    dot = fma(vec4(b.y), q4[at + 3u], dot);
    dot = fma(vec4(c.x), q4[at + 4u], dot);
    dot = fma(vec4(c.y), q4[at + 5u], dot);
    dot = fma(vec4(d.x), q4[at + 6u], dot);
    dot = fma(vec4(d.y), q4[at + 7u], dot);
  }
  for (; w < HEAD_DIM / 2u; w++) {
    let a = unpack2x16float(keys[k0 + w * 32u]);
    dot = fma(vec4(a.x), q4[q0 + 2u * w], dot);
    dot = fma(vec4(a.y), q4[q0 + 2u * w + 1u], dot);
  }
  let cap = bitcast<f32>(params[1].w);
  let s = dot * bitcast<f32>(params[1].z);
  if (cap == 0.0) { return s; }
  return cap * tanh(clamp(s / cap, vec4(-15.0), vec4(15.0)));
}

// Which of the four tokens from `first` on see position p.
fn sees(first: u32, p: u32) -> vec4<bool> {
  let at = vec4(step.position + first) + vec4(0u, 1u, 2u, 3u);
  let window = params[1].y;
  return (vec4(p) <= at) & ((at - vec4(p) < vec4(window)) | vec4(window == 0u));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let token0 = group.y * QUERIES;
  let n = step.n_tokens;
  if (token0 >= n) { return; }
  let fours = QUERIES / 4u;
  let tile = 1024u / QUERIES;                  // positions: a multiple of 32
  let words = HEAD_DIM / 2u;
  let window = params[1].y;
  let cache0 = group.x / GROUP * params[2].y * words;
  let first = step.position + token0;
  let last = step.position + min(n, token0 + QUERIES) - 1u;
  let oldest = select(0u, first + 1u - window, window != 0u && first >= window);

  for (var i = t; i < fours * HEAD_DIM; i += WG) {
    let at = params[0].x + group.x * HEAD_DIM + i % HEAD_DIM;
    let token = vec4(token0 + i / HEAD_DIM * 4u) + vec4(0u, 1u, 2u, 3u);
    let start = vec4(at) + min(token, vec4(n - 1u)) * params[2].w;
    q4[i] = vec4(qkv[start.x], qkv[start.y], qkv[start.z], qkv[start.w]);
  }
  workgroupBarrier();

  // Every invocation has up to three roles: scores of items (four tokens, position); the running softmax of (four tokens,
  // 16th of the tile); weighted values of one item (four tokens, word).
  let soft = t / 16u;
  var largest = vec4<f32>(LOWEST);
  var sum = vec4<f32>();
  let mine = t / words;
  var low = vec4<f32>();
  var high = vec4<f32>();
  for (var begin = oldest / tile * tile; begin <= last; begin += tile) {
    for (var i = t; i < fours * tile; i += WG) {
      let p = begin + i % tile;
      var s = vec4<f32>(LOWEST);
      if (p >= oldest && p <= last) {
        s = select(s, score(i / tile * HEAD_DIM, cache0 + p / 32u * 32u * words + p % 32u), sees(token0 + i / tile * 4u, p));
      }
      w4[i] = s;
    }
    workgroupBarrier();
    if (soft < fours) {
      var m = vec4<f32>(LOWEST);
      for (var j = t % 16u; j < tile; j += 16u) { m = max(m, w4[soft * tile + j]); }
      lanes4[t] = m;
    }
    workgroupBarrier();
    if (soft < fours) {
      var m = largest;
      for (var i = 0u; i < 16u; i += 4u) {
        let at = soft * 16u + i;
        m = max(m, max(max(lanes4[at], lanes4[at + 1u]), max(lanes4[at + 2u], lanes4[at + 3u])));
      }
      let factor = exp(largest - m);
      largest = m;
      sum *= factor;
      if (t % 16u == 0u) { factors4[soft] = factor; }
      for (var j = t % 16u; j < tile; j += 16u) {
        let e = select(vec4<f32>(), exp(w4[soft * tile + j] - m), sees(token0 + soft * 4u, begin + j));
        w4[soft * tile + j] = e;
        sum += e;
      }
    }
    workgroupBarrier();
    if (mine < fours) {
      low *= factors4[mine];
      high *= factors4[mine];
      let v0 = cache0 + begin * words + t % words;
      let w0 = mine * tile;
      let end = min(tile, last + 1u - begin);
      var j = select(0u, oldest - begin, oldest > begin);
      for (; j + 4u <= end; j += 4u) {
        let a = unpack2x16float(values[v0 + j * words]);
        let b = unpack2x16float(values[v0 + (j + 1u) * words]);
        let c = unpack2x16float(values[v0 + (j + 2u) * words]);
        let d = unpack2x16float(values[v0 + (j + 3u) * words]);
        low = fma(vec4(a.x), w4[w0 + j], low);
        high = fma(vec4(a.y), w4[w0 + j], high);
        low = fma(vec4(b.x), w4[w0 + j + 1u], low);
        high = fma(vec4(b.y), w4[w0 + j + 1u], high);
        low = fma(vec4(c.x), w4[w0 + j + 2u], low);
        high = fma(vec4(c.y), w4[w0 + j + 2u], high);
        low = fma(vec4(d.x), w4[w0 + j + 3u], low);
        high = fma(vec4(d.y), w4[w0 + j + 3u], high);
      }
      for (; j < end; j++) {
        let a = unpack2x16float(values[v0 + j * words]);
        low = fma(vec4(a.x), w4[w0 + j], low);
        high = fma(vec4(a.y), w4[w0 + j], high);
      }
    }
    workgroupBarrier();
  }

  if (soft < fours) { lanes4[t] = sum; }
  workgroupBarrier();
  if (mine < fours) {
    var total = vec4<f32>();
    for (var i = 0u; i < 16u; i++) { total += lanes4[mine * 16u + i]; }
    low /= total;
    high /= total;
    for (var c = 0u; c < 4u; c++) {
      let token = token0 + mine * 4u + c;
      if (token < n) {
        let at = token * params[3].x + group.x * HEAD_DIM + t % words * 2u;
        attended[at] = low[c];
        attended[at + 1u] = high[c];
      }
    }
  }
}
