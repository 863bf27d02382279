// Reads every texel of a texture once: the bandwidth that products of the same textures are compared with.
//
// 2 weights | 3 seen, a word that a texture of this sum would set. Dispatch: [height, layers, 1], a row a workgroup.

override WIDTH: u32 = 64u;  // texels

@group(0) @binding(2) var weights: texture_2d_array<u32>;
@group(0) @binding(3) var<storage, read_write> seen: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var bits = vec4(0u);
  for (var x = lane; x < WIDTH; x += 256u) { bits ^= textureLoad(weights, vec2(x, id.x), id.y, 0); }
  if (all(bits == vec4(0x9e3779b9u))) { seen[0] = id.x; }  // keeps the reads alive
}
