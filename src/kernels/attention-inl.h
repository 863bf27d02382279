// Attention over sixteen lanes: positions in lanes for the scores, dimensions in lanes for the sum of values.
// A tile of queries shares every load of a key or value. Included inside the namespace and target region of
// one ISA, after ops-inl.h.
//
// scratch: a row of kAttentionChunk floats per query of a tile: scores, then weights, +0 outside the query's
// own range; then the parts of attention(). A key block's lanes past the last written position may hold
// anything: they are masked.

// How keys and values lie in the cache.
struct HalfCache {
  using Element = uint16_t;
  static PIXELLM_INLINE F32x16 load16(const Element* p) { return load_f16(p); }
};
struct ByteCache {
  using Element = int8_t;
  static PIXELLM_INLINE F32x16 load16(const Element* p) { return load_int8(p); }
};

// A larger tile would leave too few registers for several blocks of keys at once.
inline constexpr uint32_t kLargestTile = kAccumulators < 24 ? 4 : 6;

// The blocks of 16 positions of one chunk that some query sees.
struct AttentionSpan {
  uint64_t position;  // of the first block's first
  uint64_t n_blocks;
  const uint8_t *keys, *values;  // of the first block, as the rest
  const float *key_factors, *value_factors;
  PIXELLM_INLINE uint64_t end() const { return position + 16 * n_blocks; }
};

PIXELLM_INLINE const float* at_factor(const float* of_chunk_0, uint64_t bytes, uint64_t index) {
  if (of_chunk_0 == nullptr) return nullptr;
  return reinterpret_cast<const float*>(reinterpret_cast<const uint8_t*>(of_chunk_0) + bytes) + index;
}

template <class Cache>
inline AttentionSpan attention_span(const AttentionArgs& a, uint32_t chunk) {
  uint64_t first = a.first[0], last = a.last[0];
  for (uint32_t i = 1; i < a.n_queries; i++) {
    first = a.first[i] < first ? a.first[i] : first;
    last = a.last[i] > last ? a.last[i] : last;
  }
  const uint64_t begin = static_cast<uint64_t>(chunk) * kAttentionChunk, end = begin + kAttentionChunk - 1;
  first = first > begin ? first / 16 * 16 : begin;
  last = last < end ? last : end;
  const uint64_t skipped = first - begin, bytes = chunk * a.chunk_bytes,
                 element = bytes + skipped * a.head_dim * sizeof(typename Cache::Element);
  return {.position = first,
          .n_blocks = (last - first) / 16 + 1,
          .keys = static_cast<const uint8_t*>(a.keys) + element,
          .values = static_cast<const uint8_t*>(a.values) + element,
          .key_factors = at_factor(a.key_factors, bytes, skipped),
          .value_factors = at_factor(a.value_factors, bytes, skipped)};
}

// Memory is fetched one phase ahead, into the second-level cache: a chunk's values while its keys are read,
// the keys that come next while its values are. (CPUs fetch ahead by themselves only inside a page and along
// few runs at once.)
template <uint64_t kBytes>
PIXELLM_INLINE void fetch(const uint8_t* p) {
  PIXELLM_UNROLL for (uint64_t i = 0; i < kBytes; i += 64) __builtin_prefetch(p + i, 0, 2);
}

