#include <cmath>
#include <limits>

#include "kernels/scalar.h"
#include "tensor/float16.h"

namespace pixellm::scalar {
namespace {

float score(const AttentionArgs& a, const float* query, uint64_t position) {
  const uint16_t* block = a.keys + position / 16 * a.head_dim * 16;
  float dot = 0.0f;
  for (uint32_t d = 0; d < a.head_dim; d++)
    dot = std::fma(query[d], f16_to_float(block[d * 16 + position % 16]), dot);
  const float s = dot * a.scale;
  return a.softcap == 0.0f ? s : a.softcap * tanh(s / a.softcap);
}

}  // namespace

void attention(const AttentionArgs& a) {
  float* weights = a.scratch;  // one query at a time
  for (uint32_t i = 0; i < a.n_queries; i++) {
    const uint64_t first = a.first[i], last = a.last[i];
    float largest = -std::numeric_limits<float>::infinity();
    for (uint64_t j = first; j <= last; j++) {
      weights[j - first] = score(a, a.queries[i], j);
      largest = largest > weights[j - first] ? largest : weights[j - first];
    }
    Lanes total;
    for (uint64_t j = first; j <= last; j++) {
      weights[j - first] = exp(weights[j - first] - largest);
      total.lane[j % 16] = total.lane[j % 16] + weights[j - first];
    }
    const float inverse = 1.0f / total.sum();
    for (uint32_t d = 0; d < a.head_dim; d++) {
      float o = 0.0f;
      for (uint64_t j = first; j <= last; j++)
        o = std::fma(weights[j - first], f16_to_float(a.values[j * a.head_dim + d]), o);
      a.outputs[i][d] = std::fma(o, inverse, 0.0f);
    }
  }
}

}  // namespace pixellm::scalar
