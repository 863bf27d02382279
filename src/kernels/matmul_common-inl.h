// What every ISA's products share on top of its simd_<isa>.h. Included inside the anonymous namespace of one
// ISA.

// A word read from bytes.
using Dword = int32_t __attribute__((may_alias));

PIXELLM_INLINE F32x16 load_halves(const uint8_t* p) { return load_f16(reinterpret_cast<const uint16_t*>(p)); }
PIXELLM_INLINE I32x16 splat_byte(uint32_t b) { return set1_int(static_cast<int32_t>(b * 0x01010101u)); }

// A load that the compiler may neither repeat nor fold into several instructions, for cells that come from
// memory.
PIXELLM_INLINE I32x16 load_stream(const uint8_t* p) {
  if (g_prefetch_bytes != 0) __builtin_prefetch(p + g_prefetch_bytes);
  I32x16 v = load_int(p);
  keep_in_registers(v);
  return v;
}

// The compiler takes no load from below this line to above it, and repeats below what it has loaded above:
// without it, it fills the registers with the next block's operands and spills the sums.
PIXELLM_INLINE void no_loads_across() { asm volatile("" ::: "memory"); }

// Shifts of 32-bit words: the bytes' bits cross into their neighbours, callers mask. `n` > 0 is to the left.
PIXELLM_INLINE I32x16 shift_words(I32x16 v, int n) {
  return n >= 0 ? shift_words_left(v, n) : shift_words_right(v, -n);
}
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
