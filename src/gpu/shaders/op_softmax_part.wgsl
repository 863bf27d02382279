// The largest element and the sum of exponentials of every chunk of every row, for op_softmax.
//
//   1 params  uniform    0 rows; 1 n (a row's elements); 2 chunks of a row; 3 elements of a chunk
//   2 x       f32 / f16  [rows][n]
//   3 parts   vec2<f32>  [rows][chunks]: the largest, the sum of exp(x - largest)
//
// Workgroups [chunks, y, z], y z at least ceil(rows / (256 / LANES)). The host may write f16 for f32 in the alias. -inf
// weighs nothing (a chunk of nothing else: sum 0); NaN and +inf make the sum NaN.
alias real = f32;

override LANES: u32 = 256u;  // invocations of a row's chunk: a power of two, at most 256

const WG = 256u;
const LOWEST = -3.4e38;
const MINUS_INFINITY = 0xff800000u;

@group(0) @binding(1) var<uniform> params: vec4<u32>;
@group(0) @binding(2) var<storage, read> x: array<real>;
@group(0) @binding(3) var<storage, read_write> parts: array<vec2<f32>>;

var<workgroup> lanes: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) t: u32) {
  let row = (group.z * groups.y + group.y) * (WG / LANES) + t / LANES;
  let lane = t % LANES;
  let begin = row * params.y + group.x * params.w + lane;
  let end = select(0u, row * params.y + min(params.y, (group.x + 1u) * params.w), row < params.x);
  var largest = LOWEST;
  for (var i = begin; i < end; i += LANES) { largest = max(largest, f32(x[i])); }
  lanes[t] = largest;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { lanes[t] = max(lanes[t], lanes[t + half]); }
    workgroupBarrier();
  }
  largest = lanes[t - lane];
  workgroupBarrier();
  var sum = 0.0;
  for (var i = begin; i < end; i += LANES) {
    let v = f32(x[i]);
    let bits = bitcast<u32>(v);
    if ((bits & 0x7fffffffu) < 0x7f800000u) {
      sum += exp(v - largest);
    } else if (bits != MINUS_INFINITY) {
      sum += bitcast<f32>(bits | 0x7fc00000u);  // NaN by its bits: what exp makes of infinities differs
    }
  }
  lanes[t] = sum;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { lanes[t] += lanes[t + half]; }
    workgroupBarrier();
  }
  if (lane == 0u && row < params.x) { parts[row * params.z + group.x] = vec2(largest, lanes[t]); }
}
