// Sixteen lanes on AVX-512: the vocabulary of ops-inl.h and attention-inl.h, for files inside an AVX-512
// region.
//
//   #include "kernels/simd_avx512.h"         // and every standard header, before the region
//   PIXELLM_BEGIN_AVX512
//   namespace pixellm::avx512 { ... }
//   PIXELLM_END_TARGET
// Needs F, BW, VL, DQ, and AVX2, FMA, F16C below them (isas_x86.cpp asks the CPU).
#pragma once
// GCC 12 warns wrongly about _mm512_undefined_*() inside its own header.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <cstdint>

#include "kernels/target.h"

#define PIXELLM_BEGIN_AVX512 \
  PIXELLM_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")

PIXELLM_BEGIN_AVX512
namespace pixellm::avx512 {

struct F32x16 {
  __m512 v;
};
struct I32x16 {
  __m512i v;
};
struct Mask16 {
  __mmask16 m;
};

// Accumulators of 16 lanes that stay in registers beside a few operands.
inline constexpr int kAccumulators = 24;

PIXELLM_INLINE F32x16 zero() { return {_mm512_setzero_ps()}; }
PIXELLM_INLINE F32x16 set1(float x) { return {_mm512_set1_ps(x)}; }
PIXELLM_INLINE F32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
PIXELLM_INLINE void store(float* p, F32x16 a) { _mm512_storeu_ps(p, a.v); }

// Lanes 0..n-1 (n 0..16); the others take `fill`, and memory past them is not touched.
PIXELLM_INLINE F32x16 load_n(const float* p, int n, F32x16 fill) {
  return {_mm512_mask_loadu_ps(fill.v, static_cast<__mmask16>((1u << n) - 1), p)};
}
PIXELLM_INLINE void store_n(float* p, int n, F32x16 a) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), a.v);
}

