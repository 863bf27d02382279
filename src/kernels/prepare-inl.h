// Activations into panels: int8 blocks for quantised weights, floats [k][P] for float weights. Included
// inside the anonymous namespace of one ISA, after its primitives. Rounding: spec/arithmetic.md.

alignas(64) inline constexpr float kZeros[32] = {};

// Pointers to `width` columns of each of P tokens from column `first` on; zeros where there is no such token
// or column.
template <int P, int kWidth>
struct ColumnSlice {
  const float* rows[P];
  alignas(64) float padded[P][kWidth];

  PIXELLM_INLINE void take(const float* x, uint64_t stride, uint64_t k, int n_live, uint64_t first) {
    const uint64_t n = first >= k ? 0 : k - first < kWidth ? k - first : kWidth;
    for (int t = 0; t < P; t++) {
      const float* row = x + static_cast<uint64_t>(t) * stride + first;
      if (t >= n_live || n == 0) {
        rows[t] = kZeros;
      } else if (n == kWidth) {
        rows[t] = row;
      } else {
        for (uint64_t i = 0; i < kWidth; i++) padded[t][i] = i < n ? row[i] : 0.0f;
        rows[t] = padded[t];
      }
    }
  }
};

// Of 32 values, compared as integers: a NaN is larger than all, so it cannot hide.
PIXELLM_INLINE float largest_magnitude(F32x16 a, F32x16 b) {
  return __builtin_bit_cast(float, reduce_max(max(as_int(abs(a)), as_int(abs(b)))));
}

// What is left of 32 values after q * dx.
PIXELLM_INLINE void subtract_rounded(const float* x, float inverse, float dx, float* rest) {
  PIXELLM_UNROLL for (int i = 0; i < 32; i += 16) {
    const F32x16 v = load(x + i),
                 q = min(max(round_even(mul(v, set1(inverse))), set1(-127.0f)), set1(127.0f));
    store(rest + i, fma(neg(q), set1(dx), v));
  }
}

// q[s]: 32 values of slot s. Into the block, with the sums that products start from.
template <int P>
PIXELLM_INLINE void place_slots(const int8_t (&q)[P][32], ActBlock<P>& block, int32_t (&sum)[P]) {
  if constexpr (P == kPanel) {
    const void* const words[8] = {q[0], q[1], q[2], q[3], q[4], q[5], q[6], q[7]};
    transpose_8x8(words, block.q);
  } else {
    PIXELLM_UNROLL for (int j = 0; j < 8; j++) {
      PIXELLM_UNROLL for (int s = 0; s < P; s++) * reinterpret_cast<Dword*>(block.q[j][s]) =
          *reinterpret_cast<const Dword*>(q[s] + 4 * j);
    }
  }
  constexpr int32_t kMagic = 0x4B400000;  // the bits of 12582912.0f
  PIXELLM_UNROLL for (int s = 0; s < P; s++) {
    int32_t quads[8];
    quad_sums(q[s], quads);
    const int32_t low = quads[0] + quads[1] + quads[2] + quads[3];
    const int32_t high = quads[4] + quads[5] + quads[6] + quads[7];
    sum[s] = low + high;
    block.start_128[s] = kMagic - 128 * sum[s];
    block.start_8[s] = kMagic - 8 * sum[s];
    block.start_16[s] = kMagic - 16 * sum[s];
    block.start_32[0][s] = kMagic - 32 * low;
    block.start_32[1][s] = kMagic - 32 * high;
  }
}