// Scores of kQueries queries against the span's blocks [begin, end), kBlocks at a time, then half as many.
template <class Cache, int kQueries, int kBlocks>
inline void score_blocks(const AttentionArgs& a, const float* const* queries, const AttentionSpan& span,
                         uint64_t begin, uint64_t end, float* rows) {
  using Element = typename Cache::Element;
  const uint64_t block_elements = 16 * static_cast<uint64_t>(a.head_dim);
  for (; end - begin >= kBlocks; begin += kBlocks) {
    const auto* key = reinterpret_cast<const Element*>(span.keys) + begin * block_elements;
    constexpr uint64_t kStepBytes = 16 * kBlocks * sizeof(Element);
    constexpr uint32_t kLineSteps = kStepBytes < 64 ? 64 / kStepBytes : 1;
    const uint8_t* ahead = span.values + begin * block_elements * sizeof(Element);
    F32x16 dot[kQueries][kBlocks];
    PIXELLM_UNROLL for (int i = 0; i < kQueries; i++) PIXELLM_UNROLL for (int b = 0; b < kBlocks; b++)
        dot[i][b] = zero();
    for (uint32_t d = 0; d < a.head_dim; d++, key += 16, ahead += kStepBytes) {
      if (d % kLineSteps == 0) fetch<kStepBytes>(ahead);
      F32x16 k[kBlocks];
      PIXELLM_UNROLL for (int b = 0; b < kBlocks; b++) k[b] =
          Cache::load16(key + static_cast<uint64_t>(b) * block_elements);
      PIXELLM_UNROLL for (int i = 0; i < kQueries; i++) {
        const F32x16 q = set1(queries[i][d]);
        PIXELLM_UNROLL for (int b = 0; b < kBlocks; b++) dot[i][b] = fma(q, k[b], dot[i][b]);
      }
    }
    PIXELLM_UNROLL for (int b = 0; b < kBlocks; b++) {
      const uint64_t block = begin + static_cast<uint64_t>(b);
      PIXELLM_UNROLL for (int i = 0; i < kQueries; i++) {
        if (span.key_factors != nullptr) dot[i][b] = mul(dot[i][b], load(span.key_factors + 16 * block));
        store(rows + static_cast<uint64_t>(i) * kAttentionChunk + 16 * block, mul(dot[i][b], set1(a.scale)));
      }
    }
  }
  if constexpr (kBlocks > 1)
    if (begin < end) score_blocks<Cache, kQueries, kBlocks / 2>(a, queries, span, begin, end, rows);
}

// In place: scores of one query's row become weights, +0 outside [first, last]. The largest score and the sum
// of the weights go to part[head_dim] and behind it.
inline void weigh(const AttentionArgs& a, uint32_t query, const AttentionSpan& span, float* row,
                  float* part) {
  const auto first = static_cast<int64_t>(a.first[query]) - static_cast<int64_t>(span.position);
  const auto end = static_cast<int64_t>(a.last[query]) + 1 - static_cast<int64_t>(span.position);
  const auto row_end = static_cast<int64_t>(16 * span.n_blocks);
  const int64_t from = first <= 0 ? 0 : first < row_end ? first / 16 * 16 : row_end;
  const int64_t stop = end <= from ? from : end < row_end ? (end + 15) / 16 * 16 : row_end;
  if (a.softcap != 0.0f) softcap(row + from, a.softcap, static_cast<uint64_t>(stop - from));
  const F32x16 lowest = set1(-__builtin_inff());
  F32x16 largest = lowest;
  for (int64_t j = from; j < stop; j += 16)
    largest = max(largest, select(lane_range(first - j, end - j), load(row + j), lowest));
  const float top = reduce_max(largest);
  const F32x16 m = set1(top);
  F32x16 total = zero();
  for (int64_t j = 0; j < from; j += 16) store(row + j, zero());
  for (int64_t j = from; j < stop; j += 16) {
    const Mask16 own = lane_range(first - j, end - j);
    const F32x16 e = select(own, exp(sub(load(row + j), m)), zero());
    total = add(total, e);
    const F32x16 weight =
        span.value_factors == nullptr ? e : select(own, mul(e, load(span.value_factors + j)), zero());
    store(row + j, weight);
  }
  for (int64_t j = stop; j < row_end; j += 16) store(row + j, zero());
  part[a.head_dim] = top;
  part[a.head_dim + 1] = reduce_add(total);
}

