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
// Workgroups [n_heads, ceil(n_tokens / QUERIES), 1]. HEAD_DIM even, at most 256; QUERIES 4, 8, 16 or, for
// contexts up to 65,536, 32; at most 2048 / HEAD_DIM. Mirrors scalar::attention with f16 keys and values.
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

// Loops are unrolled by eight: llvmpipe ends an invocation's loops after 65,535 iterations in all, so 131,072 positions in
// tiles of 64 leave 32 for a tile.

// dot plus the products of four tokens with one word of a key.
fn add_word(dot: vec4<f32>, word: u32, at: u32) -> vec4<f32> {
  let k = unpack2x16float(word);
  return fma(vec4(k.y), q4[at + 1u], fma(vec4(k.x), q4[at], dot));
}

// sums (of the word's lower and higher half) plus a word of a value by four weights.
fn add_value(sums: mat2x4<f32>, word: u32, weight: vec4<f32>) -> mat2x4<f32> {
  let v = unpack2x16float(word);
  return mat2x4(fma(vec4(v.x), weight, sums[0]), fma(vec4(v.y), weight, sums[1]));
}

fn capped(dot: vec4<f32>) -> vec4<f32> {
  let cap = bitcast<f32>(params[1].w);
  let s = dot * bitcast<f32>(params[1].z);
  if (cap == 0.0) { return s; }
  return cap * tanh(clamp(s / cap, vec4(-15.0), vec4(15.0)));
}

// The scores of four tokens, whose q begins at q0, with the key whose words are keys[k0 + 32 w].
fn score(q0: u32, k0: u32) -> vec4<f32> {
  var dot = vec4<f32>();
  var w = 0u;
  for (; w + 8u <= HEAD_DIM / 2u; w += 8u) {
    let k = k0 + w * 32u;
    let at = q0 + 2u * w;
    dot = add_word(dot, keys[k], at);
    dot = add_word(dot, keys[k + 32u], at + 2u);
    dot = add_word(dot, keys[k + 64u], at + 4u);
    dot = add_word(dot, keys[k + 96u], at + 6u);
    dot = add_word(dot, keys[k + 128u], at + 8u);
    dot = add_word(dot, keys[k + 160u], at + 10u);
    dot = add_word(dot, keys[k + 192u], at + 12u);
    dot = add_word(dot, keys[k + 224u], at + 14u);
  }
  if (HEAD_DIM % 16u == 0u) { return capped(dot); }
  for (; w < HEAD_DIM / 2u; w++) { dot = add_word(dot, keys[k0 + w * 32u], q0 + 2u * w); }
  return capped(dot);
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

  // Every invocation has up to three roles: the scores of four tokens with a position; the running softmax of (four tokens,
  // 16th of the tile); weighted values of four tokens, one word.
  let soft = t / 16u;
  var largest = vec4<f32>(LOWEST);
  var sum = vec4<f32>();
  let mine = t / words;
  var sums = mat2x4<f32>();
  for (var begin = oldest / tile * tile; begin <= last; begin += tile) {
    let p = begin + t % tile;
    var s = vec4<f32>(LOWEST);
    if (p >= oldest && p <= last) {
      s = select(s, score(t / tile * HEAD_DIM, cache0 + p / 32u * 32u * words + p % 32u), sees(token0 + t / tile * 4u, p));
    }
    w4[t] = s;
    workgroupBarrier();
    if (soft < fours) {
      var m = vec4<f32>(LOWEST);
      for (var j = soft * tile + t % 16u; j < (soft + 1u) * tile; j += 32u) { m = max(m, max(w4[j], w4[j + 16u])); }
      lanes4[t] = m;
    }
    workgroupBarrier();
    if (soft < fours) {
      var m = largest;
      for (var i = soft * 16u; i < soft * 16u + 16u; i += 8u) {
        m = max(m, max(max(lanes4[i], lanes4[i + 1u]), max(lanes4[i + 2u], lanes4[i + 3u])));
        m = max(m, max(max(lanes4[i + 4u], lanes4[i + 5u]), max(lanes4[i + 6u], lanes4[i + 7u])));
      }
      let factor = exp(largest - m);
      largest = m;
      sum *= factor;
      if (t % 16u == 0u) { factors4[soft] = factor; }
      for (var j = t % 16u; j < tile; j += 32u) {
        let at = soft * tile + j;
        let a = select(vec4<f32>(), exp(w4[at] - m), sees(token0 + soft * 4u, begin + j));
        let b = select(vec4<f32>(), exp(w4[at + 16u] - m), sees(token0 + soft * 4u, begin + j + 16u));
        w4[at] = a;
        w4[at + 16u] = b;
        sum += a + b;
      }
    }
    workgroupBarrier();
    if (mine < fours) {
      sums = mat2x4(sums[0] * factors4[mine], sums[1] * factors4[mine]);
      let v0 = cache0 + begin * words + t % words;
      let w0 = mine * tile;
      let end = min(tile, last + 1u - begin);
      var j = select(0u, oldest - begin, oldest > begin);
      for (; j + 8u <= end; j += 8u) {
        let v = v0 + j * words;
        let w = w0 + j;
        sums = add_value(sums, values[v], w4[w]);
        sums = add_value(sums, values[v + words], w4[w + 1u]);
        sums = add_value(sums, values[v + 2u * words], w4[w + 2u]);
        sums = add_value(sums, values[v + 3u * words], w4[w + 3u]);
        sums = add_value(sums, values[v + 4u * words], w4[w + 4u]);
        sums = add_value(sums, values[v + 5u * words], w4[w + 5u]);
        sums = add_value(sums, values[v + 6u * words], w4[w + 6u]);
        sums = add_value(sums, values[v + 7u * words], w4[w + 7u]);
      }
      for (; j < end; j++) { sums = add_value(sums, values[v0 + j * words], w4[w0 + j]); }
    }
    workgroupBarrier();
  }

  if (soft < fours) { lanes4[t] = sum; }
  workgroupBarrier();
  if (mine < fours) {
    var total = vec4<f32>();
    for (var i = 0u; i < 16u; i++) { total += lanes4[mine * 16u + i]; }
    let low = sums[0] / total;
    let high = sums[1] / total;
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
