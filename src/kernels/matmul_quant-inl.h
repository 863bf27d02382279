// Products of quantised cells with int8 activations. Included inside the anonymous namespace of one ISA,
// after that ISA's primitives (avx512_matmul.cpp lists them) and the formats. Order of operations:
// spec/arithmetic.md.
//
// A format F cuts its cell's columns into blocks of 32, eight vectors j of 16 rows by four columns each.
// Weights are unsigned bytes (signed for Q8_0 where the ISA multiplies signed bytes). Several blocks may
// share vectors of the cell: the k-th block of a span that begins at block `base` is spoken of as (base, k).
//   weight(cell, base, k, j)  one vector; base is a multiple of kLoop.
//   gulp(cell, base, g, w)    the weights of the next bytes, each loaded once; base is a multiple of kSpan.
//                             w[i]: vector g + kGulps * (i / kSpan) of block (base, i % kSpan).
//   Head, scale, min          what becomes of the rows' scales; a block has 8 / kSteps of them.

// Columns that a panel goes through before the next panel comes: the rows at work stay in the first-level
// cache. The accumulators wait in y meanwhile, so the chain of each output is not broken.
inline constexpr uint64_t kChunkColumns = 1024;

template <class F>
inline constexpr int kScales = 8 / F::kSteps;  // of a block

// Where the sum of the block's n-th scale begins.
template <class F, int P>
PIXELLM_INLINE const int32_t* start_of(const ActBlock<P>& x, int n) {
  if constexpr (F::kOffset == 128) return kSignedBytes ? nullptr : x.start_128;
  if constexpr (F::kOffset == 32) return x.start_32[n];
  if constexpr (F::kOffset == 16) return x.start_16;
  if constexpr (F::kOffset == 8) return x.start_8;
  return nullptr;
}

// acc = fma(float(I), w_scale * dx, acc) for G slots of R groups; kPlanes slots in turn belong to a token.
template <int kPlanes, int P, int R, int G>
PIXELLM_INLINE void fold(const Sum (&sum)[R][G], const F32x16 (&scale)[R], const ActBlock<P>& x, int slot,
                         F32x16 (&acc)[R][P / kPlanes]) {
  PIXELLM_UNROLL for (int s = 0; s < G; s++) {
    const F32x16 dx = set1(x.dx[slot + s]);
    const int t = (slot + s) / kPlanes;
    PIXELLM_UNROLL for (int r = 0; r < R; r++) acc[r][t] =
        fma(value_of(sum[r][s]), mul(scale[r], dx), acc[r][t]);
  }
}

// acc = fma(m, sx, acc)
template <class F, int kPlanes, int P, int R>
PIXELLM_INLINE void fold_min(const uint8_t* const (&cell)[R], const typename F::Head (&head)[R], int block,
                             const ActBlock<P>& x, F32x16 (&acc)[R][P / kPlanes]) {
  if constexpr (F::kHasMin) {
    PIXELLM_UNROLL for (int r = 0; r < R; r++) {
      const F32x16 min = F::min(cell[r], head[r], block);
      PIXELLM_UNROLL for (int t = 0; t < P / kPlanes; t++) acc[r][t] =
          fma(min, set1(x.sx[t * kPlanes]), acc[r][t]);
    }
  }
}

// The n-th scale's vectors of one block of R cells with a panel, G slots at a time.
template <class F, int kPlanes, int P, int R, int G>
PIXELLM_INLINE void multiply_unit(const uint8_t* const (&cell)[R], const typename F::Head (&head)[R],
                                  int base, int k, int n, const ActBlock<P>& x,
                                  F32x16 (&acc)[R][P / kPlanes]) {
  const int32_t* start = start_of<F>(x, n);
  PIXELLM_UNROLL for (int slot = 0; slot < P; slot += G) {
    Sum sum[R][G];
    PIXELLM_UNROLL for (int s = 0; s < G; s++) {
      const Sum from = start == nullptr ? start_sum() : start_sum(start + slot + s);
      PIXELLM_UNROLL for (int r = 0; r < R; r++) sum[r][s] = from;
    }
    PIXELLM_UNROLL for (int step = 0; step < F::kSteps; step++) {
      const int j = n * F::kSteps + step;
      I32x16 weights[R];
      PIXELLM_UNROLL for (int r = 0; r < R; r++) weights[r] = F::weight(cell[r], base, k, j);
      PIXELLM_UNROLL for (int s = 0; s < G; s++) {
        const int8_t* q = x.q[j][slot + s];
        if constexpr (R == 1) {
          dot_at<F::kMaxWeight>(sum[0][s], weights[0], q, step);
        } else {
          const I32x16 columns = load_columns(q);
          PIXELLM_UNROLL for (int r = 0; r < R; r++) dot<F::kMaxWeight>(sum[r][s], weights[r], columns, step);
        }
      }
    }
    F32x16 scale[R];
    PIXELLM_UNROLL for (int r = 0; r < R; r++) scale[r] =
        F::scale(cell[r], head[r], (base + k) * kScales<F> + n);
    fold<kPlanes, P, R, G>(sum, scale, x, slot, acc);
    no_loads_across();
  }
}

