#include "gpu/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/memory.h"
#include "gpu/device_state.h"

namespace pixellm::gpu {
namespace {

bool contains(std::string_view text, std::string_view part) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
  };
  return !std::ranges::search(text, part, same).empty();
}

Result<FoundAdapter> choose(std::vector<FoundAdapter> found, const std::string& wanted) {
  if (wanted.empty()) return std::move(found.front());
  size_t index = 0;
  const auto [end, error] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), index);
  const bool is_index = error == std::errc() && end == wanted.data() + wanted.size();
  if (is_index && index < found.size()) return std::move(found[index]);
  std::string names;
  for (size_t i = 0; i < found.size(); i++) {
    if (!is_index && contains(found[i].info.name, wanted)) return std::move(found[i]);
    names += fmt::format("{}{} {}", i == 0 ? "" : ", ", i, found[i].info.name);
  }
  return fail(ErrorCode::kNotFound,
              fmt::format("gpu: there is no adapter '{}'; there are: {}", wanted, names));
}

// What the adapter has, lowered to what was asked for.
void lower(WGPULimits& raw, const Limits& most) {
  const auto cap = [](auto& value, auto bound) { value = std::min(value, bound); };
  cap(raw.maxTextureDimension2D, most.max_texture_size);
  cap(raw.maxTextureArrayLayers, most.max_texture_layers);
  cap(raw.maxSampledTexturesPerShaderStage, most.max_sampled_textures);
  cap(raw.maxStorageBuffersPerShaderStage, most.max_storage_buffers);
  cap(raw.maxUniformBuffersPerShaderStage, most.max_uniform_buffers);
  cap(raw.maxBufferSize, most.max_buffer_bytes);
  cap(raw.maxStorageBufferBindingSize, std::min(most.max_binding_bytes, raw.maxBufferSize));
  cap(raw.maxUniformBufferBindingSize, std::min(most.max_uniform_bytes, raw.maxBufferSize));
  cap(raw.maxComputeWorkgroupStorageSize, most.max_workgroup_bytes);
  cap(raw.maxComputeInvocationsPerWorkgroup, most.max_workgroup_size);
  cap(raw.maxComputeWorkgroupSizeX,
      std::min(most.max_workgroup_size_x, raw.maxComputeInvocationsPerWorkgroup));
  cap(raw.maxComputeWorkgroupSizeY,
      std::min(most.max_workgroup_size_y, raw.maxComputeInvocationsPerWorkgroup));
  cap(raw.maxComputeWorkgroupSizeZ,
      std::min(most.max_workgroup_size_z, raw.maxComputeInvocationsPerWorkgroup));
  cap(raw.maxComputeWorkgroupsPerDimension, most.max_workgroups);
}

void on_loss(WGPUDevice const*, WGPUDeviceLostReason, WGPUStringView message, void* user, void*) {
  auto& events = *static_cast<DeviceEvents*>(user);
  const std::lock_guard lock(events.mutex);
  if (!events.loss) events.loss = one_line(text_of(message));
}

void on_error(WGPUDevice const*, WGPUErrorType type, WGPUStringView message, void* user, void*) {
  auto& events = *static_cast<DeviceEvents*>(user);
  const std::lock_guard lock(events.mutex);
  if (!events.error) events.error = error_of(type, "gpu", text_of(message));
}

Result<void> request_device(Device::State& state, const WGPUDeviceDescriptor& descriptor) {
  struct Answer {
    bool done = false;
    WGPUDevice device = nullptr;
    std::string message;
  } answer;
  WGPURequestDeviceCallbackInfo callback = {};
  callback.mode = WGPUCallbackMode_WaitAnyOnly;
  callback.userdata1 = &answer;
  callback.callback = [](WGPURequestDeviceStatus, WGPUDevice device, WGPUStringView message, void* user,
                         void*) {
    auto& a = *static_cast<Answer*>(user);
    a.device = device;
    a.message = one_line(text_of(message));
    a.done = true;
  };
  const WGPUFuture future =
      state.api->AdapterRequestDevice(state.adapter_handle.get(), &descriptor, callback);
  PIXELLM_CHECK(state.await(future, answer.done));
  if (answer.device == nullptr)
    return fail(ErrorCode::kUnsupported, fmt::format("gpu: {} ({}) cannot be opened: {}", state.adapter.name,
                                                     state.adapter.backend, answer.message));
  state.device = Ref<WGPUDevice>(answer.device, state.api->DeviceRelease);
  return {};
}

