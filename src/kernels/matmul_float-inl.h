// Products of F32x16, F16 and BF16 cells with float activations: acc = fma(w, x, acc) for each column in
// increasing k, one chain for each output. Included inside the anonymous namespace of one ISA, after its
// primitives.

struct FormatF32 {
  static constexpr uint64_t kColumnBytes = 64;
  static PIXELLM_INLINE F32x16 weight(const uint8_t* p) { return load(reinterpret_cast<const float*>(p)); }
};
struct FormatF16 {
  static constexpr uint64_t kColumnBytes = 32;
  static PIXELLM_INLINE F32x16 weight(const uint8_t* p) { return load_halves(p); }
};
struct FormatBF16 {
  static constexpr uint64_t kColumnBytes = 32;
  static PIXELLM_INLINE F32x16 weight(const uint8_t* p) {
    return load_bf16(reinterpret_cast<const uint16_t*>(p));
  }
};

inline constexpr uint64_t kFloatCellColumns = 64;
inline constexpr uint64_t kFloatChunkCells =
    8;  // 512 columns stay in the first-level cache from panel to panel

// G tokens of a panel of P; x points at the first of them.
template <class F, int P, int R, int G>
PIXELLM_INLINE void multiply_float_cell(const uint8_t* const (&cell)[R], const float* x,
                                        F32x16 (&acc)[R][G]) {
  for (uint64_t column = 0; column < kFloatCellColumns; column += 4) {
    if constexpr (P == 1) {
      PIXELLM_UNROLL for (uint64_t line = 0; line < 4 * F::kColumnBytes; line += 64) {
        PIXELLM_UNROLL for (int r = 0; r < R; r++)
            __builtin_prefetch(cell[r] + column * F::kColumnBytes + line + g_prefetch_bytes);
      }
    }
    PIXELLM_UNROLL for (uint64_t i = 0; i < 4; i++) {
      F32x16 weights[R];
      PIXELLM_UNROLL for (int r = 0; r < R; r++) weights[r] =
          F::weight(cell[r] + (column + i) * F::kColumnBytes);
      PIXELLM_UNROLL for (int t = 0; t < G; t++) {
        const F32x16 value = set1(x[(column + i) * P + static_cast<uint64_t>(t)]);
        PIXELLM_UNROLL for (int r = 0; r < R; r++) acc[r][t] = fma(weights[r], value, acc[r][t]);
      }
    }
  }
}

template <class F, int P, int R>
__attribute__((noinline)) void multiply_float_groups(const CellMatrixView& w, uint64_t group,
                                                     const Activations& x, float* y, uint64_t y_stride) {
  constexpr int G = P == 1 ? 1 : kFloatTokensAtOnce;
  const uint64_t n_cells = w.cells_along_k();
  CellWalk walk[R];
  for (int r = 0; r < R; r++) walk[r] = CellWalk(w, (group + static_cast<uint64_t>(r)) * n_cells);
  for (uint64_t first = 0; first < n_cells; first += kFloatChunkCells) {
    const uint64_t n = n_cells - first < kFloatChunkCells ? n_cells - first : kFloatChunkCells;
    const uint8_t* cells[kFloatChunkCells][R];
    for (int r = 0; r < R; r++) walk[r].next(n, &cells[0][r], R);
    for (uint32_t token = 0; token < x.n_tokens; token += G) {
      float* out = y + token * y_stride + group * kCellRows;
      const int n_live =
          x.n_tokens - token < static_cast<uint32_t>(G) ? static_cast<int>(x.n_tokens - token) : G;
      const float* values = x.floats(token / P) + first * kFloatCellColumns * P + token % P;
      F32x16 acc[R][G];
      load_sums<G, R>(out, y_stride, first == 0 ? 0 : n_live, acc);
      for (uint64_t i = 0; i < n; i++, values += kFloatCellColumns * P)
        multiply_float_cell<F, P, R, G>(cells[i], values, acc);
      store_sums<G, R>(acc, out, y_stride, n_live);
    }
  }
}

template <class F, int P, int R>
void multiply_float_range(const CellMatrixView& w, uint64_t group, uint64_t group_end, const Activations& x,
                          float* y, uint64_t y_stride) {
  for (; group + R <= group_end; group += R) multiply_float_groups<F, P, R>(w, group, x, y, y_stride);
  if constexpr (R > 1) multiply_float_range<F, P, R / 2>(w, group, group_end, x, y, y_stride);
}

// A single token takes several groups at once: their chains hide each other's latency.
template <class F>
void matmul_float(const CellMatrixView& w, uint64_t group_begin, uint64_t group_end, const Activations& x,
                  float* y, uint64_t y_stride) {
  if (x.panel == 1)
    multiply_float_range<F, 1, kFloatGroupsSingle>(w, group_begin, group_end, x, y, y_stride);
  else
    multiply_float_range<F, kPanel, kFloatGroupsPanel>(w, group_begin, group_end, x, y, y_stride);
}