// Weighted values of kQueries queries, dimensions [d, head_dim), kSlices x 16 at a time, then half as many.
// `values` and `weights` begin at the same position; as many bytes are fetched from `next` on.
template <class Cache, int kQueries, int kSlices>
inline void sum_values(const AttentionArgs& a, const typename Cache::Element* values, uint64_t n_positions,
                       const float* weights, const uint8_t* next, uint32_t d, float* parts, uint64_t stride) {
  using Element = typename Cache::Element;
  for (; a.head_dim - d >= 16 * kSlices; d += 16 * kSlices) {
    const auto* value = values + d;
    const uint8_t* ahead = next + d * sizeof(Element);
    F32x16 sum[kQueries][kSlices];
    PIXELLM_UNROLL for (int i = 0; i < kQueries; i++) PIXELLM_UNROLL for (int s = 0; s < kSlices; s++)
        sum[i][s] = zero();
    for (uint64_t j = 0; j < n_positions; j++, value += a.head_dim, ahead += a.head_dim * sizeof(Element)) {
      fetch<16 * kSlices * sizeof(Element)>(ahead);
      F32x16 v[kSlices];
      PIXELLM_UNROLL for (int s = 0; s < kSlices; s++) v[s] = Cache::load16(value + 16 * s);
      PIXELLM_UNROLL for (int i = 0; i < kQueries; i++) {
        const F32x16 e = set1(weights[static_cast<uint64_t>(i) * kAttentionChunk + j]);
        PIXELLM_UNROLL for (int s = 0; s < kSlices; s++) sum[i][s] = fma(e, v[s], sum[i][s]);
      }
    }
    PIXELLM_UNROLL for (int i = 0; i < kQueries; i++) PIXELLM_UNROLL for (int s = 0; s < kSlices; s++)
        store(parts + static_cast<uint64_t>(i) * stride + d + 16 * s, sum[i][s]);
  }
  if constexpr (kSlices > 1)
    if (d < a.head_dim)
      sum_values<Cache, kQueries, kSlices / 2>(a, values, n_positions, weights, next, d, parts, stride);
}

// Blocks of keys, or slices of values, that kQueries queries take at once: a power of two, so that a chunk
// and most heads are whole multiples.
constexpr int units_at_once(int n_queries) {
  int n = 1;
  while (2 * n * n_queries <= kAccumulators && n < 8) n *= 2;
  return n;
}

// Queries [begin, begin + kQueries), to parts of their own. `next`: the keys that are read next.
template <class Cache, int kQueries>
inline void attend(const AttentionArgs& a, uint32_t begin, const AttentionSpan& span, const uint8_t* next,
                   float* parts, uint64_t stride) {
  constexpr int kUnits = units_at_once(kQueries);
  score_blocks<Cache, kQueries, kUnits>(a, a.queries + begin, span, 0, span.n_blocks, a.scratch);
  uint64_t first = a.first[begin], end = a.last[begin] + 1;
  for (uint32_t i = 0; i < kQueries; i++) {
    weigh(a, begin + i, span, a.scratch + i * kAttentionChunk, parts + i * stride);
    first = a.first[begin + i] < first ? a.first[begin + i] : first;
    end = a.last[begin + i] + 1 > end ? a.last[begin + i] + 1 : end;
  }
  first = first > span.position ? first : span.position;
  end = end < span.end() ? end : span.end();
  const uint64_t skipped = first - span.position, n = end > first ? end - first : 0;
  const auto* values = reinterpret_cast<const typename Cache::Element*>(span.values) + skipped * a.head_dim;
  sum_values<Cache, kQueries, kUnits>(a, values, n, a.scratch + skipped, next, 0, parts, stride);
}

template <class Cache>
void attend_chunk(const AttentionArgs& a, uint32_t chunk, const void* next, float* parts, uint64_t stride) {
  const AttentionSpan span = attention_span<Cache>(a, chunk);
  const auto* ahead = next != nullptr ? static_cast<const uint8_t*>(next) : span.keys;
  uint32_t tile = 0;
  for (uint32_t begin = 0; begin < a.n_queries; begin += tile, parts += tile * stride) {
    const uint32_t left = a.n_queries - begin;
    tile = left <= kLargestTile ? left : 4;
    switch (tile) {
      case 1:
        attend<Cache, 1>(a, begin, span, ahead, parts, stride);
        break;
      case 2:
        attend<Cache, 2>(a, begin, span, ahead, parts, stride);
        break;
      case 3:
        attend<Cache, 3>(a, begin, span, ahead, parts, stride);
        break;
      case 4:
        attend<Cache, 4>(a, begin, span, ahead, parts, stride);
        break;
      case 5:
        attend < Cache, kLargestTile<5 ? 4 : 5>(a, begin, span, ahead, parts, stride);
        break;
      default:
        attend < Cache, kLargestTile<6 ? 4 : 6>(a, begin, span, ahead, parts, stride);
        break;
    }
  }
}

// `next`: the keys that are read next, or null.
PIXELLM_INLINE void attend_chunk(const AttentionArgs& a, uint32_t chunk, const void* next, float* parts,
                                 uint64_t stride) {
  if (a.key_factors == nullptr)
    attend_chunk<HalfCache>(a, chunk, next, parts, stride);
  else
    attend_chunk<ByteCache>(a, chunk, next, parts, stride);
}