PIXELLM_INLINE F32x16 load_f16(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
PIXELLM_INLINE F32x16 load_int8(const int8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
PIXELLM_INLINE F32x16 load_bf16(const uint16_t* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
PIXELLM_INLINE void store_f16(uint16_t* p, F32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}

PIXELLM_INLINE F32x16 add(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
PIXELLM_INLINE F32x16 sub(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
PIXELLM_INLINE F32x16 mul(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
PIXELLM_INLINE F32x16 div(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
PIXELLM_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
PIXELLM_INLINE F32x16 sqrt(F32x16 a) { return {_mm512_sqrt_ps(a.v)}; }
PIXELLM_INLINE F32x16 abs(F32x16 a) { return {_mm512_abs_ps(a.v)}; }
PIXELLM_INLINE F32x16 neg(F32x16 a) { return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f))}; }
PIXELLM_INLINE F32x16 copy_sign(F32x16 magnitude, F32x16 sign) {
  const __m512 bit = _mm512_set1_ps(-0.0f);
  return {_mm512_or_ps(_mm512_andnot_ps(bit, magnitude.v), _mm512_and_ps(bit, sign.v))};
}
// a > b ? a : b and a < b ? a : b, so b when one is a NaN.
PIXELLM_INLINE F32x16 max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
PIXELLM_INLINE F32x16 min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
PIXELLM_INLINE F32x16 round_even(F32x16 a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// a * 2^n for an integer-valued n in -150..128, rounded once.
PIXELLM_INLINE F32x16 scale_by_power(F32x16 a, F32x16 n) { return {_mm512_scalef_ps(a.v, n.v)}; }

PIXELLM_INLINE Mask16 less(F32x16 a, F32x16 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
PIXELLM_INLINE F32x16 select(Mask16 m, F32x16 yes, F32x16 no) {
  return {_mm512_mask_blend_ps(m.m, no.v, yes.v)};
}
PIXELLM_INLINE uint32_t low_bits(int64_t n) { return n <= 0 ? 0u : n >= 16 ? 0xffffu : (1u << n) - 1; }
// Lanes begin..end-1; both may lie outside 0..16.
PIXELLM_INLINE Mask16 lane_range(int64_t begin, int64_t end) {
  return {static_cast<__mmask16>(low_bits(end) & ~low_bits(begin))};
}

// (((lane[i] + lane[i+8]) + [i+4]) + [i+2]) + [i+1]
PIXELLM_INLINE float reduce_add(F32x16 a) {
  const __m256 x = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 z = _mm_add_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_add_ss(z, _mm_movehdup_ps(z)));
}
PIXELLM_INLINE float reduce_max(F32x16 a) {
  const __m256 x = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 z = _mm_max_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_max_ss(z, _mm_movehdup_ps(z)));
}

// 32 values x0 y0 x1 y1 ... in (a, b) become x in a and y in b; and back.
PIXELLM_INLINE void deinterleave(F32x16& a, F32x16& b) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  const __m512 x = _mm512_permutex2var_ps(a.v, even, b.v), y = _mm512_permutex2var_ps(a.v, odd, b.v);
  a.v = x;
  b.v = y;
}
PIXELLM_INLINE void interleave(F32x16& a, F32x16& b) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
  const __m512 x = _mm512_permutex2var_ps(a.v, low, b.v), y = _mm512_permutex2var_ps(a.v, high, b.v);
  a.v = x;
  b.v = y;
}

PIXELLM_INLINE I32x16 set1_int(int32_t x) { return {_mm512_set1_epi32(x)}; }
PIXELLM_INLINE I32x16 load_int(const void* p) { return {_mm512_loadu_si512(p)}; }
PIXELLM_INLINE void store_int(void* p, I32x16 a) { _mm512_storeu_si512(p, a.v); }
PIXELLM_INLINE I32x16 add(I32x16 a, I32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
PIXELLM_INLINE I32x16 sub(I32x16 a, I32x16 b) { return {_mm512_sub_epi32(a.v, b.v)}; }
PIXELLM_INLINE I32x16 mul(I32x16 a, I32x16 b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
PIXELLM_INLINE I32x16 max(I32x16 a, I32x16 b) { return {_mm512_max_epi32(a.v, b.v)}; }
PIXELLM_INLINE I32x16 min(I32x16 a, I32x16 b) { return {_mm512_min_epi32(a.v, b.v)}; }
PIXELLM_INLINE I32x16 bit_and(I32x16 a, I32x16 b) { return {_mm512_and_si512(a.v, b.v)}; }
PIXELLM_INLINE I32x16 bit_or(I32x16 a, I32x16 b) { return {_mm512_or_si512(a.v, b.v)}; }
PIXELLM_INLINE I32x16 bit_xor(I32x16 a, I32x16 b) { return {_mm512_xor_si512(a.v, b.v)}; }
template <int N>
PIXELLM_INLINE I32x16 shift_left(I32x16 a) {
  return {_mm512_slli_epi32(a.v, N)};
}
template <int N>
PIXELLM_INLINE I32x16 shift_right(I32x16 a) {
  return {_mm512_srai_epi32(a.v, N)};
}  // signed
template <int N>
PIXELLM_INLINE I32x16 shift_right_logical(I32x16 a) {
  return {_mm512_srli_epi32(a.v, N)};
}  // zeros come in
PIXELLM_INLINE F32x16 to_float(I32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
PIXELLM_INLINE I32x16 to_int(F32x16 a) { return {_mm512_cvtps_epi32(a.v)}; }  // nearest even
PIXELLM_INLINE F32x16 as_float(I32x16 a) { return {_mm512_castsi512_ps(a.v)}; }
PIXELLM_INLINE I32x16 as_int(F32x16 a) { return {_mm512_castps_si512(a.v)}; }

PIXELLM_INLINE int32_t reduce_max(I32x16 a) { return _mm512_reduce_max_epi32(a.v); }

// Makes the optimiser forget what it knows of the value.
PIXELLM_INLINE void opaque(I32x16& a) { asm volatile("" : "+v"(a.v)); }

}  // namespace pixellm::avx512
PIXELLM_END_TARGET
