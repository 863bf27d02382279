// What the metadata says about a model's computation, checked. Spec: docs/architectures.md.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace pixellm {

enum class Architecture : uint8_t { kGpt2, kLlama, kQwen2, kQwen3, kGemma3, kMlp };

// Architecture mlp has no heads, norms or positions: those fields stay as they are here.
struct ModelConfig {
  Architecture architecture = Architecture::kLlama;
  uint32_t n_layers = 0, embedding_length = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0, value_dim = 0;
  uint32_t feed_forward_length = 0, vocab_size = 0, context_length = 0;
  float norm_eps = 1e-5f;
  uint32_t n_rot = 0;  // rotated values of a head; 0: no RoPE
  bool rope_neox = false;
  double rope_base = 10000.0, rope_base_local = 10000.0;  // local: Gemma 3's sliding-window layers
  double rope_scale = 1.0;       // frequency scale: 1/factor of linear scaling (global layers)
  float rope_magnitude = 1;      // multiplies cosines and sines
  float attention_scale = 0;     // 1/sqrt(head_dim) or what the model says
  uint32_t sliding_window = 0;   // 0: none
  std::vector<uint8_t> sliding;  // per layer, 1: sees only the window; empty: no layer does
  float attention_softcap = 0, final_softcap = 0;
  float embedding_scale = 1;

  bool is_sliding(uint32_t layer) const { return layer < sliding.size() && sliding[layer] != 0; }
  uint32_t q_width() const { return n_heads * head_dim; }
  uint32_t kv_width() const { return n_kv_heads * head_dim; }
};

std::string_view architecture_name(Architecture architecture);  // GGUF's: "gpt2", "llama", ...

// Errors name the key: kUnsupported for an architecture or rope scaling that is not implemented, kCorrupt for
// values that contradict each other or the tensors' shapes.
Result<ModelConfig> read_config(const Model& model);

// The vocabulary as the tokenizer wants it. Views into the model's metadata.
Result<TokenizerSpec> read_tokenizer_spec(const Metadata& metadata);

}  // namespace pixellm
