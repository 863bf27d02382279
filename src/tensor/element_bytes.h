// From a byte of a picture to the weights that it bears on, and back: which block and byte of which row
// stands at a byte of a cell, and which elements of a block a byte of it belongs to. Spec: spec/cells.md,
// sections 3 and 6.
//
//   if (auto at = block_byte_at(TensorType::kQ4_K, 300))       // row, block and byte of the block
//     elements_of_byte(TensorType::kQ4_K, at->byte).for_each([&](uint32_t element) { ... });
//   uint32_t byte = cell_byte_of(TensorType::kQ4_K, {row, 0, byte_of_element(TensorType::kQ4_K, element)});
// All functions are pure.
#pragma once
#include <cstdint>
#include <optional>

#include "tensor/dtype.h"

namespace pixellm {

// Elements of one block: `n_runs` runs of `length` elements each, the first at `first`, each `step` after the
// one before.
struct ElementRuns {
  uint32_t first = 0, length = 1, step = 0, n_runs = 1;

  uint32_t count() const { return length * n_runs; }
  template <class Visit>
  void for_each(const Visit& visit) const {  // ascending
    for (uint32_t run = 0; run < n_runs; run++)
      for (uint32_t i = 0; i < length; i++) visit(first + run * step + i);
  }
};

// The elements whose values depend on the byte. Requires byte < block_bytes.
ElementRuns elements_of_byte(TensorType type, uint32_t byte);

// The byte that holds the element's own low bits (of a float: its first byte). Requires element <
// block_elements.
uint32_t byte_of_element(TensorType type, uint32_t element);

// A byte of a block in a cell: `row` 0..15, `block` counts along the cell's columns.
struct BlockByte {
  uint32_t row = 0, block = 0, byte = 0;
  bool operator==(const BlockByte&) const = default;
};

// What stands at a byte of a cell; nullopt for Q6_K's unused bytes. Requires cell_byte < cell_bytes.
std::optional<BlockByte> block_byte_at(TensorType type, uint32_t cell_byte);

// The inverse. Requires a row, block and byte that the cell has.
uint32_t cell_byte_of(TensorType type, const BlockByte& at);

}  // namespace pixellm
