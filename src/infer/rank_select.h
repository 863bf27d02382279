// Sums of weights over tokens in the order of their ranks (scores falling, equal ones by place), without
// sorting more than a few of them. Weights are whole units (vocabulary_loops.h), so that the way in which
// they are added does not show. Internal to infer; one thread at a time; allocates in reserve() only.
//
//   const UnitSums sums = select.load(scores, best, scale, cut);
//   const RankSelect::Found last = select.find(wanted - 1);   // the token with which the sum reaches
//   `wanted`
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "infer/vocabulary_loops.h"

namespace pixellm {

class RankSelect {
 public:
  struct Found {
    uint32_t place;          // in the scores given to load
    uint64_t before, units;  // weight of all ranks before it, and its own
  };

  void reserve(size_t n);

  // Weighs `scores` (finite best: the largest; scale > 0), which must stay until the last find(). Not above
  // 2^24 of them. Sums: of all, and of those not below `cut`.
  UnitSums load(std::span<const float> scores, float best, double scale, float cut);

  // The token at which the sum over ranks passes `mark`. Requires mark < the sum of all.
  Found find(uint64_t mark);

 private:
  static constexpr size_t kBuckets = 512, kCopies = 4;  // copies, so that one sum need not wait for itself

  // Some tokens, cut by score into buckets: first the best.
  struct Level {
    std::span<const float> scores;
    std::span<const uint32_t> places;  // empty: 0, 1, ...
    float best = 0, per_score = 0;
    std::array<uint64_t, kBuckets> sums;
  };

  UnitSums fill(Level& level, float worst, float cut) const;
  void narrow(const Level& from, int32_t bucket);
  Found find_sorted(const Level& level, uint64_t before, uint64_t mark);
  uint64_t units_of(float score) const;

  double best_ = 0, scale_ = 0;
  Level first_, narrow_;
  std::vector<float> scores_;     // of narrow_
  std::vector<uint32_t> places_;  // of narrow_
  std::vector<uint64_t> keys_;    // of those that are sorted
};

}  // namespace pixellm
