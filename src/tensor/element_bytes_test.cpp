#include "tensor/element_bytes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>
#include <string>

#include "tensor/test_pattern.h"

namespace pixellm {
namespace {

class ElementBytesOfType : public ::testing::TestWithParam<TypeTraits> {};

INSTANTIATE_TEST_SUITE_P(All, ElementBytesOfType, ::testing::ValuesIn(kTypes),
                         [](const auto& type) { return std::string(type.param.name); });

std::vector<uint32_t> bits_of(const TypeTraits& t, const std::vector<uint8_t>& block) {
  std::vector<float> values(t.block_elements);
  dequantize_blocks(t.type, t.block_elements, block.data(), values.data());
  std::vector<uint32_t> bits;
  for (const float v : values) bits.push_back(std::bit_cast<uint32_t>(v));
  return bits;
}

std::set<uint32_t> listed(TensorType type, uint32_t byte) {
  std::set<uint32_t> all;
  elements_of_byte(type, byte).for_each([&](uint32_t e) { all.insert(e); });
  EXPECT_EQ(all.size(), elements_of_byte(type, byte).count());
  return all;
}

// Every bit of random blocks is flipped: nothing but the listed elements ever changes, and each of them does
// at some time.
TEST_P(ElementBytesOfType, AreThoseThatChangeWithTheByte) {
  const TypeTraits& t = GetParam();
  std::vector<std::set<uint32_t>> seen(t.block_bytes);
  for (uint32_t trial = 0; trial < 16; trial++) {
    std::vector<uint8_t> block = pattern_bytes(t.block_bytes, 977 * trial + static_cast<uint32_t>(t.type));
    if (t.block_elements > 1)  // d, m and dmin: no NaN, which hides every other change
      for (uint32_t at : {1u, 3u, t.block_bytes - 1}) block[at] &= 0xBF;
    const auto before = bits_of(t, block);
    for (uint32_t bit = 0; bit < 8 * t.block_bytes; bit++) {
      block[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      const auto after = bits_of(t, block);
      block[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      for (uint32_t e = 0; e < t.block_elements; e++)
        if (before[e] != after[e]) seen[bit / 8].insert(e);
    }
  }
  for (uint32_t byte = 0; byte < t.block_bytes; byte++)
    EXPECT_EQ(seen[byte], listed(t.type, byte)) << "byte " << byte;
}

// With every scale 1 and every minimum 0 there is one bit of the element's own byte that moves it, and no
// other, by one.
TEST_P(ElementBytesOfType, OwnByteHoldsTheLowestBit) {
  const TypeTraits& t = GetParam();
  if (t.block_elements == 1) {
    EXPECT_EQ(byte_of_element(t.type, 0), 0u);
    return;
  }
  const auto value = [&](const std::vector<uint8_t>& block, uint32_t e) {
    return std::bit_cast<float>(bits_of(t, block)[e]);
  };
  std::vector<uint8_t> block(t.block_bytes);
  const bool is_k = t.type == TensorType::kQ4_K || t.type == TensorType::kQ5_K;
  const uint32_t d = t.type == TensorType::kQ6_K ? 208 : 0;
  block[d + 1] = 0x3C;  // 1.0
  if (is_k) {
    std::fill_n(block.begin() + 4, 4, 1);   // scales of sub-blocks 0..3
    std::fill_n(block.begin() + 12, 4, 1);  // and of 4..7
  }
  if (t.type == TensorType::kQ6_K) std::fill_n(block.begin() + 192, 16, 1);
  for (uint32_t e = 0; e < t.block_elements; e++) {
    const uint32_t byte = byte_of_element(t.type, e);
    EXPECT_TRUE(listed(t.type, byte).contains(e));
    EXPECT_LE(elements_of_byte(t.type, byte).count(), 2u);
    const float before = value(block, e);
    int ones = 0;
    for (int bit = 0; bit < 8; bit++) {
      block[byte] ^= static_cast<uint8_t>(1 << bit);
      ones += std::abs(value(block, e) - before) == 1.0f;
      block[byte] ^= static_cast<uint8_t>(1 << bit);
    }
    EXPECT_EQ(ones, 1) << "element " << e;
  }
}

// Every byte of a cell is what packing puts there.
TEST_P(ElementBytesOfType, CellBytesAreThoseOfTheBlocks) {
  const TypeTraits& t = GetParam();
  const uint64_t row_bytes = gguf_row_bytes(t.type, t.cell_columns);
  std::vector<uint8_t> rows(kCellRows * row_bytes), cell(t.cell_bytes);
  uint32_t without = 0;
  std::set<uint64_t> targets;
  for (int half = 0; half < 2; half++) {  // the place in the rows, its low and its high byte
    for (uint64_t i = 0; i < rows.size(); i++) rows[i] = static_cast<uint8_t>(half ? i >> 8 : i);
    pack_group(t.type, t.cell_columns, rows.data(), row_bytes, kCellRows, cell.data());
    for (uint32_t i = 0; i < t.cell_bytes; i++) {
      const auto at = block_byte_at(t.type, i);
      if (!at) {
        without += half;
        EXPECT_EQ(cell[i], 0);
        continue;
      }
      ASSERT_LT(at->byte, t.block_bytes);
      const uint64_t place = at->row * row_bytes + at->block * t.block_bytes + at->byte;
      ASSERT_LT(place, rows.size());
      targets.insert(place);
      EXPECT_EQ(cell[i], rows[place]) << "cell byte " << i;
      EXPECT_EQ(cell_byte_of(t.type, *at), i);
    }
  }
  EXPECT_EQ(targets.size(), rows.size());
  EXPECT_EQ(without, t.type == TensorType::kQ6_K ? 32u : 0u);
}

}  // namespace
}  // namespace pixellm
