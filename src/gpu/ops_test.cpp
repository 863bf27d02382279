#include "gpu/ops.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <random>

#include "gpu/gpu_test_world.h"
#include "tensor/float16.h"

namespace pixellm::gpu {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();

uint64_t count_of(const std::vector<uint64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), uint64_t{1}, std::multiplies<>());
}

Array filled(std::vector<uint64_t> shape, const std::function<float()>& next) {
  Array a = {.shape = std::move(shape), .values = {}};
  a.values.resize(count_of(a.shape));
  std::ranges::generate(a.values, next);
  return a;
}

Array normal(std::vector<uint64_t> shape, uint32_t seed, float deviation = 1.0f) {
  std::mt19937 random(seed);
  std::normal_distribution<float> distribution(0.0f, deviation);
  return filled(std::move(shape), [&] { return distribution(random); });
}

Array one_signed(std::vector<uint64_t> shape, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> distribution(0.5f, 1.5f);
  return filled(std::move(shape), [&] { return distribution(random); });
}

class OpsTest : public GpuTest {
 protected:
  void reopen(const DeviceOptions& options) {
    for (auto& ops : made_) ops.reset();
    open(options);
  }

  // The test's operations; nullptr after a failure.
  Ops* ops_of(OpType type) {
    std::optional<Ops>& made = made_[type == OpType::kF16 ? 1 : 0];
    if (!made) {
      auto ops = Ops::create(device(), type);
      EXPECT_TRUE(ops) << ops.error().message;
      if (!ops) return nullptr;
      made.emplace(std::move(*ops));
    }
    return &*made;
  }

  // f(ops, rounding) with float32, and with float16 where the adapter has it; `rounding` is what an input
  // becomes.
  void for_types(const std::function<void(Ops&, const std::function<double(float)>&)>& f) {
    for (const OpType type : {OpType::kF32, OpType::kF16}) {
      if (type == OpType::kF16 && !device().adapter().f16) continue;
      SCOPED_TRACE(type == OpType::kF16 ? "f16" : "f32");
      Ops* ops = ops_of(type);
      ASSERT_NE(ops, nullptr);
      f(*ops, [type](float x) -> double { return type == OpType::kF16 ? f16_to_float(float_to_f16(x)) : x; });
    }
  }

  // Every element within bound(i) of exact(i).
  static void expect_close(const Result<Array>& got, const std::vector<uint64_t>& shape,
                           const std::function<std::pair<double, double>(uint64_t)>& exact_and_bound) {
    ASSERT_TRUE(got) << got.error().message;
    ASSERT_EQ(got->shape, shape);
    ASSERT_EQ(got->values.size(), count_of(shape));
    for (uint64_t i = 0; i < got->values.size(); i++) {
      const auto [exact, bound] = exact_and_bound(i);
      ASSERT_LE(std::fabs(static_cast<double>(got->values[i]) - exact), bound)
          << "element " << i << ": " << got->values[i] << ", " << exact;
    }
  }

  void check_matmul(uint64_t m, uint64_t k, uint64_t n, bool transpose, bool positive) {
    SCOPED_TRACE(std::to_string(m) + " x " + std::to_string(k) + " x " + std::to_string(n) +
                 (transpose ? " transposed" : ""));
    const auto make = [&](std::vector<uint64_t> shape, uint32_t seed) {
      return positive ? one_signed(shape, seed) : normal(shape, seed);
    };
    const Array a = make(transpose ? std::vector{k, m} : std::vector{m, k}, 1), b = make({k, n}, 2);
    for_types([&](Ops& ops, const auto& in) {
      expect_close(ops.matmul(a, b, transpose), {m, n}, [&](uint64_t i) {
        double sum = 0, magnitude = 0;
        for (uint64_t j = 0; j < k; j++) {
          const double term =
              in(a.values[transpose ? j * m + i / n : i / n * k + j]) * in(b.values[j * n + i % n]);
          sum += term, magnitude += std::fabs(term);
        }
        return std::pair(sum, magnitude * 0x1p-19);
      });
    });
  }

  void check_matvec(uint64_t m, uint64_t k) {
    SCOPED_TRACE(std::to_string(m) + " x " + std::to_string(k));
    const Array a = normal({m, k}, 1), x = normal({k}, 2);
    for_types([&](Ops& ops, const auto& in) {
      expect_close(ops.matvec(a, x), {m}, [&](uint64_t i) {
        double sum = 0, magnitude = 0;
        for (uint64_t j = 0; j < k; j++) {
          const double term = in(a.values[i * k + j]) * in(x.values[j]);
          sum += term, magnitude += std::fabs(term);
        }
        return std::pair(sum, magnitude * 0x1p-19);
      });
    });
  }

