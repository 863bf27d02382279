#include "v0/ranking.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "v0/softmax.h"

namespace pixellm::v0 {

std::vector<Ranked> top_tokens(std::span<const float> logits, size_t k) {
  PIXELLM_ASSERT(k >= 1 && k <= logits.size());
  std::vector<TokenId> ids(logits.size());
  std::iota(ids.begin(), ids.end(), TokenId{0});
  const auto before = [&](TokenId a, TokenId b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  std::partial_sort(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(k), ids.end(), before);
  const float largest = logits[ids[0]];
  double all = 0;
  for (const float l : logits) all += std::exp(static_cast<double>(l) - largest);
  std::vector<Ranked> ranked(k);
  std::vector<float> weights(k);
  for (size_t i = 0; i < k; i++) weights[i] = exp_nonpositive(logits[ids[i]] - largest);
  const float sum = pairwise_sum(weights);
  for (size_t i = 0; i < k; i++)
    ranked[i] = {.id = ids[i],
                 .logit = logits[ids[i]],
                 .prob_top_k = weights[i] / sum,
                 .prob = std::exp(static_cast<double>(logits[ids[i]]) - largest) / all};
  return ranked;
}

double cosine_similarity(std::span<const float> a, std::span<const float> b) {
  double product = 0, a2 = 0, b2 = 0;
  for (size_t i = 0; i < a.size(); i++) {
    product += double{a[i]} * b[i];
    a2 += double{a[i]} * a[i];
    b2 += double{b[i]} * b[i];
  }
  return a2 == 0 || b2 == 0 ? 0 : product / (std::sqrt(a2) * std::sqrt(b2));
}

}  // namespace pixellm::v0
