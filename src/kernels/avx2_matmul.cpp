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

using Words = uint32_t __attribute__((vector_size(32)));
PIXELLM_INLINE I32x16 shift_words_left(I32x16 a, int n) {
  return {(__m256i)((Words)a.lo << n), (__m256i)((Words)a.hi << n)};
}
PIXELLM_INLINE I32x16 shift_words_right(I32x16 a, int n) {
  return {(__m256i)((Words)a.lo >> n), (__m256i)((Words)a.hi >> n)};
}
PIXELLM_INLINE I32x16 or_masked(I32x16 a, I32x16 b, I32x16 mask) { return bit_or(a, bit_and(b, mask)); }
// Adds 16 to the bytes of w where `bits` has the one bit of `select`.
PIXELLM_INLINE __m256i half_16_where(__m256i bits, __m256i select) {
  return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(bits, select), select), _mm256_set1_epi8(16));
}
PIXELLM_INLINE I32x16 add_16_where(I32x16 w, I32x16 bits, I32x16 select) {
  return bit_or(w, {half_16_where(bits.lo, select.lo), half_16_where(bits.hi, select.hi)});
}
// Byte n of each row's dword in all four bytes.
PIXELLM_INLINE I32x16 copy_byte(I32x16 a, int n) {
  n *= 0x01010101;
  const __m256i from =
      _mm256_broadcastsi128_si256(_mm_set_epi32(0x0c0c0c0c + n, 0x08080808 + n, 0x04040404 + n, n));
  return {_mm256_shuffle_epi8(a.lo, from), _mm256_shuffle_epi8(a.hi, from)};
}
PIXELLM_INLINE void keep_in_registers(I32x16& a) { asm("" : "+x"(a.lo), "+x"(a.hi)); }

#include "kernels/matmul_common-inl.h"

// An integer dot product of 16 rows, offset so that its bits are the float 12582912 + I: exact for |I| <
// 2^22. `pairs` collects sums of 16 bits until they might overflow.
struct Sum {
  I32x16 words;
  I32x16 pairs;
};
PIXELLM_INLINE Sum start_sum() { return {set1_int(0x4B400000), set1_int(0)}; }
PIXELLM_INLINE Sum start_sum(const int32_t* start) { return {set1_int(*start), set1_int(0)}; }

// Each of the steps 0.. adds at most 2 * 127 * kMaxWeight to a pair.
template <int kMaxWeight>
inline constexpr int kStepsInPairs = 32767 / (2 * 127 * kMaxWeight);
static_assert(kStepsInPairs<15> == 8 && kStepsInPairs<31> == 4 && kStepsInPairs<63> == 2);

template <int kMaxWeight>
PIXELLM_INLINE void dot_half(__m256i& words, __m256i& pairs, __m256i w, __m256i q, int step) {
  const __m256i ones = _mm256_set1_epi16(1);
  if constexpr (kMaxWeight > 127) {  // signed weights: |w| times q with w's sign, at most 2 * 127 * 128
    const __m256i products = _mm256_maddubs_epi16(_mm256_sign_epi8(w, w), _mm256_sign_epi8(q, w));
    words = _mm256_add_epi32(words, _mm256_madd_epi16(products, ones));
  } else {
    constexpr int kSteps = kStepsInPairs<kMaxWeight>;
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
template <int kMaxWeight>
PIXELLM_INLINE void dot_at(Sum& sum, I32x16 w, const int8_t* q, int step) {
  dot<kMaxWeight>(sum, w, load_columns(q), step);
}
PIXELLM_INLINE F32x16 value_of(const Sum& sum) { return sub(as_float(sum.words), set1(12582912.0f)); }

PIXELLM_INLINE void quantize32(const float* x, float inverse, int8_t* q) {
  const I32x16 low = to_int(mul(load(x), set1(inverse))), high = to_int(mul(load(x + 16), set1(inverse)));
  const __m256i mixed =
      _mm256_packs_epi16(_mm256_packs_epi32(low.lo, low.hi), _mm256_packs_epi32(high.lo, high.hi));
  const __m256i sorted = _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), _mm256_max_epi8(sorted, _mm256_set1_epi8(-127)));
}
// Sums of four neighbouring bytes, eight times.
PIXELLM_INLINE void quad_sums(const int8_t* q, int32_t* sums) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q));
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums), _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// clang-format off: each needs the ones above it
#include "kernels/transpose_avx-inl.h"
#include "kernels/matmul_sums-inl.h"
#include "kernels/format_q-inl.h"
#include "kernels/format_k-inl.h"
#include "kernels/matmul_quant-inl.h"
#include "kernels/matmul_float-inl.h"
#include "kernels/prepare-inl.h"
// clang-format on

}  // namespace

#include "kernels/fill_matmul-inl.h"

}  // namespace pixellm::avx2
PIXELLM_END_TARGET
