// Attention over sixteen lanes: positions in lanes for the scores, dimensions in lanes for the sum of values.
// A tile of queries shares every load of a key or value. Included inside the namespace and target region of
// one ISA, after ops-inl.h.
//
// scratch: one row per query, [16-position blocks of the union of all queries' ranges]: scores, then
// exponentials, +0 outside the query's own range. A key block's lanes past the last written position may hold
// anything: they are masked.

struct AttentionSpan {
  uint64_t first_block, n_blocks;  // of the union of the ranges
};

PIXELLM_INLINE AttentionSpan attention_span(const AttentionArgs& a) {
  uint64_t first = a.first[0], last = a.last[0];
  for (uint32_t i = 1; i < a.n_queries; i++) {
    first = a.first[i] < first ? a.first[i] : first;
    last = a.last[i] > last ? a.last[i] : last;
  }
  return {first / 16, last / 16 - first / 16 + 1};
}

// Scores of kQueries queries against blocks [begin, end), kBlocks at a time, then half as many.
template <int kQueries, int kBlocks>
inline void score_blocks(const AttentionArgs& a, const float* const* queries, const uint16_t* keys,
                         uint64_t begin, uint64_t end, float* rows, uint64_t row_floats) {
  const uint64_t block_halves = 16 * static_cast<uint64_t>(a.head_dim);
  for (; end - begin >= kBlocks; begin += kBlocks) {
    const uint16_t* key = keys + begin * block_halves;
    F32x16 dot[kQueries][kBlocks];
    PIXELLM_UNROLL for (int i = 0; i < kQueries; i++) PIXELLM_UNROLL for (int b = 0; b < kBlocks; b++)
        dot[i][b] = zero();
    for (uint32_t d = 0; d < a.head_dim; d++, key += 16) {
      F32x16 k[kBlocks];
      PIXELLM_UNROLL for (int b = 0; b < kBlocks; b++) k[b] =
          load_f16(key + static_cast<uint64_t>(b) * block_halves);
      PIXELLM_UNROLL for (int i = 0; i < kQueries; i++) {
        const F32x16 q = set1(queries[i][d]);
        PIXELLM_UNROLL for (int b = 0; b < kBlocks; b++) dot[i][b] = fma(q, k[b], dot[i][b]);
      }
    }
    PIXELLM_UNROLL for (int i = 0; i < kQueries; i++) PIXELLM_UNROLL for (int b = 0; b < kBlocks; b++)
        store(rows + static_cast<uint64_t>(i) * row_floats + 16 * (begin + static_cast<uint64_t>(b)),
              mul(dot[i][b], set1(a.scale)));
  }
  if constexpr (kBlocks > 1)
    if (begin < end) score_blocks<kQueries, kBlocks / 2>(a, queries, keys, begin, end, rows, row_floats);
}

// In place: scores of one query's row become exponentials, +0 outside [first, last]. Returns 1 / their sum.
inline float exponentials(const AttentionArgs& a, uint32_t query, const AttentionSpan& span, float* row) {
  const auto first = static_cast<int64_t>(a.first[query] - 16 * span.first_block);
  const auto end = static_cast<int64_t>(a.last[query] - 16 * span.first_block) + 1;
  const auto from = first / 16 * 16, to = (end + 15) / 16 * 16,
             row_end = static_cast<int64_t>(16 * span.n_blocks);
  if (a.softcap != 0.0f) softcap(row + from, a.softcap, static_cast<uint64_t>(to - from));
  const F32x16 lowest = set1(-__builtin_inff());
  F32x16 largest = lowest;
  for (int64_t j = from; j < to; j += 16)
    largest = max(largest, select(lane_range(first - j, end - j), load(row + j), lowest));
  const F32x16 m = set1(reduce_max(largest));
  F32x16 total = zero();
  for (int64_t j = 0; j < from; j += 16) store(row + j, zero());
  for (int64_t j = from; j < to; j += 16) {
    const F32x16 e = select(lane_range(first - j, end - j), exp(sub(load(row + j), m)), zero());
    total = add(total, e);
    store(row + j, e);
  }
  for (int64_t j = to; j < row_end; j += 16) store(row + j, zero());
  return 1.0f / reduce_add(total);
}

