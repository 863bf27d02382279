// From logits to the next token. Same seed and options, same tokens, on every machine and thread count:
// weights come from basic operations in one fixed order and are added as integers. Time grows with the
// vocabulary, not with how flat the distribution is; nothing is sorted but what top-k keeps and a few hundred
// tokens around a cut.
//
//   auto sampler = PIXELLM_TRY(Sampler::create({.temperature = 0.8f, .seed = 1}, vocab_size));
//   for (TokenId id : prompt) sampler.accept(id);
//   TokenId next = sampler.sample(session.logits());
// One thread at a time. sample() and accept() allocate nothing. A copy goes on independently from the same
// state.
#pragma once
#include <bit>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "infer/rank_select.h"
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

// Whether the next token is always that of the largest logit.
inline bool is_plain_greedy(const SamplerOptions& o) {
  return o.temperature == 0 && o.bias.empty() && o.repeat_penalty == 1 && o.presence_penalty == 0 &&
         o.frequency_penalty == 0;
}

// Ranges that do not depend on a vocabulary. kInvalidArgument names the option, its value and what is
// allowed.
Result<void> validate(const SamplerOptions& options);

// Order: bias, penalties, (greedy: the smallest id among the largest), top-k, temperature, top-p, min-p,
// draw. Equal scores rank by id. A NaN logit counts as -inf; when nothing is left, token 0.
// Weights: exp((score - best) / temperature) in whole units of 2^-39, so that sums are exact and their order
// is free: a token less likely than 2^-40 of the best is never drawn. top-p keeps the fewest of the likeliest
// tokens whose weights reach it, rounded up, of the sum; min-p drops scores below best + temperature *
// log(min_p). Draw: splitmix64 with the seed as its first state, one number r a token; the chosen token is
// the one that holds unit floor(r * kept / 2^64) of the kept tokens' units, laid out by rank when there is a
// top-k or top-p, by id when there is none.
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
  void reserve_for_draws();
  TokenId sample_by_rank(std::span<const float> scores, float best);
  TokenId sample_by_id(std::span<const float> scores, float best);
  void collect_top_k(std::span<const float> scores);
  float min_p_cut(float best) const;
  uint64_t draw(uint64_t units);

  SamplerOptions options_;
  uint32_t vocab_size_ = 0;
  uint64_t state_ = 0;
  double scale_ = 0;                        // 1 / temperature
  std::vector<TokenId> window_, distinct_;  // the last tokens in a ring; every token with a count
  size_t window_next_ = 0;
  std::vector<uint32_t> counts_;  // [vocab_size], with penalties only
  std::vector<float> scores_;     // [vocab_size]
  std::vector<float> maxima_;     // of blocks of scores
  std::vector<float> ordered_maxima_;
  std::vector<uint64_t> block_units_;  // kept units of larger blocks, where tokens are drawn by id
  std::vector<uint64_t> keys_;         // rank keys of the top_k best; up to vocab_size
  std::vector<float> top_scores_;      // of keys_
  RankSelect select_;
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