template <class F, int kPlanes, int P, int R>
PIXELLM_INLINE void multiply_cell(const uint8_t* const (&cell)[R], const typename F::Head (&head)[R],
                                  const ActBlock<P>* x, F32x16 (&acc)[R][P / kPlanes]) {
  constexpr int G = P < kSlotsAtOnce<F::kMaxWeight, R> ? P : kSlotsAtOnce<F::kMaxWeight, R>;
  for (int base = 0; base < F::kBlocks; base += F::kLoop) {
    PIXELLM_UNROLL for (int k = 0; k < F::kLoop; k++) {
      PIXELLM_UNROLL for (int n = 0; n < kScales<F>; n++)
          multiply_unit<F, kPlanes, P, R, G>(cell, head, base, k, n, x[base + k], acc);
      fold_min<F, kPlanes, P, R>(cell, head, base + k, x[base + k], acc);
    }
  }
}

// Whether the sums of a span fit into the registers.
template <class F, int P>
inline constexpr bool kSpanFits = F::kSpan * kScales<F> * P <= kSpanSums;

// A few slots: kSpan blocks side by side, so that the cell's bytes are loaded once, in the order in which
// they lie. (A line that still is on its way from memory is slow to load twice.)
template <class F, int kPlanes, int P>
PIXELLM_INLINE void multiply_cell_once(const uint8_t* const (&cell)[1], const typename F::Head (&head)[1],
                                       const ActBlock<P>* x, F32x16 (&acc)[1][P / kPlanes]) {
  constexpr int kWeights = F::kSpan * 8 / F::kGulps;
  for (int base = 0; base < F::kBlocks; base += F::kSpan) {
    Sum sum[F::kSpan][kScales<F>][1][P];
    PIXELLM_UNROLL for (int k = 0; k < F::kSpan; k++) {
      PIXELLM_UNROLL for (int n = 0; n < kScales<F>; n++) {
        const int32_t* start = start_of<F>(x[base + k], n);
        PIXELLM_UNROLL for (int s = 0; s < P; s++) sum[k][n][0][s] =
            start == nullptr ? start_sum() : start_sum(start + s);
      }
    }
    PIXELLM_UNROLL for (int g = 0; g < F::kGulps; g++) {
      I32x16 weights[kWeights];
      F::gulp(cell[0], base, g, weights);
      PIXELLM_UNROLL for (int i = 0; i < kWeights; i++) {
        const int k = i % F::kSpan, j = g + F::kGulps * (i / F::kSpan);
        const int step = (g * (8 / F::kGulps) + i / F::kSpan) % F::kSteps;  // in the order of this loop
        PIXELLM_UNROLL for (int s = 0; s < P; s++)
            dot_at<F::kMaxWeight>(sum[k][j / F::kSteps][0][s], weights[i], x[base + k].q[j][s], step);
      }
    }
    PIXELLM_UNROLL for (int k = 0; k < F::kSpan; k++) {
      PIXELLM_UNROLL for (int n = 0; n < kScales<F>; n++) {
        const F32x16 scale[1] = {F::scale(cell[0], head[0], (base + k) * kScales<F> + n)};
        fold<kPlanes, P, 1, P>(sum[k][n], scale, x[base + k], 0, acc);
      }
      fold_min<F, kPlanes, P, 1>(cell, head, base + k, x[base + k], acc);
    }
  }
}

// Fetches part `part` of `parts` of a cell.
template <class F>
PIXELLM_INLINE void fetch_part(const uint8_t* cell, uint32_t part, uint32_t parts) {
  constexpr uint32_t kLines = traits(F::kType).cell_bytes / 64;
  for (uint32_t line = kLines * part / parts; line < kLines * (part + 1) / parts; line++)
    __builtin_prefetch(cell + 64 * line);
}

// Panels [panel_begin, panel_end) with a chunk of R row groups; meanwhile fetches the next chunk.
template <class F, int kPlanes, int R, uint64_t kCells>
PIXELLM_INLINE void multiply_chunk(const CellChunk<R, kCells>& chunk, const CellChunk<R, kCells>& next,
                                   const Activations& x, uint32_t panel_begin, uint32_t panel_end, float* y,
                                   uint64_t y_stride) {
  constexpr uint32_t kTokens = kPanel / kPlanes;
  typename F::Head heads[kCells][R];
  for (uint64_t i = 0; i < chunk.n; i++)
    for (int r = 0; r < R; r++) heads[i][r] = F::head(chunk.cells[i][r]);
  for (uint32_t panel = panel_begin; panel < panel_end; panel++) {
    const uint32_t token = panel * kTokens;
    float* out = y + token * y_stride + chunk.group * kCellRows;
    const int n_live = static_cast<int>(x.n_tokens - token < kTokens ? x.n_tokens - token : kTokens);
    const ActBlock<kPanel>* blocks = x.blocks<kPanel>(panel) + chunk.first * F::kBlocks;
    F32x16 acc[R][kTokens];
    load_sums<kTokens, R>(out, y_stride, chunk.first == 0 ? 0 : n_live, acc);
    for (uint64_t i = 0; i < chunk.n; i++, blocks += F::kBlocks) {
      if (i < next.n)
        for (int r = 0; r < R; r++)
          fetch_part<F>(next.cells[i][r], panel - panel_begin, panel_end - panel_begin);
      multiply_cell<F, kPlanes, kPanel, R>(chunk.cells[i], heads[i], blocks, acc);
    }
    store_sums<kTokens, R>(acc, out, y_stride, n_live);
  }
}