Result<void> open_device(Device::State& state, const Limits& at_most) {
  WGPULimits wanted = {};
  if (state.api->AdapterGetLimits(state.adapter_handle.get(), &wanted) != WGPUStatus_Success)
    return fail(ErrorCode::kIo,
                fmt::format("gpu: {}: the adapter does not tell its limits", state.adapter.name));
  lower(wanted, at_most);
  std::vector<WGPUFeatureName> features;
  if (state.adapter.f16) features.push_back(WGPUFeatureName_ShaderF16);
  if (state.adapter.subgroups) features.push_back(subgroup_feature(*state.api));
  if (state.adapter.timestamps) features.push_back(WGPUFeatureName_TimestampQuery);

  WGPUDeviceDescriptor descriptor = {};
  descriptor.label = view_of("pixellm");
  descriptor.requiredFeatureCount = features.size();
  descriptor.requiredFeatures = features.data();
  descriptor.requiredLimits = &wanted;
  descriptor.deviceLostCallbackInfo.mode = WGPUCallbackMode_AllowSpontaneous;
  descriptor.deviceLostCallbackInfo.callback = on_loss;
  descriptor.deviceLostCallbackInfo.userdata1 = &state.events;
  descriptor.uncapturedErrorCallbackInfo.callback = on_error;
  descriptor.uncapturedErrorCallbackInfo.userdata1 = &state.events;
  PIXELLM_CHECK(request_device(state, descriptor));
  state.queue = Ref<WGPUQueue>(state.api->DeviceGetQueue(state.device.get()), state.api->QueueRelease);
  // A library may grant more than was asked for; what was asked for holds all the same.
  state.limits = limits_of(wanted);
  // naga knows subgroups without a directive and refuses it.
  if (state.adapter.f16) state.directives += "enable f16; ";
  if (state.adapter.subgroups && !state.api->is_native()) state.directives += "enable subgroups; ";
  return {};
}

}  // namespace

Error error_of(WGPUErrorType type, std::string_view what, std::string_view message) {
  // wgpu-native calls some failures to allocate a validation error.
  const bool no_memory = type == WGPUErrorType_OutOfMemory || message.contains("Not enough memory");
  const ErrorCode code = no_memory                          ? ErrorCode::kTooLarge
                         : type == WGPUErrorType_Validation ? ErrorCode::kInvalidArgument
                                                            : ErrorCode::kIo;
  // wgpu-native: "Validation Error; Caused by: In wgpuDeviceCreateBuffer, label = 'x'; the reason".
  std::string text = one_line(message);
  for (const std::string_view frame : {"Validation Error; Caused by: ", "In wgpu"}) {
    const size_t end = frame.starts_with("In ") ? text.find("; ") : frame.size() - 2;
    if (text.starts_with(frame) && end != text.npos) text.erase(0, end + 2);
  }
  while (!text.empty() && text.back() == '.') text.pop_back();
  return {code, fmt::format("{}: {}", what, text)};
}

Device::State::~State() = default;

Result<void> Device::State::check() {
  const std::lock_guard lock(events.mutex);
  if (events.loss)
    return fail(ErrorCode::kIo, fmt::format("gpu: the device {} was lost{}{}", adapter.name,
                                            events.loss->empty() ? "" : ": ", *events.loss));
  if (auto error = std::exchange(events.error, std::nullopt)) return std::unexpected(*std::move(error));
  return {};
}

