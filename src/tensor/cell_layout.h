// spec/cells.md as tables: for every type, which two- and four-byte fields of a GGUF block stand where in a
// cell. Packing, unpacking and reading one row all walk these tables, so the layout is written down once.
#pragma once
#include <array>
#include <cstdint>

#include "tensor/dtype.h"

namespace pixellm {

// A field of each of the 16 rows' block number `block` of the cell, at `source` in the block. Row r's copy
// stands at `cell + width * r`, width being the field's 2 or 4 bytes.
struct CellField {
  uint16_t cell;
  uint16_t block;
  uint16_t source;
};

struct CellLayout {
  uint32_t n_halves = 0, n_words = 0;  // fields of two and of four bytes
  std::array<CellField, 64> halves{};
  std::array<CellField, 64> words{};

  constexpr void half(uint32_t cell, uint32_t block, uint32_t source) {
    halves[n_halves++] = {static_cast<uint16_t>(cell), static_cast<uint16_t>(block),
                          static_cast<uint16_t>(source)};
  }
  constexpr void word(uint32_t cell, uint32_t block, uint32_t source) {
    words[n_words++] = {static_cast<uint16_t>(cell), static_cast<uint16_t>(block),
                        static_cast<uint16_t>(source)};
  }
};

// Q8_0, Q4_0, Q4_1, Q5_0, Q5_1: two blocks; d, then m, then per block qh (if any) and the dwords of qs.
constexpr void lay_out_small_blocks(CellLayout& l, bool has_m, bool has_qh, uint32_t n_qs_words) {
  const uint32_t head = has_m ? 128 : 64;
  const uint32_t qh = has_m ? 4 : 2, qs = qh + (has_qh ? 4 : 0);
  uint32_t vector = head;
  for (uint32_t b = 0; b < 2; b++) {
    l.half(32 * b, b, 0);
    if (has_m) l.half(64 + 32 * b, b, 2);
    if (has_qh) l.word(vector, b, qh), vector += 64;
    for (uint32_t j = 0; j < n_qs_words; j++, vector += 64) l.word(vector, b, qs + 4 * j);
  }
}

// Q4_K and Q5_K blocks begin with d, dmin, scales[12].
constexpr void lay_out_k_head(CellLayout& l) {
  for (uint32_t v = 0; v < 3; v++) l.word(64 * v, 0, 4 + 4 * v);
  l.half(192, 0, 0);
  l.half(224, 0, 2);
}

constexpr void lay_out_q4_k(CellLayout& l) {
  lay_out_k_head(l);
  for (uint32_t n = 0; n < 32; n++) l.word(256 + 64 * n, 0, 16 + 4 * n);
}

// qh[32] stands before qs[128] in the block.
constexpr void lay_out_q5_k(CellLayout& l) {
  lay_out_k_head(l);
  for (uint32_t j = 0; j < 8; j++) {
    const uint32_t vector = 256 + 64 * 5 * j;
    l.word(vector, 0, 16 + 4 * j);
    for (uint32_t c = 0; c < 4; c++) l.word(vector + 64 * (1 + c), 0, 48 + 4 * (8 * c + j));
  }
}

// The block is ql[128], qh[64], scales[16], d.
constexpr void lay_out_q6_k(CellLayout& l) {
  l.half(0, 0, 208);
  for (uint32_t v = 0; v < 4; v++) l.word(64 + 64 * v, 0, 192 + 4 * v);
  for (uint32_t h = 0; h < 2; h++)
    for (uint32_t j = 0; j < 8; j++) {
      const uint32_t vector = 320 + 64 * (24 * h + 3 * j);
      l.word(vector, 0, 4 * (16 * h + j));
      l.word(vector + 64, 0, 4 * (16 * h + 8 + j));
      l.word(vector + 128, 0, 128 + 4 * (8 * h + j));
    }
}

// Float types: 64 blocks of one element; column k's 16 values stand together.
constexpr void lay_out_floats(CellLayout& l, bool wide) {
  for (uint32_t k = 0; k < 64; k++) wide ? l.word(64 * k, k, 0) : l.half(32 * k, k, 0);
}

constexpr CellLayout make_cell_layout(TensorType type) {
  CellLayout l;
  switch (type) {
    case TensorType::kF32:
      lay_out_floats(l, true);
      break;
    case TensorType::kF16:
    case TensorType::kBF16:
      lay_out_floats(l, false);
      break;
    case TensorType::kQ8_0:
      lay_out_small_blocks(l, false, false, 8);
      break;
    case TensorType::kQ4_0:
      lay_out_small_blocks(l, false, false, 4);
      break;
    case TensorType::kQ4_1:
      lay_out_small_blocks(l, true, false, 4);
      break;
    case TensorType::kQ5_0:
      lay_out_small_blocks(l, false, true, 4);
      break;
    case TensorType::kQ5_1:
      lay_out_small_blocks(l, true, true, 4);
      break;
    case TensorType::kQ4_K:
      lay_out_q4_k(l);
      break;
    case TensorType::kQ5_K:
      lay_out_q5_k(l);
      break;
    case TensorType::kQ6_K:
      lay_out_q6_k(l);
      break;
  }
  return l;
}

// Bytes of a cell that carry data: all of them but Q6_K's [32,64).
constexpr uint32_t cell_data_bytes(const CellLayout& l) {
  return kCellRows * (2 * l.n_halves + 4 * l.n_words);
}

inline constexpr auto kCellLayouts = [] {
  std::array<CellLayout, kTypes.size()> all{};
  for (size_t i = 0; i < all.size(); i++) all[i] = make_cell_layout(kTypes[i].type);
  return all;
}();

constexpr bool cell_layouts_cover_blocks() {
  for (size_t i = 0; i < kTypes.size(); i++) {
    const TypeTraits& t = kTypes[i];
    const uint32_t data = cell_data_bytes(kCellLayouts[i]);
    if (data != kCellRows * t.cell_columns / t.block_elements * t.block_bytes) return false;
    if (data + (t.type == TensorType::kQ6_K ? 32 : 0) != t.cell_bytes || t.cell_bytes % 64 != 0) return false;
  }
  return true;
}
static_assert(cell_layouts_cover_blocks());

}  // namespace pixellm