// Outputs of kQueries queries, dimensions [d, head_dim), kSlices x 16 at a time, then half as many. `values`
// and `weights` begin at the same position.
template <int kQueries, int kSlices>
inline void sum_values(const AttentionArgs& a, float* const* outputs, const uint16_t* values,
                       uint64_t n_positions, const float* weights, uint64_t row_floats, const float* inverse,
                       uint32_t d) {
  for (; a.head_dim - d >= 16 * kSlices; d += 16 * kSlices) {
    const uint16_t* value = values + d;
    F32x16 sum[kQueries][kSlices];
    PIXELLM_UNROLL for (int i = 0; i < kQueries; i++) PIXELLM_UNROLL for (int s = 0; s < kSlices; s++)
        sum[i][s] = zero();
    for (uint64_t j = 0; j < n_positions; j++, value += a.head_dim) {
      F32x16 v[kSlices];
      PIXELLM_UNROLL for (int s = 0; s < kSlices; s++) v[s] = load_f16(value + 16 * s);
      PIXELLM_UNROLL for (int i = 0; i < kQueries; i++) {
        const F32x16 e = set1(weights[static_cast<uint64_t>(i) * row_floats + j]);
        PIXELLM_UNROLL for (int s = 0; s < kSlices; s++) sum[i][s] = fma(e, v[s], sum[i][s]);
      }
    }
    PIXELLM_UNROLL for (int i = 0; i < kQueries; i++) PIXELLM_UNROLL for (int s = 0; s < kSlices; s++)
        store(outputs[i] + d + 16 * s, fma(sum[i][s], set1(inverse[i]), zero()));
  }
  if constexpr (kSlices > 1)
    if (d < a.head_dim)
      sum_values<kQueries, kSlices / 2>(a, outputs, values, n_positions, weights, row_floats, inverse, d);
}

constexpr int units_at_once(int n_queries) {
  const int n = kAccumulators / n_queries;
  return n < 1 ? 1 : n > 8 ? 8 : n;
}

// Queries [begin, begin + kQueries).
template <int kQueries>
inline void attend(const AttentionArgs& a, uint32_t begin, const AttentionSpan& span) {
  constexpr int kUnits = units_at_once(kQueries);
  const uint64_t row_floats = 16 * span.n_blocks;
  const uint16_t* keys = a.keys + span.first_block * 16 * a.head_dim;
  score_blocks<kQueries, kUnits>(a, a.queries + begin, keys, 0, span.n_blocks, a.scratch, row_floats);

  float inverse[kQueries];
  uint64_t first = a.first[begin], last = a.last[begin];
  for (uint32_t i = 0; i < kQueries; i++) {
    inverse[i] = exponentials(a, begin + i, span, a.scratch + i * row_floats);
    first = a.first[begin + i] < first ? a.first[begin + i] : first;
    last = a.last[begin + i] > last ? a.last[begin + i] : last;
  }
  sum_values<kQueries, kUnits>(a, a.outputs + begin, a.values + first * a.head_dim, last - first + 1,
                               a.scratch + (first - 16 * span.first_block), row_floats, inverse, 0);
}

void attention(const AttentionArgs& a) {
  constexpr uint32_t kTile = kAccumulators < 8 ? 4 : 8;
  const AttentionSpan span = attention_span(a);
  for (uint32_t begin = 0; begin < a.n_queries; begin += kTile) {
    switch (a.n_queries - begin) {
      case 1:
        attend<1>(a, begin, span);
        break;
      case 2:
        attend<2>(a, begin, span);
        break;
      case 3:
        attend<3>(a, begin, span);
        break;
      case 4:
        attend<4>(a, begin, span);
        break;
      case 5:
        attend < kTile<5 ? kTile : 5>(a, begin, span);
        break;
      case 6:
        attend < kTile<6 ? kTile : 6>(a, begin, span);
        break;
      case 7:
        attend < kTile<7 ? kTile : 7>(a, begin, span);
        break;
      default:
        attend<kTile>(a, begin, span);
        break;
    }
  }
}
