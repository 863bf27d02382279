// Sums of a_i b_i over every 16,384 elements, for op_sum.
//
//   1 params  uniform    0 n
//   2 a, 3 b  f32 / f16  [n]
//   4 parts   f32        [ceil(n / 16384)]
//
// Workgroups [ceil(n / 16384), 1, 1]. The host may write f16 for f32 in the alias.
alias real = f32;

const WG = 256u;
const EACH = 16384u;

@group(0) @binding(1) var<uniform> params: vec4<u32>;
@group(0) @binding(2) var<storage, read> a: array<real>;
@group(0) @binding(3) var<storage, read> b: array<real>;
@group(0) @binding(4) var<storage, read_write> parts: array<f32>;

var<workgroup> sums: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let end = min(params.x, (group.x + 1u) * EACH);
  var sum = 0.0;
  for (var i = group.x * EACH + t; i < end; i += WG) { sum = fma(f32(a[i]), f32(b[i]), sum); }
  sums[t] = sum;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (t < half) { sums[t] += sums[t + half]; }
    workgroupBarrier();
  }
  if (t == 0u) { parts[group.x] = sums[0]; }
}
