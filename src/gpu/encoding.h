// A command buffer in the making. Only for the .cpp files of this folder.
#pragma once
#include "gpu/device_state.h"

namespace pixellm::gpu {

// Encodes steps of Commands; the first that asks for what is not allowed ends it. Dispatches share a pass
// unless each gets its own pair of timestamps.
class Device::Encoding {
 public:
  explicit Encoding(State& state);
  Encoding(Encoding&&) = delete;
  ~Encoding() { end_pass(); }

  Result<void> step(const Commands::Step& step, const WGPUPassTimestampWrites* timestamps);
  Result<void> all(const Commands& commands);
  void copy(WGPUBuffer from, uint64_t from_offset, WGPUBuffer to, uint64_t to_offset, uint64_t bytes);
  void resolve(WGPUQuerySet queries, uint32_t count, WGPUBuffer to);
  // Hands it to the queue. Errors of what was encoded since `scope` began come from here.
  Result<Submission> submit(ErrorScope& scope);

 private:
  Result<void> dispatch(const Commands::Step& step, const WGPUPassTimestampWrites* timestamps);
  void begin_pass(const WGPUPassTimestampWrites* timestamps);
  void end_pass();

  State& state_;
  const WebGpu& api_;
  Ref<WGPUCommandEncoder> encoder_;
  Ref<WGPUComputePassEncoder> pass_;
  const Pipeline::Impl* pipeline_ = nullptr;  // set in the pass
  const BindGroup::Impl* group_ = nullptr;
};

}  // namespace pixellm::gpu
