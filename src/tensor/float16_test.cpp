#include "tensor/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace pixellm {
namespace {

TEST(Float16, EveryHalfComesBack) {
  for (uint32_t h = 0; h < 0x10000; h++) {
    const float f = f16_to_float(static_cast<uint16_t>(h));
    const bool is_nan = (h & 0x7c00) == 0x7c00 && (h & 0x3ff) != 0;
    ASSERT_EQ(std::isnan(f), is_nan) << h;
    ASSERT_EQ(float_to_f16(f), is_nan ? (h | 0x200) : h) << h;
  }
}

TEST(Float16, KnownValues) {
  EXPECT_EQ(f16_to_float(0x3c00), 1.0f);
  EXPECT_EQ(f16_to_float(0xc000), -2.0f);
  EXPECT_EQ(f16_to_float(0x7bff), 65504.0f);
  EXPECT_EQ(f16_to_float(0x0001), 0x1p-24f);
  EXPECT_EQ(f16_to_float(0x0400), 0x1p-14f);
  EXPECT_EQ(f16_to_float(0x7c00), std::numeric_limits<float>::infinity());
  EXPECT_EQ(bf16_to_float(0x3fc0), 1.5f);
}

// Between two neighbouring halves: below the middle rounds down, above it up, the middle itself to the even
// one.
TEST(Float16, RoundsToNearestEven) {
  for (uint16_t h = 0; h < 0x7bff; h++) {
    const float a = f16_to_float(h), b = f16_to_float(static_cast<uint16_t>(h + 1));
    const float middle = (a + b) / 2;  // exact in f32
    ASSERT_EQ(float_to_f16(middle), h % 2 == 0 ? h : h + 1) << h;
    ASSERT_EQ(float_to_f16(std::nextafter(middle, 0.0f)), h) << h;
    ASSERT_EQ(float_to_f16(std::nextafter(middle, 1e6f)), h + 1) << h;
    ASSERT_EQ(float_to_f16(-middle), 0x8000 | (h % 2 == 0 ? h : h + 1)) << h;
  }
  EXPECT_EQ(float_to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(float_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_f16(1e30f), 0x7c00);
}

}  // namespace
}  // namespace pixellm