Result<void> Device::State::await(WGPUFuture future, const bool& finished) {
  if (finished) return {};
  WGPUFutureWaitInfo wait = {};
  wait.future = future;
  if (api->is_native() ||
      api->InstanceWaitAny(instance.get(), 1, &wait, UINT64_MAX) != WGPUWaitStatus_Success || !finished) {
    PIXELLM_CHECK(check());
    return fail(ErrorCode::kIo, fmt::format("gpu: {}: waiting for the device did not succeed", api->path));
  }
  return {};
}

Result<void> Device::State::check_room(uint64_t bytes, std::string_view what) {
  if (adapter.type != "cpu") return {};
  const auto all = checked_add(allocated_bytes, bytes);
  return check_memory(all.value_or(UINT64_MAX),
                      fmt::format("gpu: {}, with what the device holds already,", what));
}

ErrorScope::ErrorScope(Device::State& state) : state_(state) {
  // wgpu-native ends the process when it is given the filter for internal errors: those reach on_error().
  for (const auto filter : {WGPUErrorFilter_OutOfMemory, WGPUErrorFilter_Validation})
    state_.api->DevicePushErrorScope(state_.device.get(), filter);
}

ErrorScope::~ErrorScope() {
  if (open_) static_cast<void>(end("gpu"));
}

Result<void> ErrorScope::end(std::string_view what) {
  open_ = false;
  struct Answer {
    bool done = false;
    WGPUErrorType type = WGPUErrorType_NoError;
    std::string message;
  };
  Result<void> result;
  for (int scope = 0; scope < 2; scope++) {
    Answer answer;
    WGPUPopErrorScopeCallbackInfo callback = {};
    callback.mode = WGPUCallbackMode_WaitAnyOnly;
    callback.userdata1 = &answer;
    callback.callback = [](WGPUPopErrorScopeStatus, WGPUErrorType type, WGPUStringView message, void* user,
                           void*) {
      auto& a = *static_cast<Answer*>(user);
      a.type = type;
      a.message = text_of(message);
      a.done = true;
    };
    const WGPUFuture future = state_.api->DevicePopErrorScope(state_.device.get(), callback);
    const Result<void> waited = state_.await(future, answer.done);
    if (!result) continue;
    if (!waited) result = waited;
    const bool failed = answer.type != WGPUErrorType_NoError && answer.type != WGPUErrorType{};
    if (failed) result = std::unexpected(error_of(answer.type, what, answer.message));
  }
  // After a loss every call "succeeds" or fails for odd reasons: the loss is what the caller should hear of.
  PIXELLM_CHECK(state_.check());
  return result;
}

Device::Device(std::shared_ptr<State> state) : state_(std::move(state)) {}
Device::Device(Device&&) noexcept = default;
Device& Device::operator=(Device&&) noexcept = default;
Device::~Device() = default;

Result<Device> Device::open(const DeviceOptions& options) {
  auto state = std::make_shared<State>();
  state->api = PIXELLM_TRY(load_webgpu());
  state->instance = PIXELLM_TRY(make_instance(*state->api));
  auto found = PIXELLM_TRY(find_adapters(*state->api, state->instance.get()));
  auto chosen = PIXELLM_TRY(choose(std::move(found), options.adapter));
  state->adapter_handle = std::move(chosen.handle);
  state->adapter = std::move(chosen.info);
  PIXELLM_CHECK(open_device(*state, options.at_most));
  return Device(std::move(state));
}

const AdapterInfo& Device::adapter() const { return state_->adapter; }
const Limits& Device::limits() const { return state_->limits; }
std::string_view Device::directives() const { return state_->directives; }

void Device::lose() {
  state_->api->DeviceDestroy(state_->device.get());
  const std::lock_guard lock(state_->events.mutex);
  if (!state_->events.loss) state_->events.loss = "it was destroyed";  // some libraries tell it later
}

}  // namespace pixellm::gpu
