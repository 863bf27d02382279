// Weight types: the numbers, block sizes and cell sizes that the formats share. Type ids are GGUF's.
// Spec: spec/cells.md.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace pixellm {

enum class TensorType : uint32_t {
  kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ4_1 = 3, kQ5_0 = 6, kQ5_1 = 7, kQ8_0 = 8,
  kQ4_K = 12, kQ5_K = 13, kQ6_K = 14, kBF16 = 30,
};

inline constexpr uint32_t kCellRows = 16;   // rows of a matrix in one cell, for every type

struct TypeTraits {
  TensorType type;
  std::string_view name;     // "Q4_K"
  uint32_t block_elements;   // elements of one GGUF block along a row: 1, 32 or 256
  uint32_t block_bytes;      // bytes of that block
  uint32_t cell_columns;     // 64, or 256 for the K types
  uint32_t cell_bytes;       // multiple of 64
};

inline constexpr std::array<TypeTraits, 11> kTypes = {{
    {TensorType::kF32, "F32", 1, 4, 64, 4096},
    {TensorType::kF16, "F16", 1, 2, 64, 2048},
    {TensorType::kBF16, "BF16", 1, 2, 64, 2048},
    {TensorType::kQ8_0, "Q8_0", 32, 34, 64, 1088},
    {TensorType::kQ4_0, "Q4_0", 32, 18, 64, 576},
    {TensorType::kQ4_1, "Q4_1", 32, 20, 64, 640},
    {TensorType::kQ5_0, "Q5_0", 32, 22, 64, 704},
    {TensorType::kQ5_1, "Q5_1", 32, 24, 64, 768},
    {TensorType::kQ4_K, "Q4_K", 256, 144, 256, 2304},
    {TensorType::kQ5_K, "Q5_K", 256, 176, 256, 2816},
    {TensorType::kQ6_K, "Q6_K", 256, 210, 256, 3392},
}};

// Index into kTypes, for tables of functions per type.
constexpr int type_index(TensorType type) {
  for (int i = 0; i < static_cast<int>(kTypes.size()); i++)
    if (kTypes[i].type == type) return i;
  return -1;
}
constexpr const TypeTraits& traits(TensorType type) {
  const int index = type_index(type);
  if (index < 0) __builtin_unreachable();   // every enumerator stands in the table
  return kTypes[static_cast<size_t>(index)];
}

// nullopt for an id or name that this project does not store.
constexpr std::optional<TensorType> type_from_id(uint32_t gguf_id) {
  for (const auto& t : kTypes)
    if (static_cast<uint32_t>(t.type) == gguf_id) return t.type;
  return std::nullopt;
}

// GGML's name of a type id ("IQ2_XS"), also of those not stored; "type 77" is left to the caller when empty.
std::string_view ggml_type_name(uint32_t gguf_id);

constexpr bool is_float_type(TensorType t) {
  return t == TensorType::kF32 || t == TensorType::kF16 || t == TensorType::kBF16;
}

}  // namespace pixellm
