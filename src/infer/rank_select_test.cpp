#include "infer/rank_select.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "infer/portable_math.h"

namespace pixellm {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> some_scores(size_t n) {
  std::mt19937 random(static_cast<unsigned>(n));
  std::vector<float> scores(n);
  for (float& x : scores) x = static_cast<float>(random() % 40001) / 1000.0f - 30.5f;
  if (n > 5) scores[1] = -kInf, scores[2] = kNan, scores[3] = -1e30f, scores[5] = -0.0f;
  return scores;
}

TEST(VocabularyLoops, ThisMachineRunsMoreThanThePlainOnes) {
  const auto all = all_vocabulary_loops();
  EXPECT_EQ(&vocabulary_loops(), all.back());
#if defined(__x86_64__)
  EXPECT_EQ(all.size() > 1, __builtin_cpu_supports("avx2") != 0);
#endif
}

TEST(VocabularyLoops, EveryWidthGivesTheSameBits) {
  for (const size_t n : {0, 1, 7, 8, 31, 32, 33, 64, 100, 1000}) {
    const auto scores = some_scores(n);
    std::vector<double> weights(n), one(n);
    std::vector<uint64_t> units(n), plain_units(n);
    std::vector<int32_t> buckets(n), plain_buckets(n);
    std::vector<float> maxima(n / kMaxBlock + 1), plain_maxima(n / kMaxBlock + 1);
    const VocabularyLoops& plain = *all_vocabulary_loops().front();
    const UnitSums want = plain.weigh(scores.data(), n, 9.5, 0.7, 1.5f, plain_units.data());
    const size_t found = plain.buckets(scores.data(), n, 9.5f, 3.0f, 50, 7, plain_buckets.data());
    plain.block_maxima(scores.data(), n, plain_maxima.data());
    for (size_t i = 0; i < n; i++) one[i] = portable_exp((double{scores[i]} - 9.5) * 0.7);
    for (const VocabularyLoops* loops : all_vocabulary_loops()) {
      loops->exp_weights(scores.data(), n, 9.5, 0.7, weights.data());
      EXPECT_EQ(weights, one);
      const UnitSums sums = loops->weigh(scores.data(), n, 9.5, 0.7, 1.5f, units.data());
      EXPECT_EQ(units, plain_units);
      EXPECT_EQ(sums.all, want.all);
      EXPECT_EQ(sums.kept, want.kept);
      EXPECT_EQ(loops->buckets(scores.data(), n, 9.5f, 3.0f, 50, 7, buckets.data()), found);
      EXPECT_EQ(buckets, plain_buckets);
      loops->block_maxima(scores.data(), n, maxima.data());
      EXPECT_EQ(maxima, plain_maxima);
      EXPECT_EQ(loops->largest(scores.data(), n), plain.largest(scores.data(), n));
      EXPECT_EQ(loops->smallest(scores.data(), n), plain.smallest(scores.data(), n));
    }
  }
}

TEST(VocabularyLoops, ComputeWhatTheySay) {
  const auto scores = some_scores(1000);
  std::vector<uint64_t> units(1000);
  std::vector<int32_t> buckets(1000);
  std::vector<float> maxima(16);
  const VocabularyLoops& loops = vocabulary_loops();
  const UnitSums sums = loops.weigh(scores.data(), 1000, 9.5, 0.7, 1.5f, units.data());
  const size_t found = loops.buckets(scores.data(), 1000, 9.5f, 3.0f, 50, 7, buckets.data());
  loops.block_maxima(scores.data(), 1000, maxima.data());
  uint64_t all = 0, kept = 0;
  float most = -kInf, least = kInf;
  for (size_t i = 0; i < 1000; i++) {
    const double want =
        std::isnan(scores[i]) ? 0 : std::ldexp(std::exp((double{scores[i]} - 9.5) * 0.7), kUnitBits);
    EXPECT_NEAR(static_cast<double>(units[i]), want, 0.51) << scores[i];
    all += units[i];
    kept += scores[i] >= 1.5f ? units[i] : 0;
    EXPECT_EQ(buckets[i],
              (9.5f - scores[i]) * 3.0f < 50.0f ? static_cast<int>((9.5f - scores[i]) * 3.0f) : 50);
    EXPECT_FALSE(scores[i] > maxima[i / kMaxBlock]);
    if (scores[i] > most) most = scores[i];
    if (scores[i] < least) least = scores[i];
  }
  EXPECT_EQ(sums.all, all);
  EXPECT_EQ(sums.kept, kept);
  EXPECT_EQ(found, static_cast<size_t>(std::ranges::count(buckets, 7)));
  EXPECT_EQ(std::ranges::max(maxima), most);
  EXPECT_EQ(loops.largest(scores.data(), 1000), most);
  EXPECT_EQ(loops.smallest(scores.data(), 1000), least);
  const std::vector<float> nothing(70, kNan);
  loops.block_maxima(nothing.data(), 70, maxima.data());
  EXPECT_EQ(maxima[0], -kInf);
  EXPECT_EQ(maxima[1], -kInf);
  EXPECT_EQ(loops.smallest(nothing.data(), 70), kInf);
  const float top = 9.5f;
  loops.weigh(&top, 1, 9.5, 1e300, 0, units.data());
  EXPECT_EQ(units[0], uint64_t{1} << kUnitBits);
}

// Finds by sorting everything.
RankSelect::Found find_plainly(const std::vector<float>& scores, const std::vector<uint64_t>& units,
                               uint64_t mark) {
  std::vector<uint32_t> places(scores.size());
  std::iota(places.begin(), places.end(), 0);
  std::erase_if(places, [&](uint32_t i) { return std::isnan(scores[i]); });
  std::ranges::stable_sort(places, [&](uint32_t a, uint32_t b) { return scores[a] > scores[b]; });
  uint64_t before = 0;
  for (const uint32_t place : places) {
    if (mark < before + units[place]) return {place, before, units[place]};
    before += units[place];
  }
  ADD_FAILURE() << "mark " << mark << " is beyond " << before;
  return {};
}

void compare(const std::vector<float>& scores, double scale) {
  const float best = vocabulary_loops().largest(scores.data(), scores.size());
  std::vector<uint64_t> units(scores.size());
  const float cut = best - 1;
  const UnitSums want =
      vocabulary_loops().weigh(scores.data(), scores.size(), best, scale, cut, units.data());
  RankSelect select;
  select.reserve(scores.size());
  const UnitSums sums = select.load(scores, best, scale, cut);
  EXPECT_EQ(sums.all, want.all);
  EXPECT_EQ(sums.kept, want.kept);
  for (uint64_t i = 0; i <= 20; i++) {
    const uint64_t mark = i == 20 ? sums.all - 1 : sums.all / 20 * i + i * i;
    const auto found = select.find(mark), plain = find_plainly(scores, units, mark);
    ASSERT_EQ(found.place, plain.place) << scores.size() << " scores, mark " << mark;
    EXPECT_EQ(found.before, plain.before);
    EXPECT_EQ(found.units, plain.units);
  }
}

TEST(RankSelect, FindsWhatSortingFinds) {
  for (const size_t n : {1, 5, 6, 255, 256, 257, 600, 20000}) {
    for (const double scale : {1e-6, 0.1, 1.25, 1e6}) compare(some_scores(n), scale);
    std::vector<float> equal(n, 2.5f), steps(n), tiny(n), huge(n), clusters(n);
    for (size_t i = 0; i < n; i++) {
      steps[i] = static_cast<float>(i / 300);
      tiny[i] = static_cast<float>(i % 7) * std::numeric_limits<float>::denorm_min();
      huge[i] = i % 2 ? 3e38f : -3e38f;
      clusters[i] = static_cast<float>(i % 3) + static_cast<float>((i * 31) % 1000) * 1e-7f;
    }
    compare(equal, 1);
    compare(steps, 0.5);
    compare(tiny, 1);
    compare(huge, 1e-38);
    compare(clusters, 1);
  }
}

TEST(RankSelect, CanBeLoadedAgainAndCopied) {
  const auto a = some_scores(3000), b = some_scores(2000);
  RankSelect select;
  select.reserve(3000);
  select.load(a, 9.5f, 0.3, 0);
  const auto first = select.find(uint64_t{1} << 41);
  select.load(b, 9.5f, 0.3, 0);
  RankSelect copy = select;
  copy.load(a, 9.5f, 0.3, 0);
  EXPECT_EQ(copy.find(uint64_t{1} << 41).place, first.place);
}

}  // namespace
}  // namespace pixellm
