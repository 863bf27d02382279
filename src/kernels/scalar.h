// What the scalar table is joined from. Plain code, one operation at a time as spec/arithmetic.md writes it;
// it shares no code with the vector kernels, so that comparing the two means something.
#pragma once
#include "kernels/kernels.h"

namespace pixellm::scalar {

float exp(float x);
float tanh(float x);

// The sixteen accumulators of a reduction: element i belongs to lane i mod 16.
struct Lanes {
  float lane[16] = {};
  float sum() const;  // the fixed tree
};

void attention(const AttentionArgs& args);  // scalar_attention.cpp, and the next three
void attention_chunk(const AttentionArgs& args, uint32_t chunk, float* parts, uint64_t stride);
void attention_join(float* parts, uint64_t stride, uint32_t n, uint32_t head_dim, float* output);
float to_int8(const float* x, uint64_t n, int8_t* y, uint64_t step);
void prepare(const float* x, uint64_t stride, uint64_t k, uint32_t panel_begin, uint32_t panel_end,
             const Activations& out);  // scalar_products.cpp
template <TensorType type>
void matmul(const CellMatrixView& w, uint64_t group_begin, uint64_t group_end, const Activations& x, float* y,
            uint64_t y_stride);  // the same file, every type

}  // namespace pixellm::scalar
