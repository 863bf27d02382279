#include "infer/vocabulary_loops.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "infer/portable_math.h"

namespace pixellm {
namespace {

#define PIXELLM_LOOP [[gnu::always_inline]] inline

PIXELLM_LOOP void exp_weights_loop(const float* scores, size_t n, double best, double scale, double* out) {
  for (size_t i = 0; i < n; i++) out[i] = portable_exp((static_cast<double>(scores[i]) - best) * scale);
}

// Vectors as wide as a CPU's registers.
struct Bytes16 {
  using Doubles = double __attribute__((vector_size(16)));
  using Integers = int64_t __attribute__((vector_size(16)));
  using Floats = float __attribute__((vector_size(8)));
};
struct Bytes32 {
  using Doubles = double __attribute__((vector_size(32)));
  using Integers = int64_t __attribute__((vector_size(32)));
  using Floats = float __attribute__((vector_size(16)));
};
struct Bytes64 {
  using Doubles = double __attribute__((vector_size(64)));
  using Integers = int64_t __attribute__((vector_size(64)));
  using Floats = float __attribute__((vector_size(32)));
};

// Weighs `kAtOnce` vectors of scores side by side: the steps of one exp wait for each other, those of
// several fill the gaps.
template <class V>
struct Weigher {
  using Doubles = typename V::Doubles;
  using Integers = typename V::Integers;
  using Floats = typename V::Floats;
  static constexpr size_t kLanes = sizeof(Doubles) / sizeof(double), kAtOnce = 4, kGroup = kLanes * kAtOnce;
  static constexpr double kLeast = -100.0;  // exp of it is no unit

  double best, scale, cut;
  Integers all = {}, kept = {};

