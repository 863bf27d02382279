// Device: timestamps of dispatches.
#include <fmt/format.h>

#include <cmath>

#include "gpu/encoding.h"

namespace pixellm::gpu {
namespace {

constexpr uint32_t kQueriesMost = 4096;  // of a query set, WebGPU's bound

// A query set and the buffer that its values go to.
struct Ticks {
  Ref<WGPUQuerySet> queries;
  Ref<WGPUBuffer> buffer;
  static constexpr uint64_t kBytes = kQueriesMost * sizeof(uint64_t);
};

Result<Ticks> make_ticks(Device::State& state) {
  const WebGpu& api = *state.api;
  WGPUQuerySetDescriptor set = {};
  set.type = WGPUQueryType_Timestamp;
  set.count = kQueriesMost;
  WGPUBufferDescriptor buffer = {};
  buffer.size = Ticks::kBytes;
  buffer.usage = WGPUBufferUsage_QueryResolve | WGPUBufferUsage_CopySrc;
  ErrorScope scope(state);
  Ticks ticks{{api.DeviceCreateQuerySet(state.device.get(), &set), api.QuerySetRelease},
              {api.DeviceCreateBuffer(state.device.get(), &buffer), api.BufferRelease}};
  PIXELLM_CHECK(scope.end("gpu: timestamps"));
  return ticks;
}

}  // namespace

Result<std::vector<uint64_t>> Device::submit_timed(const Commands& commands) {
  PIXELLM_CHECK(state_->check());
  if (!state_->adapter.timestamps)
    return fail(ErrorCode::kUnsupported, fmt::format("gpu: {} has no timestamps", state_->adapter.name));
  const WebGpu& api = *state_->api;
  const Ticks ticks = PIXELLM_TRY(make_ticks(*state_));
  PIXELLM_CHECK(state_->need_staging(Ticks::kBytes));
  const double period =
      api.QueueGetTimestampPeriod != nullptr ? double{api.QueueGetTimestampPeriod(state_->queue.get())} : 1.0;

  std::vector<uint64_t> nanoseconds, values;
  for (size_t at = 0; at < commands.steps_.size();) {
    ErrorScope scope(*state_);
    Encoding encoding(*state_);
    uint32_t count = 0;
    for (; at < commands.steps_.size() && count < kQueriesMost; at++) {
      WGPUPassTimestampWrites writes = {};
      writes.querySet = ticks.queries.get();
      writes.beginningOfPassWriteIndex = count;
      writes.endOfPassWriteIndex = count + 1;
      if (commands.steps_[at].kind == Commands::Kind::kDispatch) count += 2;
      PIXELLM_CHECK(encoding.step(commands.steps_[at], &writes));
    }
    const uint64_t bytes = count * sizeof(uint64_t);
    if (count != 0) {
      encoding.resolve(ticks.queries.get(), count, ticks.buffer.get());
      encoding.copy(ticks.buffer.get(), 0, state_->staging.get(), 0, bytes);
    }
    PIXELLM_CHECK(encoding.submit(scope));
    if (count == 0) {
      PIXELLM_CHECK(state_->wait_all());
      continue;
    }
    values.resize(count);
    PIXELLM_CHECK(state_->read_staging(0, {reinterpret_cast<uint8_t*>(values.data()), bytes}));
    for (uint32_t i = 0; i < count; i += 2) {
      const bool forward = values[i + 1] > values[i];  // a clock may step back between passes
      nanoseconds.push_back(
          forward ? static_cast<uint64_t>(std::llround(double(values[i + 1] - values[i]) * period)) : 0);
    }
  }
  return nanoseconds;
}

}  // namespace pixellm::gpu
