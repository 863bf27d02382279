// The 64 largest logits, out of what top_k_part found.
//
//   1 params  uniform   0 number of logits
//   2 parts   u32       [ceil(n / 4096)][64][2]: id, bits of the logit; id 0xffffffff for none
//   3 best    u32       [64][2]: the same of all, by descending logit, equal ones by ascending id; id 0xffffffff and -inf
//                       where there are fewer
//
// Workgroups [1, 1, 1]. Radix selection as in top_k_part.
const WG = 256u;
const K = 64u;

@group(0) @binding(1) var<uniform> params: vec4<u32>;
@group(0) @binding(2) var<storage, read> parts: array<u32>;
@group(0) @binding(3) var<storage, read_write> result: array<u32>;

var<workgroup> counts: array<atomic<u32>, 256>;  // candidates by their next digit
var<workgroup> sums: array<u32, 16>;             // of 16 counts each
var<workgroup> choice: vec3<u32>;                // the digit of the last pair to take; pairs to take that have it; 1: all that have it
var<workgroup> n_best: atomic<u32>;
var<workgroup> best: array<vec2<u32>, K>;        // rank, ~id

// Grows with the logit, never 0.
fn rank_of(bits: u32) -> u32 {
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

// Candidate i: rank, ~id; (0, 0) for none.
fn candidate(i: u32) -> vec2<u32> {
  if (parts[2u * i] == 0xffffffffu) { return vec2<u32>(); }
  return vec2(rank_of(parts[2u * i + 1u]), ~parts[2u * i]);
}

// Digit d of a pair, 0 the highest.
fn digit(pair: vec2<u32>, d: u32) -> u32 { return (select(pair.x, pair.y, d >= 4u) >> (24u - d % 4u * 8u)) & 255u; }

// The pair with only its d highest digits.
fn prefix(pair: vec2<u32>, d: u32) -> vec2<u32> {
  let part = ~(0xffffffffu >> (d % 4u * 8u));
  return select(vec2(pair.x & part, 0u), vec2(pair.x, pair.y & part), d >= 4u);
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) t: u32) {
  let n = (params.x + 4095u) / 4096u * K;
  var least = vec2<u32>();           // the digits found so far of the last pair to take
  var wanted = K;                    // pairs to take that begin with them
  for (var d = 0u; d < 8u; d++) {
    atomicStore(&counts[t], 0u);
    workgroupBarrier();
    for (var i = t; i < n; i += WG) {
      let pair = candidate(i);
      if (pair.x != 0u && all(prefix(pair, d) == least)) { atomicAdd(&counts[digit(pair, d)], 1u); }
    }
    workgroupBarrier();
    if (t < 16u) {
      var sum = 0u;
      for (var i = 0u; i < 16u; i++) { sum += atomicLoad(&counts[t * 16u + i]); }
      sums[t] = sum;
    }
    workgroupBarrier();
    if (t == 0u) {
      var above = 0u;                // candidates with a larger digit
      var s = 15u;
      for (; s > 0u && above + sums[s] < wanted; s--) { above += sums[s]; }
      var i = s * 16u + 15u;
      for (; i > s * 16u && above + atomicLoad(&counts[i]) < wanted; i--) { above += atomicLoad(&counts[i]); }
      let here = atomicLoad(&counts[i]);
      choice = vec3(i, wanted - above, select(0u, 1u, here <= wanted - above));
    }
    let chosen = workgroupUniformLoad(&choice);
    let shifted = chosen.x << (24u - d % 4u * 8u);
    least |= select(vec2(shifted, 0u), vec2(0u, shifted), d >= 4u);
    wanted = chosen.y;
    if (chosen.z != 0u) { break; }
  }

  if (t == 0u) { atomicStore(&n_best, 0u); }
  workgroupBarrier();
  for (var i = t; i < n; i += WG) {
    let pair = candidate(i);
    if (pair.x != 0u && (pair.x > least.x || (pair.x == least.x && pair.y >= least.y))) {
      let at = atomicAdd(&n_best, 1u);
      if (at < K) { best[at] = pair; }
    }
  }
  workgroupBarrier();
  let found = min(atomicLoad(&n_best), K);
  if (t < K) {
    var place = t;
    var pair = vec2(rank_of(0xff800000u), 0u);
    if (t < found) {
      pair = best[t];
      place = 0u;
      for (var i = 0u; i < found; i++) {
        if (best[i].x > pair.x || (best[i].x == pair.x && best[i].y > pair.y)) { place++; }
      }
    }
    result[2u * place] = ~pair.y;
    result[2u * place + 1u] = select(~pair.x, pair.x ^ 0x80000000u, (pair.x & 0x80000000u) != 0u);
  }
}
