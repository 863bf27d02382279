// What a Device and its handles share. Only for the .cpp files of this folder.
#pragma once
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "gpu/device.h"
#include "gpu/webgpu_api.h"

namespace pixellm::gpu {

// Owns a reference to a WebGPU object and gives it back with the function of its kind.
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(T handle, void (*release)(T)) : handle_(handle), release_(release) {}
  Ref(Ref&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)), release_(other.release_) {}
  Ref& operator=(Ref&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(release_, other.release_);
    return *this;
  }
  ~Ref() {
    if (handle_ != nullptr) release_(handle_);
  }
  T get() const { return handle_; }
  explicit operator bool() const { return handle_ != nullptr; }

 private:
  T handle_ = nullptr;
  void (*release_)(T) = nullptr;
};

struct FoundAdapter {
  Ref<WGPUAdapter> handle;
  AdapterInfo info;
};

// An instance for the backends of this system.
Result<Ref<WGPUInstance>> make_instance(const WebGpu& api);
// kNotFound: no driver. Ordered as adapters() says.
Result<std::vector<FoundAdapter>> find_adapters(const WebGpu& api, WGPUInstance instance);
Limits limits_of(const WGPULimits& limits);
// The library's number for subgroups: wgpu-native has its own.
WGPUFeatureName subgroup_feature(const WebGpu& api);

// What callbacks report, on whatever thread they run.
struct DeviceEvents {
  std::mutex mutex;
  std::optional<std::string> loss;  // reason; for ever
  std::optional<Error> error;       // the first that nobody was told of
};

struct Device::State {
  const WebGpu* api = nullptr;
  DeviceEvents events;  // outlives what follows, whose release may call back
  Ref<WGPUInstance> instance;
  Ref<WGPUAdapter> adapter_handle;
  Ref<WGPUDevice> device;
  Ref<WGPUQueue> queue;
  AdapterInfo adapter;
  Limits limits;
  std::string directives;
  std::map<std::string, Ref<WGPUShaderModule>, std::less<>> modules;  // by text, directives included
  Ref<WGPUBuffer> staging;                                            // for reading back; grows
  uint64_t staging_bytes = 0;
  uint64_t allocated_bytes = 0;  // by live buffers and textures
  Submission submitted = 0, done = 0;

  ~State();

  // The loss, or an error that came by itself, once.
  Result<void> check();
  // Waits for a callback that sets `done`; returns at once where callbacks run inside the call.
  Result<void> await(WGPUFuture future, const bool& done);
  Result<void> wait_all();  // that was submitted
  Result<void> wait_for(Submission submission);
  // Makes the staging buffer hold at least `bytes`.
  Result<void> need_staging(uint64_t bytes);
  // Its bytes [skip, skip + out.size()), when everything submitted is done.
  Result<void> read_staging(uint64_t skip, MutableBytes out);
  // kTooLarge when `bytes` more do not fit into this machine's memory and the adapter lives in it.
  Result<void> check_room(uint64_t bytes, std::string_view what);
};

// Catches the errors of the calls made while it lives.
class ErrorScope {
 public:
  explicit ErrorScope(Device::State& state);
  ~ErrorScope();
  ErrorScope(const ErrorScope&) = delete;
  ErrorScope& operator=(const ErrorScope&) = delete;
  // The error of those calls, its message behind "what: ".
  Result<void> end(std::string_view what);

 private:
  Device::State& state_;
  bool open_ = true;
};

Error error_of(WGPUErrorType type, std::string_view what, std::string_view message);

struct Buffer::Impl {
  std::shared_ptr<Device::State> state;
  Ref<WGPUBuffer> handle;
  uint64_t bytes = 0;  // as asked for
  BufferUse use = BufferUse::kStorage;
  std::string label;
  uint64_t size() const { return round_up(bytes, 4); }
  ~Impl() { state->allocated_bytes -= size(); }
};

struct Texture::Impl {
  std::shared_ptr<Device::State> state;
  Ref<WGPUTexture> handle;
  Ref<WGPUTextureView> view;
  uint32_t width = 0, height = 0, layers = 0;
  std::string label;
  uint64_t size() const { return uint64_t{16} * width * height * layers; }
  ~Impl() { state->allocated_bytes -= size(); }
};

struct Pipeline::Impl {
  std::shared_ptr<Device::State> state;
  Ref<WGPUComputePipeline> handle;
  Ref<WGPUBindGroupLayout> layout;
  std::string name;
};

struct BindGroup::Impl {
  std::shared_ptr<Device::State> state;
  Ref<WGPUBindGroup> handle;
};

}  // namespace pixellm::gpu
