// A GPU through WebGPU: buffers, textures, compute pipelines, dispatches. The WebGPU library is loaded when
// it is first asked for (docs/gpu.md): a program that never asks needs none. Errors do not abort (docs/gpu.md
// has the exception): what the library or the driver reports becomes an Error that says what was asked and
// what there is; after the loss of the device every call returns it.
//
//   auto device = PIXELLM_TRY(gpu::Device::open({}));
//   auto pipeline = PIXELLM_TRY(device.pipeline("double.wgsl", text, {}));
//   auto data = PIXELLM_TRY(device.buffer(1024, gpu::BufferUse::kStorage, "data"));
//   PIXELLM_CHECK(device.write(data, 0, bytes));
//   const gpu::Binding bindings[] = {{0, data}};
//   auto group = PIXELLM_TRY(device.bind(pipeline, bindings));
//   gpu::Commands commands;
//   commands.dispatch(pipeline, group, 4);
//   PIXELLM_CHECK(device.submit_read(commands, data, 0, bytes));
//
// Not thread-safe: a Device and what was made from it belong to one thread at a time.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "gpu/adapter.h"

namespace pixellm::gpu {

// kStorage: read and written by shaders, source and target of copies. kUniform: uniform in shaders, target of
// copies.
enum class BufferUse : uint8_t { kStorage, kUniform };

// Handles: movable; empty after a move. Each keeps the device's inner state alive, and a BindGroup keeps what
// it binds.
class Buffer {
 public:
  Buffer();
  Buffer(Buffer&&) noexcept;
  Buffer& operator=(Buffer&&) noexcept;
  ~Buffer();
  uint64_t bytes() const;  // as asked for
  struct Impl;

 private:
  friend class Device;
  friend class Commands;
  std::unique_ptr<Impl> impl_;
};

// rgba32uint, texture_2d_array<u32> in shaders; filled by Device::write_rows, all zero before.
class Texture {
 public:
  Texture();
  Texture(Texture&&) noexcept;
  Texture& operator=(Texture&&) noexcept;
  ~Texture();
  uint32_t width() const;  // texels of 16 bytes
  uint32_t height() const;
  uint32_t layers() const;
  struct Impl;

 private:
  friend class Device;
  std::unique_ptr<Impl> impl_;
};

class Pipeline {
 public:
  Pipeline();
  Pipeline(Pipeline&&) noexcept;
  Pipeline& operator=(Pipeline&&) noexcept;
  ~Pipeline();
  struct Impl;

 private:
  friend class Device;
  friend class Commands;
  std::unique_ptr<Impl> impl_;
};

class BindGroup {
 public:
  BindGroup();
  BindGroup(BindGroup&&) noexcept;
  BindGroup& operator=(BindGroup&&) noexcept;
  ~BindGroup();
  struct Impl;

 private:
  friend class Device;
  friend class Commands;
  std::unique_ptr<Impl> impl_;
};

// Value of an `override` of a shader.
struct Constant {
  std::string_view name;
  double value;
};

// @group(0) @binding(index): a texture, or `bytes` bytes of a buffer from `offset` on (0: to its end).
struct Binding {
  Binding(uint32_t i, const Buffer& b, uint64_t first = 0, uint64_t n_bytes = 0)
      : index(i), buffer(&b), offset(first), bytes(n_bytes) {}
  Binding(uint32_t i, const Texture& t) : index(i), texture(&t) {}
  uint32_t index;
  const Buffer* buffer = nullptr;
  const Texture* texture = nullptr;
  uint64_t offset = 0, bytes = 0;
};

// A list of work in order: each entry sees what those before it wrote. It can be submitted any number of
// times, and cleared to be filled anew. What it names must live until the last submit. Neighbouring
// dispatches share a pass.
class Commands {
 public:
  void dispatch(const Pipeline& pipeline, const BindGroup& group, uint32_t x, uint32_t y = 1, uint32_t z = 1);
  // Offsets and bytes are multiples of 4; the two buffers differ.
  void copy(const Buffer& from, uint64_t from_offset, const Buffer& to, uint64_t to_offset, uint64_t bytes);
  void zero(const Buffer& buffer, uint64_t offset, uint64_t bytes);
  void clear() { steps_.clear(); }
  bool empty() const { return steps_.empty(); }
  size_t dispatches() const;

