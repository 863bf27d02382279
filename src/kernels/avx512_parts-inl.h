// What the products of every AVX-512 flavour need on top of simd_avx512.h. Included inside the anonymous
// namespace of one flavour.

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

PIXELLM_INLINE void quantize32(const float* x, float inverse, int8_t* q) {
  const __m128i low = _mm512_cvtsepi32_epi8(to_int(mul(load(x), set1(inverse))).v);
  const __m128i high = _mm512_cvtsepi32_epi8(to_int(mul(load(x + 16), set1(inverse))).v);
  const __m256i both = _mm256_max_epi8(_mm256_set_m128i(high, low), _mm256_set1_epi8(-127));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), both);
}
