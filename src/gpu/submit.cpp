// Device: handing work over, waiting, reading back.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "gpu/device_state.h"

namespace pixellm::gpu {
namespace {

constexpr uint64_t kStagingLeast = 64 << 10, kStagingMost = 16 << 20;
constexpr uint32_t kQueriesMost = 4096;  // of a query set, WebGPU's bound

using Encoder = Ref<WGPUCommandEncoder>;
using Pass = Ref<WGPUComputePassEncoder>;

Result<void> wait_all(Device::State& state) {
  PIXELLM_CHECK(state.check());
  const Submission last = state.submitted;
  if (state.api->is_native()) {
    state.api->DevicePoll(state.device.get(), 1, nullptr);
  } else {
    bool finished = false;
    WGPUQueueWorkDoneCallbackInfo callback = {};
    callback.mode = WGPUCallbackMode_WaitAnyOnly;
    callback.userdata1 = &finished;
    callback.callback = [](WGPUQueueWorkDoneStatus, WGPUStringView, void* user, void*) {
      *static_cast<bool*>(user) = true;
    };
    PIXELLM_CHECK(state.await(state.api->QueueOnSubmittedWorkDone(state.queue.get(), callback), finished));
  }
  state.done = last;
  return state.check();
}

Result<void> wait_for(Device::State& state, Submission submission) {
  if (submission <= state.done) return state.check();
  if (!state.api->is_native() || state.api->QueueSubmitForIndex == nullptr) return wait_all(state);
  PIXELLM_CHECK(state.check());
  const WGPUSubmissionIndex index = submission;
  state.api->DevicePoll(state.device.get(), 1, &index);
  state.done = submission;
  return state.check();
}

// Encodes one list of commands. Dispatches share a pass unless each gets its own pair of timestamps.
class Recording {
 public:
  explicit Recording(Device::State& state)
      : state_(state),
        api_(*state.api),
        encoder_(api_.DeviceCreateCommandEncoder(state.device.get(), nullptr), api_.CommandEncoderRelease) {}

  Recording(Recording&&) = delete;
  ~Recording() { end_pass(); }

  WGPUCommandEncoder encoder() const { return encoder_.get(); }

  void dispatch(const Pipeline::Impl& pipeline, const BindGroup::Impl& group, uint32_t x, uint32_t y,
                uint32_t z, const WGPUPassTimestampWrites* timestamps = nullptr) {
    if (!pass_ || timestamps != nullptr) begin_pass(timestamps);
    if (pipeline_ != &pipeline) api_.ComputePassEncoderSetPipeline(pass_.get(), pipeline.handle.get());
    if (group_ != &group) api_.ComputePassEncoderSetBindGroup(pass_.get(), 0, group.handle.get(), 0, nullptr);
    pipeline_ = &pipeline;
    group_ = &group;
    api_.ComputePassEncoderDispatchWorkgroups(pass_.get(), x, y, z);
  }

  void copy(const Buffer::Impl& from, uint64_t from_offset, WGPUBuffer to, uint64_t to_offset,
            uint64_t bytes) {
    end_pass();
    api_.CommandEncoderCopyBufferToBuffer(encoder_.get(), from.handle.get(), from_offset, to, to_offset,
                                          bytes);
  }

  void zero(const Buffer::Impl& buffer, uint64_t offset, uint64_t bytes) {
    end_pass();
    api_.CommandEncoderClearBuffer(encoder_.get(), buffer.handle.get(), offset, bytes);
  }

  void end_pass() {
    if (pass_) api_.ComputePassEncoderEnd(pass_.get());
    pass_ = Pass();
    pipeline_ = nullptr;
    group_ = nullptr;
  }

  Ref<WGPUCommandBuffer> finish() {
    end_pass();
    return {api_.CommandEncoderFinish(encoder_.get(), nullptr), api_.CommandBufferRelease};
  }

