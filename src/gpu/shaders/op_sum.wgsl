// The sum of n numbers.
//
//   1 params  uniform  0 n
//   2 parts   f32      [n]
//   3 sum     f32      [1]
//
// Workgroups [1, 1, 1]: for the up to 65,535 sums of op_dot_part, 256 each invocation.
const WG = 256u;

@group(0) @binding(1) var<uniform> params: vec4<u32>;
@group(0) @binding(2) var<storage, read> parts: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;

var<workgroup> sums: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) t: u32) {
  var sum = 0.0;
  for (var i = t; i < params.x; i += WG) { sum += parts[i]; }
  sums[t] = sum;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (t < half) { sums[t] += sums[t + half]; }
    workgroupBarrier();
  }
  if (t == 0u) { result[0] = sums[0]; }
}
