// The peak that bench compares with: the instruction of the products, on registers only. Included inside the
// anonymous namespace of one ISA, after its dot_bytes.
uint64_t int8_peak(uint64_t rounds) {
  constexpr uint64_t kInner = 256;
  const I32x16 a = set1_int(0x01020304);
  I32x16 b = set1_int(0x05fb0301);
  I32x16 sums[kAccumulators];
  PIXELLM_UNROLL for (int i = 0; i < kAccumulators; i++) sums[i] = set1_int(i);
  for (uint64_t step = 0; step < rounds * kInner; step++) {
    PIXELLM_UNROLL for (int i = 0; i < kAccumulators; i++) {
      opaque(b);  // or AVX2 would multiply once, before the loop
      sums[i] = dot_bytes(sums[i], a, b);
    }
  }
  I32x16 all = sums[0];
  PIXELLM_UNROLL for (int i = 1; i < kAccumulators; i++) all = add(all, sums[i]);
  int32_t lanes[16];
  store_int(lanes, all);
  volatile int32_t seen = lanes[0];  // keeps the work alive
  static_cast<void>(seen);
  return rounds * kInner * static_cast<uint64_t>(kAccumulators) * 64 * 2;
}
