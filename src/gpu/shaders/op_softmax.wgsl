// Softmax of every row, from what op_softmax_part found of its chunks.
//
//   1 params  uniform    0 rows; 1 n (a row's elements); 2 chunks of a row; 3 elements of a chunk
//   2 x       f32 / f16  [rows][n]
//   3 parts   vec2<f32>  [rows][chunks]
//   4 y       f32        [rows][n]
//
// Workgroups and LANES as op_softmax_part. The host may write f16 for f32 in the alias. -inf gives 0, and so does everything
// in a row of nothing else; NaN or +inf in a row gives NaN.
alias real = f32;

override LANES: u32 = 256u;

const WG = 256u;
const LOWEST = -3.4e38;
const MINUS_INFINITY = 0xff800000u;

@group(0) @binding(1) var<uniform> params: vec4<u32>;
@group(0) @binding(2) var<storage, read> x: array<real>;
@group(0) @binding(3) var<storage, read> parts: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

var<workgroup> lanes: array<vec2<f32>, WG>;

fn join(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
  let largest = max(a.x, b.x);
  return vec2(largest, a.y * exp(a.x - largest) + b.y * exp(b.x - largest));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) t: u32) {
  let row = (group.z * groups.y + group.y) * (WG / LANES) + t / LANES;
  let lane = t % LANES;
  var whole = vec2(LOWEST, 0.0);
  if (row < params.x) {
    for (var i = lane; i < params.z; i += LANES) { whole = join(whole, parts[row * params.z + i]); }
  }
  lanes[t] = whole;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { lanes[t] = join(lanes[t], lanes[t + half]); }
    workgroupBarrier();
  }
  whole = lanes[t - lane];
  if (row >= params.x) { return; }
  // By its bits: a sum that is NaN is not 0.
  let factor = select(1.0 / whole.y, 0.0, bitcast<u32>(whole.y) == 0u);
  let end = row * params.y + min(params.y, (group.x + 1u) * params.w);
  for (var i = row * params.y + group.x * params.w + lane; i < end; i += LANES) {
    let v = f32(x[i]);
    let e = select(exp(v - whole.x), 0.0, bitcast<u32>(v) == MINUS_INFINITY);
    y[i] = e * factor;
  }
}
