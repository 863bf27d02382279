// The cells of Q4_K, Q5_K and Q6_K (spec/cells.md): 256 columns, eight blocks of 32. Included inside the
// anonymous namespace of one ISA; used by matmul_quant-inl.h, which says what a format is.

// Six-bit scales and minimums of eight blocks, block b in byte b % 4 of scales[b / 4], and the row's two
// factors.
struct HeadK {
  I32x16 scales[2], mins[2];
  F32x16 d, minus_dmin;
};

PIXELLM_INLINE HeadK load_head_k(const uint8_t* c) {
  const I32x16 a = load_int(c), b = load_int(c + 64), e = load_int(c + 128);
  const I32x16 six = splat_byte(0x3f), upper = splat_byte(0x30);
  HeadK h;
  h.scales[0] = bit_and(a, six);
  h.mins[0] = bit_and(b, six);
  h.scales[1] = or_masked(low_nibbles(e), shift_words_right(a, 2), upper);
  h.mins[1] = or_masked(high_nibbles(e), shift_words_right(b, 2), upper);
  h.d = load_halves(c + 192);
  h.minus_dmin = neg(load_halves(c + 224));
  return h;
}

struct FormatQ4_K {
  using Head = HeadK;
  static constexpr int kBlocks = 8, kSteps = 8, kSpan = 2, kOffset = 0, kMaxWeight = 15;
  static constexpr bool kHasMin = true;
  static PIXELLM_INLINE Head head(const uint8_t* c) { return load_head_k(c); }
  static PIXELLM_INLINE I32x16 weight(const uint8_t* c, int unit, int j) {
    const I32x16 v = load_int(c + 256 + 512 * (unit / 2) + 64 * j);
    return unit % 2 == 0 ? low_nibbles(v) : high_nibbles(v);
  }
  static PIXELLM_INLINE F32x16 scale(const uint8_t*, const Head& h, int unit) {
    return mul(h.d, unsigned_byte(h.scales[unit / 4], unit % 4));
  }
  static PIXELLM_INLINE F32x16 min(const uint8_t*, const Head& h, int block) {
    return mul(h.minus_dmin, unsigned_byte(h.mins[block / 4], block % 4));
  }
};

struct FormatQ5_K {
  using Head = HeadK;
  static constexpr int kBlocks = 8, kSteps = 8, kSpan = 8, kOffset = 0, kMaxWeight = 31;
  static constexpr bool kHasMin = true;
  static PIXELLM_INLINE Head head(const uint8_t* c) { return load_head_k(c); }
  static PIXELLM_INLINE I32x16 weight(const uint8_t* c, int unit, int j) {
    const uint8_t* group = c + 256 + 320 * j;
    const I32x16 bits = load_int(group), v = load_int(group + 64 + 64 * (unit / 2));
    const I32x16 fifth = unit < 4 ? shift_words_left(bits, 4 - unit)
                                  : shift_words_right(bits, unit - 4);  // bit `unit` to bit 4
    return or_masked(unit % 2 == 0 ? low_nibbles(v) : high_nibbles(v), fifth, splat_byte(0x10));
  }
  static PIXELLM_INLINE F32x16 scale(const uint8_t*, const Head& h, int unit) {
    return mul(h.d, unsigned_byte(h.scales[unit / 4], unit % 4));
  }
  static PIXELLM_INLINE F32x16 min(const uint8_t*, const Head& h, int block) {
    return mul(h.minus_dmin, unsigned_byte(h.mins[block / 4], block % 4));
  }
};

// Units of 16 columns, each with its own scale: four vectors of the block's eight.
struct FormatQ6_K {
  struct Head {
    F32x16 d;
  };
  static constexpr int kBlocks = 8, kSteps = 4, kSpan = 4, kOffset = 32, kMaxWeight = 63;
  static constexpr bool kHasMin = false;
  static PIXELLM_INLINE Head head(const uint8_t* c) { return {load_halves(c)}; }
  static PIXELLM_INLINE I32x16 weight(const uint8_t* c, int unit, int step) {
    const int block = unit / 2, half = block / 4, quarter = block % 4, j = unit % 2 * 4 + step;
    const uint8_t* group = c + 320 + 1536 * half + 192 * j;
    const I32x16 v = load_int(group + 64 * (quarter % 2)), bits = load_int(group + 128);
    const I32x16 upper =
        quarter < 2 ? shift_words_left(bits, 4 - 2 * quarter) : shift_words_right(bits, 2 * quarter - 4);
    return or_masked(quarter < 2 ? low_nibbles(v) : high_nibbles(v), upper, splat_byte(0x30));
  }
  static PIXELLM_INLINE F32x16 scale(const uint8_t* c, const Head& h, int unit) {
    return mul(h.d, signed_byte(load_int(c + 64 + 64 * (unit / 4)), unit % 4));
  }
};
