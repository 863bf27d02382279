#include "gpu/encoding.h"

#include <fmt/format.h>

#include <algorithm>

namespace pixellm::gpu {
namespace {

Result<void> check_range(const Buffer::Impl& buffer, uint64_t offset, uint64_t bytes, std::string_view what) {
  if (offset % 4 == 0 && bytes % 4 == 0 && offset <= buffer.size() && bytes <= buffer.size() - offset)
    return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("gpu: buffer {}: {} of {} bytes at {}; it has {}, and both are multiples of 4",
                          buffer.label, what, bytes, offset, buffer.bytes));
}

}  // namespace

void Commands::dispatch(const Pipeline& pipeline, const BindGroup& group, uint32_t x, uint32_t y,
                        uint32_t z) {
  PIXELLM_ASSERT(pipeline.impl_ != nullptr && group.impl_ != nullptr);
  if (x == 0 || y == 0 || z == 0) return;
  steps_.push_back({.kind = Kind::kDispatch,
                    .x = x,
                    .y = y,
                    .z = z,
                    .pipeline = pipeline.impl_.get(),
                    .group = group.impl_.get()});
}

void Commands::copy(const Buffer& from, uint64_t from_offset, const Buffer& to, uint64_t to_offset,
                    uint64_t bytes) {
  PIXELLM_ASSERT(from.impl_ != nullptr && to.impl_ != nullptr);
  steps_.push_back({.kind = Kind::kCopy,
                    .from = from.impl_.get(),
                    .to = to.impl_.get(),
                    .from_offset = from_offset,
                    .to_offset = to_offset,
                    .bytes = bytes});
}

void Commands::zero(const Buffer& buffer, uint64_t offset, uint64_t bytes) {
  PIXELLM_ASSERT(buffer.impl_ != nullptr);
  steps_.push_back({.kind = Kind::kZero, .to = buffer.impl_.get(), .to_offset = offset, .bytes = bytes});
}

size_t Commands::dispatches() const {
  return static_cast<size_t>(std::ranges::count(steps_, Kind::kDispatch, &Step::kind));
}

Device::Encoding::Encoding(State& state)
    : state_(state),
      api_(*state.api),
      encoder_(api_.DeviceCreateCommandEncoder(state.device.get(), nullptr), api_.CommandEncoderRelease) {}

void Device::Encoding::begin_pass(const WGPUPassTimestampWrites* timestamps) {
  end_pass();
  WGPUComputePassDescriptor descriptor = {};
  descriptor.timestampWrites = timestamps;
  pass_ = {api_.CommandEncoderBeginComputePass(encoder_.get(), &descriptor), api_.ComputePassEncoderRelease};
}

void Device::Encoding::end_pass() {
  if (pass_) api_.ComputePassEncoderEnd(pass_.get());
  pass_ = {};
  pipeline_ = nullptr;
  group_ = nullptr;
}

Result<void> Device::Encoding::dispatch(const Commands::Step& s, const WGPUPassTimestampWrites* timestamps) {
  const uint32_t most = state_.limits.max_workgroups;
  if (std::max({s.x, s.y, s.z}) > most)
    return fail(ErrorCode::kTooLarge,
                fmt::format("gpu: {}: {} x {} x {} workgroups asked for, {} allows {} a dimension",
                            s.pipeline->name, s.x, s.y, s.z, state_.adapter.name, most));
  if (!pass_ || timestamps != nullptr) begin_pass(timestamps);
  if (pipeline_ != s.pipeline) api_.ComputePassEncoderSetPipeline(pass_.get(), s.pipeline->handle.get());
  if (group_ != s.group)
    api_.ComputePassEncoderSetBindGroup(pass_.get(), 0, s.group->handle.get(), 0, nullptr);
  pipeline_ = s.pipeline;
  group_ = s.group;
  api_.ComputePassEncoderDispatchWorkgroups(pass_.get(), s.x, s.y, s.z);
  return {};
}

Result<void> Device::Encoding::step(const Commands::Step& s, const WGPUPassTimestampWrites* timestamps) {
  switch (s.kind) {
    case Commands::Kind::kDispatch:
      return dispatch(s, timestamps);
    case Commands::Kind::kCopy:
      PIXELLM_CHECK(check_range(*s.from, s.from_offset, s.bytes, "a copy"));
      PIXELLM_CHECK(check_range(*s.to, s.to_offset, s.bytes, "a copy"));
      if (s.bytes != 0) copy(s.from->handle.get(), s.from_offset, s.to->handle.get(), s.to_offset, s.bytes);
      return {};
    case Commands::Kind::kZero:
      PIXELLM_CHECK(check_range(*s.to, s.to_offset, s.bytes, "zeroing"));
      end_pass();
      if (s.bytes != 0)
        api_.CommandEncoderClearBuffer(encoder_.get(), s.to->handle.get(), s.to_offset, s.bytes);
      return {};
  }
  return {};
}

Result<void> Device::Encoding::all(const Commands& commands) {
  for (const Commands::Step& s : commands.steps_) PIXELLM_CHECK(step(s, nullptr));
  return {};
}

void Device::Encoding::copy(WGPUBuffer from, uint64_t from_offset, WGPUBuffer to, uint64_t to_offset,
                            uint64_t bytes) {
  end_pass();
  api_.CommandEncoderCopyBufferToBuffer(encoder_.get(), from, from_offset, to, to_offset, bytes);
}

void Device::Encoding::resolve(WGPUQuerySet queries, uint32_t count, WGPUBuffer to) {
  end_pass();
  api_.CommandEncoderResolveQuerySet(encoder_.get(), queries, 0, count, to, 0);
}

Result<Submission> Device::Encoding::submit(ErrorScope& scope) {
  end_pass();
  const Ref<WGPUCommandBuffer> made(api_.CommandEncoderFinish(encoder_.get(), nullptr),
                                    api_.CommandBufferRelease);
  // wgpu-native ends the process when it is given a command buffer that did not validate.
  PIXELLM_CHECK(scope.end("gpu: commands"));
  const WGPUCommandBuffer list[] = {made.get()};
  if (api_.QueueSubmitForIndex != nullptr) {
    state_.submitted = api_.QueueSubmitForIndex(state_.queue.get(), 1, list);
  } else {
    api_.QueueSubmit(state_.queue.get(), 1, list);
    state_.submitted++;
  }
  PIXELLM_CHECK(state_.check());
  return state_.submitted;
}

}  // namespace pixellm::gpu
