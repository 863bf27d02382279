// C = A B or A^T B, or one slice of the sum over k added to C: tiles of 64 x 64, 16 numbers an invocation.
//
//   1 params  uniform    0 m; 1 n; 2 k; 4, 5: k from [begin, end) of this slice; begin 0: C is set, else added to
//   2 a       f32 / f16  [m][k]; TRANSPOSE_A: [k][m]
//   3 b       f32 / f16  [k][n]
//   4 c       f32        [m][n]
//
// Workgroups [ceil(n / 64), ceil(m / 64), 1]. The host may write f16 for f32 in the alias. Slices keep the additions of one
// accumulator few (rounding) and the loops short.
alias real = f32;

override TRANSPOSE_A: u32 = 0u;

const TILE_K = 16u;
const STRIDE = 17u;  // vectors of a row of a_tile: 16 and one, against bank conflicts

@group(0) @binding(1) var<uniform> params: array<vec4<u32>, 2>;
@group(0) @binding(2) var<storage, read> a: array<real>;
@group(0) @binding(3) var<storage, read> b: array<real>;
@group(0) @binding(4) var<storage, read_write> c: array<f32>;

var<workgroup> a_tile: array<vec4<f32>, 272>;  // [k][row / 4]
var<workgroup> b_tile: array<vec4<f32>, 256>;  // [k][column / 4]

fn load_a(row: u32, k: u32) -> f32 {
  if (row >= params[0].x || k >= params[1].y) { return 0.0; }
  if (TRANSPOSE_A != 0u) { return f32(a[k * params[0].x + row]); }
  return f32(a[row * params[0].z + k]);
}

fn load_b(k: u32, column: u32) -> f32 {
  if (column >= params[0].y || k >= params[1].y) { return 0.0; }
  return f32(b[k * params[0].y + column]);
}

// sums (rows) plus column k of the rows' tile times row k of the columns'.
fn add_k(sums: mat4x4<f32>, k: u32, row4: u32, column4: u32) -> mat4x4<f32> {
  let x = a_tile[k * STRIDE + row4];
  let y = b_tile[k * 16u + column4];
  return mat4x4(fma(vec4(x.x), y, sums[0]), fma(vec4(x.y), y, sums[1]), fma(vec4(x.z), y, sums[2]), fma(vec4(x.w), y, sums[3]));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row0 = group.y * 64u;
  let column0 = group.x * 64u;
  // Neighbouring invocations read neighbouring elements of A, whichever way it lies.
  let a_k = select(t % 16u, t / 16u, TRANSPOSE_A != 0u);
  let a_row4 = select(t / 16u, t % 16u, TRANSPOSE_A != 0u);
  var sums = mat4x4<f32>();
  for (var k0 = params[1].x; k0 < params[1].y; k0 += TILE_K) {
    let row = row0 + a_row4 * 4u;
    let k = k0 + a_k;
    a_tile[a_k * STRIDE + a_row4] = vec4(load_a(row, k), load_a(row + 1u, k), load_a(row + 2u, k), load_a(row + 3u, k));
    let column = column0 + t % 16u * 4u;
    let kb = k0 + t / 16u;
    b_tile[t] = vec4(load_b(kb, column), load_b(kb, column + 1u), load_b(kb, column + 2u), load_b(kb, column + 3u));
    workgroupBarrier();
    for (var i = 0u; i < TILE_K; i += 4u) {
      sums = add_k(sums, i, t / 16u, t % 16u);
      sums = add_k(sums, i + 1u, t / 16u, t % 16u);
      sums = add_k(sums, i + 2u, t / 16u, t % 16u);
      sums = add_k(sums, i + 3u, t / 16u, t % 16u);
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < 4u; r++) {
    let row = row0 + t / 16u * 4u + r;
    for (var i = 0u; i < 4u; i++) {
      let column = column0 + t % 16u * 4u + i;
      if (row < params[0].x && column < params[0].y) {
        let at = row * params[0].y + column;
        c[at] = select(c[at], 0.0, params[1].x == 0u) + sums[r][i];
      }
    }
  }
}
