#include "gpu/adapter.h"

#include <fmt/format.h>

#include <algorithm>

#include "gpu/device_state.h"

namespace pixellm::gpu {
namespace {

std::string_view backend_name(WGPUBackendType backend) {
  switch (backend) {
    case WGPUBackendType_Vulkan:
      return "vulkan";
    case WGPUBackendType_Metal:
      return "metal";
    case WGPUBackendType_D3D12:
      return "d3d12";
    case WGPUBackendType_D3D11:
      return "d3d11";
    case WGPUBackendType_OpenGL:
      return "opengl";
    case WGPUBackendType_OpenGLES:
      return "opengles";
    case WGPUBackendType_WebGPU:
      return "webgpu";
    default:
      return "unknown";
  }
}

std::string_view type_name(WGPUAdapterType type) {
  switch (type) {
    case WGPUAdapterType_DiscreteGPU:
      return "discrete";
    case WGPUAdapterType_IntegratedGPU:
      return "integrated";
    case WGPUAdapterType_CPU:
      return "cpu";
    default:
      return "unknown";
  }
}

// Smaller is better: discrete, integrated, unknown (a virtual GPU), cpu.
int rank_of(const AdapterInfo& info) {
  if (info.type == "discrete") return 0;
  if (info.type == "integrated") return 1;
  return info.type == "cpu" ? 3 : 2;
}

Result<AdapterInfo> describe(const WebGpu& api, WGPUAdapter adapter) {
  AdapterInfo info;
  info.library = api.path;
  WGPUAdapterInfo raw = {};
  if (api.AdapterGetInfo(adapter, &raw) != WGPUStatus_Success)
    return fail(ErrorCode::kIo, fmt::format("gpu: {} does not describe its adapter", api.path));
  info.name = text_of(raw.device);
  info.vendor = text_of(raw.vendor);
  info.driver = text_of(raw.description);
  info.backend = backend_name(raw.backendType);
  info.type = type_name(raw.adapterType);
  api.AdapterInfoFreeMembers(raw);

  WGPUSupportedFeatures features = {};
  api.AdapterGetFeatures(adapter, &features);
  for (const WGPUFeatureName feature : std::span(features.features, features.featureCount)) {
    info.f16 |= feature == WGPUFeatureName_ShaderF16;
    info.subgroups |= feature == subgroup_feature(api);
    info.timestamps |= feature == WGPUFeatureName_TimestampQuery;
  }
  api.SupportedFeaturesFreeMembers(features);

  WGPULimits limits = {};
  if (api.AdapterGetLimits(adapter, &limits) != WGPUStatus_Success)
    return fail(ErrorCode::kIo, fmt::format("gpu: {}: the adapter does not tell its limits", info.name));
  info.limits = limits_of(limits);
  return info;
}

// One adapter by preference, for libraries that cannot list them; null when there is none.
Result<Ref<WGPUAdapter>> request_adapter(const WebGpu& api, WGPUInstance instance, WGPUPowerPreference power,
                                         bool fallback) {
  struct Answer {
    bool done = false;
    WGPUAdapter adapter = nullptr;
  } answer;
  WGPURequestAdapterOptions options = {};
  options.featureLevel = WGPUFeatureLevel_Core;
  options.powerPreference = power;
  options.forceFallbackAdapter = fallback;
  WGPURequestAdapterCallbackInfo callback = {};
  callback.mode = WGPUCallbackMode_WaitAnyOnly;
  callback.userdata1 = &answer;
  callback.callback = [](WGPURequestAdapterStatus status, WGPUAdapter adapter, WGPUStringView, void* user,
                         void*) {
    auto& a = *static_cast<Answer*>(user);
    a.done = true;
    if (status == WGPURequestAdapterStatus_Success) a.adapter = adapter;
  };
  WGPUFutureWaitInfo wait = {};
  wait.future = api.InstanceRequestAdapter(instance, &options, callback);
  if (!answer.done && api.InstanceWaitAny(instance, 1, &wait, UINT64_MAX) != WGPUWaitStatus_Success)
    return fail(ErrorCode::kIo, fmt::format("gpu: {}: waiting for an adapter did not succeed", api.path));
  return Ref<WGPUAdapter>(answer.adapter, api.AdapterRelease);
}

Result<std::vector<Ref<WGPUAdapter>>> list_adapters(const WebGpu& api, WGPUInstance instance) {
  std::vector<Ref<WGPUAdapter>> list;
  if (api.InstanceEnumerateAdapters != nullptr) {
    std::vector<WGPUAdapter> handles(api.InstanceEnumerateAdapters(instance, nullptr, nullptr));
    if (!handles.empty())
      handles.resize(
          std::min(handles.size(), api.InstanceEnumerateAdapters(instance, nullptr, handles.data())));
    for (const WGPUAdapter handle : handles) list.emplace_back(handle, api.AdapterRelease);
    return list;
  }
  const std::pair<WGPUPowerPreference, bool> kinds[] = {{WGPUPowerPreference_HighPerformance, false},
                                                        {WGPUPowerPreference_LowPower, false},
                                                        {WGPUPowerPreference_Undefined, true}};
  for (const auto& [power, fallback] : kinds)
    if (auto adapter = PIXELLM_TRY(request_adapter(api, instance, power, fallback)))
      list.push_back(std::move(adapter));
  return list;
}

}  // namespace

WGPUFeatureName subgroup_feature(const WebGpu& api) {
  return api.is_native() ? static_cast<WGPUFeatureName>(WGPUNativeFeature_Subgroup)
                         : WGPUFeatureName_Subgroups;
}

Limits limits_of(const WGPULimits& raw) {
  return {.max_texture_size = raw.maxTextureDimension2D,
          .max_texture_layers = raw.maxTextureArrayLayers,
          .max_sampled_textures = raw.maxSampledTexturesPerShaderStage,
          .max_storage_buffers = raw.maxStorageBuffersPerShaderStage,
          .max_uniform_buffers = raw.maxUniformBuffersPerShaderStage,
          .max_buffer_bytes = raw.maxBufferSize,
          .max_binding_bytes = raw.maxStorageBufferBindingSize,
          .max_uniform_bytes = raw.maxUniformBufferBindingSize,
          .storage_alignment = raw.minStorageBufferOffsetAlignment,
          .uniform_alignment = raw.minUniformBufferOffsetAlignment,
          .max_workgroup_bytes = raw.maxComputeWorkgroupStorageSize,
          .max_workgroup_size = raw.maxComputeInvocationsPerWorkgroup,
          .max_workgroup_size_x = raw.maxComputeWorkgroupSizeX,
          .max_workgroup_size_y = raw.maxComputeWorkgroupSizeY,
          .max_workgroup_size_z = raw.maxComputeWorkgroupSizeZ,
          .max_workgroups = raw.maxComputeWorkgroupsPerDimension};
}

Result<Ref<WGPUInstance>> make_instance(const WebGpu& api) {
  WGPUInstanceDescriptor descriptor = {};
  WGPUInstanceExtras extras = {};
  const WGPUInstanceFeatureName waiting[] = {WGPUInstanceFeatureName_TimedWaitAny};
  if (api.is_native()) {
    extras.chain.sType = static_cast<WGPUSType>(WGPUSType_InstanceExtras);
    extras.backends = WGPUInstanceBackend_Vulkan | WGPUInstanceBackend_Metal | WGPUInstanceBackend_DX12;
    descriptor.nextInChain = &extras.chain;
  } else {
    descriptor.requiredFeatures = waiting;
    descriptor.requiredFeatureCount = std::size(waiting);
  }
  Ref<WGPUInstance> instance(api.CreateInstance(&descriptor), api.InstanceRelease);
  if (!instance)
    return fail(ErrorCode::kUnsupported,
                fmt::format("gpu: {} gives no WebGPU instance (for Vulkan)", api.path));
  return instance;
}

Result<std::vector<FoundAdapter>> find_adapters(const WebGpu& api, WGPUInstance instance) {
  std::vector<FoundAdapter> found;
  for (auto& handle : PIXELLM_TRY(list_adapters(api, instance))) {
    AdapterInfo info = PIXELLM_TRY(describe(api, handle.get()));
    // A request by preference may answer with an adapter that is there already.
    const bool known =
        api.InstanceEnumerateAdapters == nullptr && std::ranges::any_of(found, [&](const FoundAdapter& f) {
          return f.info.name == info.name && f.info.backend == info.backend && f.info.type == info.type;
        });
    if (!known) found.push_back({std::move(handle), std::move(info)});
  }
  if (found.empty())
    return fail(ErrorCode::kNotFound,
                "gpu: Vulkan offers no adapter: install the Vulkan driver of your GPU, or the one that "
                "computes on the CPU "
                "(Debian: apt-get install mesa-vulkan-drivers libvulkan1)");
  std::ranges::stable_sort(found, {}, [](const FoundAdapter& f) { return rank_of(f.info); });
  return found;
}

Result<std::vector<AdapterInfo>> adapters() {
  const WebGpu* api = PIXELLM_TRY(load_webgpu());
  const auto instance = PIXELLM_TRY(make_instance(*api));
  std::vector<AdapterInfo> infos;
  for (auto& found : PIXELLM_TRY(find_adapters(*api, instance.get()))) infos.push_back(std::move(found.info));
  return infos;
}

}  // namespace pixellm::gpu
