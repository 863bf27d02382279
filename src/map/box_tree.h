// A fixed set of rectangles that answers which of them meet another one, in time that grows with the answer.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"

namespace pixellm {

// Immutable; safe to use from several threads.
class BoxTree {
 public:
  BoxTree() = default;
  explicit BoxTree(std::vector<Rect> boxes);

  // Indices (into `boxes`) of those that share a pixel with `part`, ascending.
  std::vector<uint32_t> meeting(const Rect& part) const;

 private:
  struct Node {
    Rect hull;                      // of all boxes below
    uint32_t first = 0, count = 0;  // places in order_
    uint32_t right = 0;             // node of the second half, the first half's follows this one; 0: a leaf
  };
  uint32_t build(uint32_t first, uint32_t count);
  std::vector<Rect> boxes_;
  std::vector<uint32_t> order_;
  std::vector<Node> nodes_;  // the root first
};

}  // namespace pixellm
