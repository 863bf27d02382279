#include "infer/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "infer/portable_math.h"
#include "infer/vocabulary_loops.h"

namespace pixellm {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

uint64_t next_random(uint64_t& state) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return state >> 33;
}

std::vector<float> random_logits(size_t n, uint64_t seed) {
  std::vector<float> logits(n);
  for (float& x : logits) x = static_cast<float>(next_random(seed) % 20001) / 1000.0f - 10.0f;
  return logits;
}

Sampler make(SamplerOptions options, uint32_t vocab_size) {
  auto sampler = Sampler::create(options, vocab_size);
  EXPECT_TRUE(sampler) << (sampler ? "" : sampler.error().message);
  return std::move(*sampler);
}

std::map<TokenId, int> draw_many(Sampler& sampler, std::span<const float> logits, int n) {
  std::map<TokenId, int> counts;
  for (int i = 0; i < n; i++) counts[sampler.sample(logits)]++;
  return counts;
}

// The ids that sampling may give, from the definitions alone: sort everything, cut, in the documented order.
std::vector<TokenId> allowed_ids(const std::vector<float>& logits, const SamplerOptions& o) {
  std::vector<TokenId> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::ranges::stable_sort(ids, [&](TokenId a, TokenId b) { return logits[a] > logits[b]; });
  if (o.top_k > 0 && o.top_k < ids.size()) ids.resize(o.top_k);
  std::vector<double> p;
  for (const TokenId id : ids) p.push_back(std::exp((double{logits[id]} - logits[ids[0]]) / o.temperature));
  const double total = std::accumulate(p.begin(), p.end(), 0.0);
  size_t n = 0;
  for (double sum = 0; n < ids.size() && (o.top_p >= 1 || sum < o.top_p * total); n++) sum += p[n];
  while (n > 1 && p[n - 1] < o.min_p) n--;
  ids.resize(n);
  return ids;
}

TEST(PortableMath, AgreesWithTheLibrary) {
  uint64_t state = 1;
  for (int i = 0; i < 200000; i++) {
    const double x = (static_cast<double>(next_random(state)) / 0x1p31 - 0.5) * 1400.0;
    const double want = std::exp(x);
    EXPECT_NEAR(portable_exp(x) / want, 1.0, 1e-15) << x;
    EXPECT_NEAR(portable_log(want), x, std::abs(x) * 3e-16 + 3e-16);
  }
  for (double x = -1e-3; x < 1e-3; x += 1e-6) EXPECT_NEAR(portable_exp(x), std::exp(x), 3e-16);
  for (double x = 0.5; x < 2.0; x += 1e-4) EXPECT_NEAR(portable_log(x), std::log(x), 2e-16);
}

TEST(PortableMath, Ends) {
  EXPECT_EQ(portable_exp(0.0), 1.0);
  EXPECT_EQ(portable_exp(-0.0), 1.0);
  EXPECT_EQ(portable_exp(-kInf), 0.0);
  EXPECT_EQ(portable_exp(-709.0), 0.0);
  EXPECT_EQ(portable_exp(kNan), 0.0);
  EXPECT_EQ(portable_exp(1e9), portable_exp(709.0));
  EXPECT_EQ(portable_log(1.0), 0.0);
  EXPECT_EQ(portable_log(0.0), -kInf);
  EXPECT_EQ(portable_log(-1.0), -kInf);
  EXPECT_EQ(portable_log(kInf), kInf);
  EXPECT_TRUE(std::isnan(portable_log(kNan)));
}

TEST(Argmax, TakesTheSmallestIdAmongTheLargest) {
  EXPECT_EQ(argmax(std::vector<float>{1, 3, 2, 3}), 1);
  EXPECT_EQ(argmax(std::vector<float>{kNan, -5, kNan, -4}), 3);
  EXPECT_EQ(argmax(std::vector<float>{-kInf, -kInf}), 0);
  EXPECT_EQ(argmax(std::vector<float>{kNan, kNan}), 0);
  EXPECT_EQ(argmax({}), 0);
}

