// Inside src/infer: a model's weights, found and checked once, as the forward pass wants them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "infer/session.h"

namespace pixellm {

// y = W x + bias. `bias` is empty when there is none, else has n_rows values.
struct Linear {
  CellMatrixView weight;
  Kernels::Matmul multiply = nullptr;
  std::vector<float> bias;

  // Rows of groups [group_begin, group_end) for every token of `x`, into y[t * stride + row]; y as
  // Kernels::Matmul asks.
  void apply(const Kernels& kernels, uint64_t group_begin, uint64_t group_end, const Activations& x, float* y,
             uint64_t stride) const {
    if (group_begin >= group_end) return;
    multiply(weight, group_begin, group_end, x, y, stride);
    if (bias.empty()) return;
    const uint64_t row = group_begin * kCellRows, end = std::min(group_end * kCellRows, weight.n_rows);
    for (uint64_t t = 0; t < x.n_tokens; t++) kernels.add(y + t * stride + row, bias.data() + row, end - row);
  }

  bool present() const { return multiply != nullptr; }
  bool is_float() const { return is_float_type(weight.type); }
  uint64_t group_bytes() const { return weight.cells_along_k() * traits(weight.type).cell_bytes; }
};

// RMSNorm, or LayerNorm when there is a bias. Empty `weight`: no such norm.
struct Norm {
  std::vector<float> weight, bias;
  bool present() const { return !weight.empty(); }
};

struct LayerWeights {
  Norm attention_norm;
  std::vector<Linear> attention_in;       // {q, k, v} or {qkv}
  std::vector<uint64_t> attention_in_at;  // where each one's rows begin in a token's row of the qkv buffer
  std::vector<float> q_norm, k_norm;      // per head; empty: none
  Linear attention_out;
  Norm attention_post_norm;  // Gemma 3: before the residual sum
  Norm ffn_norm;
  Linear gate, up, down;  // without gate: gelu(up)
  Norm ffn_post_norm;
  uint32_t window = 0;  // 0: sees everything before it
  bool local_rope = false;
};

struct Engine::Impl {
  const Model* model = nullptr;
  const Kernels* kernels = nullptr;
  ModelConfig config;
  CellMatrixView token_embedding, position_embedding;  // the latter only for learned positions
  Norm output_norm;
  Linear output;
  std::vector<LayerWeights> layers;  // empty for architecture mlp
  Linear hidden;                     // architecture mlp
  std::vector<float> rope_factors;   // n_rot / 2, or empty
  uint64_t bytes_per_token = 0;

  // A token's row in the qkv buffer, and in the buffer of gate and up, in floats.
  uint64_t q_at = 0, k_at = 0, v_at = 0, qkv_stride = 0;
  uint64_t up_at = 0, ffn_stride = 0;
  uint32_t head_dim_padded = 0;                   // multiple of 16: how heads lie in the cache
  bool has_float = false, has_quantized = false;  // kinds of weights, so kinds of activations
  bool has_local_rope = false;
};

}  // namespace pixellm
