// Norms, activation functions, RoPE, softmax: the scalar ones against float64, every vector ISA against
// scalar.
#include <functional>
#include <limits>

#include "kernels/kernels.h"
#include "kernels/scalar.h"
#include "kernels/test_data.h"

namespace pixellm {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint64_t kLengths[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 64, 65, 100, 576, 1536, 2053};
constexpr double kUlp = 0x1p-23;

// Every float of both signs whose bits are a multiple of `step`, within [low, high].
void for_floats(float low, float high, uint32_t step, const std::function<void(float)>& f) {
  for (uint64_t bits = 0; bits < 1ull << 32; bits += step) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (x >= low && x <= high) f(x);
  }
}

// ---- Scalar against float64

TEST(ScalarOps, ExpIsWithinOneUlp) {
  double worst = 0;
  for_floats(-87.3f, 88.72f, 4099, [&](float x) {
    const double truth = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::fabs(scalar::exp(x) - truth) / truth);
  });
  EXPECT_LT(worst, 1.0 * kUlp);
  double worst_subnormal = 0;
  for_floats(-110.0f, -87.3f, 331, [&](float x) {
    worst_subnormal = std::max(worst_subnormal, std::fabs(scalar::exp(x) - std::exp(static_cast<double>(x))));
  });
  EXPECT_LE(worst_subnormal, 0x1p-149);
}

