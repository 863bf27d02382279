// A dot product with the columns at `q`, where the ISA has no better way than to load them first. Included after dot().
template <int kMaxWeight>
PIXELLM_INLINE void dot_at(Sum& sum, I32x16 w, const int8_t* q, int step) {
  dot<kMaxWeight>(sum, w, load_columns(q), step);
}
