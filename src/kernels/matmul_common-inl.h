// What every ISA's products share on top of its simd_<isa>.h. Included inside the anonymous namespace of one
// ISA.

// A word read from bytes.
using Dword = int32_t __attribute__((may_alias));

PIXELLM_INLINE F32x16 load_halves(const uint8_t* p) { return load_f16(reinterpret_cast<const uint16_t*>(p)); }
PIXELLM_INLINE I32x16 splat_byte(uint32_t b) { return set1_int(static_cast<int32_t>(b * 0x01010101u)); }
// The bytes' bits cross into their neighbours: callers mask.
PIXELLM_INLINE I32x16 low_nibbles(I32x16 v) { return bit_and(v, splat_byte(0x0f)); }
PIXELLM_INLINE I32x16 high_nibbles(I32x16 v) { return bit_and(shift_words_right(v, 4), splat_byte(0x0f)); }
// Byte i of each row's dword as a float.
PIXELLM_INLINE F32x16 unsigned_byte(I32x16 v, int i) {
  return to_float(bit_and(shift_words_right(v, 8 * i), set1_int(0xff)));
}
PIXELLM_INLINE F32x16 signed_byte(I32x16 v, int i) {
  return to_float(shift_right<24>(shift_words_left(v, 24 - 8 * i)));
}

// Four columns of one token, in every row.
PIXELLM_INLINE I32x16 load_columns(const int8_t* q) { return set1_int(*reinterpret_cast<const Dword*>(q)); }
