#include <cmath>
#include <limits>

#include "kernels/kernels.h"
#include "kernels/rope_math.h"
#include "kernels/test_data.h"

namespace pixellm {
namespace {

static_assert(std::numeric_limits<long double>::digits >= 64, "the reference needs more than a double");

TEST(RopeMath, CosAndSinAgreeWithTheLibrary) {
  Random random(1);
  for (int i = 0; i < 200000; i++) {
    const double angle =
        i < 2000 ? i * 0.001 : std::ldexp(random.symmetric(), static_cast<int>(random.below(21)));
    const rope_math::CosSin got = rope_math::cos_sin({angle, 0});
    ASSERT_NEAR(got.cos, std::cos(angle), 3e-16) << angle;
    ASSERT_NEAR(got.sin, std::sin(angle), 3e-16) << angle;
  }
}

TEST(RopeMath, TheLowHalfOfAnAngleCounts) {
  for (const double angle : {0.3, 2.0, 1e6, -77.7}) {
    const double low = angle * 0x1p-55;
    const long double whole = static_cast<long double>(angle) + static_cast<long double>(low);
    const rope_math::CosSin got = rope_math::cos_sin({angle, low});
    const double bound = 3e-16 + std::fabs(angle) * 0x1p-63;  // the reference's own
    EXPECT_NEAR(got.cos, static_cast<double>(std::cos(whole)), bound);
    EXPECT_NEAR(got.sin, static_cast<double>(std::sin(whole)), bound);
    const bool seen = std::fabs(rope_math::cos_sin({angle, 0}).sin - got.sin) > bound;
    EXPECT_EQ(seen, std::fabs(angle) > 10);
  }
}

TEST(RopeMath, InverseRootIsOneWhenRaisedBack) {
  for (const double base : {1.0, 2.0, 10000.0, 500000.0, 1e6, 1e7, 0.25, 1e-3, 123456.789}) {
    for (const uint64_t m : {1u, 2u, 16u, 20u, 32u, 48u, 64u, 128u}) {
      const rope_math::Pair r = rope_math::inverse_root(base, m);
      EXPECT_NEAR(r.high, std::pow(base, -1.0 / static_cast<double>(m)), 4e-16 * r.high) << base << " " << m;
      rope_math::Pair product = {base, 0};
      for (uint64_t i = 0; i < m; i++) product = rope_math::multiply(product, r);
      const rope_math::Pair rest = rope_math::add(product, -1.0);
      EXPECT_LT(std::fabs(rest.high), 0x1p-88) << base << " " << m;
    }
  }
}

// In long double: angles of a million radians to 1e-13.
TEST(RopeTable, AnglesAgreeWithTheLibrary) {
  const std::vector<float> factors = {1.0f, 1.5f, 3.25f, 8.0f, 17.3f, 32.0f};
  for (const uint32_t position : {0u, 1u, 2u, 511u, 4095u, 131071u, 1000000u}) {
    for (const double base : {10000.0, 500000.0, 1e6}) {
      for (const uint64_t n_rot : {2u, 12u, 64u, 128u, 256u}) {
        const float* f = n_rot == 12 ? factors.data() : nullptr;
        const double frequency_scale = n_rot == 64 ? 0.125 : 1.0;
        std::vector<float> table(n_rot);
        rope_table(position, n_rot, base, frequency_scale, f, 1.0f, table.data());
        const uint64_t half = n_rot / 2;
        for (uint64_t i = 0; i < half; i++) {
          const long double exponent = -2.0L * static_cast<long double>(i) / static_cast<long double>(n_rot);
          long double angle = position * std::pow(static_cast<long double>(base), exponent);
          if (f != nullptr) angle /= static_cast<long double>(f[i]);
          angle *= static_cast<long double>(frequency_scale);
          // The float nearest to the truth: at most half an ulp of 1 away, and the truth's own error.
          EXPECT_NEAR(table[i], static_cast<double>(std::cos(angle)), 0x1p-25 + 1e-12);
          EXPECT_NEAR(table[half + i], static_cast<double>(std::sin(angle)), 0x1p-25 + 1e-12);
        }
      }
    }
  }
}

TEST(RopeTable, MagnitudeMultiplies) {
  float plain[8], larger[8];
  rope_table(77, 8, 10000.0, 1.0, nullptr, 1.0f, plain);
  rope_table(77, 8, 10000.0, 1.0, nullptr, 1.25f, larger);
  for (int i = 0; i < 8; i++) EXPECT_NEAR(larger[i], 1.25f * plain[i], 2e-7);
}

// The same on every machine; computed apart from this code with 60 decimal digits.
TEST(RopeTable, GoldenBits) {
  float t[6];
  rope_table(1000000, 6, 10000.0, 1.0, nullptr, 1.0f, t);
  const uint32_t expected[6] = {0x3f6fcefd, 0xbed45b05, 0x3f44267f, 0xbeb33259, 0x3f68f152, 0xbf24809b};
  for (int i = 0; i < 6; i++) EXPECT_EQ(std::bit_cast<uint32_t>(t[i]), expected[i]) << i << " " << t[i];
}

}  // namespace
}  // namespace pixellm
