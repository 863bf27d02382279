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

// One KV head's cache of n positions, elements of type T. Chunks have a gap behind them, and keys past the
// last position, factors past it and the gap hold what must not reach a result.
template <class T>
struct Memory {
  uint64_t head_dim, positions, chunk_bytes;  // positions of a chunk
  mutable std::vector<uint8_t> bytes;

  Memory(uint64_t dim, uint64_t n)
      : head_dim(dim),
        positions(std::min<uint64_t>(round_up(n, 16), kAttentionChunk)),
        chunk_bytes(2 * positions * (dim * sizeof(T) + sizeof(float)) + 192),
        bytes(ceil_div(n, kAttentionChunk) * chunk_bytes, 0x7f) {
    for (uint64_t j = 0; j < round_up(n, positions); j++)
      key_factor(j) = value_factor(j) = std::numeric_limits<float>::quiet_NaN();
  }
  uint8_t* chunk(uint64_t j) const { return bytes.data() + j / kAttentionChunk * chunk_bytes; }
  T* keys(uint64_t j = 0) const { return reinterpret_cast<T*>(chunk(j)); }
  T* values(uint64_t j = 0) const { return keys(j) + positions * head_dim; }
  float* key_factors(uint64_t j = 0) const {
    return reinterpret_cast<float*>(values(j) + positions * head_dim);
  }
  float* value_factors(uint64_t j = 0) const { return key_factors(j) + positions; }

  T& key(uint64_t j, uint64_t d) const {
    const uint64_t at = j % kAttentionChunk;
    return keys(j)[(at / 16 * head_dim + d) * 16 + at % 16];
  }
  T& value(uint64_t j, uint64_t d) const { return values(j)[j % kAttentionChunk * head_dim + d]; }
  float& key_factor(uint64_t j) const { return key_factors(j)[j % kAttentionChunk]; }
  float& value_factor(uint64_t j) const { return value_factors(j)[j % kAttentionChunk]; }
};

// A cache of n positions, of both kinds, with queries.
struct Case {
  uint32_t head_dim, n_positions;
  std::vector<Range> ranges;
  float softcap;
  bool is_int8 = false;
  Memory<uint16_t> half;
  Memory<int8_t> small;
  std::vector<std::vector<float>> queries;

  Case(uint32_t dim, uint32_t n, std::vector<Range> r, float cap, uint64_t seed, float spread = 1)
      : head_dim(dim), n_positions(n), ranges(std::move(r)), softcap(cap), half(dim, n), small(dim, n) {
    Random random(seed);
    const auto next = [&] {
      return random.below(20) == 0
                 ? static_cast<uint16_t>(random.below(1024) | (random.below(2) << 15))  // subnormal
                 : float_to_f16(random.bell());
    };
    for (uint64_t j = 0; j < n; j++) {
      for (uint64_t d = 0; d < dim; d++) {
        half.key(j, d) = next();
        half.value(j, d) = next();
        small.key(j, d) = static_cast<int8_t>(random.below(255));
        small.value(j, d) = static_cast<int8_t>(random.below(255));
      }
      small.key_factor(j) = random.unit() * 0.03f;
      small.value_factor(j) = random.below(9) == 0 ? 0.0f : random.unit() * 0.03f;
    }
    for (size_t i = 0; i < ranges.size(); i++) queries.push_back(bell_curve(dim, seed + 100 + i, spread));
  }

  double key(uint64_t j, uint64_t d) const {
    if (is_int8) return static_cast<double>(small.key(j, d)) * small.key_factor(j);
    return f16_to_float(half.key(j, d));
  }
  double value(uint64_t j, uint64_t d) const {
    if (is_int8) return static_cast<double>(small.value(j, d)) * small.value_factor(j);
    return f16_to_float(half.value(j, d));
  }

  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }

  // Everything that the kernels are told, with memory for it.
  struct Call {
    AttentionArgs args{};
    std::vector<uint32_t> first, last;
    std::vector<const float*> queries;
    std::vector<float*> outputs;
    std::vector<float> out;
    Aligned<float> scratch;

    explicit Call(const Case& c)
        : out(c.ranges.size() * c.head_dim, -5.0f), scratch(attention_scratch_floats(c.head_dim)) {
      std::fill_n(scratch.data(), scratch.size(), std::numeric_limits<float>::quiet_NaN());
      for (size_t i = 0; i < c.ranges.size(); i++) {
        first.push_back(c.ranges[i].first);
        last.push_back(c.ranges[i].last);
        queries.push_back(c.queries[i].data());
        outputs.push_back(out.data() + i * c.head_dim);
      }
      args = {.queries = queries.data(),
              .outputs = outputs.data(),
              .first = first.data(),
              .last = last.data(),
              .n_queries = static_cast<uint32_t>(c.ranges.size()),
              .head_dim = c.head_dim,
              .keys = c.half.keys(),
              .values = c.half.values(),
              .key_factors = nullptr,
              .value_factors = nullptr,
              .chunk_bytes = c.half.chunk_bytes,
              .next_keys = nullptr,
              .scale = c.scale(),
              .softcap = c.softcap,
              .scratch = scratch.data()};
      if (!c.is_int8) return;
      args.keys = c.small.keys();
      args.values = c.small.values();
      args.key_factors = c.small.key_factors();
      args.value_factors = c.small.value_factors();
      args.chunk_bytes = c.small.chunk_bytes;
    }
    Call(const Call&) = delete;
  };

  std::vector<float> run(const Kernels& k) const {
    Call call(*this);
    k.attention(call.args);
    return std::move(call.out);
  }

  // Chunk by chunk, all queries in one call where all see the chunk; then joined.
  std::vector<float> run_by_chunks(const Kernels& k) const {
    Call call(*this);
    const uint64_t floats = attention_part_floats(head_dim),
                   max_chunks = ceil_div(n_positions, kAttentionChunk);
    Aligned<float> parts(ranges.size() * max_chunks * floats);
    const auto begins = [&](size_t i) { return ranges[i].first / kAttentionChunk; };
    for (uint32_t chunk = 0; chunk < max_chunks; chunk++)
      for (size_t i = 0; i < ranges.size(); i++) {
        if (chunk < begins(i) || chunk > ranges[i].last / kAttentionChunk) continue;
        AttentionArgs one = call.args;
        one.queries += i, one.first += i, one.last += i;
        one.n_queries = 1;
        k.attention_chunk(one, chunk, parts.data() + (i * max_chunks + chunk - begins(i)) * floats, floats);
      }
    for (size_t i = 0; i < ranges.size(); i++)
      k.attention_join(parts.data() + i * max_chunks * floats, floats,
                       ranges[i].last / kAttentionChunk - begins(i) + 1, head_dim, call.outputs[i]);
    return std::move(call.out);
  }
};