// Groups [group_begin, group_end), a multiple of R of them.
template <class F, int kPlanes, int R>
__attribute__((noinline)) void multiply_panels(const CellMatrixView& w, uint64_t group_begin,
                                               uint64_t group_end, const Activations& x, uint32_t panel_begin,
                                               uint32_t panel_end, float* y, uint64_t y_stride) {
  constexpr uint64_t kCells = kChunkColumns / (F::kBlocks * 32);
  ChunkWalk<R, kCells> walk(w, group_begin, group_end);
  CellChunk<R, kCells> chunks[2];
  walk.next(chunks[0]);
  for (int i = 0; chunks[i].n != 0; i ^= 1) {
    walk.next(chunks[i ^ 1]);
    multiply_chunk<F, kPlanes, R>(chunks[i], chunks[i ^ 1], x, panel_begin, panel_end, y, y_stride);
  }
}

// The panels that stay in the second-level cache while all row groups go by.
inline constexpr uint64_t kPanelsBytes = 256 << 10;

template <class F, int kPlanes>
void multiply_batch(const CellMatrixView& w, uint64_t group_begin, uint64_t group_end, const Activations& x,
                    float* y, uint64_t y_stride) {
  constexpr int R = kGroupsAtOnce<F::kMaxWeight>;
  const uint64_t panel_bytes = x.panel_bytes();
  const uint32_t at_once =
      panel_bytes * 4 > kPanelsBytes ? 4 : static_cast<uint32_t>(kPanelsBytes / panel_bytes);
  for (uint32_t begin = 0; begin < x.n_panels(); begin += at_once) {
    const uint32_t end = x.n_panels() - begin < at_once ? x.n_panels() : begin + at_once;
    const uint64_t middle = group_end - (group_end - group_begin) % R;
    multiply_panels<F, kPlanes, R>(w, group_begin, middle, x, begin, end, y, y_stride);
    if constexpr (R > 1) multiply_panels<F, kPlanes, 1>(w, middle, group_end, x, begin, end, y, y_stride);
  }
}

// Row groups with one small panel.
template <class F, int kPlanes, int P>
__attribute__((noinline)) void multiply_few(const CellMatrixView& w, uint64_t group_begin, uint64_t group_end,
                                            const Activations& x, float* y, uint64_t y_stride) {
  const uint64_t n_cells = w.cells_along_k();
  for (uint64_t group = group_begin; group < group_end; group++) {
    CellWalk walk(w, group * n_cells);
    const ActBlock<P>* blocks = x.blocks<P>(0);
    F32x16 acc[1][P / kPlanes];
    PIXELLM_UNROLL for (int t = 0; t < P / kPlanes; t++) acc[0][t] = set1(0.0f);
    for (uint64_t i = 0; i < n_cells; i++, blocks += F::kBlocks) {
      const uint8_t* cell[1];
      walk.next(1, cell, 1);
      if constexpr (!kSpanFits<F, P>) fetch_part<F>(cell[0] + g_prefetch_bytes, 0, 1);
      const typename F::Head head[1] = {F::head(cell[0])};
      if constexpr (kSpanFits<F, P>)
        multiply_cell_once<F, kPlanes, P>(cell, head, blocks, acc);
      else
        multiply_cell<F, kPlanes, P, 1>(cell, head, blocks, acc);
    }
    store_sums<P / kPlanes, 1>(acc, y + group * kCellRows, y_stride, static_cast<int>(x.n_tokens));
  }
}

template <class F, int kPlanes>
void multiply_planes(const CellMatrixView& w, uint64_t group_begin, uint64_t group_end, const Activations& x,
                     float* y, uint64_t y_stride) {
  if (x.panel == kPanel) return multiply_batch<F, kPlanes>(w, group_begin, group_end, x, y, y_stride);
  if (x.panel == 4) return multiply_few<F, kPlanes, 4>(w, group_begin, group_end, x, y, y_stride);
  if (x.panel == 2) return multiply_few<F, kPlanes, 2>(w, group_begin, group_end, x, y, y_stride);
  if constexpr (kPlanes == 1) multiply_few<F, 1, 1>(w, group_begin, group_end, x, y, y_stride);
}

template <class F>
void matmul_quant(const CellMatrixView& w, uint64_t group_begin, uint64_t group_end, const Activations& x,
                  float* y, uint64_t y_stride) {
  if (x.planes() == 1)
    multiply_planes<F, 1>(w, group_begin, group_end, x, y, y_stride);
  else
    multiply_planes<F, 2>(w, group_begin, group_end, x, y, y_stride);
}
