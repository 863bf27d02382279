// Inside src/infer: a model's weights, found and checked once, as the forward pass wants them.
#pragma once
#include <cstdint>
#include <vector>

#include "infer/session.h"

namespace pixellm {

// y = W x + bias. `bias` is empty when there is none, else has n_rows values.
struct Linear {
  CellMatrixView weight;
  Kernels::Matmul multiply = nullptr;
  std::vector<float> bias;

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
  std::vector<LayerWeights> layers;
  std::vector<float> rope_factors;  // n_rot / 2, or empty
  uint64_t bytes_per_token = 0;

  // A token's row in the qkv buffer, and in the buffer of gate and up, in floats.
  uint64_t q_at = 0, k_at = 0, v_at = 0, qkv_stride = 0;
  uint64_t up_at = 0, ffn_stride = 0;
  uint32_t head_dim_padded = 0;                   // multiple of 16: how heads lie in the cache
  bool has_float = false, has_quantized = false;  // kinds of weights, so kinds of activations
  bool has_local_rope = false;
};

}  // namespace pixellm
