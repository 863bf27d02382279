// The engine's GPU: sessions that compute there, with the KV cache and the token's logits on the device.
//
//   auto device = PIXELLM_TRY(gpu::Device::open({}));
//   auto backend = PIXELLM_TRY(gpu::make_backend(std::move(device), engine, {}));
//   auto session = PIXELLM_TRY(Session::create(engine, pool, {.context = 2048, .backend = backend.get()}));
// Results agree with the CPU's within the tolerances of docs/agreement.md. After the loss of the device every
// step is an error. `engine` must outlive the backend.
#pragma once
#include <memory>
#include <vector>

#include "base/progress.h"
#include "gpu/device.h"
#include "infer/backend.h"

namespace pixellm::gpu {

class GpuBackend : public Backend {
 public:
  virtual const AdapterInfo& adapter() const = 0;
  virtual uint64_t weight_bytes() const = 0;  // in textures
  virtual Device& device() = 0;
  virtual uint32_t dispatches_a_token() const = 0;  // of greedy decoding
  virtual uint32_t dispatches_a_layer() const = 0;

  // Of reading the weights' textures by a shader that does nothing else, the best of some rounds.
  virtual Result<double> measure_read_gb_s() = 0;

  // Of decoding one token after `position` others, the dispatches in order. kUnsupported without timestamps.
  struct Timing {
    std::string shader, label;
    int32_t layer;
    uint64_t nanoseconds;
  };
  virtual Result<std::vector<Timing>> time_decode(uint32_t context, uint32_t position) = 0;
};

// Builds the plan and uploads the weights.
Result<std::unique_ptr<GpuBackend>> make_backend(Device device, const Engine& engine,
                                                 const Progress& progress);

}  // namespace pixellm::gpu
