// The sums of ISAs whose dot_bytes() is exact. Included inside the anonymous namespace of one ISA, after
// dot_bytes() and matmul_common-inl.h.

// An integer dot product of 16 rows, offset so that its bits are the float 12582912 + I: exact for |I| <
// 2^22.
struct Sum {
  I32x16 words;
};
PIXELLM_INLINE Sum start_sum() { return {set1_int(0x4B400000)}; }
PIXELLM_INLINE Sum start_sum(const int32_t* start) { return {set1_int(*start)}; }
template <int kMaxWeight>
PIXELLM_INLINE void dot(Sum& sum, I32x16 w, I32x16 columns, int) {
  sum.words = dot_bytes(sum.words, w, columns);
}
PIXELLM_INLINE F32x16 value_of(const Sum& sum) { return sub(as_float(sum.words), set1(12582912.0f)); }
