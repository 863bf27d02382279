// Softmax as training needs it: in float32, with an exponential whose bits do not depend on a machine's
// mathematical library. Internal to src/v0; spec/v0.md, section 4.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace pixellm::v0 {

// e^x for x <= 0, correct to about one unit in 2^30, rounded to float32; 0 where that underflows. NaN gives
// 0. No branches, so that loops over it vectorise.
inline float exp_nonpositive(float x) {
  constexpr double kRound = 0x1.8p52;  // adding it leaves the nearest integer in the low bits
  const double y = x > -200.0f ? static_cast<double>(x) : -200.0;
  const double shifted = y * 0x1.71547652b82fep0 + kRound;  // 1 / ln 2
  const double n = shifted - kRound;
  const double r = y - n * 0x1.62e42fefa39efp-1;  // ln 2; |r| <= 0.35
  double p = 1.0 / 40320.0;                       // Taylor to r^8
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  const uint64_t exponent = std::bit_cast<uint64_t>(shifted) << 52;  // n modulo 2^12, in the exponent's place
  return static_cast<float>(std::bit_cast<double>(std::bit_cast<uint64_t>(p) + exponent));
}

// NumPy's sum of a contiguous float32 array: eight running sums over up to 128 elements, halves above that.
inline float pairwise_sum(std::span<const float> x) {
  if (x.size() < 8) {
    float sum = 0;
    for (const float v : x) sum += v;
    return sum;
  }
  if (x.size() > 128) {
    const size_t half = x.size() / 2 / 8 * 8;
    return pairwise_sum(x.first(half)) + pairwise_sum(x.subspan(half));
  }
  float r[8];
  for (size_t j = 0; j < 8; j++) r[j] = x[j];
  size_t i = 8;
  for (; i + 8 <= x.size(); i += 8)
    for (size_t j = 0; j < 8; j++) r[j] += x[i + j];
  float sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
  for (; i < x.size(); i++) sum += x[i];
  return sum;
}

}  // namespace pixellm::v0
