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

#include "kernels/sum_words-inl.h"

// GCC 12 does not fold the broadcast of a memory operand into vpdpbusd.
template <int kMaxWeight>
PIXELLM_INLINE void dot_at(Sum& sum, I32x16 w, const int8_t* q, int) {
  asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum.words.v) : "v"(w.v), "m"(*reinterpret_cast<const Dword*>(q)));
}

#include "kernels/prepare_avx-inl.h"
//
#include "kernels/products-inl.h"

}  // namespace

#include "kernels/fill_matmul-inl.h"

}  // namespace pixellm::avx512
PIXELLM_END_TARGET