TEST(ScalarOps, ExpAtItsEnds) {
  EXPECT_EQ(scalar::exp(0.0f), 1.0f);
  EXPECT_EQ(scalar::exp(-0.0f), 1.0f);
  EXPECT_EQ(scalar::exp(-kInfinity), 0.0f);
  EXPECT_EQ(scalar::exp(-1000.0f), 0.0f);
  EXPECT_EQ(scalar::exp(-104.0f), 0.0f);
  EXPECT_EQ(scalar::exp(-103.0f), 0x1p-149f);
  EXPECT_LT(scalar::exp(88.72283f), kInfinity);
  EXPECT_EQ(scalar::exp(88.7229f), kInfinity);
  EXPECT_EQ(scalar::exp(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(scalar::exp(std::numeric_limits<float>::quiet_NaN())));
}

TEST(ScalarOps, TanhIsWithinTwoUlps) {
  double worst = 0;
  for_floats(-20.0f, 20.0f, 4099, [&](float x) {
    const double truth = std::tanh(static_cast<double>(x));
    if (truth != 0)
      worst = std::max(worst, std::fabs((scalar::tanh(x) - truth) / truth));
    else
      EXPECT_EQ(scalar::tanh(x), x);
    EXPECT_EQ(scalar::tanh(-x), -scalar::tanh(x));
  });
  EXPECT_LT(worst, 2.0 * kUlp);
  EXPECT_EQ(scalar::tanh(kInfinity), 1.0f);
  EXPECT_EQ(scalar::tanh(-3e38f), -1.0f);
  EXPECT_TRUE(std::signbit(scalar::tanh(-0.0f)));
}

// Above the range where exp's argument itself carries the error, and with an absolute bound for tiny results.
TEST(ScalarOps, SiluAndGeluFollowTheirFormulas) {
  for_floats(-80.0f, 1e30f, 65537, [&](float x) {
    float gate = x, one = 1.0f, g = x;
    kScalarKernels.silu_mul(&gate, &one, 1);
    kScalarKernels.gelu(&g, 1);
    const double d = x, silu = d / (1 + std::exp(-d));
    const double v = std::sqrt(2 / M_PI) * (d + 0.044715 * d * d * d), gelu = d / (1 + std::exp(-2 * v));
    ASSERT_NEAR(gate, silu, 3 * kUlp * std::fabs(silu) + 1e-37) << x;
    ASSERT_NEAR(g, gelu, (4 + std::fabs(std::min(4 * v, 0.0))) * kUlp * std::fabs(gelu) + 1e-37) << x;
  });
  for (const float x : {-1e5f, -1e30f, -3e38f}) {
    float gate = x, one = 1.0f, g = x;
    kScalarKernels.silu_mul(&gate, &one, 1);
    kScalarKernels.gelu(&g, 1);
    EXPECT_EQ(gate, 0.0f);
    EXPECT_EQ(g, 0.0f);
  }
}

TEST(ScalarOps, GeluMulIsGeluTimesUp) {
  std::vector<float> x = bell_curve(50, 1), gate = x, g = x;
  const std::vector<float> up = bell_curve(50, 2);
  kScalarKernels.gelu_mul(gate.data(), up.data(), 50);
  kScalarKernels.gelu(g.data(), 50);
  for (uint64_t i = 0; i < 50; i++) EXPECT_EQ(gate[i], g[i] * up[i]);
}

// A sum of n squares in 16 lanes is off by at most (n/16 + 5) half ulps, its root by half of that.
TEST(ScalarOps, NormsAreWithinTheirBounds) {
  for (const uint64_t n : kLengths) {
    std::vector<float> x = bell_curve(n, n, 3);
    for (float& v : x) v += 0.5f;
    const std::vector<float> w = bell_curve(n, n + 1), b = bell_curve(n, n + 2);
    std::vector<float> y(n);
    const double bound = (static_cast<double>(n) / 64 + 5) * kUlp;
    double squares = 0, sum = 0, size = 0;
    for (const float v : x) {
      squares += static_cast<double>(v) * v;
      sum += v;
      size += std::fabs(v);
    }
    const auto count = static_cast<double>(n);
    const double factor = 1 / std::sqrt(squares / count + 1e-5);
    kScalarKernels.rms_norm(x.data(), w.data(), n, 1e-5f, y.data());
    for (uint64_t i = 0; i < n; i++)
      EXPECT_NEAR(y[i], x[i] * factor * w[i], bound * std::fabs(x[i] * factor * w[i])) << n;
    kScalarKernels.rms_norm(x.data(), nullptr, n, 1e-5f, y.data());
    for (uint64_t i = 0; i < n; i++) EXPECT_NEAR(y[i], x[i] * factor, bound * std::fabs(x[i] * factor)) << n;

    if (n < 7) continue;  // too few values for a spread that dwarfs the mean's own error
    const double mean = sum / count;
    double spread = 0;
    for (const float v : x) spread += (v - mean) * (v - mean);
    const double layer_factor = 1 / std::sqrt(spread / count + 1e-5);
    kScalarKernels.layer_norm(x.data(), w.data(), b.data(), n, 1e-5f, y.data());
    for (uint64_t i = 0; i < n; i++) {
      const double truth = (x[i] - mean) * layer_factor * w[i] + b[i];
      const double terms =
          (std::fabs(x[i]) + size / count) * layer_factor * std::fabs(w[i]) + std::fabs(b[i]);
      EXPECT_NEAR(y[i], truth, 2 * bound * terms) << n;
    }
  }
}

TEST(ScalarOps, LayerNormOfOneValueIsItsBias) {
  const float x = 3, w = 2, b = -1.5f;
  float y = 0;
  kScalarKernels.layer_norm(&x, &w, &b, 1, 1e-5f, &y);
  EXPECT_EQ(y, b);
}

TEST(ScalarOps, SoftmaxIsWithinItsBoundAndSumsToOne) {
  for (const uint64_t n : kLengths) {
    const std::vector<float> x = bell_curve(n, n, 8);
    std::vector<float> y = x;
    kScalarKernels.softmax(y.data(), n);
    double largest = x[0], total = 0, sum = 0;
    for (const float v : x) largest = std::max(largest, static_cast<double>(v));
    for (const float v : x) total += std::exp(v - largest);
    for (uint64_t i = 0; i < n; i++) {
      const double truth = std::exp(x[i] - largest) / total;
      // x - max is rounded: an absolute error in the exponent.
      EXPECT_NEAR(y[i], truth, (static_cast<double>(n) / 32 + 6 + (largest - x[i])) * kUlp * truth);
      sum += y[i];
    }
    EXPECT_NEAR(sum, 1, 1e-5);
  }
}

TEST(ScalarOps, SoftmaxForgetsMinusInfinity) {
  std::vector<float> x = {1.0f, -kInfinity, 1.0f};
  kScalarKernels.softmax(x.data(), 3);
  EXPECT_EQ(x, (std::vector<float>{0.5f, 0.0f, 0.5f}));
}

TEST(ScalarOps, SoftcapBendsTowardsTheCap) {
  for (const float x : {-1000.0f, -50.0f, -3.0f, 0.0f, 0.01f, 7.0f, 30.0f, 1e30f}) {
    float y = x;
    kScalarKernels.softcap(&y, 30.0f, 1);
    const double truth = 30 * std::tanh(x / 30.0);
    EXPECT_NEAR(y, truth, 4 * kUlp * std::fabs(truth));
  }
}

TEST(ScalarOps, RopeRotatesPairs) {
  for (const bool neox : {false, true}) {
    constexpr uint64_t kRot = 12;
    const std::vector<float> x = bell_curve(16, 3);
    std::vector<float> y = x, table(kRot);
    for (uint64_t i = 0; i < kRot / 2; i++) {
      table[i] = std::cos(static_cast<float>(i) + 1);
      table[kRot / 2 + i] = std::sin(static_cast<float>(i) + 1);
    }
    kScalarKernels.rope(y.data(), kRot, neox, table.data());
    for (uint64_t i = 0; i < kRot / 2; i++) {
      const uint64_t a = neox ? i : 2 * i, b = neox ? i + kRot / 2 : 2 * i + 1;
      const double c = table[i], s = table[kRot / 2 + i];
      EXPECT_NEAR(y[a], x[a] * c - x[b] * s, 1.5 * kUlp * (std::fabs(x[a]) + std::fabs(x[b])));
      EXPECT_NEAR(y[b], x[a] * s + x[b] * c, 1.5 * kUlp * (std::fabs(x[a]) + std::fabs(x[b])));
    }
    for (uint64_t i = kRot; i < 16; i++) EXPECT_EQ(y[i], x[i]);
  }
}

TEST(ScalarOps, AddAndScale) {
  std::vector<float> y = {1, 2, 3};
  const std::vector<float> x = {0.5f, -2, 10};
  kScalarKernels.add(y.data(), x.data(), 3);
  EXPECT_EQ(y, (std::vector<float>{1.5f, 0, 13}));
  kScalarKernels.scale(y.data(), -2, 3);
  EXPECT_EQ(y, (std::vector<float>{-3, 0, -26}));
}

// ---- Every ISA against scalar

class IsaOps : public testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& k = *GetParam();
  const Kernels& ref = kScalarKernels;
  void SetUp() override {
    ASSERT_EQ(kernels_for(k.isa), &k);
    ASSERT_NE(k.isa, Isa::kScalar);
  }
  // Runs both on copies of a vector that has values beyond n, which must stay.
  using Run = std::function<void(const Kernels&, float* y, uint64_t n)>;
  void expect_same(const Run& run) {
    for (const uint64_t n : kLengths) {
      for (const bool is_wild : {false, true}) {
        std::vector<float> expected = is_wild ? wild(n, n) : bell_curve(n, n, 5);
        expected.resize(n + 3, 77.0f);
        std::vector<float> got = expected;
        run(ref, expected.data(), n);
        run(k, got.data(), n);
        ASSERT_TRUE(same_bits(got, expected)) << "n " << n << (is_wild ? " wild" : "");
        for (uint64_t i = n; i < n + 3; i++) ASSERT_EQ(got[i], 77.0f);
      }
    }
  }
};

