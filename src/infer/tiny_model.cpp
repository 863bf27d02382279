#include "infer/tiny_model.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "model/model_writer.h"
#include "tensor/float16.h"

namespace pixellm {
namespace {

// splitmix64
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  // Uniform, mean 0, deviation 1; exact in binary32.
  float value() {
    return static_cast<float>(static_cast<int32_t>(bits() >> 41) - (1 << 22)) * 0x1.bb67aep-22f;
  }

 private:
  uint64_t state_;
};

// The deviation of a block's values when its scale is 1, its other bits are random, and its minimum is set as
// below.
float unit_deviation(TensorType type) {
  switch (type) {
    case TensorType::kQ8_0:
      return 74;
    case TensorType::kQ4_0:
    case TensorType::kQ4_1:
      return 4.6f;
    case TensorType::kQ5_0:
    case TensorType::kQ5_1:
      return 9.2f;
    case TensorType::kQ4_K:
      return 257;
    case TensorType::kQ5_K:
      return 518;
    case TensorType::kQ6_K:
      return 1370;
    default:
      return 1;
  }
}

void put_half(uint8_t* at, float value) { store_le<uint16_t>(at, float_to_f16(value)); }

// Random bits, then a scale and minimum that give the values mean 0 and about the deviation asked for.
void fill_block(TensorType type, float deviation, Random& random, uint8_t* block) {
  const uint32_t bytes = traits(type).block_bytes;
  for (uint32_t i = 0; i < bytes; i++) block[i] = static_cast<uint8_t>(random.bits() >> 32);
  const float d = deviation / unit_deviation(type) * (1.0f + 0.15f * random.value());
  switch (type) {
    case TensorType::kF32:
      store_le<float>(block, deviation * random.value());
      break;
    case TensorType::kF16:
      put_half(block, deviation * random.value());
      break;
    case TensorType::kBF16:
      store_le<uint16_t>(block,
                         static_cast<uint16_t>(std::bit_cast<uint32_t>(deviation * random.value()) >> 16));
      break;
    case TensorType::kQ8_0:
    case TensorType::kQ4_0:
    case TensorType::kQ5_0:
      put_half(block, d);
      break;
    case TensorType::kQ4_1:
      put_half(block, d), put_half(block + 2, -7.5f * d);
      break;
    case TensorType::kQ5_1:
      put_half(block, d), put_half(block + 2, -15.5f * d);
      break;
    case TensorType::kQ4_K:
      put_half(block, d), put_half(block + 2, 7.5f * d);
      break;
    case TensorType::kQ5_K:
      put_half(block, d), put_half(block + 2, 15.5f * d);
      break;
    case TensorType::kQ6_K:
      put_half(block + bytes - 2, d);
      break;
  }
}

class Builder {
 public:
  explicit Builder(const TinySpec& spec) : spec_(spec), random_(spec.seed) {}
  TinyModel build();

 private:
  void matrix(const std::string& name, uint64_t k, uint64_t n_rows, float deviation = 0);
  void vector(const std::string& name, uint64_t n, float mean, float deviation);
  void norm(const std::string& name);
  void linear(const std::string& name, uint64_t k, uint64_t n_rows, bool bias);
  void mlp();
  void metadata();
  void vocabulary();
  void layer(uint32_t index);

  bool is(Architecture a) const { return spec_.architecture == a; }

