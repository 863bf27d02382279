// Every operation but products and attention, over sixteen lanes. Included inside the namespace and target
// region of one ISA, after its simd header; the order of operations is spec/arithmetic.md's, and scalar.cpp
// is what it must equal. A tail shorter than 16 is loaded with a fill value that leaves the lanes past it as
// they are.

PIXELLM_INLINE F32x16 exp(F32x16 x) {
  x = min(set1(kExpHigh), max(set1(kExpLow), x));  // in this order a NaN stays
  const F32x16 n = round_even(mul(x, set1(kLog2E)));
  F32x16 r = fma(n, set1(-kLn2High), x);
  r = fma(n, set1(-kLn2Low), r);
  F32x16 p = fma(set1(kExp6), r, set1(kExp5));
  p = fma(p, r, set1(kExp4));
  p = fma(p, r, set1(kExp3));
  p = fma(p, r, set1(kExp2));
  p = fma(p, r, set1(1.0f));
  p = fma(p, r, set1(1.0f));
  return scale_by_power(p, n);
}

PIXELLM_INLINE F32x16 tanh(F32x16 x) {
  const F32x16 a = abs(x), one = set1(1.0f), z = mul(a, a);
  const F32x16 large = sub(one, div(set1(2.0f), add(exp(add(a, a)), one)));
  F32x16 p = fma(set1(kTanh4), z, set1(kTanh3));
  p = fma(p, z, set1(kTanh2));
  p = fma(p, z, set1(kTanh1));
  p = fma(p, z, set1(kTanh0));
  const F32x16 small = fma(mul(p, z), a, a);
  return copy_sign(select(less(a, set1(kTanhSmall)), small, large), x);
}

PIXELLM_INLINE F32x16 silu_of(F32x16 x) { return div(x, add(set1(1.0f), exp(neg(x)))); }

PIXELLM_INLINE F32x16 gelu_of(F32x16 x) {
  const F32x16 u = fma(set1(kGeluCube), mul(mul(x, x), x), x);
  return div(x, add(set1(1.0f), exp(mul(set1(kGeluScale), u))));
}

// Reductions. Vector i of the input goes to the accumulator lanes 0..15, so element i to lane i mod 16.

inline float sum_of_squares(const float* x, uint64_t n) {
  F32x16 acc = zero();
  uint64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const F32x16 v = load(x + i);
    acc = fma(v, v, acc);
  }
  if (i < n) {
    const F32x16 v = load_n(x + i, static_cast<int>(n - i), zero());
    acc = fma(v, v, acc);
  }
  return reduce_add(acc);
}

inline float sum_of(const float* x, uint64_t n) {
  F32x16 acc = zero();
  uint64_t i = 0;
  for (; i + 16 <= n; i += 16) acc = add(acc, load(x + i));
  if (i < n) acc = add(acc, load_n(x + i, static_cast<int>(n - i), zero()));
  return reduce_add(acc);
}

inline float sum_of_squared_distances(const float* x, float centre, uint64_t n) {
  const F32x16 c = set1(centre);
  F32x16 acc = zero();
  uint64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const F32x16 d = sub(load(x + i), c);
    acc = fma(d, d, acc);
  }
  if (i < n) {
    const F32x16 d = sub(load_n(x + i, static_cast<int>(n - i), c), c);  // +0 past the end
    acc = fma(d, d, acc);
  }
  return reduce_add(acc);
}

inline float one_over_root(float mean_square, float eps) { return 1.0f / __builtin_sqrtf(mean_square + eps); }

// Element-wise: y[i] = op(y[i]), y[i] = op(y[i], x[i]).

template <class Op>
PIXELLM_INLINE void for_each(float* y, uint64_t n, Op op) {
  uint64_t i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, op(load(y + i)));
  if (i < n) {
    const int rest = static_cast<int>(n - i);
    store_n(y + i, rest, op(load_n(y + i, rest, zero())));
  }
}
template <class Op>
PIXELLM_INLINE void for_each(float* y, const float* x, uint64_t n, Op op) {
  uint64_t i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, op(load(y + i), load(x + i)));
  if (i < n) {
    const int rest = static_cast<int>(n - i);
    store_n(y + i, rest, op(load_n(y + i, rest, zero()), load_n(x + i, rest, zero())));
  }
}

struct Add {
  PIXELLM_INLINE F32x16 operator()(F32x16 y, F32x16 x) const { return add(y, x); }
};
struct Scale {
  F32x16 factor;
  PIXELLM_INLINE F32x16 operator()(F32x16 y) const { return mul(y, factor); }
};
struct SiluMul {
  PIXELLM_INLINE F32x16 operator()(F32x16 gate, F32x16 up) const { return mul(silu_of(gate), up); }
};
struct GeluMul {
  PIXELLM_INLINE F32x16 operator()(F32x16 gate, F32x16 up) const { return mul(gelu_of(gate), up); }
};
struct Gelu {
  PIXELLM_INLINE F32x16 operator()(F32x16 x) const { return gelu_of(x); }
};
struct Softcap {
  F32x16 cap;
  PIXELLM_INLINE F32x16 operator()(F32x16 x) const { return mul(cap, tanh(div(x, cap))); }
};

