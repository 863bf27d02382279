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

#include "kernels/sum_words-inl.h"
//
#include "kernels/dot_at-inl.h"
#include "kernels/prepare_avx-inl.h"
//
#include "kernels/products-inl.h"

}  // namespace

#include "kernels/fill_matmul-inl.h"

}  // namespace pixellm::avxvnni
PIXELLM_END_TARGET
