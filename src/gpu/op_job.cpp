#include "gpu/op_job.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "gpu/shaders.h"
#include "tensor/float16.h"

namespace pixellm::gpu {
namespace {

// The line of a shader that says what its inputs are.
constexpr std::string_view kAliasF32 = "alias real = f32;", kAliasF16 = "alias real = f16;";

constexpr float kLargestF16 = 65504.0f;

}  // namespace

std::string shape_text(const Array& array) {
  std::string text = "(";
  for (size_t i = 0; i < array.shape.size(); i++)
    text += (i == 0 ? "" : ", ") + std::to_string(array.shape[i]);
  return text + (array.shape.size() == 1 ? ",)" : ")");
}

Result<void> check_array(std::string_view op, std::string_view name, const Array& array, size_t n_dims) {
  if (n_dims != 0 && array.shape.size() != n_dims)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("gpu op: {}: {} has shape {}, {} dimension{} needed", op, name, shape_text(array),
                            n_dims, n_dims == 1 ? "" : "s"));
  uint64_t count = 1;
  for (const uint64_t n : array.shape) {
    if (n == 0)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("gpu op: {}: {} is empty, shape {}", op, name, shape_text(array)));
    const auto product = checked_mul(count, n);
    if (!product)
      return fail(ErrorCode::kTooLarge,
                  fmt::format("gpu op: {}: {} has shape {}", op, name, shape_text(array)));
    count = *product;
  }
  if (count != array.values.size())
    return fail(ErrorCode::kInvalidArgument, fmt::format("gpu op: {}: {} has shape {}, but {} values", op,
                                                         name, shape_text(array), array.values.size()));
  return {};
}

Result<const Buffer*> OpJob::input(std::string_view name, const Array& array) {
  const uint64_t each = type_ == OpType::kF16 ? sizeof(uint16_t) : sizeof(float);
  const uint64_t bytes = (array.values.size() * each + 3) / 4 * 4;
  Buffer buffer = PIXELLM_TRY(device_.buffer(bytes, BufferUse::kStorage, name));
  if (type_ == OpType::kF32) {
    PIXELLM_CHECK(device_.write(buffer, 0, {reinterpret_cast<const uint8_t*>(array.values.data()), bytes}));
  } else {
    std::vector<uint16_t> halves(bytes / sizeof(uint16_t));
    for (size_t i = 0; i < array.values.size(); i++) {
      const float x = array.values[i];
      halves[i] = float_to_f16(x);
      if (std::isfinite(x) && !std::isfinite(f16_to_float(halves[i])))
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("gpu op: {}: {} holds {}, float16 ends at {}", op_, name, x, kLargestF16));
    }
    PIXELLM_CHECK(device_.write(buffer, 0, {reinterpret_cast<const uint8_t*>(halves.data()), bytes}));
  }
  return &buffers_.emplace_back(std::move(buffer));
}

Result<const Buffer*> OpJob::output(std::string_view name, uint64_t floats) {
  const auto bytes = checked_mul(floats, sizeof(float));
  if (!bytes)
    return fail(ErrorCode::kTooLarge, fmt::format("gpu op: {}: {} of {} floats", op_, name, floats));
  Buffer buffer = PIXELLM_TRY(device_.buffer(*bytes, BufferUse::kStorage, name));
  return &buffers_.emplace_back(std::move(buffer));
}

OpJob::Grid OpJob::fold(uint64_t n) const {
  const uint64_t most = device_.limits().max_workgroups;
  const uint64_t x = std::min(n, most);
  return {.x = x, .y = ceil_div(n, x)};
}

Result<const Pipeline*> OpJob::pipeline(std::string_view shader, std::span<const Constant> constants) {
  std::string key(shader);
  for (const Constant& c : constants) key += fmt::format(" {}={}", c.name, c.value);
  const auto found = ops_.pipelines_.find(key);
  if (found != ops_.pipelines_.end()) return &found->second;
  std::string text(shader_text(shader));
  PIXELLM_ASSERT(!text.empty());
  const size_t alias = text.find(kAliasF32);
  if (type_ == OpType::kF16 && alias != text.npos) text.replace(alias, kAliasF32.size(), kAliasF16);
  Pipeline made = PIXELLM_TRY(device_.pipeline(shader, text, constants));
  return &ops_.pipelines_.emplace(std::move(key), std::move(made)).first->second;
}

Result<void> OpJob::dispatch(std::string_view shader, std::span<const Constant> constants,
                             std::span<const uint32_t> params, std::span<const Buffer* const> buffers,
                             Grid grid) {
  const uint64_t most = device_.limits().max_workgroups;
  if (grid.x > most || grid.y > most || grid.z > most)
    return fail(ErrorCode::kTooLarge,
                fmt::format("gpu op: {}: {} x {} x {} workgroups, the device has at most {} each", op_,
                            grid.x, grid.y, grid.z, most));
  const Pipeline* made = PIXELLM_TRY(pipeline(shader, constants));
  std::vector<uint32_t> words(params.begin(), params.end());
  words.resize(ceil_div(words.size(), 4) * 4);
  const uint64_t bytes = words.size() * sizeof(uint32_t);
  Buffer uniform = PIXELLM_TRY(device_.buffer(bytes, BufferUse::kUniform, "params"));
  PIXELLM_CHECK(device_.write(uniform, 0, {reinterpret_cast<const uint8_t*>(words.data()), bytes}));
  std::vector<Binding> bindings = {{1, buffers_.emplace_back(std::move(uniform))}};
  for (size_t i = 0; i < buffers.size(); i++)
    bindings.emplace_back(static_cast<uint32_t>(2 + i), *buffers[i]);
  BindGroup group = PIXELLM_TRY(device_.bind(*made, bindings));
  commands_.dispatch(*made, groups_.emplace_back(std::move(group)), static_cast<uint32_t>(grid.x),
                     static_cast<uint32_t>(grid.y), static_cast<uint32_t>(grid.z));
  return {};
}

Result<Array> OpJob::run(const Buffer& from, std::vector<uint64_t> shape) {
  Array out = {.shape = std::move(shape), .values = {}};
  uint64_t count = 1;
  for (const uint64_t n : out.shape) count *= n;
  out.values.resize(count);
  PIXELLM_CHECK(device_.submit_read(commands_, from, 0,
                                    {reinterpret_cast<uint8_t*>(out.values.data()), count * sizeof(float)}));
  return out;
}

}  // namespace pixellm::gpu
