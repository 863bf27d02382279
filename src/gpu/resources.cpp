// Device: what is made from it, and writing into it.
#include <fmt/format.h>

#include "gpu/device_state.h"

namespace pixellm::gpu {
namespace {

Error too_large(std::string_view what, uint64_t asked, std::string_view of, uint64_t most,
                const Device::State& state) {
  return {ErrorCode::kTooLarge,
          fmt::format("gpu: {}: {} {} asked for, {} allows {}", what, asked, of, state.adapter.name, most)};
}

// Adds how much the device holds to an error of the library for want of memory.
Error explain(Error error, uint64_t asked, const Device::State& state) {
  if (error.code == ErrorCode::kTooLarge)
    error.message += fmt::format(" ({} bytes asked for, {} held already)", asked, state.allocated_bytes);
  return error;
}

Result<WGPUBindGroupEntry> entry_of(const Binding& binding, const std::string& pipeline) {
  WGPUBindGroupEntry entry = {};
  entry.binding = binding.index;
  if (binding.texture != nullptr) return entry;
  const uint64_t size = round_up(binding.buffer->bytes(), 4);
  if (binding.offset >= size || binding.bytes > size - binding.offset)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("gpu: {}: binding {}: bytes {} to {} of a buffer of {}", pipeline, binding.index,
                            binding.offset, binding.offset + binding.bytes, size));
  entry.offset = binding.offset;
  entry.size = binding.bytes != 0 ? round_up(binding.bytes, 4) : size - binding.offset;
  return entry;
}

}  // namespace

#define PIXELLM_GPU_HANDLE(T)              \
  T::T() = default;                        \
  T::T(T&&) noexcept = default;            \
  T& T::operator=(T&&) noexcept = default; \
  T::~T() = default;
PIXELLM_GPU_HANDLE(Buffer)
PIXELLM_GPU_HANDLE(Texture)
PIXELLM_GPU_HANDLE(Pipeline)
PIXELLM_GPU_HANDLE(BindGroup)
#undef PIXELLM_GPU_HANDLE

uint64_t Buffer::bytes() const { return impl_ ? impl_->bytes : 0; }
uint32_t Texture::width() const { return impl_ ? impl_->width : 0; }
uint32_t Texture::height() const { return impl_ ? impl_->height : 0; }
uint32_t Texture::layers() const { return impl_ ? impl_->layers : 0; }

Result<Buffer> Device::buffer(uint64_t bytes, BufferUse use, std::string_view label) {
  PIXELLM_CHECK(state_->check());
  const std::string what = fmt::format("buffer {}", label);
  if (bytes == 0)
    return fail(ErrorCode::kInvalidArgument, fmt::format("gpu: {}: 0 bytes asked for, 1 is the least", what));
  if (bytes > state_->limits.max_buffer_bytes / 4 * 4)
    return std::unexpected(too_large(what, bytes, "bytes", state_->limits.max_buffer_bytes, *state_));
  PIXELLM_CHECK(state_->check_room(bytes, what));
  WGPUBufferDescriptor descriptor = {};
  descriptor.label = view_of(label);
  descriptor.size = round_up(bytes, 4);
  descriptor.usage = WGPUBufferUsage_CopyDst |
                     (use == BufferUse::kUniform ? WGPUBufferUsage_Uniform
                                                 : WGPUBufferUsage_Storage | WGPUBufferUsage_CopySrc);
  ErrorScope scope(*state_);
  Ref<WGPUBuffer> handle(state_->api->DeviceCreateBuffer(state_->device.get(), &descriptor),
                         state_->api->BufferRelease);
  if (auto made = scope.end("gpu: " + what); !made)
    return std::unexpected(explain(made.error(), bytes, *state_));
  if (!handle)
    return fail(ErrorCode::kTooLarge,
                fmt::format("gpu: {}: {} bytes were refused without a reason", what, bytes));
  Buffer buffer;
  state_->allocated_bytes += descriptor.size;
  buffer.impl_.reset(new Buffer::Impl{state_, std::move(handle), bytes, use, std::string(label)});
  return buffer;
}

Result<void> Device::write(const Buffer& buffer, uint64_t offset, Bytes data) {
  PIXELLM_CHECK(state_->check());
  PIXELLM_ASSERT(buffer.impl_ != nullptr);
  const Buffer::Impl& to = *buffer.impl_;
  if (offset % 4 != 0 || data.size() % 4 != 0 || offset > to.size() || data.size() > to.size() - offset)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("gpu: buffer {}: {} bytes written at {}; it has {}, and both are multiples of 4",
                            to.label, data.size(), offset, to.bytes));
  if (!data.empty())
    state_->api->QueueWriteBuffer(state_->queue.get(), to.handle.get(), offset, data.data(), data.size());
  return state_->check();
}

