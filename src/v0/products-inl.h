// The product for one vector width, included once per target region with PIXELLM_LANES set. No standard
// header here: inline functions compiled for two targets would be merged when linked.

typedef float Lanes __attribute__((vector_size(PIXELLM_LANES * 4)));

constexpr size_t kLanes = PIXELLM_LANES, kTileRows = 4, kTileColumns = 2 * kLanes;

inline Lanes load(const float* p) {
  Lanes v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

inline void finish(const Lanes& sum, float* c, const float* rate) {
  const Lanes value = rate ? load(c) - *rate * sum : sum;
  __builtin_memcpy(c, &value, sizeof value);
}

// Four rows by two vectors; a and c stand at the tile's first element.
inline void tile(size_t k, const Operand& a, const float* b, size_t b_stride, float* c, size_t c_stride,
                 const float* rate) {
  Lanes sum[kTileRows][2] = {};
  for (size_t p = 0; p < k; p++) {
    const Lanes b0 = load(b + p * b_stride), b1 = load(b + p * b_stride + kLanes);
    for (size_t i = 0; i < kTileRows; i++) {
      const float x = a.data[i * a.row + p * a.column];
      sum[i][0] += x * b0;
      sum[i][1] += x * b1;
    }
  }
  for (size_t i = 0; i < kTileRows; i++) {
    finish(sum[i][0], c + i * c_stride, rate);
    finish(sum[i][1], c + i * c_stride + kLanes, rate);
  }
}

inline void single_vector(size_t k, const Operand& a, const float* b, size_t b_stride, float* c,
                          const float* rate) {
  Lanes sum = {};
  for (size_t p = 0; p < k; p++) sum += a.data[p * a.column] * load(b + p * b_stride);
  finish(sum, c, rate);
}

inline void single_element(size_t k, const Operand& a, const float* b, size_t b_stride, float* c,
                           const float* rate) {
  float sum = 0;
  for (size_t p = 0; p < k; p++) sum += a.data[p * a.column] * b[p * b_stride];
  *c = rate ? *c - *rate * sum : sum;
}

static void product(RowRange rows, size_t n, size_t k, Operand a, const float* b, size_t b_stride, float* c,
                    size_t c_stride, const float* rate) {
  size_t j = 0;
  for (; j + kTileColumns <= n; j += kTileColumns) {
    size_t i = rows.begin;
    for (; i + kTileRows <= rows.end; i += kTileRows)
      tile(k, {a.data + i * a.row, a.row, a.column}, b + j, b_stride, c + i * c_stride + j, c_stride, rate);
    for (; i < rows.end; i++)
      for (size_t at = j; at < j + kTileColumns; at += kLanes)
        single_vector(k, {a.data + i * a.row, a.row, a.column}, b + at, b_stride, c + i * c_stride + at,
                      rate);
  }
  for (; j < n; j++)
    for (size_t i = rows.begin; i < rows.end; i++)
      single_element(k, {a.data + i * a.row, a.row, a.column}, b + j, b_stride, c + i * c_stride + j, rate);
}
