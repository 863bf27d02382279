// Products of quantised cells with int8 activations. Included inside the anonymous namespace of one ISA,
// after that ISA's primitives (avx512_matmul.cpp lists them) and the formats. Order of operations:
// spec/arithmetic.md.
//
// A format F describes its cell as units: stretches of columns with one scale, a block of 32 (kSteps = 8
// vectors of four columns) or, in Q6_K, half of one. weight(cell, unit, step) is one vector of unsigned
// bytes, 16 rows by four columns (signed for Q8_0 where the ISA multiplies signed bytes).

// I32x16 that a panel goes through before the next panel comes: the rows at work stay in the first-level
// cache. The accumulators wait in y meanwhile, so the chain of each output is not broken.
inline constexpr uint64_t kChunkColumns = 1024;

template <class F>
inline constexpr int kUnitsOfBlock = 8 / F::kSteps;

template <class F, int P>
PIXELLM_INLINE const int32_t* start_of(const ActBlock<P>& x, int unit) {
  if constexpr (F::kOffset == 128) return kSignedBytes ? nullptr : x.start_128;
  if constexpr (F::kOffset == 32) return x.start_32[unit % 2];
  if constexpr (F::kOffset == 16) return x.start_16;
  if constexpr (F::kOffset == 8) return x.start_8;
  return nullptr;
}

// acc = fma(float(I), w_scale * dx, acc) for G tokens of R groups.
template <int P, int R, int G>
PIXELLM_INLINE void fold(const Sum (&sum)[R][G], const F32x16 (&scale)[R], const ActBlock<P>& x, int token,
                         F32x16 (&acc)[R][P]) {
  PIXELLM_UNROLL for (int t = 0; t < G; t++) {
    const F32x16 dx = set1(x.dx[token + t]);
    PIXELLM_UNROLL for (int r = 0; r < R; r++) acc[r][token + t] =
        fma(value_of(sum[r][t]), mul(scale[r], dx), acc[r][token + t]);
  }
}

// acc = fma(m, sx, acc)
template <class F, int P, int R>
PIXELLM_INLINE void fold_min(const uint8_t* const (&cell)[R], const typename F::Head (&head)[R], int block,
                             const ActBlock<P>& x, F32x16 (&acc)[R][P]) {
  if constexpr (F::kHasMin) {
    PIXELLM_UNROLL for (int r = 0; r < R; r++) {
      const F32x16 min = F::min(cell[r], head[r], block);
      PIXELLM_UNROLL for (int t = 0; t < P; t++) acc[r][t] = fma(min, set1(x.sx[t]), acc[r][t]);
    }
  }
}

// One unit of R cells with a panel, G tokens at a time.
template <class F, int P, int R, int G>
PIXELLM_INLINE void multiply_unit(const uint8_t* const (&cell)[R], const typename F::Head (&head)[R],
                                  int unit, const ActBlock<P>& x, F32x16 (&acc)[R][P]) {
  const int first_step = unit * F::kSteps % 8;
  const int32_t* start = start_of<F>(x, unit);
  F32x16 scale[R];
  PIXELLM_UNROLL for (int r = 0; r < R; r++) scale[r] = F::scale(cell[r], head[r], unit);
  PIXELLM_UNROLL for (int token = 0; token < P; token += G) {
    Sum sum[R][G];
    PIXELLM_UNROLL for (int t = 0; t < G; t++) {
      const Sum from = start == nullptr ? start_sum() : start_sum(start + token + t);
      PIXELLM_UNROLL for (int r = 0; r < R; r++) sum[r][t] = from;
    }
    PIXELLM_UNROLL for (int j = 0; j < F::kSteps; j++) {
      I32x16 weights[R];
      PIXELLM_UNROLL for (int r = 0; r < R; r++) weights[r] = F::weight(cell[r], unit, j);
      PIXELLM_UNROLL for (int t = 0; t < G; t++) {
        const int8_t* q = x.q[first_step + j][token + t];
        if constexpr (R == 1) {
          dot_at<F::kMaxWeight>(sum[0][t], weights[0], q, j);
        } else {
          const I32x16 columns = load_columns(q);
          PIXELLM_UNROLL for (int r = 0; r < R; r++) dot<F::kMaxWeight>(sum[r][t], weights[r], columns, j);
        }
      }
    }
    fold<P, R, G>(sum, scale, x, token, acc);
  }
}

