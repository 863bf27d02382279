#include "map/box_tree.h"

#include <algorithm>
#include <numeric>

namespace pixellm {
namespace {

constexpr uint32_t kLeafBoxes = 4;

uint64_t right_of(const Rect& r) { return uint64_t{r.x} + r.w; }
uint64_t bottom_of(const Rect& r) { return uint64_t{r.y} + r.h; }

bool meet(const Rect& a, const Rect& b) {
  return a.w != 0 && a.h != 0 && b.w != 0 && b.h != 0 && a.x < right_of(b) && b.x < right_of(a) &&
         a.y < bottom_of(b) && b.y < bottom_of(a);
}

Rect hull_of(const Rect& a, const Rect& b) {
  const uint32_t x = std::min(a.x, b.x), y = std::min(a.y, b.y);
  return {.x = x,
          .y = y,
          .w = static_cast<uint32_t>(std::max(right_of(a), right_of(b)) - x),
          .h = static_cast<uint32_t>(std::max(bottom_of(a), bottom_of(b)) - y)};
}

}  // namespace

BoxTree::BoxTree(std::vector<Rect> boxes) : boxes_(std::move(boxes)), order_(boxes_.size()) {
  std::iota(order_.begin(), order_.end(), uint32_t{0});
  if (!boxes_.empty()) build(0, static_cast<uint32_t>(boxes_.size()));
}

// Halves the boxes along the longer side of their hull, by their middles.
uint32_t BoxTree::build(uint32_t first, uint32_t count) {
  const auto node = static_cast<uint32_t>(nodes_.size());
  Rect hull = boxes_[order_[first]];
  for (uint32_t i = 1; i < count; i++) hull = hull_of(hull, boxes_[order_[first + i]]);
  nodes_.push_back({.hull = hull, .first = first, .count = count});
  if (count <= kLeafBoxes) return node;
  const auto middle = [&](uint32_t i) {
    const Rect& r = boxes_[i];
    return hull.w >= hull.h ? 2 * uint64_t{r.x} + r.w : 2 * uint64_t{r.y} + r.h;
  };
  const auto begin = order_.begin() + first;
  std::ranges::nth_element(begin, begin + count / 2, begin + count, {}, middle);
  build(first, count / 2);
  const uint32_t right = build(first + count / 2, count - count / 2);
  nodes_[node].right = right;
  return node;
}

std::vector<uint32_t> BoxTree::meeting(const Rect& part) const {
  std::vector<uint32_t> found, open;
  if (!nodes_.empty()) open.push_back(0);
  while (!open.empty()) {
    const uint32_t index = open.back();
    const Node& node = nodes_[index];
    open.pop_back();
    if (!meet(node.hull, part)) continue;
    if (node.right != 0) {
      open.push_back(node.right);
      open.push_back(index + 1);
      continue;
    }
    for (uint32_t i = node.first; i < node.first + node.count; i++)
      if (meet(boxes_[order_[i]], part)) found.push_back(order_[i]);
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace pixellm
