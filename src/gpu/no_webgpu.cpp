// What stands in for the device layer in a build without WebGPU's headers: everything links, and says what is
// missing where a GPU is asked for.
#include "gpu/device.h"

namespace pixellm::gpu {
namespace {

std::unexpected<Error> missing() {
  return fail(ErrorCode::kNotFound,
              "gpu: this program was built without WebGPU, which Vulkan is reached through: ./run --build "
              "fetches it from the "
              "network and builds again");
}

}  // namespace

struct Buffer::Impl {};
struct Texture::Impl {};
struct Pipeline::Impl {};
struct BindGroup::Impl {};
struct Device::State {
  AdapterInfo adapter;
};

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

uint64_t Buffer::bytes() const { return 0; }
uint32_t Texture::width() const { return 0; }
uint32_t Texture::height() const { return 0; }
uint32_t Texture::layers() const { return 0; }

void Commands::dispatch(const Pipeline&, const BindGroup&, uint32_t, uint32_t, uint32_t) {}
void Commands::copy(const Buffer&, uint64_t, const Buffer&, uint64_t, uint64_t) {}
void Commands::zero(const Buffer&, uint64_t, uint64_t) {}
size_t Commands::dispatches() const { return 0; }

Result<std::vector<AdapterInfo>> adapters() { return missing(); }

Device::Device(std::shared_ptr<State> state) : state_(std::move(state)) {}
Device::Device(Device&&) noexcept = default;
Device& Device::operator=(Device&&) noexcept = default;
Device::~Device() = default;

Result<Device> Device::open(const DeviceOptions&) { return missing(); }

// Never reached, as there is no Device.
const AdapterInfo& Device::adapter() const { return state_->adapter; }
const Limits& Device::limits() const { return state_->adapter.limits; }
std::string_view Device::directives() const { return {}; }
Result<Buffer> Device::buffer(uint64_t, BufferUse, std::string_view) { return missing(); }
Result<void> Device::write(const Buffer&, uint64_t, Bytes) { return missing(); }
Result<Texture> Device::texture(uint32_t, uint32_t, uint32_t, std::string_view) { return missing(); }
Result<void> Device::write_rows(const Texture&, uint32_t, uint32_t, uint32_t, const uint8_t*, uint64_t) {
  return missing();
}
Result<Pipeline> Device::pipeline(std::string_view, std::string_view, std::span<const Constant>) {
  return missing();
}
Result<BindGroup> Device::bind(const Pipeline&, std::span<const Binding>) { return missing(); }
Result<Submission> Device::submit(const Commands&) { return missing(); }
Result<void> Device::submit_read(const Commands&, const Buffer&, uint64_t, MutableBytes) { return missing(); }
Result<std::vector<uint64_t>> Device::submit_timed(const Commands&) { return missing(); }
Result<void> Device::read(const Buffer&, uint64_t, MutableBytes) { return missing(); }
Result<void> Device::wait() { return missing(); }
Result<void> Device::wait(Submission) { return missing(); }
void Device::lose() {}

}  // namespace pixellm::gpu
