// Joins the chunks of attention_decode and quantises the result: a workgroup gives 32 neighbouring columns of the
// attention's output as activations.
//
//   0 step    uniform   position of the token
//   1 params  uniform   0 chunks that parts has room for; 1 words a token of activations out
//   2 parts   f32       [head][chunk][up(HEAD_DIM, 4) + 4]
//   3 out     u32       activations of one token (spec/plan.md, section 3)
//
// Workgroups [ceil(WIDTH / 32), 1, 1]. Mirrors scalar::attention_join and the activations of spec/arithmetic.md; ss is 0.
override HEAD_DIM: u32 = 64u;
override WIDTH: u32 = 64u;   // n_heads HEAD_DIM
override CHUNK: u32 = 64u;
override EMIT: u32 = 1u;     // bit 0: int8; bit 1: floats

const SLICES = 8u;           // invocations that share a column's chunks
const LOWEST = -3.0e38;

struct Step { position: u32, n_tokens: u32, logit_token: u32, n_logits: u32 }
@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> params: vec4<u32>;
@group(0) @binding(2) var<storage, read> parts: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

var<workgroup> sums: array<vec3<f32>, 256>;    // [slice][column]: largest, sum of weights, weighted value
var<workgroup> column: array<f32, 32>;
var<workgroup> word_sums: array<i32, 8>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let c = group.x * 32u + t % 32u;
  let part_floats = (HEAD_DIM + 3u) / 4u * 4u + 4u;
  let chunks = step.position / CHUNK + 1u;
  var sum = vec3<f32>(LOWEST, 0.0, 0.0);
  if (c < WIDTH) {
    for (var i = t / 32u; i < chunks; i += SLICES) {
      let at = (c / HEAD_DIM * params.x + i) * part_floats;
      let weight = parts[at + part_floats - 3u];
      // The bits, so that a NaN is not taken for an empty chunk, whose values may be anything.
      if (bitcast<u32>(weight) == 0u) { continue; }
      let largest = parts[at + part_floats - 4u];
      let joined = max(largest, sum.x);
      sum = vec3(joined, fma(vec2(exp(sum.x - joined)), sum.yz, exp(largest - joined) * vec2(weight, parts[at + c % HEAD_DIM])));
    }
  }
  sums[t] = sum;
  workgroupBarrier();
  if (t < 32u) {
    for (var s = 1u; s < SLICES; s++) {
      let other = sums[s * 32u + t];
      let joined = max(other.x, sum.x);
      sum = vec3(joined, fma(vec2(exp(sum.x - joined)), sum.yz, exp(other.x - joined) * other.yz));
    }
    column[t] = select(0.0, sum.z / sum.y, c < WIDTH);
  }
  workgroupBarrier();

  let padded = (WIDTH + 255u) / 256u * 256u;
  if ((EMIT & 2u) != 0u && t < 32u) { out[padded / 8u * 3u + c] = bitcast<u32>(column[t]); }
  if ((EMIT & 1u) == 0u) { return; }
  var bits = 0u;  // of the largest magnitude; as integers, so that a NaN is the largest
  for (var i = 0u; i < 32u; i++) { bits = max(bits, bitcast<u32>(column[i]) & 0x7fffffffu); }
  let empty = bits < 0x12800000u;  // 2^-90
  let dx = select(bitcast<f32>(bits) / 127.0, 0.0, empty);
  if (t < 8u) {
    let inverse = select(127.0 / bitcast<f32>(bits), 0.0, empty);
    let x = vec4(column[4u * t], column[4u * t + 1u], column[4u * t + 2u], column[4u * t + 3u]);
    let q = vec4<i32>(clamp(round(x * inverse), vec4(-127.0), vec4(127.0)));
    word_sums[t] = q.x + q.y + q.z + q.w;
    let b = vec4<u32>(q) & vec4(255u);
    out[group.x * 8u + t] = b.x | (b.y << 8u) | (b.z << 16u) | (b.w << 24u);
  }
  workgroupBarrier();
  if (t == 0u) {
    var q_sum = 0;
    for (var i = 0u; i < 8u; i++) { q_sum += word_sums[i]; }
    let at = padded / 4u + group.x * 4u;
    out[at] = bitcast<u32>(dx);
    out[at + 1u] = bitcast<u32>(dx * f32(q_sum));
    out[at + 2u] = 0u;
    out[at + 3u] = 0u;
  }
}
