// The likeliest tokens. spec/v0.md, section 7.
//
//   for (const Ranked& token : top_tokens(logits, 10)) print(token.id, token.logit, token.prob);
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "v0/network.h"

namespace pixellm::v0 {

struct Ranked {
  TokenId id = 0;
  float logit = 0;
  float prob_top_k = 0;  // softmax over the ranked tokens only: what the original prints as the probability
  double prob = 0;       // softmax over all logits
};

// The k largest logits, largest first; of equal ones the lower id first. Requires 1 <= k <= logits.size().
std::vector<Ranked> top_tokens(std::span<const float> logits, size_t k);

// The cosine of the angle between two vectors of one length; 0 when either has no length.
double cosine_similarity(std::span<const float> a, std::span<const float> b);

}  // namespace pixellm::v0
