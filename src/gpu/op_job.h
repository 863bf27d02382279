// What the operations of ops.h share: arrays checked and uploaded, shaders dispatched, the result read.
// Internal to gpu.
#pragma once
#include <deque>
#include <span>
#include <string>
#include <string_view>

#include "gpu/ops.h"

namespace pixellm::gpu {

// "(2, 3)".
std::string shape_text(const Array& array);

// kInvalidArgument unless the array has n_dims dimensions (0: any number), none of them 0, and a value for
// each element.
Result<void> check_array(std::string_view op, std::string_view name, const Array& array, size_t n_dims);

// The work of one operation. Its buffers live as long as it does.
class OpJob {
 public:
  OpJob(Ops& ops, std::string_view op) : ops_(ops), device_(*ops.device_), type_(ops.type_), op_(op) {}

  // The values as the job's type. kInvalidArgument: one that is finite and beyond float16.
  Result<const Buffer*> input(std::string_view name, const Array& array);
  Result<const Buffer*> output(std::string_view name, uint64_t floats);

  struct Grid {
    uint64_t x = 1, y = 1, z = 1;
  };
  // At least n workgroups in a grid of two dimensions.
  Grid fold(uint64_t n) const;

  // Adds a dispatch. `params` (words, padded to 16 bytes) is binding 1, buffers[i] binding 2 + i.
  Result<void> dispatch(std::string_view shader, std::span<const Constant> constants,
                        std::span<const uint32_t> params, std::span<const Buffer* const> buffers, Grid grid);

  // Runs the dispatches in order; the first floats of `from` fill the shape.
  Result<Array> run(const Buffer& from, std::vector<uint64_t> shape);

 private:
  Result<const Pipeline*> pipeline(std::string_view shader, std::span<const Constant> constants);

  Ops& ops_;
  Device& device_;
  OpType type_;
  std::string op_;
  std::deque<Buffer> buffers_;  // deques: addresses stay
  std::deque<BindGroup> groups_;
  Commands commands_;
};

}  // namespace pixellm::gpu