TEST(LogSumExp, IsExactToRounding) {
  const auto logits = random_logits(1000, 3);
  long double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<long double>(x));
  EXPECT_NEAR(log_sum_exp(logits), static_cast<double>(std::log(sum)), 1e-13);
  EXPECT_NEAR(log_sum_exp(std::vector<float>{1000, 1000}), 1000 + std::log(2.0), 1e-12);
  EXPECT_EQ(log_sum_exp(std::vector<float>{kNan, 2, kNan}), 2.0);
  EXPECT_EQ(log_sum_exp(std::vector<float>{-kInf, -kInf}), -kInf);
  EXPECT_EQ(log_sum_exp({}), -kInf);
}

TEST(RankKey, SortsByScoreThenId) {
  const std::vector<float> scores = {-kInf, -3.5f, -1e-30f, -0.0f, 0.0f, 1e-30f, 2, kInf};
  for (size_t a = 0; a < scores.size(); a++)
    for (size_t b = 0; b < scores.size(); b++) {
      const auto x = static_cast<TokenId>(a), y = static_cast<TokenId>(b);
      const bool before = scores[a] > scores[b] || (scores[a] == scores[b] && x < y);
      EXPECT_EQ(rank_key(scores[a], x) < rank_key(scores[b], y), before) << a << " " << b;
    }
  EXPECT_EQ(rank_key_id(rank_key(-7, 150000)), 150000);
}

TEST(Sampler, GreedyIsTheDefault) {
  Sampler s = make({}, 4);
  EXPECT_EQ(s.sample(std::vector<float>{0, 2, 2, 1}), 1);
  EXPECT_EQ(s.sample(std::vector<float>{kNan, kNan, -2, kNan}), 2);
}

TEST(Sampler, NanAndInfiniteLogits) {
  Sampler s = make({.temperature = 1}, 4);
  for (int i = 0; i < 50; i++) {
    EXPECT_EQ(s.sample(std::vector<float>{kNan, 1, -kInf, kNan}), 1);
    EXPECT_EQ(s.sample(std::vector<float>{1, 2, kInf, 3}), 2);
    EXPECT_EQ(s.sample(std::vector<float>{kNan, -kInf, -kInf, kNan}), 0);
  }
  Sampler forbidden = make({.temperature = 1, .bias = {{2, -kInf}}}, 3);
  EXPECT_EQ(forbidden.sample(std::vector<float>{-kInf, 0, kInf}), 1);
}

TEST(Sampler, DrawsWithTheGivenProbabilities) {
  const std::vector<float> logits = {0, std::log(2.0f), std::log(5.0f)};
  Sampler s = make({.temperature = 1, .seed = 42}, 3);
  constexpr int kDraws = 80000;
  auto counts = draw_many(s, logits, kDraws);
  for (int i = 0; i < 3; i++) {
    const double p = std::array{1.0, 2.0, 5.0}[i] / 8;
    EXPECT_NEAR(counts[i], kDraws * p, 4 * std::sqrt(kDraws * p * (1 - p))) << i;
  }
  Sampler hot = make({.temperature = 2, .seed = 42}, 3);  // square roots of the ratios
  counts = draw_many(hot, logits, kDraws);
  EXPECT_NEAR(static_cast<double>(counts[2]) / counts[0], std::sqrt(5.0), 0.1);
  Sampler cold = make({.temperature = 1e-30f}, 3);
  EXPECT_EQ(draw_many(cold, logits, 100)[2], 100);
}

// The documented generator: a change here changes every user's texts.
TEST(Sampler, TheDrawsOfASeedAreFixed) {
  std::vector<float> flat(1000, 0.0f);
  Sampler s = make({.temperature = 1, .seed = 1234567}, 1000);
  std::vector<TokenId> ids;
  for (int i = 0; i < 5; i++) ids.push_back(s.sample(flat));
  // splitmix64 from 1234567: 6457827717110365317, 3203168211198807973, 9817491932198370423,
  // 4593380528125082431, 16408922859458223821; each * 1000 / 2^64.
  EXPECT_THAT(ids, ElementsAre(350, 173, 532, 249, 889));
}

TEST(Sampler, SameSeedSameTokens) {
  const auto logits = random_logits(3000, 5);
  for (const SamplerOptions& o :
       {SamplerOptions{.temperature = 1, .seed = 9}, SamplerOptions{.temperature = 1, .top_k = 50, .seed = 9},
        SamplerOptions{.temperature = 3, .top_p = 0.9f, .seed = 9}}) {
    Sampler a = make(o, 3000), b = make(o, 3000), c = a;
    auto other_options = o;
    other_options.seed = 10;
    Sampler other = make(other_options, 3000);
    int differences = 0;
    for (int i = 0; i < 100; i++) {
      const TokenId id = a.sample(logits);
      EXPECT_EQ(id, b.sample(logits));
      EXPECT_EQ(id, c.sample(logits));
      differences += id != other.sample(logits);
    }
    EXPECT_GT(differences, 0);
  }
}