  void check_softmax(const Array& x) {
    const uint64_t n = x.shape.back();
    for_types([&](Ops& ops, const auto& in) {
      std::vector<double> exact;
      for (uint64_t row = 0; row < x.values.size(); row += n) {
        double largest = -kInf, sum = 0;
        for (uint64_t i = 0; i < n; i++) largest = std::max(largest, in(x.values[row + i]));
        for (uint64_t i = 0; i < n; i++)
          exact.push_back(std::isinf(in(x.values[row + i])) ? 0 : std::exp(in(x.values[row + i]) - largest));
        for (uint64_t i = 0; i < n; i++) sum += exact[row + i];
        for (uint64_t i = 0; i < n && sum > 0; i++) exact[row + i] /= sum;
      }
      expect_close(ops.softmax(x), x.shape,
                   [&](uint64_t i) { return std::pair(exact[i], 0x1p-15 * exact[i] + 0x1p-120); });
    });
  }

  void check_attention(uint64_t t, uint64_t s, uint64_t d, uint64_t d_v, bool causal) {
    SCOPED_TRACE(std::to_string(t) + " queries, " + std::to_string(s) + " keys, d " + std::to_string(d) +
                 ", d_v " + std::to_string(d_v) + (causal ? ", causal" : ""));
    const Array q = normal({t, d}, 1, 2.0f), k = normal({s, d}, 2), v = normal({s, d_v}, 3);
    for_types([&](Ops& ops, const auto& in) {
      std::vector<double> exact(t * d_v), bound(t);
      double largest_v = 0;
      for (const float x : v.values) largest_v = std::max(largest_v, std::fabs(in(x)));
      for (uint64_t i = 0; i < t; i++) {
        const uint64_t seen = causal ? i + 1 : s;
        std::vector<double> w(seen);
        double most = 0, sum = 0;
        for (uint64_t j = 0; j < seen; j++) {
          double magnitude = 0;
          for (uint64_t c = 0; c < d; c++) {
            const double term = in(q.values[i * d + c]) * in(k.values[j * d + c]);
            w[j] += term, magnitude += std::fabs(term);
          }
          w[j] /= std::sqrt(static_cast<double>(d));
          most = std::max(most, magnitude / std::sqrt(static_cast<double>(d)));
        }
        const double largest = *std::ranges::max_element(w);
        for (double& x : w) sum += x = std::exp(x - largest);
        for (uint64_t j = 0; j < seen; j++)
          for (uint64_t c = 0; c < d_v; c++) exact[i * d_v + c] += w[j] / sum * in(v.values[j * d_v + c]);
        bound[i] = 0x1p-19 * (1 + most) * largest_v;
      }
      expect_close(ops.attention(q, k, v, causal), {t, d_v},
                   [&](uint64_t i) { return std::pair(exact[i], bound[i / d_v]); });
    });
  }

  static double exact_of(Activation kind, double x, double alpha) {
    switch (kind) {
      case Activation::kGelu:
        return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
      case Activation::kGeluFast:
        return x / (1 + std::exp(-1.702 * x));
      case Activation::kRelu:
        return std::max(x, 0.0);
      case Activation::kSilu:
        return x / (1 + std::exp(-x));
      default:
        return x < 0 ? alpha * x : x;
    }
  }

 private:
  std::optional<Ops> made_[2];
};

TEST_F(OpsTest, Matmul) {
  for (const bool transpose : {false, true}) {
    check_matmul(1, 1, 1, transpose, false);
    check_matmul(2, 3, 4, transpose, false);
    check_matmul(64, 16, 64, transpose, false);
    check_matmul(65, 17, 63, transpose, false);
    check_matmul(130, 100, 70, transpose, false);
    check_matmul(3, 4097, 5, transpose, false);  // two slices
    check_matmul(2, 20000, 3, transpose, true);
  }
}

TEST_F(OpsTest, Matvec) {
  for (const auto& [m, k] :
       {std::pair<uint64_t, uint64_t>{1, 1}, {8, 32}, {9, 33}, {100, 1000}, {3, 65537}, {5000, 3}})
    check_matvec(m, k);
}

