#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "gpu/weight_textures.h"

namespace pixellm::gpu {

Result<TextureCut> cut_rows(std::span<const RowRange> tensors, uint64_t max_rows) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return tensors[i].first; });
  TextureCut cut;
  cut.tensors.resize(tensors.size());
  for (const size_t i : order) {
    const auto [first, end] = tensors[i];
    if (first >= end)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("gpu: tensor {} has rows {} to {}: none", i, first, end));
    if (end - first > max_rows)
      return fail(ErrorCode::kTooLarge,
                  fmt::format("gpu: tensor {} has {} rows, a texture of this device at most {}", i,
                              end - first, max_rows));
    if (cut.textures.empty() || end - cut.textures.back().first > max_rows)
      cut.textures.push_back({first, end});
    RowRange& texture = cut.textures.back();
    texture.end = std::max(texture.end, end);
    cut.tensors[i] = {static_cast<uint32_t>(cut.textures.size() - 1), first - texture.first};
  }
  return cut;
}

uint64_t max_texture_rows(const Limits& limits, uint64_t row_bytes, uint32_t rows_per_layer) {
  if (row_bytes == 0 || rows_per_layer == 0 || row_bytes / 16 > limits.max_texture_size ||
      rows_per_layer > limits.max_texture_size)
    return 0;
  // Whole layers are allocated; limits.max_buffer_bytes is what stands for the largest allocation.
  const uint64_t most = limits.max_buffer_bytes / row_bytes;
  const uint64_t layers = std::min<uint64_t>(limits.max_texture_layers, most / rows_per_layer);
  return layers != 0 ? layers * rows_per_layer : most;  // a single layer may be lower than rows_per_layer
}

}  // namespace pixellm::gpu
