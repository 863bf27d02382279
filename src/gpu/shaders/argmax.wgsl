// The id of the largest logit, out of what argmax_part found.
//
//   1 params  uniform   0 number of logits
//   2 parts   u32       [ceil(n / 1024)][3]: id, rank, not 0 when a logit is not finite
//   3 best    u32       id; not 0 when a logit is not finite
//
// Workgroups [1, 1, 1].
const WG = 256u;

@group(0) @binding(1) var<uniform> params: vec4<u32>;
@group(0) @binding(2) var<storage, read> parts: array<u32>;
@group(0) @binding(3) var<storage, read_write> result: array<u32>;

var<workgroup> best: array<vec3<u32>, WG>;

fn better(a: vec3<u32>, b: vec3<u32>) -> vec3<u32> {
  let first = a.y > b.y || (a.y == b.y && a.x < b.x);
  return vec3(select(b.xy, a.xy, first), a.z | b.z);
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) t: u32) {
  var mine = vec3(0xffffffffu, 0u, 0u);
  for (var i = t; i < (params.x + 1023u) / 1024u; i += WG) {
    mine = better(mine, vec3(parts[3u * i], parts[3u * i + 1u], parts[3u * i + 2u]));
  }
  best[t] = mine;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (t < half) { best[t] = better(best[t], best[t + half]); }
    workgroupBarrier();
  }
  if (t == 0u) {
    result[0] = best[0].x;
    result[1] = best[0].z;
  }
}
