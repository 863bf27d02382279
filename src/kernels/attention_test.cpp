// Attention: scalar against float64, every vector ISA against scalar, and what must not influence the result.
#include <algorithm>
#include <limits>

#include "kernels/kernels.h"
#include "kernels/test_data.h"

namespace pixellm {
namespace {

struct Range {
  uint32_t first, last;
};

// A cache of n positions with queries. Lanes of the last key block past position n - 1 are NaN.
struct Case {
  uint32_t head_dim, n_positions;
  std::vector<Range> ranges;
  float softcap;
  std::vector<uint16_t> keys, values;
  std::vector<std::vector<float>> queries;

  Case(uint32_t dim, uint32_t n, std::vector<Range> r, float cap, uint64_t seed, float spread = 1)
      : head_dim(dim),
        n_positions(n),
        ranges(std::move(r)),
        softcap(cap),
        keys(round_up(n, 16) * dim, 0x7e00),
        values(n * dim) {
    Random random(seed);
    const auto half = [&] {
      return random.below(20) == 0
                 ? static_cast<uint16_t>(random.below(1024) | (random.below(2) << 15))  // subnormal
                 : float_to_f16(random.bell());
    };
    for (uint64_t j = 0; j < n; j++) {
      for (uint64_t d = 0; d < dim; d++) {
        keys[(j / 16 * dim + d) * 16 + j % 16] = half();
        values[j * dim + d] = half();
      }
    }
    for (size_t i = 0; i < ranges.size(); i++) queries.push_back(bell_curve(dim, seed + 100 + i, spread));
  }

  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }

