// Accumulators of R row groups by P tokens, kept in y between chunks of k. Included inside the anonymous
// namespace of one ISA.

// The first n_live tokens come from y, the others start at +0.
template <int P, int R>
PIXELLM_INLINE void load_sums(const float* y, uint64_t y_stride, int n_live, F32x16 (&acc)[R][P]) {
  PIXELLM_UNROLL for (int t = 0; t < P; t++) {
    PIXELLM_UNROLL for (int r = 0; r < R; r++) acc[r][t] =
        t < n_live ? load(y + static_cast<uint64_t>(t) * y_stride + r * kCellRows) : set1(0.0f);
  }
}

template <int P, int R>
PIXELLM_INLINE void store_sums(const F32x16 (&acc)[R][P], float* y, uint64_t y_stride, int n_live) {
  PIXELLM_UNROLL for (int t = 0; t < P; t++) {
    if (t < n_live) {
      PIXELLM_UNROLL for (int r = 0; r < R; r++)
          store(y + static_cast<uint64_t>(t) * y_stride + r * kCellRows, acc[r][t]);
    }
  }
}
