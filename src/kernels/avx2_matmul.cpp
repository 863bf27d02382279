// Matrix products and activations with AVX2, FMA and F16C: 16 rows in two registers. There is no dot product
// of bytes: vpmaddubsw adds two products of unsigned and signed bytes in 16 bits, which a bound on the
// weights keeps from saturating; activations lie within +-127.
#include <cstdint>

#include "kernels/kernel_parts.h"
#include "kernels/kernels.h"
#include "kernels/matmul_walk.h"
#include "kernels/simd_avx2.h"

PIXELLM_BEGIN_AVX2
namespace pixellm::avx2 {
namespace {

inline constexpr bool kSignedBytes = true;
template <int kMaxWeight>
inline constexpr int kGroupsAtOnce = 1;  // row groups that share a panel's loads
template <int kMaxWeight, int R>
inline constexpr int kSlotsAtOnce = 4;
inline constexpr int kSpanSums = 8;  // sums of a few slots that stay in registers
inline constexpr int kFloatGroupsSingle = 4, kFloatGroupsPanel = 1, kFloatTokensAtOnce = 4;

#include "kernels/avx2_parts-inl.h"
//
#include "kernels/matmul_common-inl.h"

// Exact for u up to 127: sums of two products saturate at 2^15.
PIXELLM_INLINE __m256i add_products(__m256i sum, __m256i u, __m256i s) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(u, s), _mm256_set1_epi16(1)));
}
PIXELLM_INLINE I32x16 dot_bytes(I32x16 sum, I32x16 u, I32x16 s) {
  return {add_products(sum.lo, u.lo, s.lo), add_products(sum.hi, u.hi, s.hi)};
}

#include "kernels/sum_pairs-inl.h"

template <int kMaxWeight>
PIXELLM_INLINE void dot_half(__m256i& words, __m256i& pairs, __m256i w, __m256i q, int step) {
  const __m256i ones = _mm256_set1_epi16(1);
  if constexpr (kMaxWeight > 127) {  // signed weights: |w| times q with w's sign, at most 2 * 127 * 128
    const __m256i products = _mm256_maddubs_epi16(_mm256_sign_epi8(w, w), _mm256_sign_epi8(q, w));
    words = _mm256_add_epi32(words, _mm256_madd_epi16(products, ones));
  } else {
    constexpr int kSteps = steps_in_pairs(kMaxWeight);
    const __m256i products = _mm256_maddubs_epi16(w, q);
    pairs = step % kSteps == 0 ? products : _mm256_add_epi16(pairs, products);
    if (step % kSteps == kSteps - 1) words = _mm256_add_epi32(words, _mm256_madd_epi16(pairs, ones));
  }
}
template <int kMaxWeight>
PIXELLM_INLINE void dot(Sum& sum, I32x16 w, I32x16 columns, int step) {
  dot_half<kMaxWeight>(sum.words.lo, sum.pairs.lo, w.lo, columns.lo, step);
  dot_half<kMaxWeight>(sum.words.hi, sum.pairs.hi, w.hi, columns.hi, step);
}

#include "kernels/dot_at-inl.h"
//
#include "kernels/prepare_avx-inl.h"
//
#include "kernels/products-inl.h"

}  // namespace

#include "kernels/fill_matmul-inl.h"

}  // namespace pixellm::avx2
PIXELLM_END_TARGET
