#include "infer/engine.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <string>

#include "infer/row_layout.h"

namespace pixellm {
namespace {

// Finds tensors by name, checks their shapes, and remembers which ones were asked for.
class Tensors {
 public:
  Tensors(const Model& model, const Kernels& kernels, std::string_view architecture)
      : model_(model), kernels_(kernels), architecture_(architecture), used_(model.tensors().size()) {}

  bool has(const std::string& name) const { return model_.find(name) != nullptr; }
  uint64_t bytes_found() const { return bytes_found_; }

  Result<CellMatrixView> matrix(const std::string& name, uint64_t k, uint64_t n_rows) {
    const TensorInfo* t = PIXELLM_TRY(find(name));
    if (t->layout != Layout::kCells || t->k() != k || t->n_rows() != n_rows)
      return fail(ErrorCode::kCorrupt, fmt::format("engine: tensor {} is {}, this {} model needs [{}, {}]",
                                                   name, shape(*t), architecture_, k, n_rows));
    return model_.matrix(*t);
  }

  Result<std::vector<float>> vector(const std::string& name, uint64_t n) {
    const TensorInfo* t = PIXELLM_TRY(find(name));
    if (t->k() != n || t->n_rows() != 1)
      return fail(ErrorCode::kCorrupt, fmt::format("engine: tensor {} is {}, this {} model needs [{}]", name,
                                                   shape(*t), architecture_, n));
    return model_.read_floats(*t);
  }

  // NAME.weight [k, n_rows] and, where there is one, NAME.bias [n_rows].
  Result<Linear> linear(const std::string& name, uint64_t k, uint64_t n_rows) {
    Linear linear;
    linear.weight = PIXELLM_TRY(matrix(name + ".weight", k, n_rows));
    linear.multiply = kernels_.matmul[static_cast<size_t>(type_index(linear.weight.type))];
    if (has(name + ".bias")) linear.bias = PIXELLM_TRY(vector(name + ".bias", n_rows));
    return linear;
  }

  Result<Norm> norm(const std::string& name, uint64_t n, bool with_bias) {
    Norm norm;
    norm.weight = PIXELLM_TRY(vector(name + ".weight", n));
    if (with_bias) norm.bias = PIXELLM_TRY(vector(name + ".bias", n));
    return norm;
  }

  // A tensor that nothing asked for may change what the model computes: better no answer than a wrong one.
  Result<void> all_used() const {
    for (size_t i = 0; i < used_.size(); i++)
      if (!used_[i])
        return fail(ErrorCode::kUnsupported,
                    fmt::format("engine: tensor {} is no part of architecture {} as it is implemented",
                                model_.tensors()[i].name, architecture_));
    return {};
  }

 private:
  Result<const TensorInfo*> find(const std::string& name) {
    const TensorInfo* t = model_.find(name);
    if (!t)
      return fail(ErrorCode::kCorrupt,
                  fmt::format("engine: tensor {} is missing, architecture {} needs it", name, architecture_));
    const auto index = static_cast<size_t>(t - model_.tensors().data());
    if (!used_[index]) bytes_found_ += t->stored_bytes;
    used_[index] = true;
    return t;
  }

  static std::string shape(const TensorInfo& t) {
    std::string text = "[";
    for (uint32_t i = 0; i < t.n_dims && i < t.dims.size(); i++)
      text += fmt::format("{}{}", i ? ", " : "", t.dims[i]);
    return text + "]";
  }

