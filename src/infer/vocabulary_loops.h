// Loops over a whole vocabulary, through the widest vectors this CPU has; every width gives the same bits.
// Internal to infer.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace pixellm {

inline constexpr size_t kMaxBlock = 64;  // scores for each maximum
inline constexpr int kUnitBits = 39;     // a weight of 1 in units; 2^24 of them fit into 64 bits

struct UnitSums {
  uint64_t all = 0;
  uint64_t kept = 0;  // of scores not below the cut
};

struct VocabularyLoops {
  // out[i] = portable_exp((scores[i] - best) * scale).
  void (*exp_weights)(const float* scores, size_t n, double best, double scale, double* out);

  // exp((scores[i] - best) * scale) in whole units of 2^-kUnitBits, to 2^-46 of its value and then the
  // nearest unit: integers, so that a sum of them is the same in any order. NaN weighs nothing. Requires best
  // >= every score and scale > 0.
  UnitSums (*weigh)(const float* scores, size_t n, double best, double scale, float cut, uint64_t* units);

  // out[i] = floor((best - scores[i]) * per_score), at most last; NaN gives last. Never falls as scores fall.
  // How many are `wanted`.
  size_t (*buckets)(const float* scores, size_t n, float best, float per_score, int32_t last, int32_t wanted,
                    int32_t* out);

  // The largest score of every kMaxBlock, the last block perhaps shorter; -inf where all are NaN.
  void (*block_maxima)(const float* scores, size_t n, float* out);

  float (*largest)(const float* scores, size_t n);   // -inf where all are NaN
  float (*smallest)(const float* scores, size_t n);  // +inf where all are NaN
};

const VocabularyLoops& vocabulary_loops();                       // the best for this CPU
std::span<const VocabularyLoops* const> all_vocabulary_loops();  // all that this CPU can run, plain first

}  // namespace pixellm
