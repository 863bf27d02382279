// The cells of Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 (spec/cells.md): 64 columns, two blocks of 32. Included inside
// the anonymous namespace of one ISA; used by matmul_quant-inl.h, which says what a format is.

struct NoHead {};

struct FormatQ8_0 {
  using Head = NoHead;
  static constexpr TensorType kType = TensorType::kQ8_0;
  static constexpr int kBlocks = 2, kSteps = 8, kLoop = 1, kSpan = 1, kGulps = 8;
  static constexpr int kOffset = 128, kMaxWeight = 255;
  static constexpr bool kHasMin = false;
  static PIXELLM_INLINE Head head(const uint8_t*) { return {}; }
  static PIXELLM_INLINE I32x16 offset_bytes(I32x16 w) {
    if constexpr (kSignedBytes) return w;
    return bit_xor(w, splat_byte(0x80));  // w + 128
  }
  static PIXELLM_INLINE I32x16 weight(const uint8_t* c, int base, int, int j) {
    return offset_bytes(load_int(c + 64 + 512 * base + 64 * j));
  }
  static PIXELLM_INLINE void gulp(const uint8_t* c, int base, int g, I32x16 (&w)[1]) {
    w[0] = offset_bytes(load_stream(c + 64 + 512 * base + 64 * g));
  }
  static PIXELLM_INLINE F32x16 scale(const uint8_t* c, const Head&, int n) { return load_halves(c + 32 * n); }
};

// Nibbles, with a minimum for each row and block (Q4_1) or 8 less (Q4_0).
template <bool kMin>
struct FormatQ4 {
  using Head = NoHead;
  static constexpr TensorType kType = kMin ? TensorType::kQ4_1 : TensorType::kQ4_0;
  static constexpr int kBlocks = 2, kSteps = 8, kLoop = 1, kSpan = 1, kGulps = 4;
  static constexpr int kOffset = kMin ? 0 : 8, kMaxWeight = 15;
  static constexpr bool kHasMin = kMin;
  static constexpr int kQuants = kMin ? 128 : 64;
  static PIXELLM_INLINE Head head(const uint8_t*) { return {}; }
  static PIXELLM_INLINE I32x16 weight(const uint8_t* c, int base, int, int j) {
    const I32x16 v = load_int(c + kQuants + 256 * base + 64 * (j % 4));
    return j < 4 ? low_nibbles(v) : high_nibbles(v);
  }
  static PIXELLM_INLINE void gulp(const uint8_t* c, int base, int g, I32x16 (&w)[2]) {
    const I32x16 v = load_stream(c + kQuants + 256 * base + 64 * g);
    w[0] = low_nibbles(v);
    w[1] = high_nibbles(v);
  }
  static PIXELLM_INLINE F32x16 scale(const uint8_t* c, const Head&, int n) { return load_halves(c + 32 * n); }
  static PIXELLM_INLINE F32x16 min(const uint8_t* c, const Head&, int block) {
    return load_halves(c + 64 + 32 * block);
  }
};
using FormatQ4_0 = FormatQ4<false>;
using FormatQ4_1 = FormatQ4<true>;

// Adds 16 to byte i of a row where bit 4 * j + i of the row's dword of `bits` is set.
PIXELLM_INLINE I32x16 add_fifth_bits(I32x16 w, I32x16 bits, int j) {
  return add_16_where(w, copy_byte(bits, j / 2),
                      set1_int(static_cast<int>(j % 2 == 0 ? 0x08040201u : 0x80402010u)));
}

// Nibbles and a vector of fifth bits: bit n of a row's dword belongs to column n of the block.
template <bool kMin>
struct FormatQ5 {
  using Head = NoHead;
  static constexpr TensorType kType = kMin ? TensorType::kQ5_1 : TensorType::kQ5_0;
  static constexpr int kBlocks = 2, kSteps = 8, kLoop = 1, kSpan = 1, kGulps = 4;
  static constexpr int kOffset = kMin ? 0 : 16, kMaxWeight = 31;
  static constexpr bool kHasMin = kMin;
  static constexpr int kQuants = kMin ? 128 : 64;
  static PIXELLM_INLINE Head head(const uint8_t*) { return {}; }
  static PIXELLM_INLINE I32x16 weight(const uint8_t* c, int base, int, int j) {
    const uint8_t* block = c + kQuants + 320 * base;
    const I32x16 bits = load_int(block), v = load_int(block + 64 + 64 * (j % 4));
    return add_fifth_bits(j < 4 ? low_nibbles(v) : high_nibbles(v), bits, j);
  }
  static PIXELLM_INLINE void gulp(const uint8_t* c, int base, int g, I32x16 (&w)[2]) {
    const uint8_t* block = c + kQuants + 320 * base;
    const I32x16 bits = load_int(block), v = load_stream(block + 64 + 64 * g);
    w[0] = add_fifth_bits(low_nibbles(v), bits, g);
    w[1] = add_fifth_bits(high_nibbles(v), bits, g + 4);
  }
  static PIXELLM_INLINE F32x16 scale(const uint8_t* c, const Head&, int n) { return load_halves(c + 32 * n); }
  static PIXELLM_INLINE F32x16 min(const uint8_t* c, const Head&, int block) {
    return load_halves(c + 64 + 32 * block);
  }
};
using FormatQ5_0 = FormatQ5<false>;
using FormatQ5_1 = FormatQ5<true>;