  const Model& model_;
  const Kernels& kernels_;
  std::string_view architecture_;
  std::vector<bool> used_;
  uint64_t bytes_found_ = 0;
};

Result<void> find_attention(Tensors& tensors, const std::string& blk, const ModelConfig& c,
                            LayerWeights& layer) {
  const bool qk_norm = c.architecture == Architecture::kQwen3 || c.architecture == Architecture::kGemma3;
  layer.attention_norm =
      PIXELLM_TRY(tensors.norm(blk + "attn_norm", c.embedding_length, c.architecture == Architecture::kGpt2));
  if (tensors.has(blk + "attn_qkv.weight")) {
    layer.attention_in.push_back(
        PIXELLM_TRY(tensors.linear(blk + "attn_qkv", c.embedding_length, c.q_width() + 2 * c.kv_width())));
  } else {
    layer.attention_in.push_back(
        PIXELLM_TRY(tensors.linear(blk + "attn_q", c.embedding_length, c.q_width())));
    layer.attention_in.push_back(
        PIXELLM_TRY(tensors.linear(blk + "attn_k", c.embedding_length, c.kv_width())));
    layer.attention_in.push_back(
        PIXELLM_TRY(tensors.linear(blk + "attn_v", c.embedding_length, c.kv_width())));
  }
  if (qk_norm) {
    layer.q_norm = PIXELLM_TRY(tensors.vector(blk + "attn_q_norm.weight", c.head_dim));
    layer.k_norm = PIXELLM_TRY(tensors.vector(blk + "attn_k_norm.weight", c.head_dim));
  }
  layer.attention_out = PIXELLM_TRY(tensors.linear(blk + "attn_output", c.q_width(), c.embedding_length));
  return {};
}

Result<LayerWeights> find_layer(Tensors& tensors, const ModelConfig& c, uint32_t index) {
  const bool gpt2 = c.architecture == Architecture::kGpt2, gemma = c.architecture == Architecture::kGemma3;
  const std::string blk = fmt::format("blk.{}.", index);
  LayerWeights layer;
  PIXELLM_CHECK(find_attention(tensors, blk, c, layer));
  layer.ffn_norm = PIXELLM_TRY(tensors.norm(blk + "ffn_norm", c.embedding_length, gpt2));
  if (!gpt2)
    layer.gate = PIXELLM_TRY(tensors.linear(blk + "ffn_gate", c.embedding_length, c.feed_forward_length));
  layer.up = PIXELLM_TRY(tensors.linear(blk + "ffn_up", c.embedding_length, c.feed_forward_length));
  layer.down = PIXELLM_TRY(tensors.linear(blk + "ffn_down", c.feed_forward_length, c.embedding_length));
  if (gemma) {
    layer.attention_post_norm =
        PIXELLM_TRY(tensors.norm(blk + "post_attention_norm", c.embedding_length, false));
    layer.ffn_post_norm = PIXELLM_TRY(tensors.norm(blk + "post_ffw_norm", c.embedding_length, false));
  }
  layer.local_rope = c.is_sliding(index);
  layer.window = layer.local_rope ? c.sliding_window : 0;
  return layer;
}

Result<void> find_ends(Tensors& tensors, const Kernels& kernels, Engine::Impl& e) {
  const ModelConfig& c = e.config;
  const bool gpt2 = c.architecture == Architecture::kGpt2;
  e.token_embedding = PIXELLM_TRY(tensors.matrix("token_embd.weight", c.embedding_length, c.vocab_size));
  if (gpt2)
    e.position_embedding =
        PIXELLM_TRY(tensors.matrix("position_embd.weight", c.embedding_length, c.context_length));
  e.output_norm = PIXELLM_TRY(tensors.norm("output_norm", c.embedding_length, gpt2));
  if (tensors.has("output.weight")) {
    e.output = PIXELLM_TRY(tensors.linear("output", c.embedding_length, c.vocab_size));
  } else {
    e.output.weight = e.token_embedding;
    e.output.multiply = kernels.matmul[static_cast<size_t>(type_index(e.token_embedding.type))];
  }
  if (c.architecture == Architecture::kLlama && tensors.has("rope_freqs.weight")) {
    e.rope_factors = PIXELLM_TRY(tensors.vector("rope_freqs.weight", c.n_rot / 2));
    for (const float factor : e.rope_factors)
      if (!std::isfinite(factor) || factor <= 0)
        return fail(ErrorCode::kCorrupt,
                    fmt::format("engine: rope_freqs.weight holds {}, factors must be above 0", factor));
  }
  return {};
}

Result<void> find_mlp(Tensors& tensors, Engine::Impl& e) {
  const ModelConfig& c = e.config;
  e.token_embedding = PIXELLM_TRY(tensors.matrix("token_embd.weight", c.embedding_length, c.vocab_size));
  e.hidden = PIXELLM_TRY(tensors.linear("blk.0.ffn_up", c.embedding_length, c.feed_forward_length));
  e.output = PIXELLM_TRY(tensors.linear("output", c.feed_forward_length, c.vocab_size));
  return {};
}

Result<void> find_transformer(Tensors& tensors, const Kernels& kernels, Engine::Impl& e) {
  PIXELLM_CHECK(find_ends(tensors, kernels, e));
  e.layers.reserve(e.config.n_layers);
  for (uint32_t i = 0; i < e.config.n_layers; i++)
    e.layers.push_back(PIXELLM_TRY(find_layer(tensors, e.config, i)));
  for (const LayerWeights& layer : e.layers)
    if (layer.attention_in.size() != e.layers.front().attention_in.size())
      return fail(ErrorCode::kUnsupported,
                  "engine: some layers have attn_qkv, others attn_q, attn_k and attn_v");
  return {};
}

// Rows of several matrices stand one after the other in a token's row, each rounded up to whole groups.
void plan_rows(Engine::Impl& e) {
  const ModelConfig& c = e.config;
  const QkvRows rows = qkv_rows(c, e.layers.front().attention_in.size() == 1);
  e.q_at = rows.q_at, e.k_at = rows.k_at, e.v_at = rows.v_at, e.qkv_stride = rows.stride;
  const uint64_t ffn = round_up(c.feed_forward_length, kCellRows);
  const bool gated = e.layers.front().gate.present();
  e.up_at = gated ? ffn : 0;
  e.ffn_stride = gated ? 2 * ffn : ffn;
  e.head_dim_padded = static_cast<uint32_t>(round_up(c.head_dim, 16));
  for (LayerWeights& layer : e.layers) {
    layer.attention_in_at = {e.q_at, e.k_at, e.v_at};
    layer.attention_in_at.resize(layer.attention_in.size());
  }
}

void note_kind(const Linear& linear, Engine::Impl& e) {
  if (!linear.present()) return;
  (linear.is_float() ? e.has_float : e.has_quantized) = true;
}

void note_kinds(Engine::Impl& e) {
  note_kind(e.output, e);
  note_kind(e.hidden, e);
  for (const LayerWeights& layer : e.layers) {
    for (const Linear& linear : layer.attention_in) note_kind(linear, e);
    for (const Linear* linear : {&layer.attention_out, &layer.gate, &layer.up, &layer.down})
      note_kind(*linear, e);
    e.has_local_rope |= layer.local_rope;
  }
}

// Everything is read but the embeddings, of which one row is; a tied one is read whole as the output.
uint64_t weight_bytes_per_token(const Model& model, const Engine::Impl& e, uint64_t all_bytes) {
  uint64_t bytes = all_bytes;
  const auto one_row = [&](const char* name) {
    const TensorInfo& t = *model.find(name);
    bytes -= t.stored_bytes - gguf_row_bytes(t.type, t.k());
  };
  if (model.find("output.weight")) one_row("token_embd.weight");
  if (e.config.architecture == Architecture::kGpt2) one_row("position_embd.weight");
  return bytes;
}

}  // namespace

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

const ModelConfig& Engine::config() const { return impl_->config; }
const Kernels& Engine::kernels() const { return *impl_->kernels; }
uint64_t Engine::bytes_per_token() const { return impl_->bytes_per_token; }

Result<Engine> Engine::create(const Model& model, const Kernels* kernels) {
  auto e = std::make_unique<Impl>();
  e->model = &model;
  e->kernels = kernels ? kernels : PIXELLM_TRY(active_kernels());
  e->config = PIXELLM_TRY(read_config(model));

  Tensors tensors(model, *e->kernels, architecture_name(e->config.architecture));
  const bool is_mlp = e->config.architecture == Architecture::kMlp;
  PIXELLM_CHECK(is_mlp ? find_mlp(tensors, *e) : find_transformer(tensors, *e->kernels, *e));
  PIXELLM_CHECK(tensors.all_used());

  if (!is_mlp) plan_rows(*e);
  note_kinds(*e);
  e->bytes_per_token = weight_bytes_per_token(model, *e, tensors.bytes_found());
  return Engine(std::move(e));
}

}  // namespace pixellm
