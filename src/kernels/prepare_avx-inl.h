// What prepare-inl.h needs on every x86 ISA. Included inside the anonymous namespace of one.

// Eight rows of eight 32-bit values, transposed.
PIXELLM_INLINE void transpose_8x8(const void* const (&rows)[8], void* out) {
  __m256 a[8], b[8];
  PIXELLM_UNROLL for (int i = 0; i < 8; i++) a[i] = _mm256_loadu_ps(static_cast<const float*>(rows[i]));
  PIXELLM_UNROLL for (int i = 0; i < 4; i++) {
    b[2 * i] = _mm256_unpacklo_ps(a[2 * i], a[2 * i + 1]);
    b[2 * i + 1] = _mm256_unpackhi_ps(a[2 * i], a[2 * i + 1]);
  }
  PIXELLM_UNROLL for (int i = 0; i < 2;
                      i++) {  // a[4i + c]: column c of rows 4i..4i+3 (low half), column c + 4 (high half)
    a[4 * i] = _mm256_shuffle_ps(b[4 * i], b[4 * i + 2], 0x44);
    a[4 * i + 1] = _mm256_shuffle_ps(b[4 * i], b[4 * i + 2], 0xee);
    a[4 * i + 2] = _mm256_shuffle_ps(b[4 * i + 1], b[4 * i + 3], 0x44);
    a[4 * i + 3] = _mm256_shuffle_ps(b[4 * i + 1], b[4 * i + 3], 0xee);
  }
  float* to = static_cast<float*>(out);
  PIXELLM_UNROLL for (int i = 0; i < 4; i++) {
    _mm256_storeu_ps(to + 8 * i, _mm256_permute2f128_ps(a[i], a[4 + i], 0x20));
    _mm256_storeu_ps(to + 8 * (i + 4), _mm256_permute2f128_ps(a[i], a[4 + i], 0x31));
  }
}

// Sums of four neighbouring bytes, eight times.
PIXELLM_INLINE void quad_sums(const int8_t* q, int32_t* sums) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q));
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums), _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
