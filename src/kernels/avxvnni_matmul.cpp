// Matrix products and activations with AVX2 and the 256-bit int8 dot products (AVX-VNNI): 16 rows in two
// registers.
#include <cstdint>

#include "kernels/kernel_parts.h"
#include "kernels/kernels.h"
#include "kernels/matmul_walk.h"
#include "kernels/simd_avx2.h"

PIXELLM_BEGIN_TARGET("avxvnni,avx2,fma,f16c")
namespace pixellm::avxvnni {
using namespace avx2;
namespace {

inline constexpr bool kSignedBytes = false;  // vpdpbusd takes unsigned weights
template <int kMaxWeight>
inline constexpr int kGroupsAtOnce = 1;  // row groups that share a panel's loads
template <int kMaxWeight, int R>
inline constexpr int kSlotsAtOnce = 4;
inline constexpr int kSpanSums = 8;  // sums of a few slots that stay in registers
inline constexpr int kFloatGroupsSingle = 4, kFloatGroupsPanel = 1, kFloatTokensAtOnce = 4;

#include "kernels/avx2_parts-inl.h"
//
#include "kernels/matmul_common-inl.h"

// sum[i] += the four products of bytes 4i..4i+3 of u (unsigned) and s (signed), exact.
PIXELLM_INLINE I32x16 dot_bytes(I32x16 sum, I32x16 u, I32x16 s) {
  return {_mm256_dpbusd_avx_epi32(sum.lo, u.lo, s.lo), _mm256_dpbusd_avx_epi32(sum.hi, u.hi, s.hi)};
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
template <int kMaxWeight>
PIXELLM_INLINE void dot_at(Sum& sum, I32x16 w, const int8_t* q, int step) {
  dot<kMaxWeight>(sum, w, load_columns(q), step);
}
PIXELLM_INLINE F32x16 value_of(const Sum& sum) { return sub(as_float(sum.words), set1(12582912.0f)); }

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

}  // namespace pixellm::avxvnni
PIXELLM_END_TARGET
