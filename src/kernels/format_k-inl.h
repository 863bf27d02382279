// The cells of Q4_K, Q5_K and Q6_K (spec/cells.md): 256 columns, eight blocks of 32. Included inside the
// anonymous namespace of one ISA; used by matmul_quant-inl.h, which says what a format is.

// Scales and minimums of eight blocks, multiplied by the row's factors.
struct HeadK {
  F32x16 scales[8], mins[8];
};

PIXELLM_INLINE HeadK load_head_k(const uint8_t* c) {
  const I32x16 a = load_int(c), b = load_int(c + 64), e = load_int(c + 128);
  const I32x16 six = splat_byte(0x3f), upper = splat_byte(0x30);
  const I32x16 scales[2] = {bit_and(a, six), or_masked(low_nibbles(e), shift_words_right(a, 2), upper)};
  const I32x16 mins[2] = {bit_and(b, six), or_masked(high_nibbles(e), shift_words_right(b, 2), upper)};
  const F32x16 d = load_halves(c + 192), minus_dmin = neg(load_halves(c + 224));
  HeadK h;
  PIXELLM_UNROLL for (int block = 0; block < 8; block++) {
    h.scales[block] = mul(d, unsigned_byte(scales[block / 4], block % 4));
    h.mins[block] = mul(minus_dmin, unsigned_byte(mins[block / 4], block % 4));
  }
  return h;
}

struct FormatQ4_K {
  using Head = HeadK;
  static constexpr TensorType kType = TensorType::kQ4_K;
  static constexpr int kBlocks = 8, kSteps = 8, kLoop = 2, kSpan = 2, kGulps = 8;
  static constexpr int kOffset = 0, kMaxWeight = 15;
  static constexpr bool kHasMin = true;
  static PIXELLM_INLINE Head head(const uint8_t* c) { return load_head_k(c); }
  static PIXELLM_INLINE I32x16 weight(const uint8_t* c, int base, int k, int j) {
    const I32x16 v = load_int(c + 256 + 256 * base + 64 * j);
    return k == 0 ? low_nibbles(v) : high_nibbles(v);
  }
  static PIXELLM_INLINE void gulp(const uint8_t* c, int base, int g, I32x16 (&w)[2]) {
    const I32x16 v = load_stream(c + 256 + 256 * base + 64 * g);
    w[0] = low_nibbles(v);
    w[1] = high_nibbles(v);
  }
  static PIXELLM_INLINE F32x16 scale(const uint8_t*, const Head& h, int n) { return h.scales[n]; }
  static PIXELLM_INLINE F32x16 min(const uint8_t*, const Head& h, int block) { return h.mins[block]; }
};

struct FormatQ5_K {
  using Head = HeadK;
  static constexpr TensorType kType = TensorType::kQ5_K;
  static constexpr int kBlocks = 8, kSteps = 8, kLoop = 2, kSpan = 8, kGulps = 8;
  static constexpr int kOffset = 0, kMaxWeight = 31;
  static constexpr bool kHasMin = true;
  static PIXELLM_INLINE Head head(const uint8_t* c) { return load_head_k(c); }
  static PIXELLM_INLINE I32x16 weight(const uint8_t* c, int base, int k, int j) {
    const uint8_t* group = c + 256 + 320 * j;
    const I32x16 v = load_int(group + 64 + 32 * base);
    return add_16_where(k == 0 ? low_nibbles(v) : high_nibbles(v), load_int(group),
                        splat_byte(1u << (base + k)));
  }
  static PIXELLM_INLINE void gulp(const uint8_t* c, int, int g, I32x16 (&w)[8]) {
    const uint8_t* group = c + 256 + 320 * g;
    const I32x16 bits = load_stream(group);
    PIXELLM_UNROLL for (int i = 0; i < 4; i++) {
      const I32x16 v = load_stream(group + 64 + 64 * i);
      w[2 * i] = add_16_where(low_nibbles(v), bits, splat_byte(1u << (2 * i)));
      w[2 * i + 1] = add_16_where(high_nibbles(v), bits, splat_byte(2u << (2 * i)));
    }
  }
  static PIXELLM_INLINE F32x16 scale(const uint8_t*, const Head& h, int n) { return h.scales[n]; }
  static PIXELLM_INLINE F32x16 min(const uint8_t*, const Head& h, int block) { return h.mins[block]; }
};

// Two scales in a block: columns 0..15 (vectors 0..3) and 16..31.
struct FormatQ6_K {
  struct Head {
    F32x16 scales[16];
  };
  static constexpr TensorType kType = TensorType::kQ6_K;
  static constexpr int kBlocks = 8, kSteps = 4, kLoop = 4, kSpan = 4, kGulps = 8;
  static constexpr int kOffset = 32, kMaxWeight = 63;
  static constexpr bool kHasMin = false;
  static PIXELLM_INLINE Head head(const uint8_t* c) {
    const F32x16 d = load_halves(c);
    Head h;
    PIXELLM_UNROLL for (int v = 0; v < 4; v++) {
      const I32x16 scales = load_int(c + 64 + 64 * v);
      PIXELLM_UNROLL for (int i = 0; i < 4; i++) h.scales[4 * v + i] = mul(d, signed_byte(scales, i));
    }
    return h;
  }
  // Quarter k of a half: nibbles from `v`, two bits above them from `bits`.
  static PIXELLM_INLINE I32x16 join(I32x16 v, I32x16 bits, int k) {
    return or_masked(k < 2 ? low_nibbles(v) : high_nibbles(v), shift_words(bits, 4 - 2 * k),
                     splat_byte(0x30));
  }
  static PIXELLM_INLINE I32x16 weight(const uint8_t* c, int base, int k, int j) {
    const uint8_t* group = c + 320 + 384 * base + 192 * j;
    return join(load_int(group + 64 * (k % 2)), load_int(group + 128), k);
  }
  static PIXELLM_INLINE void gulp(const uint8_t* c, int base, int g, I32x16 (&w)[4]) {
    const uint8_t* group = c + 320 + 384 * base + 192 * g;
    const I32x16 a = load_stream(group), b = load_stream(group + 64), bits = load_stream(group + 128);
    PIXELLM_UNROLL for (int k = 0; k < 4; k++) w[k] = join(k % 2 == 0 ? a : b, bits, k);
  }
  static PIXELLM_INLINE F32x16 scale(const uint8_t*, const Head& h, int n) { return h.scales[n]; }
};
