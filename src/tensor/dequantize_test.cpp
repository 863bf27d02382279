#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <string>

#include "base/hash.h"
#include "tensor/cells.h"
#include "tensor/float16.h"
#include "tensor/test_pattern.h"

namespace pixellm {
namespace {

class ValuesOfType : public ::testing::TestWithParam<TypeTraits> {};

INSTANTIATE_TEST_SUITE_P(All, ValuesOfType, ::testing::ValuesIn(kTypes),
                         [](const auto& type) { return std::string(type.param.name); });

// SHA-256 of the values' bits (any NaN as 7fc00000), equal to what the Python package gguf 0.19 dequantises.
std::string_view golden_values(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return "bd46ad1d944a1127cb40d24ee9cc39c145499c71929b591dbe093802dcd4d49d";
    case TensorType::kF16:
      return "528eac34e2639bd3016d0865c969ce86ebcf70384717f10b90afc59757b3f6c9";
    case TensorType::kBF16:
      return "0e5cb88ff780a83ee24329a7fc3e2f5ffa17f4f5d727e873b4cbb0a0a37732da";
    case TensorType::kQ8_0:
      return "4e4ddcb10fb41fc4527bb224e4103b4fa9ab2505a067ad02e77bc5b59539e275";
    case TensorType::kQ4_0:
      return "bdc793ba71b55e5f27b9ffae88437399fbb9a881ec472ad2523c7a0040dc37b8";
    case TensorType::kQ4_1:
      return "8e0392df7a44a29663154147f15696ce3755ca634485fdbf7e9dd5c1d56215ab";
    case TensorType::kQ5_0:
      return "17385afc697451e6ff17db494c5825cf7079a8f28df5bb7341f63de0c5b02b32";
    case TensorType::kQ5_1:
      return "979a75e2f7065c2c1f642a822f70a1b804eeed56cb77836df0abc0fd5546bf1c";
    case TensorType::kQ4_K:
      return "4fe3a5d939564a6e3e6e40d70fd5ecab487d2963bc1e5c111e44e8257807c3c5";
    case TensorType::kQ5_K:
      return "453a41de3f2f93e10a7d9d54af8f5b5b7fab1dc89fc8b1f3ddb863dc0d59169a";
    case TensorType::kQ6_K:
      return "728d1bd8bafae8483ea7ca3075b633eed4cc1e74303a36d31cb167e8c06f00f9";
  }
  return {};
}

TEST_P(ValuesOfType, GoldenValues) {
  const PatternMatrix m(GetParam().type);
  std::vector<float> row(m.k);
  std::vector<uint8_t> bits;
  for (uint64_t r = 0; r < m.n_rows; r++) {
    dequantize_blocks(m.type, m.k, m.rows.data() + r * m.row_bytes, row.data());
    for (const float v : row) {
      bits.resize(bits.size() + 4);
      store_le<uint32_t>(bits.data() + bits.size() - 4,
                         std::isnan(v) ? 0x7fc00000u : std::bit_cast<uint32_t>(v));
    }
  }
  EXPECT_EQ(to_hex(sha256(bits)), golden_values(m.type));
}

// d = 0.5, m = -2: one weight of each kind worked out on paper.
TEST(Values, ByHand) {
  float out[256];
  uint8_t b[256] = {};
  store_le<uint16_t>(b, float_to_f16(0.5f));
  b[2 + 3] = 0xA1;  // Q8_0: -95; Q4_0: column 3 is 1, column 19 is 10
  dequantize_blocks(TensorType::kQ8_0, 32, b, out);
  EXPECT_EQ(out[3], -47.5f);
  dequantize_blocks(TensorType::kQ4_0, 32, b, out);
  EXPECT_EQ(out[3], -3.5f);
  EXPECT_EQ(out[19], 1.0f);
  EXPECT_EQ(out[0], -4.0f);

  uint8_t c[256] = {};
  store_le<uint16_t>(c, float_to_f16(0.5f));
  store_le<uint16_t>(c + 2, float_to_f16(-2.0f));
  store_le<uint32_t>(c + 4, 1u << 19);  // Q5_1: fifth bit of column 19
  c[8 + 3] = 0xA1;
  dequantize_blocks(TensorType::kQ5_1, 32, c, out);
  EXPECT_EQ(out[3], -1.5f);
  EXPECT_EQ(out[19], 0.5f * 26 - 2);
  EXPECT_EQ(out[0], -2.0f);

  uint8_t k[256] = {};  // Q4_K: d = 0.5, dmin = -2; sub-block 5 (columns 160..191)
  store_le<uint16_t>(k, float_to_f16(0.5f));
  store_le<uint16_t>(k + 2, float_to_f16(-2.0f));
  k[4 + 9] = 0x73;        // low nibble of its scale, high nibble of its minimum
  k[4 + 1] = 0x80;        // scale |= 2 << 4
  k[4 + 5] = 0x40;        // minimum |= 1 << 4
  k[16 + 64 + 7] = 0xD0;  // column 160 + 7: q = 13
  dequantize_blocks(TensorType::kQ4_K, 256, k, out);
  EXPECT_EQ(out[167], 0.5f * 35 * 13 + 2.0f * 23);
  EXPECT_EQ(out[160], 2.0f * 23);
  EXPECT_EQ(out[128 + 7], 0.0f);
}

}  // namespace
}  // namespace pixellm
