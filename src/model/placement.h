// From a tensor's name to its place: the order in the file (the order of use) and the rectangle in the world.
// Spec: spec/pxi-llm.md, "Order of the tensors" and "World rectangles".
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "model/model.h"

namespace pixellm {

struct TensorRole {
  uint32_t band = 0;  // 0 embeddings, 1 + N layer N, kOutputBand, kOtherBand
  uint32_t rank = 0;  // inside the band
  LayerType layer_type = LayerType::kOther;
  uint16_t layer = kNoLayer;

  static constexpr uint32_t kOutputBand = 0x10000, kOtherBand = 0x10001;
};

TensorRole classify_tensor(std::string_view name);

// Sets layer and layer_type of every tensor and returns indices in the order of use.
std::vector<size_t> order_tensors(std::span<TensorInfo> tensors);

// Parts (attention heads) in which the world shows the tensor; 1 when the cells do not split that way.
uint16_t world_parts_of(const TensorInfo& t, const Metadata& metadata);

// Size of the rectangle of a tensor of `stored_bytes` in `parts` pieces. x and y are 0.
Rect world_size(uint64_t stored_bytes, uint16_t parts);

struct WorldExtent {
  uint64_t width = 0, height = 0;
};

// Gives every tensor its rectangle. Requires stored_bytes and world_parts; `order` is order_tensors' result.
// A world of more than kMaxWorldSide is kTooLarge.
Result<WorldExtent> place_in_world(std::span<TensorInfo> tensors, std::span<const size_t> order);

}  // namespace pixellm
