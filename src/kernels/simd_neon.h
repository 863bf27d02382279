// Sixteen lanes on AArch64, as four quarters: the vocabulary of ops-inl.h and attention-inl.h, for files
// inside a NEON region (PIXELLM_BEGIN_NEON ... PIXELLM_END_TARGET; simd_avx512.h says what every function
// means). Needs Advanced SIMD and its 8-bit dot products (Armv8.2 DotProd).
#pragma once
#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "kernels/target.h"

#if defined(__clang__)
#define PIXELLM_BEGIN_NEON PIXELLM_BEGIN_TARGET("dotprod")
#else
#define PIXELLM_BEGIN_NEON PIXELLM_BEGIN_TARGET("arch=armv8.2-a+dotprod")
#endif

PIXELLM_BEGIN_NEON
namespace pixellm::neon {

struct F32x16 {
  float32x4_t v[4];
};
struct I32x16 {
  int32x4_t v[4];
};
struct Mask16 {
  uint32x4_t v[4];
};

inline constexpr int kAccumulators = 5;

// Returns a Type whose v[i] is the expression.
#define PIXELLM_EACH_QUARTER(Type, expression)         \
  Type out;                                            \
  for (int i = 0; i < 4; i++) out.v[i] = (expression); \
  return out

PIXELLM_INLINE F32x16 set1(float x) { PIXELLM_EACH_QUARTER(F32x16, vdupq_n_f32(x)); }
PIXELLM_INLINE F32x16 zero() { return set1(0.0f); }
PIXELLM_INLINE F32x16 load(const float* p) { PIXELLM_EACH_QUARTER(F32x16, vld1q_f32(p + 4 * i)); }
PIXELLM_INLINE void store(float* p, F32x16 a) {
  for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, a.v[i]);
}
PIXELLM_INLINE F32x16 load_n(const float* p, int n, F32x16 fill) {
  float lanes[16];
  store(lanes, fill);
  std::memcpy(lanes, p, static_cast<size_t>(n) * sizeof(float));
  return load(lanes);
}
PIXELLM_INLINE void store_n(float* p, int n, F32x16 a) {
  float lanes[16];
  store(lanes, a);
  std::memcpy(p, lanes, static_cast<size_t>(n) * sizeof(float));
}

PIXELLM_INLINE F32x16 load_f16(const uint16_t* p) {
  PIXELLM_EACH_QUARTER(F32x16, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))));
}
PIXELLM_INLINE F32x16 load_int8(const int8_t* p) {
  const int8x16_t bytes = vld1q_s8(p);
  const int16x8_t halves[2] = {vmovl_s8(vget_low_s8(bytes)), vmovl_s8(vget_high_s8(bytes))};
  PIXELLM_EACH_QUARTER(F32x16, vcvtq_f32_s32(vmovl_s16(i % 2 == 0 ? vget_low_s16(halves[i / 2])
                                                                  : vget_high_s16(halves[i / 2]))));
}
PIXELLM_INLINE F32x16 load_bf16(const uint16_t* p) {
  PIXELLM_EACH_QUARTER(F32x16, vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)));
}
PIXELLM_INLINE void store_f16(uint16_t* p, F32x16 a) {
  for (int i = 0; i < 4; i++) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(a.v[i])));
}

