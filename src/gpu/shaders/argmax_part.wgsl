// The largest of every 1,024 logits, for argmax.
//
//   1 params  uniform   0 number of logits
//   2 logits  u32       bits of float32 (as integers: shaders may assume that there are no NaN)
//   3 parts   u32       [ceil(n / 1024)][3]: id, rank, not 0 when a logit is not finite
//
// Workgroups [ceil(n / 1024), 1, 1]. Among equals the smallest id; NaN counts as -inf. Mirrors a loop over the logits.
const WG = 256u;

@group(0) @binding(1) var<uniform> params: vec4<u32>;
@group(0) @binding(2) var<storage, read> logits: array<u32>;
@group(0) @binding(3) var<storage, read_write> parts: array<u32>;

var<workgroup> best: array<vec3<u32>, WG>;  // id, rank, not finite

// Grows with the logit, never 0: NaN is -inf, -0 is 0.
fn rank_of(bits: u32) -> u32 {
  let b = select(select(bits, 0u, bits == 0x80000000u), 0xff800000u, (bits & 0x7fffffffu) > 0x7f800000u);
  return select(b | 0x80000000u, ~b, (b & 0x80000000u) != 0u);
}

fn better(a: vec3<u32>, b: vec3<u32>) -> vec3<u32> {
  let first = a.y > b.y || (a.y == b.y && a.x < b.x);
  return vec3(select(b.xy, a.xy, first), a.z | b.z);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  var mine = vec3(0xffffffffu, 0u, 0u);
  for (var i = 0u; i < 4u; i++) {
    let id = group.x * 1024u + i * WG + t;
    if (id < params.x) {
      let bits = logits[id];
      mine = better(mine, vec3(id, rank_of(bits), select(0u, 1u, (bits & 0x7f800000u) == 0x7f800000u)));
    }
  }
  best[t] = mine;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (t < half) { best[t] = better(best[t], best[t + half]); }
    workgroupBarrier();
  }
  if (t == 0u) {
    parts[3u * group.x] = best[0].x;
    parts[3u * group.x + 1u] = best[0].y;
    parts[3u * group.x + 2u] = best[0].z;
  }
}