TEST(Sampler, CutsKeepExactlyTheDefinedTokens) {
  for (const SamplerOptions& o : {
           SamplerOptions{.temperature = 2, .top_k = 7},
           SamplerOptions{.temperature = 2, .top_k = 1000},
           SamplerOptions{.temperature = 1.5f, .top_p = 0.6f},
           SamplerOptions{.temperature = 1, .min_p = 0.2f},
           SamplerOptions{.temperature = 4, .top_k = 30, .top_p = 0.8f},
           SamplerOptions{.temperature = 4, .top_k = 30, .top_p = 0.9f, .min_p = 0.3f},
           SamplerOptions{.temperature = 3, .top_p = 0.5f, .min_p = 0.5f},
           SamplerOptions{.temperature = 1, .top_p = 1e-6f},
           SamplerOptions{.temperature = 1, .min_p = 1},
       }) {
    const auto logits = random_logits(60, 17);
    auto allowed = allowed_ids(logits, o);
    Sampler s = make(o, 60);
    std::vector<TokenId> drawn;
    for (const auto& [id, count] : draw_many(s, logits, 20000)) drawn.push_back(id);
    std::ranges::sort(allowed);
    if (allowed.size() <= 30) {
      EXPECT_EQ(drawn, allowed) << "top-k " << o.top_k << " top-p " << o.top_p << " min-p " << o.min_p;
    } else {
      EXPECT_TRUE(std::ranges::includes(allowed, drawn));
    }
  }
}

// top-p over a large, nearly flat vocabulary has to order thousands of tokens in its growing steps.
TEST(Sampler, TopPOverALargeVocabulary) {
  constexpr uint32_t kVocab = 20000;
  std::vector<float> logits(kVocab);
  for (uint32_t i = 0; i < kVocab; i++) logits[i] = -static_cast<float>((i * 7919) % kVocab) * 1e-4f;
  const SamplerOptions o{.temperature = 1, .top_p = 0.3f};
  auto allowed = allowed_ids(logits, o);
  ASSERT_GT(allowed.size(), 2000u);
  std::ranges::sort(allowed);
  Sampler s = make(o, kVocab);
  for (int i = 0; i < 500; i++) EXPECT_TRUE(std::ranges::binary_search(allowed, s.sample(logits)));
}

// The token that sampler.h's rules give, by sorting everything.
class PlainSampler {
 public:
  explicit PlainSampler(const SamplerOptions& o) : options_(o), state_(o.seed) {}

  TokenId sample(const std::vector<float>& logits) {
    const SamplerOptions& o = options_;
    std::vector<TokenId> ids;
    for (size_t i = 0; i < logits.size(); i++)
      if (logits[i] > -kInf) ids.push_back(static_cast<TokenId>(i));
    if (ids.empty()) return 0;
    std::ranges::stable_sort(ids, [&](TokenId a, TokenId b) { return logits[a] > logits[b]; });
    const float best = logits[ids[0]];
    if (o.temperature == 0 || o.top_k == 1 || best == kInf || logits.size() < 2) return ids[0];
    if (o.top_k > 0 && o.top_k < ids.size()) ids.resize(o.top_k);
    const std::vector<uint64_t> units = weigh(logits, ids, best);
    const uint64_t all = std::accumulate(units.begin(), units.end(), uint64_t{0});
    const auto wanted = static_cast<uint64_t>(std::ceil(static_cast<double>(all) * double{o.top_p}));
    const double cut = o.min_p == 0 ? -kInf : best + o.temperature * portable_log(o.min_p);
    uint64_t kept = 0;
    size_t n = 0;
    for (; n < ids.size() && logits[ids[n]] >= cut && (o.top_p == 1 || kept < wanted || n == 0); n++)
      kept += units[n];
    std::map<TokenId, uint64_t> by_id;
    for (size_t i = 0; i < n; i++)
      by_id[o.top_k > 0 || o.top_p < 1 ? static_cast<TokenId>(i) : ids[i]] = units[i];
    uint64_t left = static_cast<uint64_t>(static_cast<unsigned __int128>(next()) * kept >> 64);
    for (const auto& [place, u] : by_id) {
      if (left < u) return o.top_k > 0 || o.top_p < 1 ? ids[static_cast<size_t>(place)] : place;
      left -= u;
    }
    ADD_FAILURE() << "nothing drawn";
    return -1;
  }

