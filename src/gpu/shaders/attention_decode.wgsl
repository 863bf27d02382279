// Attention of one new token, split over the sequence: rotates q and k, stores k and v into the cache, and gives the
// sums of each chunk of CHUNK positions, which attention_join adds up. Flash style: the only scores are a chunk's.
//
//   0 step      uniform   position of the token
//   1 params    uniform   0-2 where q, k, v begin in qkv; 3, 4 weights of the heads' norms in vectors; 5 window (0: none);
//                         6 scale, 7 soft cap (0: none), 8 eps (bits); 9 context; 10 chunks that parts has room for
//   2 qkv       f32       one token's q [n_heads][HEAD_DIM], k and v [n_kv_heads][HEAD_DIM]
//   3 rope      vec2<f32> cosine and sine [N_ROT / 2]
//   4 vectors   f32
//   5 keys      u32       [kv head][context / 32][HEAD_DIM / 2][32]: two f16 of one position a word
//   6 values    u32       [kv head][context][HEAD_DIM / 2]
//   7 parts     f32       [head][chunk][up(HEAD_DIM, 4) + 4]: weighted values, the largest score, the sum of weights
//
// Workgroups [kv heads, ceil((position + 1) / CHUNK), 1]; the last chunk's stores k and v. HEAD_DIM even, at most 256;
// GROUP at most 16; CHUNK 32, 64, 128 or 256. Mirrors scalar::attention_chunk with f16 keys and values.
override HEAD_DIM: u32 = 64u;
override GROUP: u32 = 1u;    // heads of a kv head
override N_ROT: u32 = 64u;   // even, at most HEAD_DIM; 0: no RoPE
override NEOX: u32 = 1u;     // 1: pairs (i, i + N_ROT / 2); 0: (2i, 2i + 1)
override CHUNK: u32 = 64u;
override QK_NORM: u32 = 0u;  // 1: RMSNorm of every head of q and k before RoPE

const WG = 128u;
const LOWEST = -3.0e38;

struct Step { position: u32, n_tokens: u32, logit_token: u32, n_logits: u32 }
@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> params: array<vec4<u32>, 3>;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(3) var<storage, read> rope: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> vectors: array<f32>;
@group(0) @binding(5) var<storage, read_write> keys: array<u32>;
@group(0) @binding(6) var<storage, read_write> values: array<u32>;
@group(0) @binding(7) var<storage, read_write> parts: array<f32>;

// Vectors of four are four heads side by side. At most 2,048 values of q and 1,024 scores: more heads take turns.
var<workgroup> q4: array<vec4<f32>, 512>;      // [heads / 4][HEAD_DIM]; then sums of values
var<workgroup> w4: array<vec4<f32>, 256>;      // the new k; then [heads / 4][CHUNK]: scores, then weights
var<workgroup> lanes4: array<vec4<f32>, 128>;  // [heads / 4][16]: largest, then from 64 on: sums
var<workgroup> squares: array<f32, 272>;       // [heads, k][16]
var<workgroup> factors: array<f32, 17>;        // of the heads' norms, then of k's

// Pair i of a head, which RoPE turns; those from N_ROT / 2 on are (2i, 2i + 1) and not turned.
struct Pair { a: u32, b: u32, cos_sin: vec2<f32> }
fn pair(i: u32) -> Pair {
  let half = N_ROT / 2u;
  let halves = NEOX != 0u && i < half;
  let turn = select(vec2(1.0, 0.0), rope[min(i, max(half, 1u) - 1u)], i < half);
  return Pair(select(2u * i, i, halves), select(2u * i + 1u, i + half, halves), turn);
}

fn load4(begin: u32, offsets: vec4<u32>) -> vec4<f32> {
  return vec4(qkv[begin + offsets.x], qkv[begin + offsets.y], qkv[begin + offsets.z], qkv[begin + offsets.w]);
}