template <class F, int R>
PIXELLM_INLINE void multiply_cell(const uint8_t* const (&cell)[R], const ActBlock<kPanel>* x,
                                  F32x16 (&acc)[R][kPanel]) {
  typename F::Head head[R];
  PIXELLM_UNROLL for (int r = 0; r < R; r++) head[r] = F::head(cell[r]);
  PIXELLM_UNROLL for (int b = 0; b < F::kBlocks; b++) {
    PIXELLM_UNROLL for (int u = 0; u < kUnitsOfBlock<F>; u++)
        multiply_unit<F, kPanel, R, kTokensAtOnce<F::kMaxWeight, R>>(cell, head, b * kUnitsOfBlock<F> + u,
                                                                     x[b], acc);
    fold_min<F, kPanel, R>(cell, head, b, x[b], acc);
  }
}

// A single token: kSpan blocks side by side, so that the cell's bytes are read in the order in which they
// lie.
template <class F, int R>
PIXELLM_INLINE void multiply_cell(const uint8_t* const (&cell)[R], const ActBlock<1>* x,
                                  F32x16 (&acc)[R][1]) {
  static_assert(R == 1);
  constexpr int kPerBlock = kUnitsOfBlock<F>, kSums = F::kSpan * kPerBlock;
  const typename F::Head head[1] = {F::head(cell[0])};
  PIXELLM_UNROLL for (int span = 0; span < F::kBlocks; span += F::kSpan) {
    Sum sum[kSums][1][1];
    PIXELLM_UNROLL for (int s = 0; s < kSums; s++) {
      const int32_t* start = start_of<F>(x[span + s / kPerBlock], s);
      sum[s][0][0] = start == nullptr ? start_sum() : start_sum(start);
    }
    PIXELLM_UNROLL for (int j = 0; j < 8; j++) {
      PIXELLM_UNROLL for (int b = 0; b < F::kSpan; b++) {
        const int s = b * kPerBlock + j / F::kSteps, step = j % F::kSteps;
        dot_at<F::kMaxWeight>(sum[s][0][0], F::weight(cell[0], span * kPerBlock + s, step),
                              x[span + b].q[j][0], step);
      }
    }
    PIXELLM_UNROLL for (int b = 0; b < F::kSpan; b++) {
      PIXELLM_UNROLL for (int u = 0; u < kPerBlock; u++) {
        const F32x16 scale[1] = {F::scale(cell[0], head[0], (span + b) * kPerBlock + u)};
        fold<1, 1, 1>(sum[b * kPerBlock + u], scale, x[span + b], 0, acc);
      }
      fold_min<F, 1, 1>(cell, head, span + b, x[span + b], acc);
    }
  }
}

// R row groups from `group` on with every panel.
template <class F, int P, int R>
__attribute__((noinline)) void multiply_groups(const CellMatrixView& w, uint64_t group, const Activations& x,
                                               float* y, uint64_t y_stride) {
  constexpr uint64_t kChunkCells = kChunkColumns / (F::kBlocks * 32);
  const uint64_t n_cells = w.cells_along_k();
  CellWalk walk[R];
  for (int r = 0; r < R; r++) walk[r] = CellWalk(w, (group + static_cast<uint64_t>(r)) * n_cells);
  for (uint64_t first = 0; first < n_cells; first += kChunkCells) {
    const uint64_t n = n_cells - first < kChunkCells ? n_cells - first : kChunkCells;
    const uint8_t* cells[kChunkCells][R];
    for (int r = 0; r < R; r++) walk[r].next(n, &cells[0][r], R);
    for (uint32_t token = 0, panel = 0; token < x.n_tokens; token += P, panel++) {
      float* out = y + token * y_stride + group * kCellRows;
      const int n_live =
          x.n_tokens - token < static_cast<uint32_t>(P) ? static_cast<int>(x.n_tokens - token) : P;
      const ActBlock<P>* blocks = panel_blocks<P>(x, panel) + first * F::kBlocks;
      F32x16 acc[R][P];
      load_sums<P, R>(out, y_stride, first == 0 ? 0 : n_live, acc);
      for (uint64_t i = 0; i < n; i++, blocks += F::kBlocks) multiply_cell<F, R>(cells[i], blocks, acc);
      store_sums<P, R>(acc, out, y_stride, n_live);
    }
  }
}

template <class F>
void matmul_quant(const CellMatrixView& w, uint64_t group_begin, uint64_t group_end, const Activations& x,
                  float* y, uint64_t y_stride) {
  uint64_t group = group_begin;
  if (x.panel == 1) {
    for (; group < group_end; group++) multiply_groups<F, 1, 1>(w, group, x, y, y_stride);
    return;
  }
  constexpr int R = kGroupsAtOnce<F::kMaxWeight>;
  for (; group + R <= group_end; group += R) multiply_groups<F, kPanel, R>(w, group, x, y, y_stride);
  if constexpr (R > 1)
    for (; group < group_end; group++) multiply_groups<F, kPanel, 1>(w, group, x, y, y_stride);
}