Result<Texture> Device::texture(uint32_t width_texels, uint32_t height, uint32_t layers,
                                std::string_view label) {
  PIXELLM_CHECK(state_->check());
  const std::string what = fmt::format("texture {}", label);
  const Limits& limits = state_->limits;
  if (width_texels == 0 || height == 0 || layers == 0)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("gpu: {}: {} x {} texels in {} layers asked for, 1 of each is the least", what,
                            width_texels, height, layers));
  if (std::max(width_texels, height) > limits.max_texture_size)
    return std::unexpected(
        too_large(what, std::max(width_texels, height), "texels a side", limits.max_texture_size, *state_));
  if (layers > limits.max_texture_layers)
    return std::unexpected(too_large(what, layers, "layers", limits.max_texture_layers, *state_));
  const auto bytes = checked_mul(uint64_t{16} * width_texels * height, layers);
  if (!bytes)
    return std::unexpected(too_large(what, UINT64_MAX, "or more bytes", limits.max_buffer_bytes, *state_));
  PIXELLM_CHECK(state_->check_room(*bytes, what));

  WGPUTextureDescriptor descriptor = {};
  descriptor.label = view_of(label);
  descriptor.usage = WGPUTextureUsage_TextureBinding | WGPUTextureUsage_CopyDst;
  descriptor.dimension = WGPUTextureDimension_2D;
  descriptor.size = {width_texels, height, layers};
  descriptor.format = WGPUTextureFormat_RGBA32Uint;
  descriptor.mipLevelCount = 1;
  descriptor.sampleCount = 1;
  WGPUTextureViewDescriptor view = {};
  view.format = descriptor.format;
  view.dimension = WGPUTextureViewDimension_2DArray;  // an array also of one layer
  view.mipLevelCount = 1;
  view.arrayLayerCount = layers;
  view.aspect = WGPUTextureAspect_All;
  ErrorScope scope(*state_);
  Ref<WGPUTexture> handle(state_->api->DeviceCreateTexture(state_->device.get(), &descriptor),
                          state_->api->TextureRelease);
  if (auto made = scope.end("gpu: " + what); !made)
    return std::unexpected(explain(made.error(), *bytes, *state_));
  if (!handle)
    return fail(ErrorCode::kTooLarge,
                fmt::format("gpu: {}: {} bytes were refused without a reason", what, *bytes));
  ErrorScope view_scope(*state_);
  Ref<WGPUTextureView> all(state_->api->TextureCreateView(handle.get(), &view),
                           state_->api->TextureViewRelease);
  PIXELLM_CHECK(view_scope.end("gpu: " + what));
  Texture texture;
  state_->allocated_bytes += *bytes;
  texture.impl_.reset(new Texture::Impl{state_, std::move(handle), std::move(all), width_texels, height,
                                        layers, std::string(label)});
  return texture;
}

Result<void> Device::write_rows(const Texture& texture, uint32_t layer, uint32_t first_row, uint32_t n_rows,
                                const uint8_t* data, uint64_t row_stride) {
  PIXELLM_CHECK(state_->check());
  PIXELLM_ASSERT(texture.impl_ != nullptr);
  const Texture::Impl& to = *texture.impl_;
  const uint64_t row_bytes = uint64_t{16} * to.width;
  if (layer >= to.layers || first_row > to.height || n_rows > to.height - first_row)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("gpu: texture {}: rows {} to {} of layer {} written; it has {} rows in {} layers",
                            to.label, first_row, uint64_t{first_row} + n_rows, layer, to.height, to.layers));
  if (row_stride < row_bytes || row_stride > UINT32_MAX)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("gpu: texture {}: a row stride of {} bytes; {} to {} are allowed", to.label,
                            row_stride, row_bytes, UINT32_MAX));
  if (n_rows == 0) return {};
  WGPUTexelCopyTextureInfo destination = {};
  destination.texture = to.handle.get();
  destination.origin = {0, first_row, layer};
  destination.aspect = WGPUTextureAspect_All;
  WGPUTexelCopyBufferLayout layout = {};
  layout.bytesPerRow = static_cast<uint32_t>(row_stride);
  layout.rowsPerImage = n_rows;
  const WGPUExtent3D size = {to.width, n_rows, 1};
  const uint64_t bytes = (n_rows - 1) * row_stride + row_bytes;  // nothing behind the last row is read
  state_->api->QueueWriteTexture(state_->queue.get(), &destination, data, bytes, &layout, &size);
  return state_->check();
}

