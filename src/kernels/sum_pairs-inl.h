// The sums of ISAs without a dot product of bytes: vpmaddubsw adds two products in 16 bits, saturating.
// Included inside the anonymous namespace of one ISA, after matmul_common-inl.h and before its dot().

// An integer dot product of 16 rows, offset so that its bits are the float 12582912 + I: exact for |I| <
// 2^22. `pairs` collects sums of 16 bits until they might overflow.
struct Sum {
  I32x16 words;
  I32x16 pairs;
};
PIXELLM_INLINE Sum start_sum() { return {set1_int(0x4B400000), set1_int(0)}; }
PIXELLM_INLINE Sum start_sum(const int32_t* start) { return {set1_int(*start), set1_int(0)}; }
PIXELLM_INLINE F32x16 value_of(const Sum& sum) { return sub(as_float(sum.words), set1(12582912.0f)); }

// How many steps, each adding at most 2 * 127 * max_weight, 16 bits hold.
constexpr int steps_in_pairs(int max_weight) { return 32767 / (2 * 127 * max_weight); }
static_assert(steps_in_pairs(15) == 8 && steps_in_pairs(31) == 4 && steps_in_pairs(63) == 2);