PIXELLM_INLINE F32x16 add(F32x16 a, F32x16 b) { PIXELLM_EACH_QUARTER(F32x16, vaddq_f32(a.v[i], b.v[i])); }
PIXELLM_INLINE F32x16 sub(F32x16 a, F32x16 b) { PIXELLM_EACH_QUARTER(F32x16, vsubq_f32(a.v[i], b.v[i])); }
PIXELLM_INLINE F32x16 mul(F32x16 a, F32x16 b) { PIXELLM_EACH_QUARTER(F32x16, vmulq_f32(a.v[i], b.v[i])); }
PIXELLM_INLINE F32x16 div(F32x16 a, F32x16 b) { PIXELLM_EACH_QUARTER(F32x16, vdivq_f32(a.v[i], b.v[i])); }
PIXELLM_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  PIXELLM_EACH_QUARTER(F32x16, vfmaq_f32(c.v[i], a.v[i], b.v[i]));
}
PIXELLM_INLINE F32x16 sqrt(F32x16 a) { PIXELLM_EACH_QUARTER(F32x16, vsqrtq_f32(a.v[i])); }
PIXELLM_INLINE F32x16 abs(F32x16 a) { PIXELLM_EACH_QUARTER(F32x16, vabsq_f32(a.v[i])); }
PIXELLM_INLINE F32x16 neg(F32x16 a) { PIXELLM_EACH_QUARTER(F32x16, vnegq_f32(a.v[i])); }
PIXELLM_INLINE F32x16 copy_sign(F32x16 magnitude, F32x16 sign) {
  PIXELLM_EACH_QUARTER(F32x16, vbslq_f32(vdupq_n_u32(0x80000000u), sign.v[i], magnitude.v[i]));
}
// Compare and select: vmaxq_f32 would treat NaN and the two zeros differently from the other ISAs.
PIXELLM_INLINE F32x16 max(F32x16 a, F32x16 b) {
  PIXELLM_EACH_QUARTER(F32x16, vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]));
}
PIXELLM_INLINE F32x16 min(F32x16 a, F32x16 b) {
  PIXELLM_EACH_QUARTER(F32x16, vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]));
}
PIXELLM_INLINE F32x16 round_even(F32x16 a) { PIXELLM_EACH_QUARTER(F32x16, vrndnq_f32(a.v[i])); }
// Two exact powers of two, so that only the second product can round.
PIXELLM_INLINE float32x4_t scale_quarter_by_power(float32x4_t a, float32x4_t n) {
  const int32x4_t bias = vdupq_n_s32(127), whole = vcvtnq_s32_f32(n), half = vshrq_n_s32(whole, 1);
  const int32x4_t rest = vsubq_s32(whole, half);
  const float32x4_t first = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23));
  const float32x4_t second = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23));
  return vmulq_f32(vmulq_f32(a, first), second);
}
PIXELLM_INLINE F32x16 scale_by_power(F32x16 a, F32x16 n) {
  PIXELLM_EACH_QUARTER(F32x16, scale_quarter_by_power(a.v[i], n.v[i]));
}

PIXELLM_INLINE Mask16 less(F32x16 a, F32x16 b) { PIXELLM_EACH_QUARTER(Mask16, vcltq_f32(a.v[i], b.v[i])); }
PIXELLM_INLINE F32x16 select(Mask16 m, F32x16 yes, F32x16 no) {
  PIXELLM_EACH_QUARTER(F32x16, vbslq_f32(m.v[i], yes.v[i], no.v[i]));
}
PIXELLM_INLINE uint32x4_t quarter_range(int first_lane, int begin, int end) {
  const int32_t lanes[4] = {first_lane, first_lane + 1, first_lane + 2, first_lane + 3};
  const int32x4_t lane = vld1q_s32(lanes);
  return vandq_u32(vcgeq_s32(lane, vdupq_n_s32(begin)), vcltq_s32(lane, vdupq_n_s32(end)));
}
PIXELLM_INLINE Mask16 lane_range(int64_t begin, int64_t end) {
  const int b = begin < 0 ? 0 : begin > 16 ? 16 : static_cast<int>(begin);
  const int e = end < 0 ? 0 : end > 16 ? 16 : static_cast<int>(end);
  PIXELLM_EACH_QUARTER(Mask16, quarter_range(4 * i, b, e));
}

PIXELLM_INLINE float reduce_add(F32x16 a) {
  const float32x4_t y = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
  const float32x2_t z = vadd_f32(vget_low_f32(y), vget_high_f32(y));
  return vget_lane_f32(z, 0) + vget_lane_f32(z, 1);
}
PIXELLM_INLINE float reduce_max(F32x16 a) {
  float lanes[16];
  store(lanes, a);
  float m = lanes[0];
  for (int i = 1; i < 16; i++) m = m > lanes[i] ? m : lanes[i];
  return m;
}

PIXELLM_INLINE void deinterleave(F32x16& a, F32x16& b) {
  F32x16 x, y;
  for (int i = 0; i < 2; i++) {
    x.v[i] = vuzp1q_f32(a.v[2 * i], a.v[2 * i + 1]);
    y.v[i] = vuzp2q_f32(a.v[2 * i], a.v[2 * i + 1]);
    x.v[i + 2] = vuzp1q_f32(b.v[2 * i], b.v[2 * i + 1]);
    y.v[i + 2] = vuzp2q_f32(b.v[2 * i], b.v[2 * i + 1]);
  }
  a = x;
  b = y;
}
PIXELLM_INLINE void interleave(F32x16& a, F32x16& b) {
  F32x16 first, second;
  for (int i = 0; i < 2; i++) {
    first.v[2 * i] = vzip1q_f32(a.v[i], b.v[i]);
    first.v[2 * i + 1] = vzip2q_f32(a.v[i], b.v[i]);
    second.v[2 * i] = vzip1q_f32(a.v[i + 2], b.v[i + 2]);
    second.v[2 * i + 1] = vzip2q_f32(a.v[i + 2], b.v[i + 2]);
  }
  a = first;
  b = second;
}

