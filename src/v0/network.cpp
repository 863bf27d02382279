#include "v0/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "convert/v0_arrays.h"
#include "v0/products.h"

namespace pixellm::v0 {
namespace {

std::vector<float> draw(NumpyRandom& rng, uint64_t n, double deviation) {
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(rng.standard_normal() * deviation);
  return values;
}

Result<Network> network_from(const NpzFile& npz) {
  const V0Arrays arrays =
      PIXELLM_TRY(find_v0_arrays(npz, {.vocab_size = kMaxVocabSize, .model_dim = kMaxModelDim}));
  Network network;
  network.vocab_size = static_cast<uint32_t>(arrays[kV0Embed]->shape[0]);
  network.model_dim = static_cast<uint32_t>(arrays[kV0Embed]->shape[1]);
  for (size_t i = 0; i < arrays.size(); i++) *network.member(kV0ArrayNames[i]) = arrays[i]->values;
  return network;
}

}  // namespace

std::array<Tensor, 5> Network::tensors() const {
  const auto tensor = [&](std::string_view name, const std::vector<float>& values) {
    return Tensor{name, tensor_shape(name, vocab_size, model_dim), values};
  };
  return {tensor("embed", embed), tensor("hidden", hidden), tensor("b_hidden", b_hidden), tensor("out", out),
          tensor("b_out", b_out)};
}

std::vector<float>* Network::member(std::string_view name) {
  if (name == "embed") return &embed;
  if (name == "hidden") return &hidden;
  if (name == "b_hidden") return &b_hidden;
  if (name == "out") return &out;
  if (name == "b_out") return &b_out;
  return nullptr;
}

uint64_t Network::parameters() const {
  return uint64_t{2} * vocab_size * model_dim + uint64_t{model_dim} * model_dim + model_dim + vocab_size;
}

std::vector<uint64_t> tensor_shape(std::string_view name, uint32_t vocab_size, uint32_t model_dim) {
  if (name == "embed") return {vocab_size, model_dim};
  if (name == "hidden") return {model_dim, model_dim};
  if (name == "b_hidden") return {model_dim};
  if (name == "out") return {model_dim, vocab_size};
  if (name == "b_out") return {vocab_size};
  return {};
}

std::string shape_text(std::span<const uint64_t> shape) {
  std::string text;
  for (const uint64_t n : shape) text += (text.empty() ? "" : ", ") + std::to_string(n);
  return "(" + text + (shape.size() == 1 ? ",)" : ")");
}

InitialNetwork initial_network(uint64_t seed) {
  InitialNetwork initial{{}, NumpyRandom(seed)};
  Network& n = initial.network;
  n.embed = draw(initial.rng, uint64_t{kVocabSize} * kModelDim, std::sqrt(2.0 / kVocabSize));
  n.hidden = draw(initial.rng, uint64_t{kModelDim} * kModelDim, std::sqrt(2.0 / kModelDim));
  n.out = draw(initial.rng, uint64_t{kModelDim} * kVocabSize, std::sqrt(2.0 / kModelDim));
  n.b_hidden.assign(kModelDim, 0);
  n.b_out.assign(kVocabSize, 0);
  return initial;
}

Result<Network> read_network(const std::string& path) {
  const NpzFile npz = PIXELLM_TRY(NpzFile::open(path));
  auto network = network_from(npz);
  if (!network) return fail_in(path, std::move(network).error());
  return network;
}

Result<void> write_network(const std::string& path, const Network& network) {
  std::vector<NpzFile::Entry> entries;
  for (const Tensor& t : network.tensors())
    entries.emplace_back(t.name, NpyArray{t.shape, {t.values.begin(), t.values.end()}});
  return write_npz(path, entries);
}

void mean_embedding(const Network& network, std::span<const TokenId> ids, float* out) {
  const size_t dim = network.model_dim;
  const float* first = &network.embed[ids[0] * dim];
  std::copy(first, first + dim, out);
  for (const TokenId id : ids.subspan(1)) {
    const float* row = &network.embed[id * dim];
    for (size_t i = 0; i < dim; i++) out[i] += row[i];
  }
  const auto count = static_cast<float>(ids.size());
  for (size_t i = 0; i < dim; i++) out[i] /= count;
}

Activations forward(const Network& network, std::span<const TokenId> ids) {
  const size_t dim = network.model_dim, vocab = network.vocab_size;
  Activations a{std::vector<float>(dim), std::vector<float>(dim), std::vector<float>(vocab)};
  mean_embedding(network, ids, a.pooled.data());
  multiply({0, 1}, dim, dim, {a.pooled.data(), dim, 1}, network.hidden.data(), dim, a.hidden.data(), dim);
  for (size_t i = 0; i < dim; i++) a.hidden[i] = std::max(a.hidden[i] + network.b_hidden[i], 0.0f);
  multiply({0, 1}, vocab, dim, {a.hidden.data(), dim, 1}, network.out.data(), vocab, a.logits.data(), vocab);
  for (size_t i = 0; i < vocab; i++) a.logits[i] += network.b_out[i];
  return a;
}

}  // namespace pixellm::v0
