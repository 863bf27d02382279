// exp and log in binary64 from basic operations only, so that sampling and perplexity do not depend on a
// machine's mathematical library. Within 2 units in the last place of the true value.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

namespace pixellm {

inline constexpr double kLn2High = 0x1.62e42fee00000p-1,
                        kLn2Low = 0x1.a39ef35793c76p-33;  // n * high is exact

// Below -708 the result is +0 (no subnormals), above 709 that of 709. NaN gives +0. Written without branches,
// so that loops over it vectorise.
inline double portable_exp(double x) {
  constexpr double kRound = 0x1.8p52;  // adding it leaves the nearest integer in the low bits
  const double y = x > -708.0 ? std::min(x, 709.0) : -708.0;
  const double shifted = y * 0x1.71547652b82fep0 + kRound;
  const double n = shifted - kRound;
  const double r = (y - n * kLn2High) - n * kLn2Low;
  double p = 1.0 / 6227020800.0;  // Taylor, 1/13! down to 1/0!: |r| <= ln 2 / 2
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  const uint64_t exponent = std::bit_cast<uint64_t>(shifted) << 52;  // n modulo 2^12, in the exponent's place
  const double value = std::bit_cast<double>(std::bit_cast<uint64_t>(p) + exponent);
  return x > -708.0 ? value : 0.0;
}

// -infinity for 0 and below, x itself for +infinity and NaN. Subnormal x counts as 0.
inline double portable_log(double x) {
  if (!(x < std::numeric_limits<double>::infinity())) return x;
  if (x < std::numeric_limits<double>::min()) return -std::numeric_limits<double>::infinity();
  // x = m * 2^e with m in [1/sqrt 2, sqrt 2); log m = 2 atanh(f).
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  auto e = static_cast<int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
  if (m > 1.41421356237309515) m *= 0.5, e++;
  const double f = (m - 1.0) / (m + 1.0), s = f * f;
  double p = 1.0 / 21.0;
  for (int k = 19; k >= 3; k -= 2) p = p * s + 1.0 / k;
  const auto n = static_cast<double>(e);
  return n * kLn2High + (2.0 * f + (2.0 * f * s * p + n * kLn2Low));
}

}  // namespace pixellm