PIXELLM_INLINE I32x16 set1_int(int32_t x) { PIXELLM_EACH_QUARTER(I32x16, vdupq_n_s32(x)); }
PIXELLM_INLINE I32x16 load_int(const void* p) {
  PIXELLM_EACH_QUARTER(I32x16, vreinterpretq_s32_u8(vld1q_u8(static_cast<const uint8_t*>(p) + 16 * i)));
}
PIXELLM_INLINE void store_int(void* p, I32x16 a) {
  for (int i = 0; i < 4; i++) vst1q_u8(static_cast<uint8_t*>(p) + 16 * i, vreinterpretq_u8_s32(a.v[i]));
}
PIXELLM_INLINE I32x16 add(I32x16 a, I32x16 b) { PIXELLM_EACH_QUARTER(I32x16, vaddq_s32(a.v[i], b.v[i])); }
PIXELLM_INLINE I32x16 sub(I32x16 a, I32x16 b) { PIXELLM_EACH_QUARTER(I32x16, vsubq_s32(a.v[i], b.v[i])); }
PIXELLM_INLINE I32x16 mul(I32x16 a, I32x16 b) { PIXELLM_EACH_QUARTER(I32x16, vmulq_s32(a.v[i], b.v[i])); }
PIXELLM_INLINE I32x16 max(I32x16 a, I32x16 b) { PIXELLM_EACH_QUARTER(I32x16, vmaxq_s32(a.v[i], b.v[i])); }
PIXELLM_INLINE I32x16 min(I32x16 a, I32x16 b) { PIXELLM_EACH_QUARTER(I32x16, vminq_s32(a.v[i], b.v[i])); }
PIXELLM_INLINE I32x16 bit_and(I32x16 a, I32x16 b) { PIXELLM_EACH_QUARTER(I32x16, vandq_s32(a.v[i], b.v[i])); }
PIXELLM_INLINE I32x16 bit_or(I32x16 a, I32x16 b) { PIXELLM_EACH_QUARTER(I32x16, vorrq_s32(a.v[i], b.v[i])); }
PIXELLM_INLINE I32x16 bit_xor(I32x16 a, I32x16 b) { PIXELLM_EACH_QUARTER(I32x16, veorq_s32(a.v[i], b.v[i])); }
template <int N>
PIXELLM_INLINE I32x16 shift_left(I32x16 a) {
  PIXELLM_EACH_QUARTER(I32x16, vshlq_n_s32(a.v[i], N));
}
template <int N>
PIXELLM_INLINE I32x16 shift_right(I32x16 a) {
  PIXELLM_EACH_QUARTER(I32x16, vshrq_n_s32(a.v[i], N));
}
template <int N>
PIXELLM_INLINE I32x16 shift_right_logical(I32x16 a) {
  PIXELLM_EACH_QUARTER(I32x16, vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a.v[i]), N)));
}
PIXELLM_INLINE F32x16 to_float(I32x16 a) { PIXELLM_EACH_QUARTER(F32x16, vcvtq_f32_s32(a.v[i])); }
PIXELLM_INLINE I32x16 to_int(F32x16 a) { PIXELLM_EACH_QUARTER(I32x16, vcvtnq_s32_f32(a.v[i])); }
PIXELLM_INLINE F32x16 as_float(I32x16 a) { PIXELLM_EACH_QUARTER(F32x16, vreinterpretq_f32_s32(a.v[i])); }
PIXELLM_INLINE I32x16 as_int(F32x16 a) { PIXELLM_EACH_QUARTER(I32x16, vreinterpretq_s32_f32(a.v[i])); }

PIXELLM_INLINE int32_t reduce_max(I32x16 a) {
  return vmaxvq_s32(vmaxq_s32(vmaxq_s32(a.v[0], a.v[1]), vmaxq_s32(a.v[2], a.v[3])));
}

PIXELLM_INLINE void opaque(I32x16& a) {
  asm volatile("" : "+w"(a.v[0]), "+w"(a.v[1]), "+w"(a.v[2]), "+w"(a.v[3]));
}

// sum[i] += the four products of bytes 4i..4i+3 of a and b, both signed, exact.
PIXELLM_INLINE I32x16 dot_signed_bytes(I32x16 sum, I32x16 a, I32x16 b) {
  PIXELLM_EACH_QUARTER(I32x16,
                       vdotq_s32(sum.v[i], vreinterpretq_s8_s32(a.v[i]), vreinterpretq_s8_s32(b.v[i])));
}
// Exact for u up to 127.
PIXELLM_INLINE I32x16 dot_bytes(I32x16 sum, I32x16 u, I32x16 s) { return dot_signed_bytes(sum, u, s); }

#undef PIXELLM_EACH_QUARTER

}  // namespace pixellm::neon
PIXELLM_END_TARGET
