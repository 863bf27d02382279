// Matrix products in float32 with one order of summation: every element is a sum over k, ascending, from 0,
// each product rounded before it is added (spec/v0.md, section 4). So the bits do not depend on the CPU, on
// the vector width or on how rows are shared among threads.
//
//   multiply({0, batch}, n, k, {x, k, 1}, weights, n, out, n);      // out[batch, n] = x[batch, k] *
//   weights[k, n]
#pragma once
#include <cstddef>

namespace pixellm::v0 {

// A matrix whose element (i, p) is data[i * row + p * column]: a transposed one swaps the strides.
struct Operand {
  const float* data;
  size_t row, column;
};

struct RowRange {
  size_t begin, end;
};

// c[i, j] = sum over p < k of a(i, p) * b[p, j] for the rows i in `rows` and j < n; b and c are row-major
// with their strides.
void multiply(RowRange rows, size_t n, size_t k, Operand a, const float* b, size_t b_stride, float* c,
              size_t c_stride);

// c[i, j] = c[i, j] - rate * (the same sum).
void multiply_subtract(RowRange rows, size_t n, size_t k, Operand a, const float* b, size_t b_stride,
                       float* c, size_t c_stride, float rate);

// Names of what this CPU can run of "baseline" and "avx2", and the same product on that one (tests compare
// them).
bool has_avx2();
void multiply_baseline(RowRange rows, size_t n, size_t k, Operand a, const float* b, size_t b_stride,
                       float* c, size_t c_stride);

}  // namespace pixellm::v0