 private:
  std::vector<uint64_t> weigh(const std::vector<float>& logits, const std::vector<TokenId>& ids,
                              float best) const {
    std::vector<float> scores;
    for (const TokenId id : ids) scores.push_back(logits[id]);
    std::vector<uint64_t> units(scores.size());
    all_vocabulary_loops().front()->weigh(scores.data(), scores.size(), best,
                                          1.0 / double{options_.temperature}, 0, units.data());
    return units;
  }
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }

  SamplerOptions options_;
  uint64_t state_;
};

std::vector<std::vector<float>> hard_logits(size_t n) {
  std::vector<std::vector<float>> all(8, std::vector<float>(n));
  uint64_t seed = n;
  for (size_t i = 0; i < n; i++) {
    const auto r = static_cast<float>(next_random(seed) % 1000003) / 1000003.0f;
    all[0][i] = 3.0f * (r + static_cast<float>(next_random(seed) % 1000) / 250.0f);
    all[1][i] = 1e-3f * (r - 0.5f);                            // nearly flat, both signs
    all[2][i] = -0.0f;                                         // equal
    all[3][i] = std::floor(r * 12.0f);                         // ties
    all[4][i] = r < 0.3f ? kNan : r < 0.6f ? -kInf : 4 * r;    // gaps
    all[5][i] = -static_cast<float>(i) * 1e-4f;                // falling
    all[6][i] = std::ldexp(1.0f, -static_cast<int>(i % 170));  // differences from 1 to below what is normal
    all[7][i] = r < 0.5f ? -3e38f : 3e38f * r;                 // far apart
  }
  all[2][n / 2] = 0.0f;
  for (size_t i = 0; i < std::min<size_t>(n, 5); i++) all[0][n - 1 - i] = 20.0f - static_cast<float>(i);
  return all;
}

TEST(Sampler, ChoosesWhatPlainSortingChooses) {
  std::vector<SamplerOptions> ways;
  for (const float temperature : {0.0f, 0.8f, 1e30f})
    for (const uint32_t k : {0u, 1u, 40u, 700u, 1u << 20})
      for (const float top_p : {1.0f, 0.95f, 1e-9f})
        for (const float min_p : {0.0f, 0.05f, 1.0f})
          ways.push_back({.temperature = temperature, .top_k = k, .top_p = top_p, .min_p = min_p});
  for (const size_t n : {1, 2, 64, 300, 1500})
    for (size_t kind = 0; const auto& logits : hard_logits(n)) {
      for (SamplerOptions o : ways) {
        o.seed = 17 * n + kind;
        Sampler sampler = make(o, static_cast<uint32_t>(n));
        PlainSampler plain(o);
        for (int i = 0; i < 4; i++)
          ASSERT_EQ(sampler.sample(logits), plain.sample(logits))
              << n << " logits of kind " << kind << ", temperature " << o.temperature << " top-k " << o.top_k
              << " top-p " << o.top_p << " min-p " << o.min_p;
      }
      kind++;
    }
}

TEST(Sampler, ChoosesWhatPlainSortingChoosesOf150000) {
  constexpr uint32_t kVocab = 150000;
  for (size_t kind = 0; const auto& logits : hard_logits(kVocab)) {
    for (SamplerOptions o : {SamplerOptions{},
                             {.temperature = 0.8f},
                             {.temperature = 0.8f, .top_k = 40},
                             {.temperature = 0.8f, .top_k = 5000},
                             {.temperature = 0.8f, .top_p = 0.95f},
                             {.temperature = 0.8f, .min_p = 0.05f},
                             {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f}}) {
      o.seed = kind;
      Sampler sampler = make(o, kVocab);
      PlainSampler plain(o);
      for (int i = 0; i < 2; i++)
        ASSERT_EQ(sampler.sample(logits), plain.sample(logits))
            << "kind " << kind << " top-k " << o.top_k << " top-p " << o.top_p << " min-p " << o.min_p;
    }
    kind++;
  }
}

