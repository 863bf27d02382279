// Matrix products and activations with AVX-512 and its int8 dot products (VNNI): one register is 16 rows.
#include <cstdint>

#include "kernels/kernel_parts.h"
#include "kernels/kernels.h"
#include "kernels/matmul_walk.h"
#include "kernels/simd_avx512.h"

PIXELLM_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")
namespace pixellm::avx512 {
namespace {

inline constexpr bool kSignedBytes = false;  // vpdpbusd takes unsigned weights
template <int kMaxWeight>
inline constexpr int kGroupsAtOnce = 2;  // row groups that share a panel's loads
template <int kMaxWeight, int R>
inline constexpr int kSlotsAtOnce = 8;
inline constexpr int kSpanSums = 16;  // sums of a few slots that stay in registers
inline constexpr int kFloatGroupsSingle = 4, kFloatGroupsPanel = 2, kFloatTokensAtOnce = 8;

#include "kernels/avx512_parts-inl.h"
//
#include "kernels/matmul_common-inl.h"

// sum[i] += the four products of bytes 4i..4i+3 of u (unsigned) and s (signed), exact.
PIXELLM_INLINE I32x16 dot_bytes(I32x16 sum, I32x16 u, I32x16 s) {
  return {_mm512_dpbusd_epi32(sum.v, u.v, s.v)};
}

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
#include "kernels/int8_peak-inl.h"
// clang-format on

}  // namespace

#include "kernels/fill_matmul-inl.h"

}  // namespace pixellm::avx512
PIXELLM_END_TARGET
