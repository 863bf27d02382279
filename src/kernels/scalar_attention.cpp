#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/scalar.h"
#include "tensor/float16.h"

namespace pixellm::scalar {
namespace {

// Of an array of chunk 0, the one that belongs to the chunk of `position`.
template <class T>
const T* in_chunk(const AttentionArgs& a, const void* of_chunk_0, uint64_t position) {
  return reinterpret_cast<const T*>(static_cast<const uint8_t*>(of_chunk_0) +
                                    position / kAttentionChunk * a.chunk_bytes);
}

float key(const AttentionArgs& a, uint64_t position, uint32_t d) {
  const uint64_t j = position % kAttentionChunk, at = (j / 16 * a.head_dim + d) * 16 + j % 16;
  return a.key_factors == nullptr ? f16_to_float(in_chunk<uint16_t>(a, a.keys, position)[at])
                                  : static_cast<float>(in_chunk<int8_t>(a, a.keys, position)[at]);
}

float value(const AttentionArgs& a, uint64_t position, uint32_t d) {
  const uint64_t at = position % kAttentionChunk * a.head_dim + d;
  return a.value_factors == nullptr ? f16_to_float(in_chunk<uint16_t>(a, a.values, position)[at])
                                    : static_cast<float>(in_chunk<int8_t>(a, a.values, position)[at]);
}

float factor(const AttentionArgs& a, const float* of_chunk_0, uint64_t position) {
  return in_chunk<float>(a, of_chunk_0, position)[position % kAttentionChunk];
}

float score(const AttentionArgs& a, const float* query, uint64_t position) {
  float dot = 0.0f;
  for (uint32_t d = 0; d < a.head_dim; d++) dot = std::fma(query[d], key(a, position, d), dot);
  if (a.key_factors != nullptr) dot = dot * factor(a, a.key_factors, position);
  const float s = dot * a.scale;
  return a.softcap == 0.0f ? s : a.softcap * tanh(s / a.softcap);
}

// One query over the positions of one chunk.
void sum_chunk(const AttentionArgs& a, uint32_t query, uint32_t chunk, float* part) {
  const uint64_t begin = uint64_t{chunk} * kAttentionChunk;
  const uint64_t first = std::max<uint64_t>(a.first[query], begin);
  const uint64_t last = std::min<uint64_t>(a.last[query], begin + kAttentionChunk - 1);
  float* weights = a.scratch;
  float largest = -std::numeric_limits<float>::infinity();
  for (uint64_t j = first; j <= last; j++) {
    weights[j - begin] = score(a, a.queries[query], j);
    largest = largest > weights[j - begin] ? largest : weights[j - begin];
  }
  Lanes total;
  for (uint64_t j = first; j <= last; j++) {
    float& w = weights[j - begin];
    w = exp(w - largest);
    total.lane[j % 16] = total.lane[j % 16] + w;
    if (a.value_factors != nullptr) w = w * factor(a, a.value_factors, j);
  }
  for (uint32_t d = 0; d < a.head_dim; d++) {
    float o = 0.0f;
    for (uint64_t j = first; j <= last; j++) o = std::fma(weights[j - begin], value(a, j, d), o);
    part[d] = o;
  }
  part[a.head_dim] = largest;
  part[a.head_dim + 1] = total.sum();
}

}  // namespace

void attention_chunk(const AttentionArgs& a, uint32_t chunk, float* parts, uint64_t stride) {
  for (uint32_t i = 0; i < a.n_queries; i++) sum_chunk(a, i, chunk, parts + i * stride);
}

void attention_join(float* parts, uint64_t stride, uint32_t n, uint32_t head_dim, float* output) {
  for (uint32_t i = 1; i < n; i++) {
    const float* part = parts + i * stride;
    const float largest = parts[head_dim], other = part[head_dim];
    const bool grows = other > largest;
    const float factor = exp(grows ? largest - other : other - largest);
    for (uint32_t d = 0; d < head_dim + 2; d++) {
      if (d == head_dim) continue;
      parts[d] = grows ? std::fma(parts[d], factor, part[d]) : std::fma(part[d], factor, parts[d]);
    }
    if (grows) parts[head_dim] = other;
  }
  const float inverse = 1.0f / parts[head_dim + 1];
  for (uint32_t d = 0; d < head_dim; d++) output[d] = std::fma(parts[d], inverse, 0.0f);
}

void attention(const AttentionArgs& a) {
  // Two parts are enough: the sums so far, and the next chunk.
  const uint64_t stride = attention_part_floats(a.head_dim);
  float* parts = a.scratch + kAttentionChunk;
  for (uint32_t i = 0; i < a.n_queries; i++) {
    const uint32_t first = a.first[i] / kAttentionChunk, last = a.last[i] / kAttentionChunk;
    for (uint32_t chunk = first; chunk <= last; chunk++) {
      sum_chunk(a, i, chunk, parts + (chunk == first ? 0 : stride));
      if (chunk != first) attention_join(parts, stride, 2, a.head_dim, a.outputs[i]);
    }
    attention_join(parts, stride, 1, a.head_dim, a.outputs[i]);
  }
}

float to_int8(const float* x, uint64_t n, int8_t* y, uint64_t step) {
  uint32_t largest = 0;
  for (uint64_t i = 0; i < n; i++) largest = std::max(largest, std::bit_cast<uint32_t>(std::fabs(x[i])));
  const float amax = std::bit_cast<float>(largest);
  const bool empty = amax < 0x1p-90f;
  const float inverse = empty ? 0.0f : 127.0f / amax;
  for (uint64_t i = 0; i < n; i++) {
    float q = std::nearbyint(x[i] * inverse);
    q = q > -127.0f ? q : -127.0f;  // a NaN becomes -127; the factor tells
    q = q < 127.0f ? q : 127.0f;
    y[i * step] = static_cast<int8_t>(q);
  }
  return empty ? 0.0f : amax / 127.0f;
}

}  // namespace pixellm::scalar