TEST_P(IsaOps, NormsEqualScalar) {
  const std::vector<float> w = bell_curve(3000, 11), b = wild(3000, 12);
  expect_same([&](const Kernels& t, float* y, uint64_t n) { t.rms_norm(y, w.data(), n, 1e-6f, y); });
  expect_same([&](const Kernels& t, float* y, uint64_t n) { t.rms_norm(y, nullptr, n, 1e-5f, y); });
  expect_same(
      [&](const Kernels& t, float* y, uint64_t n) { t.layer_norm(y, w.data(), b.data(), n, 1e-5f, y); });
}

TEST_P(IsaOps, ElementwiseEqualScalar) {
  const std::vector<float> x = wild(3000, 13);
  expect_same([&](const Kernels& t, float* y, uint64_t n) { t.add(y, x.data(), n); });
  expect_same([&](const Kernels& t, float* y, uint64_t n) { t.scale(y, 0.3f, n); });
  expect_same([&](const Kernels& t, float* y, uint64_t n) { t.silu_mul(y, x.data(), n); });
  expect_same([&](const Kernels& t, float* y, uint64_t n) { t.gelu_mul(y, x.data(), n); });
  expect_same([&](const Kernels& t, float* y, uint64_t n) { t.gelu(y, n); });
  expect_same([&](const Kernels& t, float* y, uint64_t n) { t.softcap(y, 30.0f, n); });
  expect_same([&](const Kernels& t, float* y, uint64_t n) { t.softmax(y, n); });
}

