// The v0 network: token embeddings averaged, one hidden layer with ReLU, one output layer. spec/v0.md,
// sections 2, 4 and 7.
//
//   Network network = initial_network(42).network;             // the original's untrained weights
//   auto ids = PIXELLM_TRY(tokenize("hello pixels", network.vocab_size));
//   Activations result = forward(network, ids);
//   result.logits[971]
// A Network is plain data: reading it from several threads is safe.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "convert/npz.h"
#include "v0/numpy_random.h"

namespace pixellm::v0 {

inline constexpr uint32_t kVocabSize = 1024, kModelDim = 128;  // of the original; files may have others
inline constexpr uint32_t kMaxVocabSize = 65536, kMaxModelDim = 8192;

using TokenId = uint16_t;

struct Tensor {
  std::string_view name;
  std::vector<uint64_t> shape;
  std::span<const float> values;
};

struct Network {
  uint32_t vocab_size = kVocabSize, model_dim = kModelDim;
  std::vector<float> embed;     // [vocab_size, model_dim]
  std::vector<float> hidden;    // [model_dim, model_dim]
  std::vector<float> b_hidden;  // [model_dim]
  std::vector<float> out;       // [model_dim, vocab_size]
  std::vector<float> b_out;     // [vocab_size]

  std::array<Tensor, 5> tensors() const;  // in the order of the .npz: embed, hidden, b_hidden, out, b_out
  std::vector<float>* member(std::string_view name);  // nullptr for an unknown name
  uint64_t parameters() const;
};

// Shape of the tensor `name` in a network of these sizes; empty for an unknown name.
std::vector<uint64_t> tensor_shape(std::string_view name, uint32_t vocab_size, uint32_t model_dim);

// As NumPy writes a shape: "(1024, 128)", "(128,)".
std::string shape_text(std::span<const uint64_t> shape);

struct InitialNetwork {
  Network network;
  NumpyRandom rng;  // as it stands after the weights were drawn
};
InitialNetwork initial_network(uint64_t seed);

// The five arrays of an .npz, in any order; nothing else may be in it. kCorrupt, kUnsupported and kTooLarge
// name the array.
Result<Network> read_network(const std::string& path);
Result<void> write_network(const std::string& path, const Network& network);

// Code points modulo `vocab_size`. kInvalidArgument: not UTF-8, with the byte's offset.
Result<std::vector<TokenId>> tokenize(std::string_view utf8, uint32_t vocab_size);

// The character of an id for people: itself below 128, '?' above.
char token_char(uint32_t id);

struct Activations {
  std::vector<float> pooled;  // [model_dim], the mean of the embeddings
  std::vector<float> hidden;  // [model_dim], after ReLU
  std::vector<float> logits;  // [vocab_size]
};

// Requires at least one id, all below vocab_size.
Activations forward(const Network& network, std::span<const TokenId> ids);

// The mean of the embeddings of `ids`, summed in their order. Requires at least one.
void mean_embedding(const Network& network, std::span<const TokenId> ids, float* out);

}  // namespace pixellm::v0