// The entries of the table.

void rms_norm(const float* x, const float* weight, uint64_t n, float eps, float* y) {
  const F32x16 factor = set1(one_over_root(sum_of_squares(x, n) / static_cast<float>(n), eps));
  for (uint64_t i = 0; i < n; i += 16) {
    const int live = n - i < 16 ? static_cast<int>(n - i) : 16;
    F32x16 v = mul(load_n(x + i, live, zero()), factor);
    if (weight != nullptr) v = mul(v, load_n(weight + i, live, zero()));
    store_n(y + i, live, v);
  }
}

void layer_norm(const float* x, const float* weight, const float* bias, uint64_t n, float eps, float* y) {
  const float mean = sum_of(x, n) / static_cast<float>(n);
  const F32x16 centre = set1(mean);
  const F32x16 factor =
      set1(one_over_root(sum_of_squared_distances(x, mean, n) / static_cast<float>(n), eps));
  for (uint64_t i = 0; i < n; i += 16) {
    const int live = n - i < 16 ? static_cast<int>(n - i) : 16;
    const F32x16 v = mul(sub(load_n(x + i, live, zero()), centre), factor);
    store_n(y + i, live, fma(v, load_n(weight + i, live, zero()), load_n(bias + i, live, zero())));
  }
}

void add_vectors(float* y, const float* x, uint64_t n) { for_each(y, x, n, Add{}); }
void scale_vector(float* y, float s, uint64_t n) { for_each(y, n, Scale{set1(s)}); }
void silu_mul(float* gate, const float* up, uint64_t n) { for_each(gate, up, n, SiluMul{}); }
void gelu_mul(float* gate, const float* up, uint64_t n) { for_each(gate, up, n, GeluMul{}); }
void gelu(float* x, uint64_t n) { for_each(x, n, Gelu{}); }
void softcap(float* x, float cap, uint64_t n) { for_each(x, n, Softcap{set1(cap)}); }

PIXELLM_INLINE void rotate(F32x16& x0, F32x16& x1, F32x16 c, F32x16 s) {
  const F32x16 y0 = fma(x0, c, neg(mul(x1, s)));
  x1 = fma(x0, s, mul(x1, c));
  x0 = y0;
}

void rope(float* head, uint64_t n_rot, bool neox, const float* cos_sin) {
  const uint64_t half = n_rot / 2;
  for (uint64_t i = 0; i < half; i += 16) {
    const int live = half - i < 16 ? static_cast<int>(half - i) : 16;
    const F32x16 c = load_n(cos_sin + i, live, zero()), s = load_n(cos_sin + half + i, live, zero());
    float *first = head + i, *second = head + half + i;
    int n_first = live, n_second = live;
    if (!neox) {
      first = head + 2 * i;
      second = first + 16;
      n_first = live < 8 ? 2 * live : 16;
      n_second = 2 * live - n_first;
    }
    F32x16 a = load_n(first, n_first, zero()), b = load_n(second, n_second, zero());
    if (!neox) deinterleave(a, b);
    rotate(a, b, c, s);
    if (!neox) interleave(a, b);
    store_n(first, n_first, a);
    store_n(second, n_second, b);
  }
}

void to_f16(const float* x, uint64_t n, uint16_t* y) {
  uint64_t i = 0;
  for (; i + 16 <= n; i += 16) store_f16(y + i, load(x + i));
  if (i < n) {
    uint16_t halves[16];
    store_f16(halves, load_n(x + i, static_cast<int>(n - i), zero()));
    __builtin_memcpy(y + i, halves, (n - i) * sizeof(uint16_t));
  }
}

void softmax(float* x, uint64_t n) {
  const F32x16 lowest = set1(-__builtin_inff());
  F32x16 largest = lowest;
  for (uint64_t i = 0; i < n; i += 16)
    largest = max(largest, load_n(x + i, n - i < 16 ? static_cast<int>(n - i) : 16, lowest));
  const F32x16 m = set1(reduce_max(largest));
  F32x16 total = zero();
  for (uint64_t i = 0; i < n; i += 16) {
    const int live = n - i < 16 ? static_cast<int>(n - i) : 16;
    const F32x16 e = exp(sub(load_n(x + i, live, lowest), m));  // +0 past the end
    total = add(total, e);
    store_n(x + i, live, e);
  }
  scale_vector(x, 1.0f / reduce_add(total), n);
}
