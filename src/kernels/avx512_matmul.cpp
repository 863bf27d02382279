// Matrix products and activations with AVX-512 and its int8 dot products: one register is 16 rows.
#include <cstdint>

#include "kernels/kernel_parts.h"
#include "kernels/kernels.h"
#include "kernels/matmul_walk.h"
#include "kernels/simd_avx512.h"

PIXELLM_BEGIN_AVX512
namespace pixellm::avx512 {
namespace {

inline constexpr bool kSignedBytes = false;  // vpdpbusd takes unsigned weights
template <int kMaxWeight>
inline constexpr int kGroupsAtOnce = 2;  // row groups that share a panel's loads
template <int kMaxWeight, int R>
inline constexpr int kSlotsAtOnce = 8;
inline constexpr int kSpanSums = 16;  // sums of a few slots that stay in registers
inline constexpr int kFloatGroupsSingle = 4, kFloatGroupsPanel = 2, kFloatTokensAtOnce = 8;

using Words = uint32_t __attribute__((vector_size(64)));
PIXELLM_INLINE I32x16 shift_words_left(I32x16 a, int n) { return {(__m512i)((Words)a.v << n)}; }
PIXELLM_INLINE I32x16 shift_words_right(I32x16 a, int n) { return {(__m512i)((Words)a.v >> n)}; }
PIXELLM_INLINE I32x16 or_masked(I32x16 a, I32x16 b, I32x16 mask) {  // a | (b & mask)
  return {_mm512_ternarylogic_epi32(a.v, b.v, mask.v, 0xf8)};
}

// Adds 16 to the bytes of w where `bits` and `select` have a common bit.
PIXELLM_INLINE I32x16 add_16_where(I32x16 w, I32x16 bits, I32x16 select) {
  return {_mm512_mask_add_epi8(w.v, _mm512_test_epi8_mask(bits.v, select.v), w.v, _mm512_set1_epi8(16))};
}
// Byte n of each row's dword in all four bytes.
PIXELLM_INLINE I32x16 copy_byte(I32x16 a, int n) {
  n *= 0x01010101;
  const __m128i from = _mm_set_epi32(0x0c0c0c0c + n, 0x08080808 + n, 0x04040404 + n, n);
  return {_mm512_shuffle_epi8(a.v, _mm512_broadcast_i32x4(from))};
}
PIXELLM_INLINE void keep_in_registers(I32x16& a) { asm("" : "+v"(a.v)); }

#include "kernels/matmul_common-inl.h"

// An integer dot product of 16 rows, offset so that its bits are the float 12582912 + I: exact for |I| <
// 2^22.
struct Sum {
  I32x16 words;
};
PIXELLM_INLINE Sum start_sum() { return {set1_int(0x4B400000)}; }
PIXELLM_INLINE Sum start_sum(const int32_t* start) { return {set1_int(*start)}; }
template <int kMaxWeight>
PIXELLM_INLINE void dot(Sum& sum, I32x16 w, I32x16 columns, int) {
  sum.words = dot_bytes(sum.words, w, columns);
}
// GCC 12 does not fold the broadcast of a memory operand into vpdpbusd.
template <int kMaxWeight>
PIXELLM_INLINE void dot_at(Sum& sum, I32x16 w, const int8_t* q, int) {
  asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum.words.v) : "v"(w.v), "m"(*reinterpret_cast<const Dword*>(q)));
}
PIXELLM_INLINE F32x16 value_of(const Sum& sum) { return sub(as_float(sum.words), set1(12582912.0f)); }

PIXELLM_INLINE void quantize32(const float* x, float inverse, int8_t* q) {
  const __m128i low = _mm512_cvtsepi32_epi8(to_int(mul(load(x), set1(inverse))).v);
  const __m128i high = _mm512_cvtsepi32_epi8(to_int(mul(load(x + 16), set1(inverse))).v);
  const __m256i both = _mm256_max_epi8(_mm256_set_m128i(high, low), _mm256_set1_epi8(-127));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), both);
}
// Sums of four neighbouring bytes, eight times.
PIXELLM_INLINE void quad_sums(const int8_t* q, int32_t* sums) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums),
                      _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), bytes));
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

}  // namespace pixellm::avx512
PIXELLM_END_TARGET
