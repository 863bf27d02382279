// Matrix products and activations with Advanced SIMD and its dot products of signed bytes (Armv8.2 DotProd):
// 16 rows in four registers.
#include <cstdint>
#include <cstring>

#include "kernels/kernel_parts.h"
#include "kernels/kernels.h"
#include "kernels/matmul_walk.h"
#include "kernels/simd_neon.h"

PIXELLM_BEGIN_NEON
namespace pixellm::neon {
namespace {

inline constexpr bool kSignedBytes = true;
template <int kMaxWeight>
inline constexpr int kGroupsAtOnce = 1;  // row groups that share a panel's loads
template <int kMaxWeight, int R>
inline constexpr int kSlotsAtOnce = 4;
inline constexpr int kSpanSums = 8;  // sums of a few slots that stay in registers
inline constexpr int kFloatGroupsSingle = 2, kFloatGroupsPanel = 1, kFloatTokensAtOnce = 4;

PIXELLM_INLINE I32x16 shift_words_by(I32x16 a, int left) {  // negative: right, zeros come in
  const int32x4_t n = vdupq_n_s32(left);
  PIXELLM_UNROLL for (int i = 0; i < 4; i++) a.v[i] =
      vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a.v[i]), n));
  return a;
}
PIXELLM_INLINE I32x16 shift_words_left(I32x16 a, int n) { return shift_words_by(a, n); }
PIXELLM_INLINE I32x16 shift_words_right(I32x16 a, int n) { return shift_words_by(a, -n); }
PIXELLM_INLINE I32x16 or_masked(I32x16 a, I32x16 b, I32x16 mask) { return bit_or(a, bit_and(b, mask)); }
// Adds 16 to the bytes of w where `bits` and `select` have a common bit.
PIXELLM_INLINE I32x16 add_16_where(I32x16 w, I32x16 bits, I32x16 select) {
  PIXELLM_UNROLL for (int i = 0; i < 4; i++) {
    const uint8x16_t set = vtstq_u8(vreinterpretq_u8_s32(bits.v[i]), vreinterpretq_u8_s32(select.v[i]));
    w.v[i] = vorrq_s32(w.v[i], vreinterpretq_s32_u8(vandq_u8(set, vdupq_n_u8(16))));
  }
  return w;
}
// Byte n of each row's dword in all four bytes.
PIXELLM_INLINE I32x16 copy_byte(I32x16 a, int n) {
  static constexpr uint8_t kFirst[16] = {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12};
  const uint8x16_t from = vaddq_u8(vld1q_u8(kFirst), vdupq_n_u8(static_cast<uint8_t>(n)));
  PIXELLM_UNROLL for (int i = 0; i < 4; i++) a.v[i] =
      vreinterpretq_s32_u8(vqtbl1q_u8(vreinterpretq_u8_s32(a.v[i]), from));
  return a;
}
PIXELLM_INLINE void keep_in_registers(I32x16& a) {
  asm("" : "+w"(a.v[0]), "+w"(a.v[1]), "+w"(a.v[2]), "+w"(a.v[3]));
}

#include "kernels/matmul_common-inl.h"
#include "kernels/sum_words-inl.h"
//
#include "kernels/dot_at-inl.h"

PIXELLM_INLINE void quantize16(const float* x, float inverse, int8_t* q) {
  const I32x16 v = to_int(mul(load(x), set1(inverse)));
  const int16x8_t low = vcombine_s16(vqmovn_s32(v.v[0]), vqmovn_s32(v.v[1]));
  const int16x8_t high = vcombine_s16(vqmovn_s32(v.v[2]), vqmovn_s32(v.v[3]));
  vst1q_s8(q, vmaxq_s8(vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)), vdupq_n_s8(-127)));
}
PIXELLM_INLINE void quantize32(const float* x, float inverse, int8_t* q) {
  quantize16(x, inverse, q);
  quantize16(x + 16, inverse, q + 16);
}
// Sums of four neighbouring bytes, eight times.
PIXELLM_INLINE void quad_sums(const int8_t* q, int32_t* sums) {
  const int8x16_t ones = vdupq_n_s8(1);
  vst1q_s32(sums, vdotq_s32(vdupq_n_s32(0), vld1q_s8(q), ones));
  vst1q_s32(sums + 4, vdotq_s32(vdupq_n_s32(0), vld1q_s8(q + 16), ones));
}

// Four rows of four 32-bit values, transposed; `step` words from row to row of `out`.
PIXELLM_INLINE void transpose_4x4(const float* a, const float* b, const float* c, const float* d, float* out,
                                  int step) {
  const float32x4_t va = vld1q_f32(a), vb = vld1q_f32(b), vc = vld1q_f32(c), vd = vld1q_f32(d);
  const float64x2_t ab0 = vreinterpretq_f64_f32(vtrn1q_f32(va, vb)),
                    ab1 = vreinterpretq_f64_f32(vtrn2q_f32(va, vb));
  const float64x2_t cd0 = vreinterpretq_f64_f32(vtrn1q_f32(vc, vd)),
                    cd1 = vreinterpretq_f64_f32(vtrn2q_f32(vc, vd));
  vst1q_f32(out, vreinterpretq_f32_f64(vtrn1q_f64(ab0, cd0)));
  vst1q_f32(out + step, vreinterpretq_f32_f64(vtrn1q_f64(ab1, cd1)));
  vst1q_f32(out + 2 * step, vreinterpretq_f32_f64(vtrn2q_f64(ab0, cd0)));
  vst1q_f32(out + 3 * step, vreinterpretq_f32_f64(vtrn2q_f64(ab1, cd1)));
}
PIXELLM_INLINE void transpose_8x8(const void* const (&rows)[8], void* out) {
  const float* in[8];
  for (int i = 0; i < 8; i++) in[i] = static_cast<const float*>(rows[i]);
  float* to = static_cast<float*>(out);
  for (int half = 0; half < 8; half += 4) {
    transpose_4x4(in[0] + half, in[1] + half, in[2] + half, in[3] + half, to + 8 * half, 8);
    transpose_4x4(in[4] + half, in[5] + half, in[6] + half, in[7] + half, to + 8 * half + 4, 8);
  }
}

#include "kernels/products-inl.h"

}  // namespace

#include "kernels/fill_matmul-inl.h"

}  // namespace pixellm::neon
PIXELLM_END_TARGET
