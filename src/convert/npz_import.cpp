// The v0 network: embed[V, D], hidden[D, D], b_hidden[D], out[D, V], b_out[V] becomes architecture mlp.
// Metadata and meaning: docs/architectures.md, "mlp".
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>

#include "convert/import.h"
#include "convert/npz.h"
#include "model/pair_writer.h"
#include "model/text.h"

namespace pixellm {
namespace {

// Far above the original's 1024 and 128; what the engine and the tokenizer take.
constexpr uint64_t kMaxVocabSize = uint64_t{1} << 24;
constexpr uint64_t kMaxWidth = uint64_t{1} << 20;
constexpr uint32_t kContextLength = 65535;  // what a token picture of the pixel protocol can count

enum Role : size_t { kEmbed, kHidden, kHiddenBias, kOut, kOutBias };

struct ArrayRule {
  std::string_view array, tensor;
  bool transposed;  // the array is [inputs, outputs], a tensor [outputs, inputs]
};
constexpr std::array<ArrayRule, 5> kRules = {{{"embed", "token_embd.weight", false},
                                              {"hidden", "blk.0.ffn_up.weight", true},
                                              {"b_hidden", "blk.0.ffn_up.bias", false},
                                              {"out", "output.weight", true},
                                              {"b_out", "output.bias", false}}};

using Arrays = std::array<const NpyArray*, kRules.size()>;

std::string shape_text(const std::vector<uint64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); i++) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

Result<Arrays> find_arrays(const NpzFile& npz) {
  Arrays out{};
  for (size_t i = 0; i < kRules.size(); i++) {
    out[i] = npz.find(kRules[i].array);
    if (!out[i])
      return fail(ErrorCode::kCorrupt,
                  fmt::format("npz: array '{}' is missing; the v0 network has embed, hidden, b_hidden, "
                              "out and b_out",
                              kRules[i].array));
  }
  for (const auto& [name, array] : npz.entries())
    if (std::ranges::find(kRules, name, &ArrayRule::array) == kRules.end())
      return fail(ErrorCode::kUnsupported,
                  fmt::format("npz: array {} is no part of the v0 network", quoted(name)));
  return out;
}

Result<void> check_shapes(const Arrays& arrays) {
  const auto& embed = arrays[kEmbed]->shape;
  if (embed.size() != 2 || embed[0] == 0 || embed[1] == 0)
    return fail(
        ErrorCode::kCorrupt,
        fmt::format("npz: array 'embed' is {}, [V, D] is needed, both at least 1", shape_text(embed)));
  const uint64_t v = embed[0], d = embed[1];
  if (v > kMaxVocabSize || d > kMaxWidth)
    return fail(ErrorCode::kTooLarge, fmt::format("npz: array 'embed' is {}, at most [{}, {}] is allowed",
                                                  shape_text(embed), kMaxVocabSize, kMaxWidth));
  const std::array<std::vector<uint64_t>, kRules.size()> needed = {{{v, d}, {d, d}, {d}, {d, v}, {v}}};
  for (size_t i = 0; i < kRules.size(); i++)
    if (arrays[i]->shape != needed[i])
      return fail(ErrorCode::kCorrupt,
                  fmt::format("npz: array '{}' is {}, beside embed {} it must be {}", kRules[i].array,
                              shape_text(arrays[i]->shape), shape_text(embed), shape_text(needed[i])));
  return {};
}

Result<void> check_finite(const Arrays& arrays) {
  for (size_t i = 0; i < kRules.size(); i++)
    for (size_t j = 0; j < arrays[i]->values.size(); j++)
      if (!std::isfinite(arrays[i]->values[j]))
        return fail(ErrorCode::kCorrupt,
                    fmt::format("npz: array '{}' holds {} at element {}; weights must be finite",
                                kRules[i].array, arrays[i]->values[j], j));
  return {};
}

// The tensor's bytes: little-endian, row by row.
std::vector<uint8_t> encode(const NpyArray& array, bool transposed) {
  std::vector<uint8_t> out(array.values.size() * sizeof(float));
  const uint64_t rows = transposed ? array.shape[1] : 1, columns = array.values.size() / rows;
  for (uint64_t r = 0, i = 0; r < rows; r++)
    for (uint64_t c = 0; c < columns; c++, i++)
      store_le<float>(&out[i * sizeof(float)], array.values[c * rows + r]);
  return out;
}

TensorInfo describe(const NpyArray& array, const ArrayRule& rule) {
  TensorInfo t;
  t.name = rule.tensor;
  t.type = TensorType::kF32;
  t.n_dims = static_cast<uint32_t>(array.shape.size());
  t.dims[0] = array.shape.back();
  if (t.n_dims == 2) t.dims[1] = array.shape[0];
  if (rule.transposed) std::swap(t.dims[0], t.dims[1]);
  return t;
}

Result<Metadata> describe_model(const std::string& name, uint64_t vocab_size, uint64_t width) {
  PairWriter pairs;
  pairs.text("general.architecture", "mlp");
  pairs.text("general.name", name);
  pairs.integer("general.file_type", 0);  // all F32
  pairs.integer("mlp.vocab_size", static_cast<uint32_t>(vocab_size));
  pairs.integer("mlp.context_length", kContextLength);
  pairs.integer("mlp.embedding_length", static_cast<uint32_t>(width));
  pairs.integer("mlp.feed_forward_length", static_cast<uint32_t>(width));
  pairs.integer("mlp.block_count", 1);
  pairs.text("tokenizer.ggml.model", "code-point");
  return pairs.metadata();
}

Result<ImportJob> make_job(const NpzFile& npz, const std::string& model_name, const ImportOptions& options) {
  const Arrays arrays = PIXELLM_TRY(find_arrays(npz));
  PIXELLM_CHECK(check_shapes(arrays));
  PIXELLM_CHECK(check_finite(arrays));
  const Metadata metadata =
      PIXELLM_TRY(describe_model(model_name, arrays[kEmbed]->shape[0], arrays[kEmbed]->shape[1]));
  std::vector<TensorInfo> tensors;
  std::vector<std::vector<uint8_t>> bytes;
  for (size_t i = 0; i < kRules.size(); i++) {
    tensors.push_back(describe(*arrays[i], kRules[i]));
    bytes.push_back(encode(*arrays[i], kRules[i].transposed));
  }
  ImportJob job;
  job.plan = PIXELLM_TRY(plan_model(std::move(tensors), metadata, SourceRecord{}, options.row_bytes));
  job.read = [bytes = std::move(bytes)](size_t index, uint64_t offset, MutableBytes out) -> Result<void> {
    std::memcpy(out.data(), bytes[index].data() + offset, out.size());
    return {};
  };
  return job;
}

}  // namespace

Result<ImportJob> npz_import_job(const ByteSource& source, const std::string& model_name,
                                 const ImportOptions& options) {
  const NpzFile npz = PIXELLM_TRY(NpzFile::read(source));
  auto job = make_job(npz, model_name, options);
  if (!job) return fail_in(source.name(), std::move(job).error());
  return job;
}

}  // namespace pixellm