TEST_F(OpsTest, DotOfAnyLength) {
  // Past 65,536 a single reduction of 256 sums would be wrong.
  for (const uint64_t n : {1, 4, 255, 16384, 16385, 65536, 65537, 1000000}) {
    for (const bool positive : {false, true}) {
      SCOPED_TRACE(n);
      const Array a = positive ? one_signed({n}, 1) : normal({n}, 1),
                  b = positive ? one_signed({n}, 2) : normal({n}, 2);
      for_types([&](Ops& ops, const auto& in) {
        double sum = 0, magnitude = 0;
        for (uint64_t i = 0; i < n; i++) {
          const double term = in(a.values[i]) * in(b.values[i]);
          sum += term, magnitude += std::fabs(term);
        }
        expect_close(ops.dot(a, b), {1}, [&](uint64_t) { return std::pair(sum, magnitude * 0x1p-19); });
      });
    }
  }
}

TEST_F(OpsTest, SoftmaxOfAnyLength) {
  for (const uint64_t n : {1, 2, 127, 128, 129, 512, 513, 4096, 4097, 50257, 300000})
    check_softmax(normal({2, n}, 5, 5.0f));
  check_softmax(normal({2000, 3}, 6));
  check_softmax(normal({3, 5, 40}, 7, 20.0f));
  check_softmax(normal({70001, 2}, 8));
  check_softmax({.shape = {3}, .values = {-60000, 60000, 59999}});
}

TEST_F(OpsTest, SoftmaxOfRowsWithInfinities) {
  Array x = normal({4, 6}, 1);
  x.values[0] = x.values[3] = -kInf;
  for (int i = 6; i < 12; i++) x.values[i] = -kInf;
  check_softmax(x);
  Array wide = normal({2, 10000}, 2);
  std::fill_n(wide.values.begin(), 5000, -kInf);
  check_softmax(wide);
  for (const float bad : {kNan, kInf}) {
    Array with = normal({2, 5000}, 3);
    with.values[7] = bad;
    for_types([&](Ops& ops, const auto&) {
      const auto y = ops.softmax(with);
      ASSERT_TRUE(y) << y.error().message;
      EXPECT_TRUE(
          std::all_of(y->values.begin(), y->values.begin() + 5000, [](float v) { return std::isnan(v); }));
      EXPECT_TRUE(
          std::all_of(y->values.begin() + 5000, y->values.end(), [](float v) { return std::isfinite(v); }));
    });
  }
}

TEST_F(OpsTest, Activations) {
  Array x = normal({3, 700}, 9, 4.0f);
  for (const float special : {0.0f, -0.0f, 1e-30f, -1e-4f, 50.0f, -50.0f, 60000.0f, -60000.0f})
    x.values.push_back(special);
  x.shape = {x.values.size()};
  for (const Activation kind : {Activation::kGelu, Activation::kGeluFast, Activation::kRelu,
                                Activation::kSilu, Activation::kLeakyRelu}) {
    SCOPED_TRACE(static_cast<int>(kind));
    const bool linear = kind == Activation::kRelu || kind == Activation::kLeakyRelu;
    for_types([&](Ops& ops, const auto& in) {
      expect_close(ops.activation(kind, x, 0.125f), x.shape, [&](uint64_t i) {
        const double v = in(x.values[i]), exact = exact_of(kind, v, 0.125);
        return std::pair(exact, linear ? 0x1p-23 * std::fabs(exact) : 0x1p-19 * std::fabs(v) + 0x1p-100);
      });
    });
    Ops* ops = ops_of(OpType::kF32);
    ASSERT_NE(ops, nullptr);
    const auto y = ops->activation(kind, {.shape = {3}, .values = {kNan, 3e38f, -3e38f}}, 0.125f);
    ASSERT_TRUE(y) << y.error().message;
    EXPECT_TRUE(std::isnan(y->values[0]));
    EXPECT_EQ(y->values[1], 3e38f);
    EXPECT_EQ(y->values[2], kind == Activation::kLeakyRelu ? -3e38f * 0.125f : 0.0f);
  }
}

// Of a device that takes few workgroups in a dimension: grids of two and three dimensions.
TEST_F(OpsTest, GridsThatFold) {
  DeviceOptions few;
  few.at_most.max_workgroups = 64;
  reopen(few);
  if (IsSkipped() || HasFatalFailure()) return;
  const Array x = normal({3, 1, 100001}, 4);
  for_types([&](Ops& ops, const auto& in) {
    expect_close(ops.activation(Activation::kSilu, x, 0), x.shape, [&](uint64_t i) {
      const double v = in(x.values[i]);
      return std::pair(v / (1 + std::exp(-v)), 0x1p-19 * std::fabs(v));
    });
  });
  check_matvec(1000, 10);
  check_softmax(normal({5000, 3}, 5));
  check_softmax(normal({300, 700}, 6));
  Ops* ops = ops_of(OpType::kF32);
  ASSERT_NE(ops, nullptr);
  const auto wide = ops->softmax(normal({1, 300000}, 7));  // 74 chunks of 4,096
  ASSERT_FALSE(wide);
  EXPECT_EQ(wide.error().code, ErrorCode::kTooLarge);
  EXPECT_THAT(wide.error().message, HasSubstr("74 x 1 x 1 workgroups"));
}

