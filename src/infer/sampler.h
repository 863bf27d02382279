// From logits to the next token. Same seed and options, same tokens, on every machine and thread count.
#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace pixellm {

struct SamplerOptions {
  float temperature = 0;                 // 0: greedy
  uint32_t top_k = 0;                    // 0: off
  float top_p = 1, min_p = 0;            // 1 and 0: off
  float repeat_penalty = 1;              // > 0; divides positive, multiplies negative logits of seen tokens
  float presence_penalty = 0, frequency_penalty = 0;
  uint32_t penalty_window = 64;          // last tokens that count as seen; 0: all
  std::vector<std::pair<TokenId, float>> bias;   // added to logits first; -inf forbids
  uint64_t seed = 0;
};

// Order: bias, penalties, (greedy: the smallest id among the largest), top-k, temperature, top-p, min-p, draw.
class Sampler {
 public:
  static Result<Sampler> create(const SamplerOptions& options, uint32_t vocab_size);
  void accept(TokenId id);                         // prompt tokens too: they count for penalties
  TokenId sample(std::span<const float> logits);   // does not accept() the token itself

 private:
  SamplerOptions options_;
  uint32_t vocab_size_ = 0;
  uint64_t state_ = 0;
  std::vector<TokenId> seen_;
  std::vector<uint32_t> counts_;
  std::vector<float> scores_;
  std::vector<uint32_t> order_;
};

// log(sum(exp(logits))) in double, in index order.
double log_sum_exp(std::span<const float> logits);
TokenId argmax(std::span<const float> logits);     // smallest id among the largest

}  // namespace pixellm