void attention_chunk(const AttentionArgs& a, uint32_t chunk, float* parts, uint64_t stride) {
  attend_chunk(a, chunk, a.next_keys, parts, stride);
}

// a * factor_a + b * factor_b for the weighted values and the sum behind them, one of the factors being 1.
PIXELLM_INLINE void fold_part(float* sums, const float* part, uint32_t head_dim) {
  const float largest = sums[head_dim], other = part[head_dim];
  const bool grows = other > largest;
  alignas(64) float lanes[16];
  store(lanes, exp(set1(grows ? largest - other : other - largest)));
  const float factor = lanes[0];
  const F32x16 f = set1(factor);
  for (uint32_t d = 0; d < head_dim; d += 16) {
    const F32x16 old = load(sums + d), added = load(part + d);
    store(sums + d, grows ? fma(old, f, added) : fma(added, f, old));
  }
  const float old = sums[head_dim + 1], added = part[head_dim + 1];
  sums[head_dim + 1] = grows ? __builtin_fmaf(old, factor, added) : __builtin_fmaf(added, factor, old);
  if (grows) sums[head_dim] = other;
}

PIXELLM_INLINE void finish_part(const float* sums, uint32_t head_dim, float* output) {
  const F32x16 inverse = set1(1.0f / sums[head_dim + 1]);
  for (uint32_t d = 0; d < head_dim; d += 16) store(output + d, fma(load(sums + d), inverse, zero()));
}

void attention_join(float* parts, uint64_t stride, uint32_t n, uint32_t head_dim, float* output) {
  for (uint32_t i = 1; i < n; i++) fold_part(parts, parts + i * stride, head_dim);
  finish_part(parts, head_dim, output);
}

void attention(const AttentionArgs& a) {
  const uint64_t stride = attention_part_floats(a.head_dim);
  float* sums = a.scratch + kMaxAttentionQueries * kAttentionChunk;
  float* parts = sums + kMaxAttentionQueries * stride;
  uint32_t first = a.first[0] / kAttentionChunk, last = a.last[0] / kAttentionChunk;
  for (uint32_t i = 1; i < a.n_queries; i++) {
    first = a.first[i] / kAttentionChunk < first ? a.first[i] / kAttentionChunk : first;
    last = a.last[i] / kAttentionChunk > last ? a.last[i] / kAttentionChunk : last;
  }
  for (uint32_t chunk = first; chunk <= last; chunk++) {
    const void* next =
        chunk == last ? a.next_keys : static_cast<const uint8_t*>(a.keys) + (chunk + 1) * a.chunk_bytes;
    attend_chunk(a, chunk, next, first == last ? sums : parts, stride);
    if (first == last) break;
    for (uint32_t i = 0; i < a.n_queries; i++) {
      if (chunk < a.first[i] / kAttentionChunk || chunk > a.last[i] / kAttentionChunk) continue;
      const float* part = parts + i * stride;
      float* own = sums + i * stride;
      if (chunk == a.first[i] / kAttentionChunk)
        for (uint64_t d = 0; d < stride; d += 16) store(own + d, load(part + d));
      else
        fold_part(own, part, a.head_dim);
    }
  }
  for (uint32_t i = 0; i < a.n_queries; i++) finish_part(sums + i * stride, a.head_dim, a.outputs[i]);
}

float to_int8(const float* x, uint64_t n, int8_t* y, uint64_t step) {
  I32x16 largest = set1_int(0);
  for (uint64_t i = 0; i < n; i += 16) largest = max(largest, as_int(abs(load(x + i))));
  const float amax = __builtin_bit_cast(float, reduce_max(largest));
  const bool live = !(amax < 0x1p-90f);
  const F32x16 inverse = set1(live ? 127.0f / amax : 0.0f);
  for (uint64_t i = 0; i < n; i += 16) {
    const F32x16 q = min(max(round_even(mul(load(x + i), inverse)), set1(-127.0f)), set1(127.0f));
    alignas(64) int32_t lanes[16];
    store_int(lanes, to_int(q));
    for (uint64_t l = 0; l < 16; l++) y[(i + l) * step] = static_cast<int8_t>(lanes[l]);
  }
  return live ? amax / 127.0f : 0.0f;
}