TEST_F(OpsTest, Attention) {
  for (const bool causal : {false, true}) {
    for (const auto& [t, d] : {std::pair<uint64_t, uint64_t>{1, 1},
                               {4, 8},
                               {8, 16},
                               {16, 32},
                               {32, 64},
                               {64, 64},
                               {65, 33},
                               {129, 80},
                               {300, 20}})
      check_attention(t, t, d, d, causal);
    check_attention(40, 40, 300, 257, causal);  // d and d_v wider than a workgroup
  }
  check_attention(5, 200, 16, 3, false);
  check_attention(200, 5, 16, 130, false);
}

TEST_F(OpsTest, ALargeScoreLeavesNoOther) {
  // exp of a difference near the float's end, on both sides.
  const Array q = {.shape = {2, 1}, .values = {200, -200}}, k = {.shape = {2, 1}, .values = {-100, 100}},
              v = {.shape = {2, 1}, .values = {1, 2}};
  for_types([&](Ops& ops, const auto&) {
    const auto y = ops.attention(q, k, v, false);
    ASSERT_TRUE(y) << y.error().message;
    EXPECT_EQ(y->values, (std::vector<float>{2, 1}));
  });
}

TEST_F(OpsTest, RefusesWhatDoesNotFit) {
  ASSERT_NE(ops_of(OpType::kF32), nullptr);
  Ops& ops = *ops_of(OpType::kF32);
  const Array a = normal({2, 3}, 1), b = normal({2, 4}, 2), x = normal({3}, 3),
              empty = {.shape = {0, 3}, .values = {}}, scalar = {.shape = {}, .values = {1}},
              torn = {.shape = {2, 2}, .values = {1, 2, 3}};
  const auto refused = [](const Result<Array>& r, const std::string& part, const std::string& says) {
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(r.error().message, AllOf(HasSubstr("gpu op: " + part), HasSubstr(says)));
  };
  refused(ops.matmul(a, b, false), "matmul", "(2, 3) and (2, 4)");
  refused(ops.matmul(a, normal({3, 4}, 1), true), "matmul", "differ in their rows");
  refused(ops.matmul(a, x, false), "matmul: B", "(3,), 2 dimensions needed");
  refused(ops.matmul(empty, b, false), "matmul: A", "empty, shape (0, 3)");
  refused(ops.matmul(torn, b, false), "matmul: A", "3 values");
  refused(ops.matvec(a, normal({2}, 1)), "matvec", "(2, 3) and (2,)");
  refused(ops.dot(x, normal({4}, 1)), "dot", "(3,) and (4,)");
  refused(ops.dot(a, a), "dot: a", "1 dimension needed");
  refused(ops.softmax(scalar), "softmax", "single value");
  refused(ops.softmax(empty), "softmax: X", "empty");
  refused(ops.activation(Activation::kRelu, empty, 0), "relu: X", "empty");
  refused(ops.attention(a, b, a, false), "attention", "columns");
  refused(ops.attention(a, a, x, false), "attention: V", "2 dimensions");
  refused(ops.attention(a, a, normal({3, 3}, 1), false), "attention", "rows");
  refused(ops.attention(a, normal({4, 3}, 1), normal({4, 3}, 1), true), "attention", "causal");
  if (!device().adapter().f16) {
    EXPECT_EQ(Ops::create(device(), OpType::kF16).error().code, ErrorCode::kUnsupported);
    return;
  }
  Ops* half = ops_of(OpType::kF16);
  ASSERT_NE(half, nullptr);
  refused(half->activation(Activation::kRelu, {.shape = {1}, .values = {65520}}, 0), "relu: X",
          "65520, float16 ends at 65504");
}

TEST_F(OpsTest, LimitsOfTheDeviceAreErrors) {
  DeviceOptions options;
  options.at_most.max_buffer_bytes = options.at_most.max_binding_bytes = 1 << 20;
  reopen(options);
  if (IsSkipped() || HasFatalFailure()) return;
  Ops* ops = ops_of(OpType::kF32);
  ASSERT_NE(ops, nullptr);
  const auto large = ops->matmul(normal({1000, 2}, 1), normal({2, 1000}, 1), false);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::kTooLarge) << large.error().message;
  EXPECT_TRUE(ops->dot(normal({1000}, 1), normal({1000}, 2)));  // the device is still good
}

}  // namespace
}  // namespace pixellm::gpu