template <int P, int kPlanes>
PIXELLM_INLINE void quantize_block(const float* const (&rows)[P / kPlanes], ActBlock<P>& block) {
  constexpr int kTokens = P / kPlanes;
  float inverse[kTokens], dx[kTokens];
  PIXELLM_UNROLL for (int t = 0; t < kTokens; t++) inverse[t] =
      largest_magnitude(load(rows[t]), load(rows[t] + 16));
  for (int t = 0; t < kTokens; t++) {
    const bool live = !(inverse[t] < 0x1p-90f);
    const float amax = live ? inverse[t] : 1.0f;
    dx[t] = live ? amax / 127.0f : 0.0f;
    inverse[t] = live ? 127.0f / amax : 0.0f;
  }
  alignas(64) int8_t q[P][32];
  int32_t sum[P];
  PIXELLM_UNROLL for (int t = 0; t < kTokens; t++) {
    quantize32(rows[t], inverse[t], q[t * kPlanes]);
    if constexpr (kPlanes == 2) {
      alignas(64) float rest[32];
      subtract_rounded(rows[t], inverse[t], dx[t], rest);
      quantize32(rest, inverse[t] * 254.0f, q[2 * t + 1]);
    }
  }
  place_slots<P>(q, block, sum);
  for (int t = 0; t < kTokens; t++) {
    const int s = t * kPlanes;
    block.dx[s] = dx[t];
    block.sx[s] = dx[t] * static_cast<float>(sum[s]);
    if constexpr (kPlanes == 2) {
      block.dx[s + 1] = dx[t] / 254.0f;
      block.sx[s] = __builtin_fmaf(block.dx[s + 1], static_cast<float>(sum[s + 1]), block.sx[s]);
      block.sx[s + 1] = 0.0f;
    }
  }
}

template <int P, int kPlanes>
void prepare_blocks(const float* x, uint64_t stride, uint64_t k, uint32_t panel, int n_live,
                    const Activations& out) {
  ActBlock<P>* blocks = out.blocks<P>(panel);
  ColumnSlice<P / kPlanes, 32> columns;
  for (uint64_t b = 0; b < out.k_padded / 32; b++) {
    columns.take(x, stride, k, n_live, 32 * b);
    quantize_block<P, kPlanes>(columns.rows, blocks[b]);
  }
}

template <int P>
void prepare_floats(const float* x, uint64_t stride, uint64_t k, uint32_t panel, int n_live,
                    const Activations& out) {
  float* values = out.floats(panel);
  if constexpr (P == 1) {
    for (uint64_t i = 0; i < out.k_padded; i++) values[i] = i < k ? x[i] : 0.0f;
  } else {
    ColumnSlice<P, 8> columns;
    for (uint64_t first = 0; first < out.k_padded; first += 8) {
      columns.take(x, stride, k, n_live, first);
      const void* const rows[8] = {columns.rows[0], columns.rows[1], columns.rows[2], columns.rows[3],
                                   columns.rows[4], columns.rows[5], columns.rows[6], columns.rows[7]};
      transpose_8x8(rows, values + first * P);
    }
  }
}

template <int P, int kPlanes>
void prepare_panels(const float* x, uint64_t stride, uint64_t k, uint32_t panel_begin, uint32_t panel_end,
                    const Activations& out) {
  constexpr uint32_t kTokens = P / kPlanes;
  for (uint32_t panel = panel_begin; panel < panel_end; panel++) {
    const uint32_t token = panel * kTokens;
    const int n_live = static_cast<int>(out.n_tokens - token < kTokens ? out.n_tokens - token : kTokens);
    const float* first = x + token * stride;
    if constexpr (kPlanes == 1 && (P == 1 || P == kPanel)) {
      if (out.is_float()) {
        prepare_floats<P>(first, stride, k, panel, n_live, out);
        continue;
      }
    }
    prepare_blocks<P, kPlanes>(first, stride, k, panel, n_live, out);
  }
}

template <int kPlanes>
void prepare_planes(const float* x, uint64_t stride, uint64_t k, uint32_t panel_begin, uint32_t panel_end,
                    const Activations& out) {
  if (out.panel == kPanel) return prepare_panels<kPanel, kPlanes>(x, stride, k, panel_begin, panel_end, out);
  if (out.panel == 4) return prepare_panels<4, kPlanes>(x, stride, k, panel_begin, panel_end, out);
  if (out.panel == 2) return prepare_panels<2, kPlanes>(x, stride, k, panel_begin, panel_end, out);
  if constexpr (kPlanes == 1) prepare_panels<1, 1>(x, stride, k, panel_begin, panel_end, out);
}

void prepare(const float* x, uint64_t stride, uint64_t k, uint32_t panel_begin, uint32_t panel_end,
             const Activations& out) {
  if (out.planes() == 1)
    prepare_planes<1>(x, stride, k, panel_begin, panel_end, out);
  else
    prepare_planes<2>(x, stride, k, panel_begin, panel_end, out);
}
