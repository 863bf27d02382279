// What the products of every 256-bit flavour need on top of simd_avx2.h. Included inside the anonymous
// namespace of one flavour.

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

PIXELLM_INLINE void quantize32(const float* x, float inverse, int8_t* q) {
  const I32x16 low = to_int(mul(load(x), set1(inverse))), high = to_int(mul(load(x + 16), set1(inverse)));
  const __m256i mixed =
      _mm256_packs_epi16(_mm256_packs_epi32(low.lo, low.hi), _mm256_packs_epi32(high.lo, high.hi));
  const __m256i sorted = _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), _mm256_max_epi8(sorted, _mm256_set1_epi8(-127)));
}
