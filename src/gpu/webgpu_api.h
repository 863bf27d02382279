// The WebGPU library behind a table of function pointers. Only for the .cpp files of this folder: no WebGPU
// type leaves it.
#pragma once
#include <wgpu.h>

#include <string>

#include "base/error.h"

namespace pixellm::gpu {

// clang-format off
// Functions of webgpu.h, without their prefix.
#define PIXELLM_WEBGPU_FUNCTIONS(X)                                                                      \
  X(CreateInstance) X(InstanceRelease) X(InstanceRequestAdapter) X(AdapterGetFeatures)                   \
  X(AdapterGetInfo) X(AdapterGetLimits) X(AdapterRelease) X(AdapterRequestDevice)                        \
  X(AdapterInfoFreeMembers) X(SupportedFeaturesFreeMembers) X(DeviceCreateBindGroup)                     \
  X(DeviceCreateBuffer) X(DeviceCreateCommandEncoder) X(DeviceCreateComputePipeline)                     \
  X(DeviceCreateQuerySet) X(DeviceCreateShaderModule) X(DeviceCreateTexture) X(DeviceDestroy)            \
  X(DeviceGetLimits) X(DeviceGetQueue) X(DevicePopErrorScope) X(DevicePushErrorScope) X(DeviceRelease)   \
  X(QueueSubmit) X(QueueWriteBuffer) X(QueueWriteTexture) X(QueueOnSubmittedWorkDone) X(QueueRelease)    \
  X(BufferGetConstMappedRange) X(BufferMapAsync) X(BufferUnmap) X(BufferRelease) X(TextureCreateView)    \
  X(TextureRelease) X(TextureViewRelease) X(ComputePipelineGetBindGroupLayout)                           \
  X(ComputePipelineRelease) X(BindGroupLayoutRelease) X(BindGroupRelease) X(ShaderModuleRelease)         \
  X(QuerySetRelease) X(CommandEncoderBeginComputePass) X(CommandEncoderCopyBufferToBuffer)               \
  X(CommandEncoderFinish) X(CommandEncoderResolveQuerySet) X(CommandEncoderRelease)                      \
  X(CommandEncoderClearBuffer)                                                                           \
  X(CommandBufferRelease) X(ComputePassEncoderDispatchWorkgroups) X(ComputePassEncoderEnd)               \
  X(ComputePassEncoderRelease) X(ComputePassEncoderSetBindGroup) X(ComputePassEncoderSetPipeline)

// Functions that only some libraries have (null in the others), or that abort in some.
#define PIXELLM_WEBGPU_OPTIONAL_FUNCTIONS(X)                                                             \
  X(DevicePoll) X(QueueSubmitForIndex) X(QueueGetTimestampPeriod) X(InstanceEnumerateAdapters)           \
  X(InstanceWaitAny)
// clang-format on

struct WebGpu {
#define PIXELLM_WEBGPU_MEMBER(name) decltype(&::wgpu##name) name = nullptr;
  PIXELLM_WEBGPU_FUNCTIONS(PIXELLM_WEBGPU_MEMBER)
  PIXELLM_WEBGPU_OPTIONAL_FUNCTIONS(PIXELLM_WEBGPU_MEMBER)
#undef PIXELLM_WEBGPU_MEMBER
  std::string path;  // of the library

  // wgpu-native: callbacks run inside the call or inside DevicePoll, and InstanceWaitAny aborts. Else futures
  // are waited for.
  bool is_native() const { return DevicePoll != nullptr; }
};

// The library that PIXELLM_WEBGPU names; else libwgpu_native.so beside the program, in ../lib/pixellm from
// there, or in the cache folder. Loaded once for each path and kept. Thread-safe. kNotFound: says what was
// looked for and what to do.
Result<const WebGpu*> load_webgpu();

inline WGPUStringView view_of(std::string_view text) { return {text.data(), text.size()}; }
std::string text_of(WGPUStringView text);

// A library's message in one line: its lines trimmed and joined.
std::string one_line(std::string_view message);

}  // namespace pixellm::gpu