  std::vector<float> run(const Kernels& k) const {
    const auto n = static_cast<uint32_t>(ranges.size());
    uint32_t low = ranges[0].first, high = ranges[0].last;
    std::vector<uint32_t> first, last;
    for (const Range& r : ranges) {
      first.push_back(r.first);
      last.push_back(r.last);
      low = std::min(low, r.first);
      high = std::max(high, r.last);
    }
    const uint64_t scratch_floats = attention_scratch_floats(high - low + 1) * n;
    Aligned<float> scratch(scratch_floats);
    std::fill_n(scratch.data(), scratch_floats, std::numeric_limits<float>::quiet_NaN());
    std::vector<float> out(n * head_dim, -5.0f);
    std::vector<const float*> q;
    std::vector<float*> o;
    for (uint32_t i = 0; i < n; i++) {
      q.push_back(queries[i].data());
      o.push_back(out.data() + i * head_dim);
    }
    k.attention({.queries = q.data(),
                 .outputs = o.data(),
                 .first = first.data(),
                 .last = last.data(),
                 .n_queries = n,
                 .head_dim = head_dim,
                 .keys = keys.data(),
                 .values = values.data(),
                 .scale = scale(),
                 .softcap = softcap,
                 .scratch = scratch.data()});
    return out;
  }
};

std::vector<Case> cases() {
  std::vector<Case> all;
  uint64_t seed = 1;
  for (const uint32_t dim : {16u, 48u, 64u, 80u, 128u, 256u}) {
    for (uint32_t n_queries = 1; n_queries <= kMaxAttentionQueries; n_queries++) {
      for (const uint32_t n : {n_queries, 15u + n_queries, 100u, 333u}) {
        std::vector<Range> causal, sliding, mixed;
        Random random(++seed);
        for (uint32_t i = 0; i < n_queries; i++) {
          const uint32_t last = n - n_queries + i;
          causal.push_back({0, last});
          sliding.push_back({last >= 20 ? last - 20 : 0, last});
          const uint32_t a = random.below(n), b = random.below(n);
          mixed.push_back({std::min(a, b), std::max(a, b)});
        }
        all.emplace_back(dim, n, causal, 0.0f, seed);
        if (n < 120) all.emplace_back(dim, n, sliding, 0.0f, seed + 1000, 20.0f);
        if (n < 120) all.emplace_back(dim, n, mixed, 5.0f, seed + 2000, 3.0f);
      }
    }
  }
  return all;
}

// Scores are off by at most (head_dim + 3) half ulps of sum |q k| (and soft capping shrinks errors), so
// weights by that factor of themselves; the sums add (n + 4) half ulps.
TEST(ScalarAttention, LiesWithinItsBoundOfFloat64) {
  for (const Case& c : cases()) {
    if (c.head_dim > 80 || c.n_positions > 120) continue;
    const std::vector<float> out = c.run(kScalarKernels);
    for (size_t i = 0; i < c.ranges.size(); i++) {
      const Range r = c.ranges[i];
      std::vector<double> s;
      double worst_score = 0, largest = -1e300, total = 0;
      for (uint64_t j = r.first; j <= r.last; j++) {
        double dot = 0, size = 0;
        for (uint64_t d = 0; d < c.head_dim; d++) {
          const double term = static_cast<double>(c.queries[i][d]) *
                              f16_to_float(c.keys[(j / 16 * c.head_dim + d) * 16 + j % 16]);
          dot += term;
          size += std::fabs(term);
        }
        dot *= c.scale();
        worst_score = std::max(worst_score, size * c.scale() * (c.head_dim + 3) * 0x1p-24);
        s.push_back(c.softcap == 0 ? dot : c.softcap * std::tanh(dot / c.softcap));
        largest = std::max(largest, s.back());
      }
      for (double& v : s) total += v = std::exp(v - largest);
      for (uint64_t d = 0; d < c.head_dim; d++) {
        double o = 0, size = 0;
        for (uint64_t j = r.first; j <= r.last; j++) {
          const double v = f16_to_float(c.values[j * c.head_dim + d]);
          o += s[j - r.first] * v;
          size += s[j - r.first] * std::fabs(v);
        }
        const double relative = 2 * worst_score + (r.last - r.first + 1 + 60) * 0x1p-24;
        ASSERT_NEAR(out[i * c.head_dim + d], o / total, 2 * relative * size / total + 1e-30) << i << " " << d;
      }
    }
  }
}

TEST(ScalarAttention, OnePositionGivesItsValue) {
  const Case c(16, 20, {{7, 7}}, 0.0f, 3);
  const std::vector<float> out = c.run(kScalarKernels);
  for (uint64_t d = 0; d < 16; d++) EXPECT_EQ(out[d], f16_to_float(c.values[7 * 16 + d]));
}

class AnyAttention : public testing::TestWithParam<const Kernels*> {};

TEST_P(AnyAttention, QueriesTogetherEqualQueriesAlone) {
  for (const Case& c : cases()) {
    if (c.ranges.size() < 2) continue;
    const std::vector<float> together = c.run(*GetParam());
    for (size_t i = 0; i < c.ranges.size(); i++) {
      Case alone = c;
      alone.ranges = {c.ranges[i]};
      alone.queries = {c.queries[i]};
      ASSERT_TRUE(same_bits(alone.run(*GetParam()).data(), together.data() + i * c.head_dim, c.head_dim))
          << i;
    }
  }
}

TEST_P(AnyAttention, NanReachesTheOutput) {
  Case c(32, 40, {{0, 39}, {0, 10}}, 0.0f, 9);
  c.queries[0][5] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> out = c.run(*GetParam());
  for (uint64_t d = 0; d < 32; d++) {
    EXPECT_TRUE(std::isnan(out[d]));
    EXPECT_FALSE(std::isnan(out[32 + d]));
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, AnyAttention, testing::ValuesIn(available_kernels()), kernels_name);

class IsaAttention : public testing::TestWithParam<const Kernels*> {};

TEST_P(IsaAttention, EqualsScalar) {
  ASSERT_EQ(kernels_for(GetParam()->isa), GetParam());
  ASSERT_NE(GetParam()->isa, Isa::kScalar);
  for (const Case& c : cases())
    ASSERT_TRUE(same_bits(c.run(*GetParam()), c.run(kScalarKernels)))
        << "head_dim " << c.head_dim << " positions " << c.n_positions << " queries " << c.ranges.size()
        << " softcap " << c.softcap;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(IsaAttention);  // a CPU may have none
INSTANTIATE_TEST_SUITE_P(Isas, IsaAttention, testing::ValuesIn(vector_kernels()), kernels_name);

}  // namespace
}  // namespace pixellm
