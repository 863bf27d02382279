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

// Sums of columns 0..15 and 16..31 for each token of a block.
template <int P>
PIXELLM_INLINE void block_sums(const ActBlock<P>& block, int32_t (&low)[P], int32_t (&high)[P]) {
  alignas(32) int32_t quads[8][8];  // P = 1: quads[0][j]; else quads[j][t]
  if constexpr (P == 1) {
    quad_sums(block.q[0][0], quads[0]);
    low[0] = quads[0][0] + quads[0][1] + quads[0][2] + quads[0][3];
    high[0] = quads[0][4] + quads[0][5] + quads[0][6] + quads[0][7];
  } else {
    static_assert(P == 8);
    PIXELLM_UNROLL for (int j = 0; j < 8; j++) quad_sums(block.q[j][0], quads[j]);
    for (int t = 0; t < P; t++) {
      low[t] = quads[0][t] + quads[1][t] + quads[2][t] + quads[3][t];
      high[t] = quads[4][t] + quads[5][t] + quads[6][t] + quads[7][t];
    }
  }
}

// Of 32 values, compared as integers: a NaN is larger than all, so it cannot hide.
PIXELLM_INLINE float largest_magnitude(F32x16 a, F32x16 b) {
  return __builtin_bit_cast(float, reduce_max(max(as_int(abs(a)), as_int(abs(b)))));
}

template <int P>
PIXELLM_INLINE void quantize_block(const float* const (&rows)[P], ActBlock<P>& block) {
  float inverse[P];
  PIXELLM_UNROLL for (int t = 0; t < P; t++) inverse[t] = largest_magnitude(load(rows[t]), load(rows[t] + 16));
  for (int t = 0; t < P; t++) {
    const bool live = !(inverse[t] < 0x1p-90f);
    const float amax = live ? inverse[t] : 1.0f;
    block.dx[t] = live ? amax / 127.0f : 0.0f;
    inverse[t] = live ? 127.0f / amax : 0.0f;
  }
  if constexpr (P == 1) {
    quantize32(rows[0], inverse[0], block.q[0][0]);
  } else {
    alignas(32) int8_t q[P][32];
    PIXELLM_UNROLL for (int t = 0; t < P; t++) quantize32(rows[t], inverse[t], q[t]);
    const void* const words[8] = {q[0], q[1], q[2], q[3], q[4], q[5], q[6], q[7]};
    transpose_8x8(words, block.q);
  }
  int32_t low[P], high[P];
  block_sums<P>(block, low, high);
  constexpr int32_t kMagic = 0x4B400000;  // the bits of 12582912.0f
  for (int t = 0; t < P; t++) {
    const int32_t sum = low[t] + high[t];
    block.sx[t] = block.dx[t] * static_cast<float>(sum);
    block.start_128[t] = kMagic - 128 * sum;
    block.start_8[t] = kMagic - 8 * sum;
    block.start_16[t] = kMagic - 16 * sum;
    block.start_32[0][t] = kMagic - 32 * low[t];
    block.start_32[1][t] = kMagic - 32 * high[t];
  }
}

template <int P>
void prepare_blocks(const float* x, uint64_t stride, uint64_t k, uint32_t panel, int n_live,
                    const Activations& out) {
  ActBlock<P>* blocks = panel_blocks<P>(out, panel);
  ColumnSlice<P, 32> columns;
  for (uint64_t b = 0; b < out.k_padded / 32; b++) {
    columns.take(x, stride, k, n_live, 32 * b);
    quantize_block<P>(columns.rows, blocks[b]);
  }
}

template <int P>
void prepare_floats(const float* x, uint64_t stride, uint64_t k, uint32_t panel, int n_live,
                    const Activations& out) {
  float* values = static_cast<float*>(out.data) + panel * out.k_padded * P;
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

template <int P>
void prepare_panels(const float* x, uint64_t stride, uint64_t k, uint32_t panel_begin, uint32_t panel_end,
                    const Activations& out) {
  for (uint32_t panel = panel_begin; panel < panel_end; panel++) {
    const uint32_t token = panel * P;
    const int n_live =
        out.n_tokens - token < static_cast<uint32_t>(P) ? static_cast<int>(out.n_tokens - token) : P;
    const float* first = x + token * stride;
    if (out.is_float)
      prepare_floats<P>(first, stride, k, panel, n_live, out);
    else
      prepare_blocks<P>(first, stride, k, panel, n_live, out);
  }
}

void prepare(const float* x, uint64_t stride, uint64_t k, uint32_t panel_begin, uint32_t panel_end,
             const Activations& out) {
  if (out.panel == 1)
    prepare_panels<1>(x, stride, k, panel_begin, panel_end, out);
  else
    prepare_panels<kPanel>(x, stride, k, panel_begin, panel_end, out);
}