 private:
  void begin_pass(const WGPUPassTimestampWrites* timestamps) {
    end_pass();
    WGPUComputePassDescriptor descriptor = {};
    descriptor.timestampWrites = timestamps;
    pass_ = Pass(api_.CommandEncoderBeginComputePass(encoder_.get(), &descriptor),
                 api_.ComputePassEncoderRelease);
  }

  Device::State& state_;
  const WebGpu& api_;
  Encoder encoder_;
  Pass pass_;
  const Pipeline::Impl* pipeline_ = nullptr;
  const BindGroup::Impl* group_ = nullptr;
};

Result<void> check_range(const Buffer::Impl& buffer, uint64_t offset, uint64_t bytes, std::string_view what) {
  if (offset % 4 == 0 && bytes % 4 == 0 && offset <= buffer.size() && bytes <= buffer.size() - offset)
    return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("gpu: buffer {}: {} of {} bytes at {}; it has {}, and both are multiples of 4",
                          buffer.label, what, bytes, offset, buffer.bytes));
}

// wgpu-native ends the process when it is given a command buffer that did not validate, so errors are looked
// for first.
Result<Submission> hand_over(Device::State& state, Recording& recording, ErrorScope& scope) {
  const Ref<WGPUCommandBuffer> commands = recording.finish();
  PIXELLM_CHECK(scope.end("gpu: commands"));
  const WGPUCommandBuffer list[] = {commands.get()};
  if (state.api->QueueSubmitForIndex != nullptr) {
    state.submitted = state.api->QueueSubmitForIndex(state.queue.get(), 1, list);
  } else {
    state.api->QueueSubmit(state.queue.get(), 1, list);
    state.submitted++;
  }
  PIXELLM_CHECK(state.check());
  return state.submitted;
}

Result<void> need_staging(Device::State& state, uint64_t bytes) {
  if (bytes <= state.staging_bytes) return {};
  const uint64_t size = std::max(kStagingLeast, std::bit_ceil(bytes));
  WGPUBufferDescriptor descriptor = {};
  descriptor.label = view_of("staging");
  descriptor.size = size;
  descriptor.usage = WGPUBufferUsage_MapRead | WGPUBufferUsage_CopyDst;
  ErrorScope scope(state);
  Ref<WGPUBuffer> made(state.api->DeviceCreateBuffer(state.device.get(), &descriptor),
                       state.api->BufferRelease);
  PIXELLM_CHECK(scope.end(fmt::format("gpu: {} bytes for reading back", size)));
  state.staging = std::move(made);
  state.staging_bytes = size;
  return {};
}

// Bytes [skip, skip + out.size()) of the staging buffer, when everything submitted is done.
Result<void> read_staging(Device::State& state, uint64_t skip, MutableBytes out) {
  struct Answer {
    bool done = false;
    WGPUMapAsyncStatus status = WGPUMapAsyncStatus_Error;
    std::string message;
  } answer;
  WGPUBufferMapCallbackInfo callback = {};
  callback.mode = WGPUCallbackMode_WaitAnyOnly;
  callback.userdata1 = &answer;
  callback.callback = [](WGPUMapAsyncStatus status, WGPUStringView message, void* user, void*) {
    auto& a = *static_cast<Answer*>(user);
    a.status = status;
    a.message = text_of(message);
    a.done = true;
  };
  const uint64_t size = round_up(skip + out.size(), 4);
  const WGPUFuture future =
      state.api->BufferMapAsync(state.staging.get(), WGPUMapMode_Read, 0, size, callback);
  if (state.api->is_native()) {
    const Submission last = state.submitted;
    if (!answer.done) state.api->DevicePoll(state.device.get(), 1, nullptr);
    state.done = last;
  }
  PIXELLM_CHECK(state.await(future, answer.done));
  PIXELLM_CHECK(state.check());
  if (answer.status != WGPUMapAsyncStatus_Success)
    return fail(ErrorCode::kIo, fmt::format("gpu: reading back {} bytes did not succeed: {}", out.size(),
                                            one_line(answer.message)));
  const void* data = state.api->BufferGetConstMappedRange(state.staging.get(), 0, size);
  if (data != nullptr) std::memcpy(out.data(), static_cast<const uint8_t*>(data) + skip, out.size());
  state.api->BufferUnmap(state.staging.get());
  if (data == nullptr)
    return fail(ErrorCode::kIo, fmt::format("gpu: reading back {} bytes did not succeed", out.size()));
  return state.check();
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

// Encodes the steps; the first that asks for what is not allowed ends it.
struct Device::Encoding {
  Recording& recording;
  Device::State& state;

  Result<void> step(const Commands::Step& s, const WGPUPassTimestampWrites* timestamps) {
    switch (s.kind) {
      case Commands::Kind::kDispatch: {
        const uint32_t most = state.limits.max_workgroups;
        if (std::max({s.x, s.y, s.z}) > most)
          return fail(ErrorCode::kTooLarge,
                      fmt::format("gpu: {}: {} x {} x {} workgroups asked for, {} allows {} a dimension",
                                  s.pipeline->name, s.x, s.y, s.z, state.adapter.name, most));
        recording.dispatch(*s.pipeline, *s.group, s.x, s.y, s.z, timestamps);
        return {};
      }
      case Commands::Kind::kCopy:
        PIXELLM_CHECK(check_range(*s.from, s.from_offset, s.bytes, "a copy"));
        PIXELLM_CHECK(check_range(*s.to, s.to_offset, s.bytes, "a copy"));
        if (s.bytes != 0) recording.copy(*s.from, s.from_offset, s.to->handle.get(), s.to_offset, s.bytes);
        return {};
      case Commands::Kind::kZero:
        PIXELLM_CHECK(check_range(*s.to, s.to_offset, s.bytes, "zeroing"));
        if (s.bytes != 0) recording.zero(*s.to, s.to_offset, s.bytes);
        return {};
    }
    return {};
  }

  Result<void> all(const Commands& commands) {
    for (const Commands::Step& s : commands.steps_) PIXELLM_CHECK(step(s, nullptr));
    return {};
  }
};

Result<Submission> Device::submit(const Commands& commands) {
  PIXELLM_CHECK(state_->check());
  ErrorScope scope(*state_);
  Recording recording(*state_);
  PIXELLM_CHECK(Encoding{recording, *state_}.all(commands));
  return hand_over(*state_, recording, scope);
}

Result<void> Device::submit_read(const Commands& commands, const Buffer& buffer, uint64_t offset,
                                 MutableBytes out) {
  PIXELLM_CHECK(state_->check());
  PIXELLM_ASSERT(buffer.impl_ != nullptr);
  const Buffer::Impl& from = *buffer.impl_;
  if (offset > from.size() || out.size() > from.size() - offset || from.use == BufferUse::kUniform)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("gpu: buffer {}: {} bytes read at {}; it has {} that can be read", from.label,
                            out.size(), offset, from.use == BufferUse::kUniform ? 0 : from.bytes));
  bool first = true;
  do {
    const uint64_t begin = offset / 4 * 4, skip = offset - begin;
    const uint64_t n = std::min<uint64_t>(out.size(), kStagingMost - skip), size = round_up(skip + n, 4);
    if (n != 0) PIXELLM_CHECK(need_staging(*state_, size));
    ErrorScope scope(*state_);
    Recording recording(*state_);
    if (first) PIXELLM_CHECK(Encoding{recording, *state_}.all(commands));
    if (n != 0) recording.copy(from, begin, state_->staging.get(), 0, size);
    PIXELLM_CHECK(hand_over(*state_, recording, scope));
    if (n == 0) return wait_all(*state_);
    PIXELLM_CHECK(read_staging(*state_, skip, out.first(n)));
    out = out.subspan(n);
    offset += n;
    first = false;
  } while (!out.empty());
  return {};
}

Result<std::vector<uint64_t>> Device::submit_timed(const Commands& commands) {
  PIXELLM_CHECK(state_->check());
  if (!state_->adapter.timestamps)
    return fail(ErrorCode::kUnsupported, fmt::format("gpu: {} has no timestamps", state_->adapter.name));
  const WebGpu& api = *state_->api;
  WGPUQuerySetDescriptor descriptor = {};
  descriptor.type = WGPUQueryType_Timestamp;
  descriptor.count = kQueriesMost;
  WGPUBufferDescriptor ticks_descriptor = {};
  ticks_descriptor.size = kQueriesMost * sizeof(uint64_t);
  ticks_descriptor.usage = WGPUBufferUsage_QueryResolve | WGPUBufferUsage_CopySrc;
  ErrorScope scope(*state_);
  const Ref<WGPUQuerySet> queries(api.DeviceCreateQuerySet(state_->device.get(), &descriptor),
                                  api.QuerySetRelease);
  Buffer ticks;
  ticks.impl_.reset(new Buffer::Impl{
      state_,
      Ref<WGPUBuffer>(api.DeviceCreateBuffer(state_->device.get(), &ticks_descriptor), api.BufferRelease),
      ticks_descriptor.size, BufferUse::kStorage, "timestamps"});
  state_->allocated_bytes += ticks_descriptor.size;
  PIXELLM_CHECK(scope.end("gpu: timestamps"));
  PIXELLM_CHECK(need_staging(*state_, ticks_descriptor.size));
  const double period =
      api.QueueGetTimestampPeriod != nullptr ? double{api.QueueGetTimestampPeriod(state_->queue.get())} : 1.0;

  std::vector<uint64_t> nanoseconds, values;
  for (size_t at = 0; at < commands.steps_.size();) {
    ErrorScope part_scope(*state_);
    Recording recording(*state_);
    Encoding encoding{recording, *state_};
    uint32_t count = 0;
    for (; at < commands.steps_.size() && count < kQueriesMost; at++) {
      WGPUPassTimestampWrites writes = {};
      writes.querySet = queries.get();
      writes.beginningOfPassWriteIndex = count;
      writes.endOfPassWriteIndex = count + 1;
      if (commands.steps_[at].kind == Commands::Kind::kDispatch) count += 2;
      PIXELLM_CHECK(encoding.step(commands.steps_[at], &writes));
    }
    recording.end_pass();
    const uint64_t bytes = count * sizeof(uint64_t);
    if (count != 0) {
      api.CommandEncoderResolveQuerySet(recording.encoder(), queries.get(), 0, count,
                                        ticks.impl_->handle.get(), 0);
      recording.copy(*ticks.impl_, 0, state_->staging.get(), 0, bytes);
    }
    PIXELLM_CHECK(hand_over(*state_, recording, part_scope));
    values.resize(count);
    if (count == 0) {
      PIXELLM_CHECK(wait_all(*state_));
      continue;
    }
    PIXELLM_CHECK(read_staging(*state_, 0, {reinterpret_cast<uint8_t*>(values.data()), bytes}));
    for (uint32_t i = 0; i < count; i += 2)  // a clock may step back between passes
      nanoseconds.push_back(values[i + 1] > values[i] ? static_cast<uint64_t>(std::llround(
                                                            double(values[i + 1] - values[i]) * period))
                                                      : 0);
  }
  return nanoseconds;
}

Result<void> Device::read(const Buffer& buffer, uint64_t offset, MutableBytes out) {
  return submit_read({}, buffer, offset, out);
}

Result<void> Device::wait() {
  PIXELLM_CHECK(submit({}));  // writes wait for a submit
  return wait_all(*state_);
}

Result<void> Device::wait(Submission submission) { return wait_for(*state_, submission); }

}  // namespace pixellm::gpu
