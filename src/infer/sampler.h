// From logits to the next token. Same seed and options, same tokens, on every machine and thread count: basic
// operations in one fixed order, and exp from portable_math.h.
//
//   auto sampler = PIXELLM_TRY(Sampler::create({.temperature = 0.8f, .top_p = 0.95f, .seed = 1},
//   vocab_size)); for (TokenId id : prompt) sampler.accept(id); TokenId next =
//   sampler.sample(session.logits());
// One thread at a time. sample() and accept() allocate nothing. A copy goes on independently from the same
// state.
#pragma once
#include <bit>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace pixellm {

struct SamplerOptions {
  float temperature = 0;       // 0: greedy
  uint32_t top_k = 0;          // 0: off
  float top_p = 1, min_p = 0;  // 1 and 0: off
  float repeat_penalty = 1;    // > 0; divides positive, multiplies negative logits of seen tokens
  float presence_penalty = 0, frequency_penalty = 0;  // subtracted once, and once for each time seen
  uint32_t penalty_window = 64;                       // last tokens that count as seen; 0: all
  std::vector<std::pair<TokenId, float>> bias = {};   // added to logits first; -inf forbids
  uint64_t seed = 0;
};

// Ranges that do not depend on a vocabulary. kInvalidArgument names the option, its value and what is
// allowed.
Result<void> validate(const SamplerOptions& options);

// Order: bias, penalties, (greedy: the smallest id among the largest), top-k, temperature, top-p, min-p,
// draw. top-p keeps the fewest of the likeliest tokens whose probabilities reach it; min-p drops what is less
// likely than min_p times the best. A NaN logit counts as -inf; when nothing is left, token 0. Draw:
// splitmix64 with the seed as its first state, 53 bits a token, along the kept tokens' cumulative weights.
class Sampler {
 public:
  static Result<Sampler> create(const SamplerOptions& options, uint32_t vocab_size);
  void accept(TokenId id);                        // prompt tokens too: they count for penalties
  TokenId sample(std::span<const float> logits);  // [vocab_size]; does not accept() the token itself

  // The logits after bias and penalties, NaN as -inf. Valid until the next call.
  std::span<const float> adjust(std::span<const float> logits);

 private:
  Sampler() = default;
  bool has_penalties() const;
  void collect_top_k();
  double collect_nucleus();
  TokenId draw_by_rank(double best, double total);
  TokenId draw_by_id();
  double weight(float score, double best) const;
  double uniform();

  SamplerOptions options_;
  uint32_t vocab_size_ = 0;
  uint64_t state_ = 0;
  double scale_ = 0;                        // 1 / temperature
  std::vector<TokenId> window_, distinct_;  // the last tokens in a ring; every token with a count
  size_t window_next_ = 0;
  std::vector<uint32_t> counts_;  // [vocab_size], with penalties only
  std::vector<float> scores_;     // [vocab_size]
  std::vector<double> weights_;   // [vocab_size], with a temperature only
  std::vector<uint64_t> keys_;    // rank keys of the tokens that may be drawn; up to vocab_size
};

// A number that sorts ascending as scores sort descending, equal scores by ascending id. No NaN.
inline uint64_t rank_key(float score, TokenId id) {
  uint32_t bits = std::bit_cast<uint32_t>(score + 0.0f);  // -0 as +0
  bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return static_cast<uint64_t>(~bits) << 32 | static_cast<uint32_t>(id);
}
inline TokenId rank_key_id(uint64_t key) { return static_cast<TokenId>(key & 0xffffffffu); }

// log(sum(exp(logits))) in double, added in index order. NaN counts as -inf.
double log_sum_exp(std::span<const float> logits);
TokenId argmax(
    std::span<const float> logits);  // smallest id among the largest; NaN counts as -inf; 0 when empty

}  // namespace pixellm
