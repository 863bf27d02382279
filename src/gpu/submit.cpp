// Device: handing work over, waiting, reading back.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "gpu/encoding.h"

namespace pixellm::gpu {
namespace {

constexpr uint64_t kStagingLeast = 64 << 10, kStagingMost = 16 << 20;

}  // namespace

Result<void> Device::State::wait_all() {
  PIXELLM_CHECK(check());
  const Submission last = submitted;
  if (api->is_native()) {
    api->DevicePoll(device.get(), 1, nullptr);
  } else {
    bool finished = false;
    WGPUQueueWorkDoneCallbackInfo callback = {};
    callback.mode = WGPUCallbackMode_WaitAnyOnly;
    callback.userdata1 = &finished;
    callback.callback = [](WGPUQueueWorkDoneStatus, WGPUStringView, void* user, void*) {
      *static_cast<bool*>(user) = true;
    };
    PIXELLM_CHECK(await(api->QueueOnSubmittedWorkDone(queue.get(), callback), finished));
  }
  done = last;
  return check();
}

Result<void> Device::State::wait_for(Submission submission) {
  if (submission > submitted)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("gpu: submission {} is waited for, the last is {}", submission, submitted));
  if (submission <= done) return check();
  if (!api->is_native() || api->QueueSubmitForIndex == nullptr) return wait_all();
  PIXELLM_CHECK(check());
  const WGPUSubmissionIndex index = submission;
  api->DevicePoll(device.get(), 1, &index);
  done = submission;
  return check();
}

Result<void> Device::State::need_staging(uint64_t bytes) {
  if (bytes <= staging_bytes) return {};
  const uint64_t size = std::max(kStagingLeast, std::bit_ceil(bytes));
  WGPUBufferDescriptor descriptor = {};
  descriptor.label = view_of("staging");
  descriptor.size = size;
  descriptor.usage = WGPUBufferUsage_MapRead | WGPUBufferUsage_CopyDst;
  ErrorScope scope(*this);
  Ref<WGPUBuffer> made(api->DeviceCreateBuffer(device.get(), &descriptor), api->BufferRelease);
  PIXELLM_CHECK(scope.end(fmt::format("gpu: {} bytes for reading back", size)));
  staging = std::move(made);
  staging_bytes = size;
  return {};
}

Result<void> Device::State::read_staging(uint64_t skip, MutableBytes out) {
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
  const WGPUFuture future = api->BufferMapAsync(staging.get(), WGPUMapMode_Read, 0, size, callback);
  if (api->is_native()) {
    const Submission last = submitted;
    if (!answer.done) api->DevicePoll(device.get(), 1, nullptr);
    done = last;
  }
  PIXELLM_CHECK(await(future, answer.done));
  PIXELLM_CHECK(check());
  if (answer.status != WGPUMapAsyncStatus_Success)
    return fail(ErrorCode::kIo, fmt::format("gpu: reading back {} bytes did not succeed: {}", out.size(),
                                            one_line(answer.message)));
  const void* data = api->BufferGetConstMappedRange(staging.get(), 0, size);
  if (data != nullptr) std::memcpy(out.data(), static_cast<const uint8_t*>(data) + skip, out.size());
  api->BufferUnmap(staging.get());
  if (data == nullptr)
    return fail(ErrorCode::kIo, fmt::format("gpu: reading back {} bytes did not succeed", out.size()));
  return check();
}

Result<Submission> Device::submit(const Commands& commands) {
  PIXELLM_CHECK(state_->check());
  ErrorScope scope(*state_);
  Encoding encoding(*state_);
  PIXELLM_CHECK(encoding.all(commands));
  return encoding.submit(scope);
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
    if (n != 0) PIXELLM_CHECK(state_->need_staging(size));
    ErrorScope scope(*state_);
    Encoding encoding(*state_);
    if (first) PIXELLM_CHECK(encoding.all(commands));
    if (n != 0) encoding.copy(from.handle.get(), begin, state_->staging.get(), 0, size);
    PIXELLM_CHECK(encoding.submit(scope));
    if (n == 0) return state_->wait_all();
    PIXELLM_CHECK(state_->read_staging(skip, out.first(n)));
    out = out.subspan(n);
    offset += n;
    first = false;
  } while (!out.empty());
  return {};
}

Result<void> Device::read(const Buffer& buffer, uint64_t offset, MutableBytes out) {
  return submit_read({}, buffer, offset, out);
}

Result<void> Device::wait() {
  PIXELLM_CHECK(submit({}));  // writes wait for a submit
  return state_->wait_all();
}

Result<void> Device::wait(Submission submission) { return state_->wait_for(submission); }

}  // namespace pixellm::gpu