std::vector<Case> cases() {
  std::vector<Case> all;
  uint64_t seed = 1;
  for (const uint32_t dim : {16u, 48u, 64u, 80u, 128u, 256u}) {
    for (uint32_t n_queries = 1; n_queries <= kMaxAttentionQueries; n_queries++) {
      for (const uint32_t n : {n_queries, 15u + n_queries, 100u, 256u, 333u, 513u, 777u}) {
        if ((n == 256 || n > 500) && dim != 48 && dim != 64) continue;
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
        all.back().is_int8 = n % 2 == 1;
        if (n < 120) all.emplace_back(dim, n, sliding, 0.0f, seed + 1000, 20.0f);
        if (n < 120 || n > 500) all.emplace_back(dim, n, mixed, 5.0f, seed + 2000, 3.0f);
        if (n == 100) all.emplace_back(all.back()), all.back().is_int8 = true;
      }
    }
  }
  return all;
}

// Scores are off by at most (head_dim + 3) half ulps of sum |q k| (and soft capping shrinks errors), so
// weights by that factor of themselves; the sums add (n + 4) half ulps.
TEST(ScalarAttention, LiesWithinItsBoundOfFloat64) {
  for (const Case& c : cases()) {
    if (c.head_dim > 80 || (c.n_positions > 120 && c.n_positions < 700)) continue;
    const std::vector<float> out = c.run(kScalarKernels);
    for (size_t i = 0; i < c.ranges.size(); i++) {
      const Range r = c.ranges[i];
      std::vector<double> s;
      double worst_score = 0, largest = -1e300, total = 0;
      for (uint64_t j = r.first; j <= r.last; j++) {
        double dot = 0, size = 0;
        for (uint64_t d = 0; d < c.head_dim; d++) {
          const double term = static_cast<double>(c.queries[i][d]) * c.key(j, d);
          dot += term;
          size += std::fabs(term);
        }
        dot *= c.scale();
        worst_score = std::max(worst_score, size * c.scale() * (c.head_dim + 4) * 0x1p-24);
        s.push_back(c.softcap == 0 ? dot : c.softcap * std::tanh(dot / c.softcap));
        largest = std::max(largest, s.back());
      }
      for (double& v : s) total += v = std::exp(v - largest);
      for (uint64_t d = 0; d < c.head_dim; d++) {
        double o = 0, size = 0;
        for (uint64_t j = r.first; j <= r.last; j++) {
          const double v = c.value(j, d);
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
  for (uint64_t d = 0; d < 16; d++) EXPECT_EQ(out[d], f16_to_float(c.half.value(7, d)));
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

TEST_P(AnyAttention, ChunksJoinedEqualAllAtOnce) {
  for (const Case& c : cases()) {
    if (c.n_positions < 300) continue;
    ASSERT_TRUE(same_bits(c.run_by_chunks(*GetParam()), c.run(*GetParam())))
        << c.head_dim << " " << c.n_positions;
  }
}

TEST_P(AnyAttention, Int8VectorsLieWithinHalfAStep) {
  for (const uint64_t n : {16u, 80u}) {
    const std::vector<float> x = bell_curve(n, n);
    std::vector<int8_t> y(n * 3, 1), expected(n * 3, 1);
    const float factor = GetParam()->to_int8(x.data(), n, y.data(), 3);
    EXPECT_EQ(factor, kScalarKernels.to_int8(x.data(), n, expected.data(), 3));
    EXPECT_EQ(y, expected);
    for (uint64_t i = 0; i < n; i++)
      EXPECT_NEAR(factor * static_cast<float>(y[3 * i]), x[i], 0.5001f * factor);
  }
  std::vector<int8_t> y(16, 5);
  EXPECT_EQ(GetParam()->to_int8(std::vector<float>(16, 1e-30f).data(), 16, y.data(), 1), 0.0f);
  EXPECT_EQ(y, std::vector<int8_t>(16, 0));
  std::vector<float> bad(16, 1.0f);
  bad[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(std::isfinite(GetParam()->to_int8(bad.data(), 16, y.data(), 1)));
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