// Floats all over the range, both infinities among them.
TEST_P(IsaOps, FunctionsEqualScalarOverAllFloats) {
  std::vector<float> x;
  for_floats(-kInfinity, kInfinity, 32749, [&](float v) { x.push_back(v); });
  for_floats(-110.0f, 110.0f, 16411, [&](float v) { x.push_back(v); });
  x.push_back(kInfinity);
  const std::vector<float> ones(x.size(), 1.0f);
  std::vector<float> expected, got;
  const auto run = [&](auto op) {
    expected = got = x;
    op(ref, expected);
    op(k, got);
    for (uint64_t i = 0; i < x.size(); i++) {  // a NaN's sign and payload are nobody's promise
      if (std::isnan(expected[i]) && std::isnan(got[i])) got[i] = expected[i];
    }
    EXPECT_TRUE(same_bits(got, expected));
  };
  run([&](const Kernels& t, std::vector<float>& y) { t.silu_mul(y.data(), ones.data(), y.size()); });
  run([&](const Kernels& t, std::vector<float>& y) { t.gelu(y.data(), y.size()); });
  run([&](const Kernels& t, std::vector<float>& y) { t.softcap(y.data(), 1.0f, y.size()); });
  // exp alone: x and 0 under softmax, two by two, give exp(min(x, 0)) and its like.
  run([&](const Kernels& t, std::vector<float>& y) {
    for (uint64_t i = 0; i + 1 < y.size(); i += 2) {
      y[i + 1] = 0;
      t.softmax(y.data() + i, 2);
    }
  });
}

TEST_P(IsaOps, RopeEqualsScalar) {
  for (const bool neox : {false, true}) {
    for (const uint64_t n_rot : {2u, 4u, 14u, 16u, 18u, 30u, 32u, 34u, 48u, 64u, 80u, 96u, 128u, 256u}) {
      std::vector<float> expected = wild(n_rot + 5, n_rot), table(n_rot);
      rope_table(1234, n_rot, 10000.0, 1.0, nullptr, 1.0f, table.data());
      std::vector<float> got = expected;
      ref.rope(expected.data(), n_rot, neox, table.data());
      k.rope(got.data(), n_rot, neox, table.data());
      ASSERT_TRUE(same_bits(got, expected)) << n_rot << (neox ? " neox" : "");
    }
  }
}

// Every half, the middles between neighbours and their neighbours: all roundings and both ends.
TEST_P(IsaOps, ToF16EqualsScalar) {
  std::vector<float> x;
  for (uint32_t h = 0; h < 0x7c00; h++) {
    const float a = f16_to_float(static_cast<uint16_t>(h)),
                b = h == 0x7bff ? 65536.0f : f16_to_float(static_cast<uint16_t>(h + 1));
    const float middle = a + (b - a) / 2;
    for (const float v : {a, middle, std::nextafter(middle, a), std::nextafter(middle, b)}) {
      x.push_back(v);
      x.push_back(-v);
    }
  }
  for (const float v : {1e-30f, 1e-45f, 1e30f, kInfinity, -kInfinity}) x.push_back(v);
  for (const uint64_t n : {x.size(), uint64_t{1}, uint64_t{15}, uint64_t{17}}) {
    std::vector<uint16_t> expected(n + 2, 0xABCD), got = expected;
    ref.to_f16(x.data(), n, expected.data());
    k.to_f16(x.data(), n, got.data());
    ASSERT_EQ(got, expected);
  }
}

TEST_P(IsaOps, NanStaysNan) {
  for (const uint64_t n : {5u, 16u, 40u}) {
    for (const uint64_t at : {uint64_t{0}, n - 1}) {
      const std::vector<float> w(n, 1.0f);
      const auto poisoned = [&] {
        std::vector<float> x = bell_curve(n, 1);
        x[at] = std::numeric_limits<float>::quiet_NaN();
        return x;
      };
      std::vector<float> x = poisoned();
      k.rms_norm(x.data(), w.data(), n, 1e-5f, x.data());
      for (const float v : x) EXPECT_TRUE(std::isnan(v));
      x = poisoned();
      k.softmax(x.data(), n);
      for (const float v : x) EXPECT_TRUE(std::isnan(v));
      x = poisoned();
      k.silu_mul(x.data(), w.data(), n);
      EXPECT_TRUE(std::isnan(x[at]));
      x = poisoned();
      k.gelu(x.data(), n);
      EXPECT_TRUE(std::isnan(x[at]));
      x = poisoned();
      k.softcap(x.data(), 5.0f, n);
      EXPECT_TRUE(std::isnan(x[at]));
    }
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(IsaOps);  // a CPU may have none
INSTANTIATE_TEST_SUITE_P(Isas, IsaOps, testing::ValuesIn(vector_kernels()), kernels_name);

TEST(Int8Peak, CountsWhatItWasAskedFor) {
  for (const Kernels* k : available_kernels()) {
    const uint64_t one = k->int8_peak(1);
    EXPECT_GT(one, 0u);
    EXPECT_EQ(k->int8_peak(3), 3 * one);
  }
}

}  // namespace
}  // namespace pixellm
