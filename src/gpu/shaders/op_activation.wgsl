// y = f(x), element by element.
//
//   1 params  uniform    0 n; 1 alpha (bits) of leaky-relu
//   2 x       f32 / f16  [n]
//   3 y       f32        [n]
//
// Workgroups [x, y, 1], x y at least ceil(n / 1024). The host may write f16 for f32 in the alias. Mirrors scalar::gelu and
// silu; where their exp overflows, 0 (the limit) stands for x / infinity.
alias real = f32;

override KIND: u32 = 0u;  // 0 gelu (tanh form), 1 gelu-fast (x sigmoid(1.702 x)), 2 relu, 3 silu, 4 leaky-relu

const WG = 256u;

@group(0) @binding(1) var<uniform> params: vec4<u32>;
@group(0) @binding(2) var<storage, read> x: array<real>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// v / (1 + exp(u))
fn logistic(v: f32, u: f32) -> f32 {
  if (u > 88.0) { return 0.0; }
  return v / (1.0 + exp(u));
}

fn activation(v: f32) -> f32 {
  switch (KIND) {
    case 0u: { return logistic(v, -1.5957691 * fma(0.044715, v * v * v, v)); }
    case 1u: { return logistic(v, -1.702 * v); }
    case 2u: { return select(v, 0.0, v < 0.0); }
    case 3u: { return logistic(v, -v); }
    default: { return select(v, bitcast<f32>(params.y) * v, v < 0.0); }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) t: u32) {
  let first = (group.y * groups.x + group.x) * 1024u + t;
  for (var i = 0u; i < 4u; i++) {
    let at = first + i * WG;
    if (at < params.x) { y[at] = activation(f32(x[at])); }
  }
}