  PIXELLM_LOOP void group(const float* scores, uint64_t* units) {
    constexpr double kOne = static_cast<double>(uint64_t{1} << kUnitBits);
    constexpr double kRound = 0x1.8p52;  // adding it leaves the nearest integer in the low bits
    Doubles score[kAtOnce], y[kAtOnce], shifted[kAtOnce], r[kAtOnce], r2[kAtOnce], r4[kAtOnce], a[kAtOnce],
        b[kAtOnce], c[kAtOnce], d[kAtOnce];
#define PIXELLM_EACH for (size_t k = 0; k < kAtOnce; k++)
    PIXELLM_EACH {
      Floats narrow;
      std::memcpy(&narrow, scores + k * kLanes, sizeof narrow);
      score[k] = __builtin_convertvector(narrow, Doubles);
    }
    PIXELLM_EACH y[k] = (score[k] - best) * scale;
    PIXELLM_EACH y[k] = y[k] > kLeast ? y[k] : Doubles{} + kLeast;  // NaN too
    PIXELLM_EACH shifted[k] = y[k] * 0x1.71547652b82fep0 + kRound;
    PIXELLM_EACH r[k] = y[k] - (shifted[k] - kRound) * (kLn2High + kLn2Low);
    PIXELLM_EACH r2[k] = r[k] * r[k];
    // Taylor, 1/0! to 1/11!, |r| <= ln 2 / 2, within 2^-47: four sums of every fourth term.
    PIXELLM_EACH r4[k] = r2[k] * r2[k];
    PIXELLM_EACH a[k] = r4[k] * (1.0 / 40320.0) + 1.0 / 24.0;
    PIXELLM_EACH b[k] = r4[k] * (1.0 / 362880.0) + 1.0 / 120.0;
    PIXELLM_EACH a[k] = a[k] * r4[k] + 1.0;
    PIXELLM_EACH b[k] = b[k] * r4[k] + 1.0;
    PIXELLM_EACH a[k] = b[k] * r[k] + a[k];
    PIXELLM_EACH c[k] = r4[k] * (1.0 / 3628800.0) + 1.0 / 720.0;
    PIXELLM_EACH d[k] = r4[k] * (1.0 / 39916800.0) + 1.0 / 5040.0;
    PIXELLM_EACH c[k] = c[k] * r4[k] + 0.5;
    PIXELLM_EACH d[k] = d[k] * r4[k] + 1.0 / 6.0;
    PIXELLM_EACH c[k] = d[k] * r[k] + c[k];
    PIXELLM_EACH a[k] = c[k] * r2[k] + a[k];
    PIXELLM_EACH {
      const auto exponent = reinterpret_cast<Integers>(shifted[k]) << 52;
      const auto weight = reinterpret_cast<Doubles>(reinterpret_cast<Integers>(a[k]) + exponent);
      const auto rounded =
          reinterpret_cast<Integers>(weight * kOne + 0x1p52) - std::bit_cast<int64_t>(0x1p52);
      std::memcpy(units + k * kLanes, &rounded, sizeof rounded);
      all += rounded;
      kept += rounded & (score[k] >= cut);
    }
#undef PIXELLM_EACH
  }
};

template <class V>
PIXELLM_LOOP UnitSums weigh_loop(const float* scores, size_t n, double best, double scale, float cut,
                                 uint64_t* units) {
  using W = Weigher<V>;
  W weigher = {best, scale, cut};
  size_t i = 0;
  for (; i + W::kGroup <= n; i += W::kGroup) weigher.group(scores + i, units + i);
  if (i < n) {
    std::array<float, W::kGroup> last;
    std::array<uint64_t, W::kGroup> last_units;
    last.fill(-std::numeric_limits<float>::infinity());
    std::copy(scores + i, scores + n, last.begin());
    weigher.group(last.data(), last_units.data());
    std::copy_n(last_units.begin(), n - i, units + i);
  }
  UnitSums sums;
  for (size_t k = 0; k < W::kLanes; k++) {
    sums.all += static_cast<uint64_t>(weigher.all[k]);
    sums.kept += static_cast<uint64_t>(weigher.kept[k]);
  }
  return sums;
}

PIXELLM_LOOP size_t buckets_loop(const float* scores, size_t n, float best, float per_score, int32_t last,
                                 int32_t wanted, int32_t* out) {
  const auto most = static_cast<float>(last);
  int32_t found = 0;
  for (size_t i = 0; i < n; i++) {
    const float t = (best - scores[i]) * per_score;
    const auto bucket = static_cast<int32_t>(t < most ? t : most);
    out[i] = bucket;
    found += bucket == wanted;
  }
  return static_cast<size_t>(found);
}

// The largest of sign * score. A comparison with NaN is false: it never wins.
template <class V>
PIXELLM_LOOP float largest_of(const float* scores, size_t n, float sign) {
  using Floats = typename V::Floats;
  constexpr size_t kLanes = sizeof(Floats) / sizeof(float), kAtOnce = 4;
  std::array<Floats, kAtOnce> most;
  most.fill(Floats{} - std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + kLanes * kAtOnce <= n; i += kLanes * kAtOnce)
    for (size_t k = 0; k < kAtOnce; k++) {
      Floats s;
      std::memcpy(&s, scores + i + k * kLanes, sizeof s);
      s *= sign;
      most[k] = s > most[k] ? s : most[k];
    }
  for (size_t k = 1; k < kAtOnce; k++) most[0] = most[k] > most[0] ? most[k] : most[0];
  float best = most[0][0];
  for (size_t k = 1; k < kLanes; k++) best = most[0][k] > best ? most[0][k] : best;
  for (; i < n; i++) best = sign * scores[i] > best ? sign * scores[i] : best;
  return best;
}

template <class V>
PIXELLM_LOOP void block_maxima_loop(const float* scores, size_t n, float* out) {
  const size_t whole = n / kMaxBlock;
  for (size_t b = 0; b < whole; b++) out[b] = largest_of<V>(scores + b * kMaxBlock, kMaxBlock, 1);
  if (n % kMaxBlock != 0) out[whole] = largest_of<V>(scores + whole * kMaxBlock, n % kMaxBlock, 1);
}

// The table of the loops above, compiled for a target.
#define PIXELLM_TABLE(name, V, attribute)                                                                 \
  attribute void name##_exp(const float* s, size_t n, double best, double scale, double* out) {           \
    exp_weights_loop(s, n, best, scale, out);                                                             \
  }                                                                                                       \
  attribute UnitSums name##_weigh(const float* s, size_t n, double best, double scale, float cut,         \
                                  uint64_t* units) {                                                      \
    return weigh_loop<V>(s, n, best, scale, cut, units);                                                  \
  }                                                                                                       \
  attribute size_t name##_buckets(const float* s, size_t n, float best, float per_score, int32_t last,    \
                                  int32_t wanted, int32_t* out) {                                         \
    return buckets_loop(s, n, best, per_score, last, wanted, out);                                        \
  }                                                                                                       \
  attribute void name##_maxima(const float* s, size_t n, float* out) { block_maxima_loop<V>(s, n, out); } \
  attribute float name##_largest(const float* s, size_t n) { return largest_of<V>(s, n, 1); }             \
  attribute float name##_smallest(const float* s, size_t n) { return -largest_of<V>(s, n, -1); }          \
  constexpr VocabularyLoops name = {name##_exp,    name##_weigh,   name##_buckets,                        \
                                    name##_maxima, name##_largest, name##_smallest};

PIXELLM_TABLE(kPlain, Bytes16, )
#if defined(__x86_64__)
PIXELLM_TABLE(kAvx2, Bytes32, __attribute__((target("avx2"))))
PIXELLM_TABLE(kAvx512, Bytes64, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))))
#endif

struct Available {
  std::array<const VocabularyLoops*, 3> loops = {&kPlain};
  size_t count = 1;
  Available() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) loops[count++] = &kAvx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
      loops[count++] = &kAvx512;
#endif
  }
};

}  // namespace

std::span<const VocabularyLoops* const> all_vocabulary_loops() {
  static const Available available;
  return std::span(available.loops).first(available.count);
}

const VocabularyLoops& vocabulary_loops() { return *all_vocabulary_loops().back(); }

}  // namespace pixellm
