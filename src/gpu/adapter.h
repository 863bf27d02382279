// What a WebGPU adapter is and may do: names, features, limits.
//
//   for (const auto& a : PIXELLM_TRY(gpu::adapters())) use(a.name, a.limits.max_texture_size);
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/error.h"

namespace pixellm::gpu {

// Bounds of an adapter or of an open device. The default values bound nothing, so that a Limits with some
// fields set is a request for less than the adapter has (DeviceOptions).
struct Limits {
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
  static constexpr uint64_t kNone64 = std::numeric_limits<uint64_t>::max();
  uint32_t max_texture_size = kNone;      // texels, width and height of a 2D texture
  uint32_t max_texture_layers = kNone;    // layers of a texture array
  uint32_t max_sampled_textures = kNone;  // of a shader
  uint32_t max_storage_buffers = kNone;   // of a shader
  uint32_t max_uniform_buffers = kNone;   // of a shader
  uint64_t max_buffer_bytes = kNone64;    // of one buffer
  uint64_t max_binding_bytes = kNone64;   // of a buffer as a shader sees it (storage)
  uint64_t max_uniform_bytes = kNone64;   // the same for a uniform buffer
  uint32_t storage_alignment = 256;  // of an offset into a storage buffer that is bound, bytes; never lowered
  uint32_t uniform_alignment = 256;  // the same for a uniform buffer
  uint32_t max_workgroup_bytes = kNone;  // workgroup memory of a shader
  uint32_t max_workgroup_size = kNone;   // invocations of a workgroup
  uint32_t max_workgroup_size_x = kNone, max_workgroup_size_y = kNone, max_workgroup_size_z = kNone;
  uint32_t max_workgroups = kNone;  // of a dispatch, in each dimension
};

struct AdapterInfo {
  std::string name;         // "NVIDIA H100", "llvmpipe (LLVM 15.0.6, 256 bits)"
  std::string vendor;       // "" where the library does not say
  std::string driver;       // the driver's name and version
  std::string backend;      // "vulkan", "metal", "d3d12"
  std::string type;         // "discrete", "integrated", "cpu", "unknown"
  std::string library;      // path of the WebGPU library that reaches it
  bool f16 = false;         // f16 in shaders
  bool subgroups = false;   // subgroup operations in shaders
  bool timestamps = false;  // Device::submit_timed
  Limits limits;
};

// Every adapter, the most powerful kind first: index 0 is what Device::open() takes. kNotFound: no library,
// or no driver (the message says Vulkan and what to install); kUnsupported: a library that does not speak
// this webgpu.h.
Result<std::vector<AdapterInfo>> adapters();

}  // namespace pixellm::gpu
