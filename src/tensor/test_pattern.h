// Test data shared by this folder's tests and, byte for byte, by whoever recomputes their golden hashes.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "tensor/cells.h"

namespace pixellm {

// n bytes: the high bytes of x, x = x * 1664525 + 1013904223 before each, from x = seed.
inline std::vector<uint8_t> pattern_bytes(uint64_t n, uint32_t seed) {
  std::vector<uint8_t> out(n);
  for (uint32_t x = seed; uint8_t& b : out) b = static_cast<uint8_t>((x = x * 1664525u + 1013904223u) >> 24);
  return out;
}

// 19 rows by a k that does not fill a cell (the K types have no such k), seeded by the type's id + 1.
struct PatternMatrix {
  TensorType type;
  uint64_t n_rows = 19, k, row_bytes;
  std::vector<uint8_t> rows;

  explicit PatternMatrix(TensorType t) : type(t) {
    const TypeTraits& tr = traits(t);
    k = tr.block_elements == 256 ? 512 : tr.block_elements == 32 ? 96 : 67;
    row_bytes = gguf_row_bytes(t, k);
    rows = pattern_bytes(n_rows * row_bytes, static_cast<uint32_t>(t) + 1);
  }

  // Cells of all groups, in memory that held other bytes before.
  std::vector<uint8_t> pack() const {
    const uint64_t group = ceil_div(k, traits(type).cell_columns) * traits(type).cell_bytes;
    std::vector<uint8_t> cells(ceil_div(n_rows, kCellRows) * group, 0xEE);
    for (uint64_t r = 0; r < n_rows; r += kCellRows)
      pack_group(type, k, rows.data() + r * row_bytes, row_bytes,
                 static_cast<uint32_t>(std::min<uint64_t>(kCellRows, n_rows - r)),
                 cells.data() + r / kCellRows * group);
    return cells;
  }
};

}  // namespace pixellm
