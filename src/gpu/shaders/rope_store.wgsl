// Norms and rotates the heads of q (in place) and k of a step's tokens, and stores k and v into the cache as f16.
//
//   0 step      uniform   position of the first token
//   1 params    uniform   0-2 where q, k, v begin in a token of qkv; 3, 4 weights of the heads' norms in vectors; 8 eps (bits);
//                         9 context; 11 floats a token of qkv (5-7, 10: attention_decode's, unused)
//   2 qkv       f32       [token][q, k, v]
//   3 rope      vec2<f32> cosine and sine [token][N_ROT / 2]
//   4 vectors   f32
//   5 keys      u32       [kv head][context / 32][HEAD_DIM / 2][32]: two f16 of one position a word
//   6 values    u32       [kv head][context][HEAD_DIM / 2]
//
// Workgroups [N_HEADS + N_KV_HEADS, n_tokens, 1]: a head each. HEAD_DIM even, at most 256. Mirrors scalar::rms_norm, rope, to_f16.
override HEAD_DIM: u32 = 64u;
override N_HEADS: u32 = 1u;
override N_KV_HEADS: u32 = 1u;
override N_ROT: u32 = 64u;   // even, at most HEAD_DIM; 0: no RoPE
override NEOX: u32 = 1u;     // 1: pairs (i, i + N_ROT / 2); 0: (2i, 2i + 1)
override QK_NORM: u32 = 0u;  // 1: RMSNorm of every head of q and k before RoPE

const WG = 64u;

struct Step { position: u32, n_tokens: u32, logit_token: u32, n_logits: u32 }
@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> params: array<vec4<u32>, 3>;
@group(0) @binding(2) var<storage, read_write> qkv: array<f32>;
@group(0) @binding(3) var<storage, read> rope: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> vectors: array<f32>;
@group(0) @binding(5) var<storage, read_write> keys: array<u32>;
@group(0) @binding(6) var<storage, read_write> values: array<u32>;

var<workgroup> head: array<f32, 256>;
var<workgroup> squares: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let token = group.y;
  let is_key = group.x >= N_HEADS;
  let kv = group.x - select(0u, N_HEADS, is_key);
  let row = token * params[2].w;
  let begin = row + select(params[0].x, params[0].y, is_key) + kv * HEAD_DIM;
  let weights = select(params[0].w, params[1].x, is_key);
  var factor = 1.0;
  if (QK_NORM != 0u) {
    var sum = 0.0;
    for (var d = t; d < HEAD_DIM; d += WG) { sum = fma(qkv[begin + d], qkv[begin + d], sum); }
    squares[t] = sum;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
      if (t < half) { squares[t] += squares[t + half]; }
      workgroupBarrier();
    }
    factor = 1.0 / sqrt(squares[0] / f32(HEAD_DIM) + bitcast<f32>(params[2].x));
  }

  // A pair each: those that turn, then the rest.
  let half = N_ROT / 2u;
  for (var i = t; i < HEAD_DIM / 2u; i += WG) {
    let halves = NEOX != 0u && i < half;
    let a = select(2u * i, i, halves);
    let b = select(2u * i + 1u, i + half, halves);
    var x = vec2(qkv[begin + a], qkv[begin + b]);
    if (QK_NORM != 0u) { x *= factor * vec2(vectors[weights + a], vectors[weights + b]); }
    if (i < half) {
      let cs = rope[token * half + i];
      x = vec2(x.x * cs.x - x.y * cs.y, x.x * cs.y + x.y * cs.x);
    }
    head[a] = x.x;
    head[b] = x.y;
  }
  workgroupBarrier();

  if (!is_key) {
    for (var d = t; d < HEAD_DIM; d += WG) { qkv[begin + d] = head[d]; }
    return;
  }
  let words = HEAD_DIM / 2u;
  let position = step.position + token;
  let k0 = (kv * params[2].y + position / 32u * 32u) * words + position % 32u;
  let v0 = (kv * params[2].y + position) * words;
  let v = row + params[0].z + kv * HEAD_DIM;
  for (var i = t; i < words; i += WG) {
    keys[k0 + i * 32u] = pack2x16float(vec2(head[2u * i], head[2u * i + 1u]));
    values[v0 + i] = pack2x16float(vec2(qkv[v + 2u * i], qkv[v + 2u * i + 1u]));
  }
}
