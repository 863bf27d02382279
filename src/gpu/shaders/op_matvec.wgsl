// y = A x, or one slice of its columns added to y.
//
//   1 params  uniform    0 m; 1 k; 2, 3 columns [begin, end) of this slice; begin 0: y is set, else added to
//   2 a       f32 / f16  [m][k]
//   3 x       f32 / f16  [k]
//   4 y       f32        [m]
//
// Workgroups [x, y, 1], x y at least ceil(m / 8): 32 invocations a row. The host may write f16 for f32 in the alias.
alias real = f32;

const WG = 256u;
const LANES = 32u;

@group(0) @binding(1) var<uniform> params: vec4<u32>;
@group(0) @binding(2) var<storage, read> a: array<real>;
@group(0) @binding(3) var<storage, read> x: array<real>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

var<workgroup> sums: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) t: u32) {
  let row = (group.y * groups.x + group.x) * (WG / LANES) + t / LANES;
  var sum = 0.0;
  if (row < params.x) {
    for (var i = params.z + t % LANES; i < params.w; i += LANES) { sum = fma(f32(a[row * params.y + i]), f32(x[i]), sum); }
  }
  sums[t] = sum;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (t % LANES < half) { sums[t] += sums[t + half]; }
    workgroupBarrier();
  }
  if (t % LANES == 0u && row < params.x) { y[row] = select(y[row], 0.0, params.z == 0u) + sums[t]; }
}
