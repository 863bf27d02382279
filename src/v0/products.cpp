#include "v0/products.h"

namespace pixellm::v0 {
namespace baseline {
#define PIXELLM_LANES 4
#include "v0/products-inl.h"
#undef PIXELLM_LANES
}  // namespace baseline

// No FMA: it would skip the rounding of the product.
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
namespace avx2 {
#define PIXELLM_LANES 8
#include "v0/products-inl.h"
#undef PIXELLM_LANES
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

namespace {

using Product = decltype(&baseline::product);

Product best_product() {
#if defined(__x86_64__)
  if (has_avx2()) return &avx2::product;
#endif
  return &baseline::product;
}

}  // namespace

bool has_avx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2");
#else
  return false;
#endif
}

void multiply(RowRange rows, size_t n, size_t k, Operand a, const float* b, size_t b_stride, float* c,
              size_t c_stride) {
  static const Product product = best_product();
  product(rows, n, k, a, b, b_stride, c, c_stride, nullptr);
}

void multiply_subtract(RowRange rows, size_t n, size_t k, Operand a, const float* b, size_t b_stride,
                       float* c, size_t c_stride, float rate) {
  static const Product product = best_product();
  product(rows, n, k, a, b, b_stride, c, c_stride, &rate);
}

void multiply_baseline(RowRange rows, size_t n, size_t k, Operand a, const float* b, size_t b_stride,
                       float* c, size_t c_stride) {
  baseline::product(rows, n, k, a, b, b_stride, c, c_stride, nullptr);
}

}  // namespace pixellm::v0
