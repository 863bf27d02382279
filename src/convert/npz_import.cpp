// The v0 network: embed[V, D], hidden[D, D], b_hidden[D], out[D, V], b_out[V] becomes architecture mlp.
// Metadata and meaning: docs/architectures.md, "mlp".
#include <array>
#include <cstring>

#include "convert/import.h"
#include "convert/npz.h"
#include "convert/v0_arrays.h"
#include "model/pair_writer.h"

namespace pixellm {
namespace {

// Far above the original's 1024 and 128; what the engine and the tokenizer take.
constexpr uint64_t kMaxVocabSize = uint64_t{1} << 24;
constexpr uint64_t kMaxWidth = uint64_t{1} << 20;
constexpr uint32_t kContextLength = 65535;  // what a token picture of the pixel protocol can count

struct ArrayRule {
  std::string_view tensor;
  bool transposed;  // the array is [inputs, outputs], a tensor [outputs, inputs]
};
constexpr std::array<ArrayRule, kV0ArrayNames.size()> kRules = {{{"token_embd.weight", false},
                                                                 {"blk.0.ffn_up.weight", true},
                                                                 {"blk.0.ffn_up.bias", false},
                                                                 {"output.weight", true},
                                                                 {"output.bias", false}}};

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
  const V0Arrays arrays =
      PIXELLM_TRY(find_v0_arrays(npz, {.vocab_size = kMaxVocabSize, .model_dim = kMaxWidth}));
  const auto& embed = arrays[kV0Embed]->shape;
  const Metadata metadata = PIXELLM_TRY(describe_model(model_name, embed[0], embed[1]));
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
