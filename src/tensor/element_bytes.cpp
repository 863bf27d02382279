#include "tensor/element_bytes.h"

#include "base/error.h"
#include "tensor/cell_layout.h"

namespace pixellm {
namespace {

// Where the fields of the types with 32 elements begin: d, perhaps m, perhaps qh, then qs.
struct SmallBlock {
  bool has_qh;
  uint32_t qh, qs;
};

SmallBlock small_block(TensorType type) {
  const bool has_m = type == TensorType::kQ4_1 || type == TensorType::kQ5_1;
  const bool has_qh = type == TensorType::kQ5_0 || type == TensorType::kQ5_1;
  const uint32_t qh = has_m ? 4 : 2;
  return {.has_qh = has_qh, .qh = qh, .qs = qh + (has_qh ? 4 : 0)};
}

ElementRuns elements_of_small_block(TensorType type, uint32_t byte) {
  const SmallBlock b = small_block(type);
  if (byte >= b.qs) return {.first = byte - b.qs, .step = 16, .n_runs = 2};
  if (b.has_qh && byte >= b.qh) return {.first = 8 * (byte - b.qh), .length = 8};
  return {.length = 32};
}

// d 0:2, dmin 2:2, scales 4:12, Q5_K's qh 16:32, qs. A byte of the first eight scales holds six bits of one
// sub-block's scale or minimum, and the upper two bits of the same of the sub-block four after it.
ElementRuns elements_of_k_nibbles(TensorType type, uint32_t byte) {
  constexpr uint32_t kScales = 4, kScalesEnd = 16;
  const uint32_t qs = type == TensorType::kQ5_K ? 48 : 16;
  if (byte < kScales) return {.length = 256};
  if (byte < kScalesEnd) {
    const uint32_t i = byte - kScales;
    if (i >= 8) return {.first = 32 * (i - 4), .length = 32};
    return {.first = 32 * (i % 4), .length = 32, .step = 128, .n_runs = 2};
  }
  if (byte < qs) return {.first = byte - kScalesEnd, .step = 32, .n_runs = 8};
  const uint32_t n = byte - qs;
  return {.first = n / 32 * 64 + n % 32, .step = 32, .n_runs = 2};
}

// ql 0:128, qh 128:64, scales 192:16, d 208:2.
ElementRuns elements_of_q6_k(uint32_t byte) {
  if (byte < 128) return {.first = byte / 64 * 128 + byte % 64, .step = 64, .n_runs = 2};
  if (byte < 192) return {.first = (byte - 128) / 32 * 128 + byte % 32, .step = 32, .n_runs = 4};
  if (byte < 208) return {.first = 16 * (byte - 192), .length = 16};
  return {.length = 256};
}

}  // namespace

ElementRuns elements_of_byte(TensorType type, uint32_t byte) {
  switch (type) {
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16:
      return {};
    case TensorType::kQ8_0:
      return byte < 2 ? ElementRuns{.length = 32} : ElementRuns{.first = byte - 2};
    case TensorType::kQ4_0:
    case TensorType::kQ4_1:
    case TensorType::kQ5_0:
    case TensorType::kQ5_1:
      return elements_of_small_block(type, byte);
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
      return elements_of_k_nibbles(type, byte);
    case TensorType::kQ6_K:
      return elements_of_q6_k(byte);
  }
  __builtin_unreachable();  // every enumerator stands above
}

uint32_t byte_of_element(TensorType type, uint32_t element) {
  switch (type) {
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16:
      return 0;
    case TensorType::kQ8_0:
      return 2 + element;
    case TensorType::kQ4_0:
    case TensorType::kQ4_1:
    case TensorType::kQ5_0:
    case TensorType::kQ5_1:
      return small_block(type).qs + element % 16;
    case TensorType::kQ4_K:
      return 16 + element / 64 * 32 + element % 32;
    case TensorType::kQ5_K:
      return 48 + element / 64 * 32 + element % 32;
    case TensorType::kQ6_K:
      return element / 128 * 64 + element % 64;
  }
  __builtin_unreachable();
}

std::optional<BlockByte> block_byte_at(TensorType type, uint32_t cell_byte) {
  const CellLayout& layout = kCellLayouts[static_cast<size_t>(type_index(type))];
  const auto look = [&](const CellField& f, uint32_t width) -> std::optional<BlockByte> {
    if (cell_byte < f.cell || cell_byte >= f.cell + width * kCellRows) return std::nullopt;
    const uint32_t n = cell_byte - f.cell;
    return BlockByte{.row = n / width, .block = f.block, .byte = f.source + n % width};
  };
  for (uint32_t i = 0; i < layout.n_halves; i++)
    if (const auto found = look(layout.halves[i], 2)) return found;
  for (uint32_t i = 0; i < layout.n_words; i++)
    if (const auto found = look(layout.words[i], 4)) return found;
  return std::nullopt;
}

uint32_t cell_byte_of(TensorType type, const BlockByte& at) {
  const CellLayout& layout = kCellLayouts[static_cast<size_t>(type_index(type))];
  const auto holds = [&](const CellField& f, uint32_t width) {
    return f.block == at.block && at.byte >= f.source && at.byte < f.source + width;
  };
  for (uint32_t i = 0; i < layout.n_halves; i++)
    if (const CellField& f = layout.halves[i]; holds(f, 2)) return f.cell + 2 * at.row + at.byte - f.source;
  for (uint32_t i = 0; i < layout.n_words; i++)
    if (const CellField& f = layout.words[i]; holds(f, 4)) return f.cell + 4 * at.row + at.byte - f.source;
  PIXELLM_ASSERT(!"a byte that no block has");
  return 0;
}

}  // namespace pixellm