Result<Pipeline> Device::pipeline(std::string_view name, std::string_view wgsl,
                                  std::span<const Constant> constants) {
  PIXELLM_CHECK(state_->check());
  const WebGpu& api = *state_->api;
  const std::string what = fmt::format("gpu: shader {}", name);
  const std::string text = state_->directives + std::string(wgsl);
  auto module = state_->modules.find(text);
  if (module == state_->modules.end()) {
    WGPUShaderSourceWGSL source = {};
    source.chain.sType = WGPUSType_ShaderSourceWGSL;
    source.code = view_of(text);
    WGPUShaderModuleDescriptor descriptor = {};
    descriptor.nextInChain = &source.chain;
    descriptor.label = view_of(name);
    ErrorScope scope(*state_);
    Ref<WGPUShaderModule> made(api.DeviceCreateShaderModule(state_->device.get(), &descriptor),
                               api.ShaderModuleRelease);
    PIXELLM_CHECK(scope.end(what));
    if (!made) return fail(ErrorCode::kInvalidArgument, what + ": was refused without a reason");
    module = state_->modules.emplace(text, std::move(made)).first;
  }

  std::vector<WGPUConstantEntry> entries(constants.size());
  for (size_t i = 0; i < constants.size(); i++) {
    entries[i].key = view_of(constants[i].name);
    entries[i].value = constants[i].value;
  }
  WGPUComputePipelineDescriptor descriptor = {};
  descriptor.label = view_of(name);
  descriptor.compute.module = module->second.get();
  descriptor.compute.entryPoint = view_of("main");
  descriptor.compute.constantCount = entries.size();
  descriptor.compute.constants = entries.data();
  ErrorScope scope(*state_);
  Ref<WGPUComputePipeline> handle(api.DeviceCreateComputePipeline(state_->device.get(), &descriptor),
                                  api.ComputePipelineRelease);
  PIXELLM_CHECK(scope.end(what));
  if (!handle) return fail(ErrorCode::kInvalidArgument, what + ": no pipeline was made, without a reason");
  ErrorScope layout_scope(*state_);
  Ref<WGPUBindGroupLayout> layout(api.ComputePipelineGetBindGroupLayout(handle.get(), 0),
                                  api.BindGroupLayoutRelease);
  PIXELLM_CHECK(layout_scope.end(what));
  Pipeline pipeline;
  pipeline.impl_.reset(new Pipeline::Impl{state_, std::move(handle), std::move(layout), std::string(name)});
  return pipeline;
}

Result<BindGroup> Device::bind(const Pipeline& pipeline, std::span<const Binding> bindings) {
  PIXELLM_CHECK(state_->check());
  PIXELLM_ASSERT(pipeline.impl_ != nullptr);
  const Pipeline::Impl& to = *pipeline.impl_;
  std::vector<WGPUBindGroupEntry> entries;
  for (const Binding& binding : bindings) {
    PIXELLM_ASSERT(binding.texture != nullptr ? binding.texture->impl_ != nullptr
                                              : binding.buffer->impl_ != nullptr);
    WGPUBindGroupEntry entry = PIXELLM_TRY(entry_of(binding, to.name));
    if (binding.texture != nullptr) {
      entry.textureView = binding.texture->impl_->view.get();
    } else {
      const Buffer::Impl& buffer = *binding.buffer->impl_;
      const bool uniform = buffer.use == BufferUse::kUniform;
      const uint64_t most = uniform ? state_->limits.max_uniform_bytes : state_->limits.max_binding_bytes;
      if (entry.size > most)
        return std::unexpected(
            too_large(fmt::format("{}: binding {}: buffer {}", to.name, binding.index, buffer.label),
                      entry.size, "bytes to bind", most, *state_));
      entry.buffer = buffer.handle.get();
    }
    entries.push_back(entry);
  }
  WGPUBindGroupDescriptor descriptor = {};
  descriptor.label = view_of(to.name);
  descriptor.layout = to.layout.get();
  descriptor.entryCount = entries.size();
  descriptor.entries = entries.data();
  ErrorScope scope(*state_);
  Ref<WGPUBindGroup> handle(state_->api->DeviceCreateBindGroup(state_->device.get(), &descriptor),
                            state_->api->BindGroupRelease);
  PIXELLM_CHECK(scope.end(fmt::format("gpu: bindings of {}", to.name)));
  if (!handle)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("gpu: bindings of {}: were refused without a reason", to.name));
  BindGroup group;
  group.impl_.reset(new BindGroup::Impl{state_, std::move(handle)});
  return group;
}

}  // namespace pixellm::gpu
