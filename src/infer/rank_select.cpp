#include "infer/rank_select.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "infer/sampler.h"

namespace pixellm {
namespace {

constexpr size_t kChunk = 256;   // tokens weighed at once: their units stay in the first cache
constexpr size_t kSorted = 256;  // so few are sorted
constexpr float kMost = std::numeric_limits<float>::max();

}  // namespace

void RankSelect::reserve(size_t n) {
  scores_.resize(n);
  places_.resize(n);
  keys_.reserve(n);
}

UnitSums RankSelect::load(std::span<const float> scores, float best, double scale, float cut) {
  PIXELLM_ASSERT(scores.size() <= scores_.size());
  best_ = best;
  scale_ = scale;
  first_.scores = scores;
  first_.places = {};
  first_.best = best;
  // Below this, weights round to 0: no bucket is worth giving to what lies there.
  const double weightless = best_ - 28.0 / scale_;
  const double smallest = vocabulary_loops().smallest(scores.data(), scores.size());
  return fill(first_, static_cast<float>(std::max({weightless, smallest, -static_cast<double>(kMost)})), cut);
}

// Buckets between level.best and `worst`; tokens below worst go into the last one too.
UnitSums RankSelect::fill(Level& level, float worst, float cut) const {
  const float range = std::min(level.best - worst, kMost);
  level.per_score = range > 0 ? std::min(static_cast<float>(kBuckets) / range, kMost) : 0.0f;
  std::array<std::array<uint64_t, kBuckets>, kCopies> sums{};
  std::array<uint64_t, kChunk> units;
  std::array<int32_t, kChunk> buckets;
  static_assert(kChunk % kCopies == 0);
  const VocabularyLoops& loops = vocabulary_loops();
  UnitSums total;
  for (size_t i = 0; i < level.scores.size(); i += kChunk) {
    const float* scores = level.scores.data() + i;
    const size_t n = std::min(kChunk, level.scores.size() - i);
    const UnitSums part = loops.weigh(scores, n, best_, scale_, cut, units.data());
    total.all += part.all;
    total.kept += part.kept;
    loops.buckets(scores, n, level.best, level.per_score, kBuckets - 1, 0, buckets.data());
    std::fill(units.begin() + static_cast<ptrdiff_t>(n), units.end(), 0);
    std::fill(buckets.begin() + static_cast<ptrdiff_t>(n), buckets.end(), 0);
    for (size_t j = 0; j < kChunk; j += kCopies)
      for (size_t c = 0; c < kCopies; c++) sums[c][static_cast<size_t>(buckets[j + c])] += units[j + c];
  }
  for (size_t b = 0; b < kBuckets; b++) level.sums[b] = sums[0][b] + sums[1][b] + sums[2][b] + sums[3][b];
  return total;
}

RankSelect::Found RankSelect::find(uint64_t mark) {
  uint64_t before = 0;
  const Level* level = &first_;
  while (level->scores.size() > kSorted) {
    size_t bucket = 0;
    while (bucket + 1 < kBuckets && mark - before >= level->sums[bucket]) before += level->sums[bucket++];
    const size_t n = level->scores.size();
    narrow(*level, static_cast<int32_t>(bucket));
    level = &narrow_;
    const float worst = vocabulary_loops().smallest(scores_.data(), narrow_.scores.size());
    const float best = vocabulary_loops().largest(scores_.data(), narrow_.scores.size());
    if (worst == best) {  // all alike: those before it need only be counted
      const uint64_t units = units_of(best);
      const uint64_t skipped = (mark - before) / units;
      return {narrow_.places[skipped], before + skipped * units, units};
    }
    if (narrow_.scores.size() == n) break;  // differences too small for a float to divide by
    narrow_.best = best;
    if (narrow_.scores.size() > kSorted) fill(narrow_, worst, best);
  }
  return find_sorted(*level, before, mark);
}

// narrow_: the tokens of one bucket of `from`, which may be narrow_ itself.
void RankSelect::narrow(const Level& from, int32_t bucket) {
  std::array<int32_t, kChunk> buckets;
  size_t kept = 0;
  for (size_t i = 0; i < from.scores.size(); i += kChunk) {
    const size_t n = std::min(kChunk, from.scores.size() - i);
    const size_t found = vocabulary_loops().buckets(from.scores.data() + i, n, from.best, from.per_score,
                                                    kBuckets - 1, bucket, buckets.data());
    if (found == 0) continue;
    const float* scores = from.scores.data() + i;
    const auto take = [&](size_t j) {  // NaN as -inf
      scores_[kept] = scores[j] == scores[j] ? scores[j] : -std::numeric_limits<float>::infinity();
      places_[kept++] = from.places.empty() ? static_cast<uint32_t>(i + j) : from.places[i + j];
    };
    if (found == n) {
      for (size_t j = 0; j < n; j++) take(j);
    } else {
      for (size_t j = 0; j < n; j++)
        if (buckets[j] == bucket) take(j);
    }
  }
  narrow_.scores = std::span(scores_).first(kept);
  narrow_.places = std::span(places_).first(kept);
}

RankSelect::Found RankSelect::find_sorted(const Level& level, uint64_t before, uint64_t mark) {
  keys_.clear();
  for (size_t i = 0; i < level.scores.size(); i++)
    if (!std::isnan(level.scores[i])) keys_.push_back(rank_key(level.scores[i], static_cast<TokenId>(i)));
  std::ranges::sort(keys_);
  Found found = {0, before, 0};
  for (const uint64_t key : keys_) {
    const auto i = static_cast<uint32_t>(rank_key_id(key));
    found = {level.places.empty() ? i : level.places[i], found.before + found.units,
             units_of(level.scores[i])};
    if (mark < found.before + found.units) break;
  }
  return found;
}

uint64_t RankSelect::units_of(float score) const {
  uint64_t units;
  vocabulary_loops().weigh(&score, 1, best_, scale_, score, &units);
  return units;
}

}  // namespace pixellm