TEST(Sampler, BiasIsAddedFirst) {
  Sampler s = make({.bias = {{0, 5.0f}, {0, 6.0f}, {1, -kInf}}}, 3);
  EXPECT_EQ(s.sample(std::vector<float>{0, 100, 10}), 0);
  EXPECT_EQ(s.sample(std::vector<float>{0, 100, 12}), 2);
}

TEST(Sampler, Penalties) {
  Sampler s = make({.repeat_penalty = 2, .presence_penalty = 0.25f, .frequency_penalty = 0.5f}, 4);
  for (const TokenId id : {1, 2, 1, 1}) s.accept(id);
  s.accept(-1);
  s.accept(4);  // outside the vocabulary: no effect
  EXPECT_THAT(s.adjust(std::vector<float>{3, 3, -3, kNan}),
              ElementsAre(3, 1.5f - 3 * 0.5f - 0.25f, -6 - 0.5f - 0.25f, -kInf));
}

TEST(Sampler, PenaltyWindowForgets) {
  Sampler s = make({.presence_penalty = 1, .penalty_window = 2}, 3);
  const std::vector<float> zero(3, 0.0f);
  s.accept(0);
  s.accept(0);
  EXPECT_THAT(s.adjust(zero), ElementsAre(-1, 0, 0));
  s.accept(1);
  EXPECT_THAT(s.adjust(zero), ElementsAre(-1, -1, 0));
  s.accept(2);
  EXPECT_THAT(s.adjust(zero), ElementsAre(0, -1, -1));
  s.accept(2);
  EXPECT_THAT(s.adjust(zero), ElementsAre(0, 0, -1));

  Sampler all = make({.presence_penalty = 1, .penalty_window = 0}, 3);
  all.accept(0);
  for (int i = 0; i < 1000; i++) all.accept(1);
  EXPECT_THAT(all.adjust(zero), ElementsAre(-1, -1, 0));
}

TEST(Sampler, OptionsOutOfRangeAreNamed) {
  const auto message = [](const SamplerOptions& o) {
    auto s = Sampler::create(o, 100);
    EXPECT_FALSE(s);
    EXPECT_EQ(s ? ErrorCode::kInternal : s.error().code, ErrorCode::kInvalidArgument);
    return s ? std::string() : s.error().message;
  };
  EXPECT_EQ(message({.temperature = -1}), "sampler: temperature is -1, allowed from 0");
  EXPECT_EQ(Sampler::create({}, (1u << 24) + 1).error().message,
            "sampler: 16777217 tokens in the vocabulary, allowed 16777216");
  EXPECT_THAT(message({.temperature = kNan}), HasSubstr("temperature is nan"));
  EXPECT_THAT(message({.temperature = kInf}), HasSubstr("temperature is inf"));
  EXPECT_EQ(message({.top_p = 0}), "sampler: top-p is 0, allowed above 0 to 1");
  EXPECT_THAT(message({.top_p = 1.5f}), HasSubstr("top-p is 1.5"));
  EXPECT_THAT(message({.min_p = -0.1f}), HasSubstr("min-p is -0.1"));
  EXPECT_THAT(message({.repeat_penalty = 0}), HasSubstr("repeat penalty is 0, allowed above 0"));
  EXPECT_THAT(message({.presence_penalty = kNan}),
              HasSubstr("presence penalty is nan, allowed finite values"));
  EXPECT_THAT(message({.frequency_penalty = kInf}), HasSubstr("frequency penalty is inf"));
  EXPECT_THAT(message({.penalty_window = 1u << 21}),
              HasSubstr("penalty window is 2097152, allowed 0 to 1048576"));
  EXPECT_THAT(message({.bias = {{100, 1.0f}}}), HasSubstr("token 100, the vocabulary has 0 to 99"));
  EXPECT_THAT(message({.bias = {{-1, 1.0f}}}), HasSubstr("token -1"));
  EXPECT_THAT(message({.bias = {{5, kInf}}}), HasSubstr("bias of token 5 is inf"));
  EXPECT_THAT(message({.bias = {{5, kNan}}}), HasSubstr("bias of token 5 is nan"));
}

}  // namespace
}  // namespace pixellm