 private:
  friend class Device;
  enum class Kind : uint8_t { kDispatch, kCopy, kZero };
  struct Step {
    Kind kind;
    uint32_t x = 0, y = 0, z = 0;
    const Pipeline::Impl* pipeline = nullptr;
    const BindGroup::Impl* group = nullptr;
    const Buffer::Impl* from = nullptr;
    const Buffer::Impl* to = nullptr;
    uint64_t from_offset = 0, to_offset = 0, bytes = 0;
  };
  std::vector<Step> steps_;
};

struct DeviceOptions {
  std::string adapter;  // "": the most powerful; an index into adapters(); or part of a name, in any case
  Limits at_most;       // less than the adapter has (tests)
};

// A submission, for wait(): larger numbers came later.
using Submission = uint64_t;

class Device {
 public:
  // kNotFound: no library, no driver or no such adapter; the message says Vulkan and what to install or to
  // set.
  static Result<Device> open(const DeviceOptions& options);
  Device(Device&&) noexcept;
  Device& operator=(Device&&) noexcept;
  ~Device();

  const AdapterInfo& adapter() const;  // its limits are the adapter's
  const Limits& limits() const;        // the device's: no request goes over them

  // Zeros; `bytes` is rounded up to 4 inside. `label` names it in messages. kTooLarge: over a limit, or no
  // memory.
  Result<Buffer> buffer(uint64_t bytes, BufferUse use, std::string_view label);
  // Takes effect before the next submit and after the last. Offset and size are multiples of 4.
  Result<void> write(const Buffer& buffer, uint64_t offset, Bytes data);

  // kTooLarge: over a limit, or no memory.
  Result<Texture> texture(uint32_t width_texels, uint32_t height, uint32_t layers, std::string_view label);
  // Rows [first_row, first_row + n_rows) of `layer` from `data`, rows row_stride bytes apart, each 16 *
  // width() bytes. The bytes are taken over before this returns; they are in the texture before the next
  // submit.
  Result<void> write_rows(const Texture& texture, uint32_t layer, uint32_t first_row, uint32_t n_rows,
                          const uint8_t* data, uint64_t row_stride);

  // Compiles a shader whose entry point is `main`; the bind group's layout is what it uses of group 0.
  // directives() are put before its first line. `name` is for messages. kInvalidArgument: does not compile;
  // the message has the compiler's text.
  Result<Pipeline> pipeline(std::string_view name, std::string_view wgsl,
                            std::span<const Constant> constants);
  // "enable f16; " and the like, as this library and adapter have them; "" without extras.
  std::string_view directives() const;

  // Every binding that the shader uses, and no other.
  Result<BindGroup> bind(const Pipeline& pipeline, std::span<const Binding> bindings);

  // Hands the work over and does not wait for it. An error that shows later is returned by a later call.
  Result<Submission> submit(const Commands& commands);
  // The same and then reads bytes [offset, offset + out.size()) of `buffer` when all is done: one submission,
  // one wait.
  Result<void> submit_read(const Commands& commands, const Buffer& buffer, uint64_t offset, MutableBytes out);
  // Each dispatch in a pass of its own; the nanoseconds of each, in order. kUnsupported without
  // adapter().timestamps.
  Result<std::vector<uint64_t>> submit_timed(const Commands& commands);

  Result<void> read(const Buffer& buffer, uint64_t offset, MutableBytes out);
  Result<void> wait();                       // until everything submitted and written is done
  Result<void> wait(Submission submission);  // until this and all before it are done

  // Destroys the device under its objects, as a driver's failure would: from then on calls return the loss.
  // For tests.
  void lose();

  struct State;  // shared with the handles

 private:
  class Encoding;
  explicit Device(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace pixellm::gpu