  const TinySpec& spec_;
  Random random_;
  size_t n_matrices_ = 0;
  TinyModel out_;
};

void Builder::matrix(const std::string& name, uint64_t k, uint64_t n_rows, float deviation) {
  TinyTensor t{.name = name,
               .type = spec_.types[n_matrices_++ % spec_.types.size()],
               .dims = {k, n_rows},
               .bytes = {}};
  const TypeTraits& type = traits(t.type);
  const uint64_t blocks = k / type.block_elements * n_rows;
  t.bytes.resize(blocks * type.block_bytes);
  if (deviation == 0) deviation = 1.0f / std::sqrt(static_cast<float>(k));
  for (uint64_t i = 0; i < blocks; i++)
    fill_block(t.type, deviation, random_, t.bytes.data() + i * type.block_bytes);
  out_.tensors.push_back(std::move(t));
}

void Builder::vector(const std::string& name, uint64_t n, float mean, float deviation) {
  TinyTensor t{.name = name, .type = TensorType::kF32, .dims = {n}, .bytes = {}};
  t.bytes.resize(n * 4);
  for (uint64_t i = 0; i < n; i++)
    store_le<float>(t.bytes.data() + 4 * i, mean + deviation * random_.value());
  out_.tensors.push_back(std::move(t));
}

void Builder::norm(const std::string& name) {
  vector(name + ".weight", spec_.embedding_length, 1, 0.1f);
  if (is(Architecture::kGpt2)) vector(name + ".bias", spec_.embedding_length, 0, 0.1f);
}

void Builder::linear(const std::string& name, uint64_t k, uint64_t n_rows, bool bias) {
  matrix(name + ".weight", k, n_rows);
  if (bias) vector(name + ".bias", n_rows, 0, 0.2f);
}

// GPT-2's printable stand-ins: bytes that print stand for themselves, the others for U+0100 on.
void Builder::vocabulary() {
  std::vector<std::string> tokens;
  std::vector<int32_t> kinds(spec_.vocab_size, 1);
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256 && byte < spec_.vocab_size; byte++) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
    const uint32_t code = printable ? byte : next++;
    if (code < 0x80)
      tokens.emplace_back(1, static_cast<char>(code));
    else
      tokens.push_back({static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 63))});
  }
  while (tokens.size() < spec_.vocab_size) {
    kinds[tokens.size()] = 5;
    tokens.push_back(fmt::format("<|unused_{}|>", tokens.size()));
  }
  tokens.back() = "<|endoftext|>";
  kinds.back() = 3;
  PairWriter& p = out_.pairs;
  p.text("tokenizer.ggml.model", "gpt2");
  p.text("tokenizer.ggml.pre", "gpt-2");
  p.texts("tokenizer.ggml.tokens", tokens);
  p.integers("tokenizer.ggml.token_type", kinds);
  p.texts("tokenizer.ggml.merges", {});
  p.integer("tokenizer.ggml.eos_token_id", spec_.vocab_size - 1);
}

// The v0 network's kind: three matrices, biases always, a vocabulary of code points.
void Builder::mlp() {
  PairWriter& p = out_.pairs;
  p.text("general.architecture", "mlp");
  p.integer("mlp.block_count", 1);
  p.integer("mlp.context_length", spec_.context_length);
  p.integer("mlp.embedding_length", spec_.embedding_length);
  p.integer("mlp.feed_forward_length", spec_.feed_forward_length);
  p.integer("mlp.vocab_size", spec_.vocab_size);
  p.text("tokenizer.ggml.model", kCodePointModel);
  matrix("token_embd.weight", spec_.embedding_length, spec_.vocab_size, 0.5f);
  linear("blk.0.ffn_up", spec_.embedding_length, spec_.feed_forward_length, true);
  linear("output", spec_.feed_forward_length, spec_.vocab_size, true);
}

void Builder::metadata() {
  PairWriter& p = out_.pairs;
  const std::string name(architecture_name(spec_.architecture)), arch = name + ".";
  p.text("general.architecture", name);
  p.integer(arch + "block_count", spec_.n_layers);
  p.integer(arch + "context_length", spec_.context_length);
  p.integer(arch + "embedding_length", spec_.embedding_length);
  p.integer(arch + "feed_forward_length", spec_.feed_forward_length);
  p.integer(arch + "attention.head_count", spec_.n_heads);
  if (is(Architecture::kGpt2)) {
    p.number(arch + "attention.layer_norm_epsilon", 1e-5f);
  } else {
    p.integer(arch + "attention.head_count_kv", spec_.n_kv_heads);
    p.integer(arch + "attention.key_length", spec_.head_dim);
    p.integer(arch + "attention.value_length", spec_.head_dim);
    p.number(arch + "attention.layer_norm_rms_epsilon", 1e-6f);
    p.number(arch + "rope.freq_base", 50000.0f);
    if (spec_.n_rot > 0) p.integer(arch + "rope.dimension_count", spec_.n_rot);
    if (spec_.rope_linear_factor > 0) {
      p.text(arch + "rope.scaling.type", "linear");
      p.number(arch + "rope.scaling.factor", spec_.rope_linear_factor);
    }
  }
  if (spec_.sliding_window > 0) p.integer(arch + "attention.sliding_window", spec_.sliding_window);
  if (spec_.sliding_period > 0) p.integer(arch + "attention.sliding_window_pattern", spec_.sliding_period);
  if (spec_.attention_softcap > 0) p.number(arch + "attn_logit_softcapping", spec_.attention_softcap);
  if (spec_.final_softcap > 0) p.number(arch + "final_logit_softcapping", spec_.final_softcap);
  vocabulary();
}