// Factors of the norms of heads [h0, h0 + n) of q, and of k after them.
fn norm_factors(t: u32, kv: u32, h0: u32, n: u32) {
  for (var h = t / 16u; h <= n; h += WG / 16u) {
    let begin = select(params[0].x + (kv * GROUP + h0 + h) * HEAD_DIM, params[0].y + kv * HEAD_DIM, h == n);
    var sum = 0.0;
    for (var d = t % 16u; d < HEAD_DIM; d += 16u) { sum = fma(qkv[begin + d], qkv[begin + d], sum); }
    squares[h * 16u + t % 16u] = sum;
  }
  workgroupBarrier();
  if (t <= n) {
    var sum = 0.0;
    for (var i = 0u; i < 16u; i++) { sum += squares[t * 16u + i]; }
    factors[t] = 1.0 / sqrt(sum / f32(HEAD_DIM) + bitcast<f32>(params[2].x));
  }
  workgroupBarrier();
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let kv = group.x;
  let begin = group.y * CHUNK;
  let position = step.position;
  let window = params[1].y;
  let part_floats = (HEAD_DIM + 3u) / 4u * 4u + 4u;
  let part0 = (kv * GROUP * params[2].z + group.y) * part_floats;  // of the first head; the next is part_step on
  let part_step = params[2].z * part_floats;
  if (begin > position) { return; }
  let oldest = select(0u, position + 1u - window, window != 0u && position >= window);
  if (begin + CHUNK <= oldest) {
    if (t < GROUP) {
      parts[part0 + t * part_step + part_floats - 4u] = LOWEST;
      parts[part0 + t * part_step + part_floats - 3u] = 0.0;
    }
    return;
  }
  let words = HEAD_DIM / 2u;
  let n = min(CHUNK, position + 1u - begin);                      // positions of the chunk that exist
  let cache0 = (kv * params[2].y + begin) * words;                // of the chunk, in keys (it begins a block) and in values
  let scale = bitcast<f32>(params[1].z);
  let cap = bitcast<f32>(params[1].w);
  let at_once = min(min(16u, 2048u / HEAD_DIM / 4u * 4u), 1024u / CHUNK);

  for (var h0 = 0u; h0 < GROUP; h0 += at_once) {
    let heads = min(at_once, GROUP - h0);
    let fours = (heads + 3u) / 4u;
    if (QK_NORM != 0u) { norm_factors(t, kv, h0, heads); }
    for (var i = t; i < fours * words; i += WG) {
      let p = pair(i % words);
      let head = min(vec4(i / words * 4u) + vec4(0u, 1u, 2u, 3u), vec4(heads - 1u));  // the last one fills a vector
      let q0 = params[0].x + (kv * GROUP + h0) * HEAD_DIM;
      var x0 = load4(q0 + p.a, head * HEAD_DIM);
      var x1 = load4(q0 + p.b, head * HEAD_DIM);
      if (QK_NORM != 0u) {
        let f = vec4(factors[head.x], factors[head.y], factors[head.z], factors[head.w]);
        x0 *= f * vectors[params[0].w + p.a];
        x1 *= f * vectors[params[0].w + p.b];
      }
      q4[i / words * HEAD_DIM + p.a] = x0 * p.cos_sin.x - x1 * p.cos_sin.y;
      q4[i / words * HEAD_DIM + p.b] = x0 * p.cos_sin.y + x1 * p.cos_sin.x;
    }
    if (h0 == 0u && begin + CHUNK > position) {
      for (var i = t; i < words; i += WG) {
        let p = pair(i);
        var x = vec2(qkv[params[0].y + kv * HEAD_DIM + p.a], qkv[params[0].y + kv * HEAD_DIM + p.b]);
        if (QK_NORM != 0u) { x *= factors[heads] * vec2(vectors[params[1].x + p.a], vectors[params[1].x + p.b]); }
        w4[p.a].x = x.x * p.cos_sin.x - x.y * p.cos_sin.y;
        w4[p.b].x = x.x * p.cos_sin.y + x.y * p.cos_sin.x;
      }
    }
    workgroupBarrier();
    if (h0 == 0u && begin + CHUNK > position) {
      let at = position - begin;
      let v0 = params[0].z + kv * HEAD_DIM;
      for (var i = t; i < words; i += WG) {
        keys[cache0 + (at / 32u * words + i) * 32u + at % 32u] = pack2x16float(vec2(w4[2u * i].x, w4[2u * i + 1u].x));
        values[cache0 + at * words + i] = pack2x16float(vec2(qkv[v0 + 2u * i], qkv[v0 + 2u * i + 1u]));
      }
    }
    storageBarrier();
    workgroupBarrier();

    for (var i = t; i < fours * CHUNK; i += WG) {
      let j = i % CHUNK;
      let q0 = i / CHUNK * HEAD_DIM;
      var s = vec4<f32>(LOWEST);
      if (j < n && begin + j >= oldest) {
        var dot = vec4<f32>();
        let k0 = cache0 + j / 32u * words * 32u + j % 32u;
        for (var w = 0u; w < words; w++) {
          let k = unpack2x16float(keys[k0 + w * 32u]);
          dot = fma(vec4(k.x), q4[q0 + 2u * w], dot);
          dot = fma(vec4(k.y), q4[q0 + 2u * w + 1u], dot);
        }
        s = dot * scale;
        if (cap != 0.0) { s = cap * tanh(clamp(s / cap, vec4(-15.0), vec4(15.0))); }
      }
      w4[i] = s;
    }
    workgroupBarrier();

    let four = t / 16u;
    if (four < fours) {
      var largest = vec4<f32>(LOWEST);
      for (var j = t % 16u; j < CHUNK; j += 16u) { largest = max(largest, w4[four * CHUNK + j]); }
      lanes4[t] = largest;
    }
    workgroupBarrier();
    if (four < fours) {
      var largest = vec4<f32>(LOWEST);
      for (var i = 0u; i < 16u; i++) { largest = max(largest, lanes4[four * 16u + i]); }
      var sum = vec4<f32>();
      for (var j = t % 16u; j < CHUNK; j += 16u) {
        var e = vec4<f32>();
        if (j < n && begin + j >= oldest) { e = exp(w4[four * CHUNK + j] - largest); }
        w4[four * CHUNK + j] = e;
        sum += e;
      }
      lanes4[64u + t] = sum;
    }
    workgroupBarrier();
    if (t < heads) {
      var largest = LOWEST;
      var sum = 0.0;
      for (var i = 0u; i < 16u; i++) {
        largest = max(largest, lanes4[t / 4u * 16u + i][t % 4u]);
        sum += lanes4[64u + t / 4u * 16u + i][t % 4u];
      }
      parts[part0 + (h0 + t) * part_step + part_floats - 4u] = largest;
      parts[part0 + (h0 + t) * part_step + part_floats - 3u] = sum;
    }

    // A word of values for four heads is an item; few items share the positions among `slices` invocations each.
    let items = fours * words;
    let slices = max(1u, WG / items);
    for (var i = t; i < items * slices; i += WG) {
      let weights = i % items / words * CHUNK;
      let v0 = cache0 + i % items % words;
      var low = vec4<f32>();
      var high = vec4<f32>();
      for (var j = i / items; j < n; j += slices) {
        let v = unpack2x16float(values[v0 + j * words]);
        low = fma(vec4(v.x), w4[weights + j], low);
        high = fma(vec4(v.y), w4[weights + j], high);
      }
      q4[2u * i] = low;
      q4[2u * i + 1u] = high;
    }
    workgroupBarrier();
    for (var i = t; i < items; i += WG) {
      var low = q4[2u * i];
      var high = q4[2u * i + 1u];
      for (var s = 1u; s < slices; s++) {
        low += q4[2u * (s * items + i)];
        high += q4[2u * (s * items + i) + 1u];
      }
      for (var c = 0u; c < 4u; c++) {
        let h = i / words * 4u + c;
        if (h < heads) {
          let at = part0 + (h0 + h) * part_step + i % words * 2u;
          parts[at] = low[c];
          parts[at + 1u] = high[c];
        }
      }
    }
    workgroupBarrier();
  }
}
