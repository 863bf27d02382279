// Small models with random weights, made in memory: for tests, and for the signature of the arithmetic. Every
// number in them comes from the seed through integer arithmetic and exact roundings, so they are the same on
// every machine.
//
//   TinyModel tiny = make_tiny_model({.architecture = Architecture::kQwen3, .types = {TensorType::kQ4_K}});
//   Model model = PIXELLM_TRY(tiny.open());
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "infer/config.h"
#include "model/model.h"
#include "model/pair_writer.h"

namespace pixellm {

struct TinySpec {
  Architecture architecture = Architecture::kLlama;
  std::vector<TensorType> types = {TensorType::kF32};  // of the matrices, in turn
  uint32_t n_layers = 2, embedding_length = 256, n_heads = 8, n_kv_heads = 2, head_dim = 32,
           feed_forward_length = 256;
  uint32_t vocab_size = 300, context_length = 96;
  bool tied_output = true;
  bool fused_qkv = false;        // GPT-2 always has it
  bool biases = false;           // on every product of Llama; Qwen2 has them on q, k, v always, mlp on all
  bool rope_factors = false;     // Llama
  float rope_linear_factor = 0;  // 0: none
  uint32_t n_rot = 0;            // 0: head_dim
  uint32_t sliding_window = 0;   // Gemma 3
  uint32_t sliding_period = 0;   // 0: the key is left out
  float attention_softcap = 0, final_softcap = 0;
  uint64_t seed = 1;
};

struct TinyTensor {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<uint64_t> dims;  // GGUF order
  std::vector<uint8_t> bytes;  // GGUF blocks, row by row
};

struct TinyModel {
  PairWriter pairs;
  std::vector<TinyTensor> tensors;

  TinyTensor* find(std::string_view name);

  // Writes the picture, or writes it to a temporary file and opens that. kCorrupt and so on as ModelWriter
  // and Model give it.
  Result<void> write(const std::string& path) const;
  Result<Model> open() const;
};

// Byte-level vocabulary: ids 0..255 are the byte symbols, the last id ends a text, those between are unused.
// Of architecture mlp: code points.
TinyModel make_tiny_model(const TinySpec& spec);

}  // namespace pixellm