void Builder::layer(uint32_t index) {
  const std::string blk = fmt::format("blk.{}.", index);
  const uint64_t embedding = spec_.embedding_length, ffn = spec_.feed_forward_length;
  const bool gpt2 = is(Architecture::kGpt2), gemma = is(Architecture::kGemma3), biases = spec_.biases || gpt2;
  const uint64_t q = uint64_t{spec_.n_heads} * spec_.head_dim;
  const uint64_t kv = uint64_t{gpt2 ? spec_.n_heads : spec_.n_kv_heads} * spec_.head_dim;
  norm(blk + "attn_norm");
  if (spec_.fused_qkv || gpt2) {
    linear(blk + "attn_qkv", embedding, q + 2 * kv, biases || is(Architecture::kQwen2));
  } else {
    linear(blk + "attn_q", embedding, q, biases || is(Architecture::kQwen2));
    linear(blk + "attn_k", embedding, kv, biases || is(Architecture::kQwen2));
    linear(blk + "attn_v", embedding, kv, biases || is(Architecture::kQwen2));
  }
  if (gemma || is(Architecture::kQwen3)) {
    vector(blk + "attn_q_norm.weight", spec_.head_dim, 1, 0.1f);
    vector(blk + "attn_k_norm.weight", spec_.head_dim, 1, 0.1f);
  }
  linear(blk + "attn_output", q, embedding, biases);
  if (gemma) norm(blk + "post_attention_norm");
  norm(blk + "ffn_norm");
  if (!gpt2) linear(blk + "ffn_gate", embedding, ffn, biases);
  linear(blk + "ffn_up", embedding, ffn, biases);
  linear(blk + "ffn_down", ffn, embedding, biases);
  if (gemma) norm(blk + "post_ffw_norm");
}

TinyModel Builder::build() {
  if (is(Architecture::kMlp)) {
    mlp();
    return std::move(out_);
  }
  metadata();
  matrix("token_embd.weight", spec_.embedding_length, spec_.vocab_size,
         is(Architecture::kGemma3) ? 0.06f : 0.5f);
  if (is(Architecture::kGpt2))
    matrix("position_embd.weight", spec_.embedding_length, spec_.context_length, 0.1f);
  norm("output_norm");
  if (!spec_.tied_output) matrix("output.weight", spec_.embedding_length, spec_.vocab_size);
  if (spec_.rope_factors) {
    vector("rope_freqs.weight", (spec_.n_rot > 0 ? spec_.n_rot : spec_.head_dim) / 2, 2.5f, 0.8f);
  }
  for (uint32_t i = 0; i < spec_.n_layers; i++) layer(i);
  return std::move(out_);
}

// Removes the folder and what is in it.
struct FolderGuard {
  std::string path;
  ~FolderGuard() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

}  // namespace

TinyTensor* TinyModel::find(std::string_view name) {
  for (TinyTensor& t : tensors)
    if (t.name == name) return &t;
  return nullptr;
}

Result<void> TinyModel::write(const std::string& path) const {
  std::vector<TensorInfo> infos;
  for (const TinyTensor& t : tensors) {
    TensorInfo info;
    info.name = t.name;
    info.type = t.type;
    info.n_dims = static_cast<uint32_t>(t.dims.size());
    for (size_t i = 0; i < t.dims.size(); i++) info.dims[i] = t.dims[i];
    infos.push_back(std::move(info));
  }
  const Metadata metadata = PIXELLM_TRY(pairs.metadata());
  ModelPlan plan = PIXELLM_TRY(plan_model(std::move(infos), metadata, SourceRecord{}));
  auto writer = PIXELLM_TRY(ModelWriter::create(path, std::move(plan)));
  const std::vector<size_t> order = writer.order();
  for (const size_t index : order) {
    PIXELLM_CHECK(writer.write_tensor(index, [&](uint64_t offset, MutableBytes out) -> Result<void> {
      std::memcpy(out.data(), tensors[index].bytes.data() + offset, out.size());
      return {};
    }));
  }
  return writer.finish();
}

Result<Model> TinyModel::open() const {
  std::error_code error;
  std::string folder = (std::filesystem::temp_directory_path(error) / "pixellm-tiny-XXXXXX").string();
  if (error || !mkdtemp(folder.data()))
    return fail(ErrorCode::kIo, fmt::format("tiny model: cannot make the folder '{}'", folder));
  const FolderGuard guard{folder};
  const std::string path = folder + "/tiny.png";
  PIXELLM_CHECK(write(path));
  return Model::from_plane(PIXELLM_TRY(PixelPlane::open(path)));
}

TinyModel make_tiny_model(const TinySpec& spec) { return Builder(spec).build(); }

}  // namespace pixellm
