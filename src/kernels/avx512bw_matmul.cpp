// Matrix products and activations with AVX-512 on CPUs without its int8 dot products: as avx2_matmul.cpp,
// with one register for 16 rows.
#include <cstdint>

#include "kernels/kernel_parts.h"
#include "kernels/kernels.h"
#include "kernels/matmul_walk.h"
#include "kernels/simd_avx512.h"

PIXELLM_BEGIN_AVX512
namespace pixellm::avx512bw {
using namespace avx512;
namespace {

inline constexpr bool kSignedBytes = true;
template <int kMaxWeight>
inline constexpr int kGroupsAtOnce = 1;  // row groups that share a panel's loads
template <int kMaxWeight, int R>
inline constexpr int kSlotsAtOnce = 8;
inline constexpr int kSpanSums = 8;  // sums of a few slots that stay in registers
inline constexpr int kFloatGroupsSingle = 4, kFloatGroupsPanel = 2, kFloatTokensAtOnce = 8;

#include "kernels/avx512_parts-inl.h"
//
#include "kernels/matmul_common-inl.h"

// Exact for u up to 127: sums of two products saturate at 2^15.
PIXELLM_INLINE I32x16 dot_bytes(I32x16 sum, I32x16 u, I32x16 s) {
  return {_mm512_add_epi32(sum.v, _mm512_madd_epi16(_mm512_maddubs_epi16(u.v, s.v), _mm512_set1_epi16(1)))};
}

#include "kernels/sum_pairs-inl.h"

template <int kMaxWeight>
PIXELLM_INLINE void dot(Sum& sum, I32x16 w, I32x16 columns, int step) {
  const __m512i ones = _mm512_set1_epi16(1);
  if constexpr (kMaxWeight > 127) {  // signed weights: |w| times q with w's sign, at most 2 * 127 * 128
    const __m512i q =
        _mm512_mask_sub_epi8(columns.v, _mm512_movepi8_mask(w.v), _mm512_setzero_si512(), columns.v);
    const __m512i products = _mm512_maddubs_epi16(_mm512_abs_epi8(w.v), q);
    sum.words.v = _mm512_add_epi32(sum.words.v, _mm512_madd_epi16(products, ones));
  } else {
    constexpr int kSteps = steps_in_pairs(kMaxWeight);
    const __m512i products = _mm512_maddubs_epi16(w.v, columns.v);
    sum.pairs.v = step % kSteps == 0 ? products : _mm512_add_epi16(sum.pairs.v, products);
    if (step % kSteps == kSteps - 1)
      sum.words.v = _mm512_add_epi32(sum.words.v, _mm512_madd_epi16(sum.pairs.v, ones));
  }
}

#include "kernels/dot_at-inl.h"
//
#include "kernels/prepare_avx-inl.h"
//
#include "kernels/products-inl.h"

}  // namespace

#include "kernels/fill_matmul-inl.h"

}  // namespace pixellm::avx512bw
PIXELLM_END_TARGET
