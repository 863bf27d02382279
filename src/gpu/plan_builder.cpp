#include "gpu/plan_builder.h"

#include <fmt/format.h>

#include <algorithm>

#include "infer/session.h"

namespace pixellm::gpu {
namespace {

constexpr uint64_t kMaxK = 65536;
constexpr uint32_t kMaxHeadDim = 256, kMaxGroup = 16;

// Finds tensors, checks their shapes and gives each its place: Engine::create's twin for a host that has only
// the head.
class Finder {
 public:
  Finder(const Model& model, PlanParts& parts)
      : model_(model), p_(parts), c_(parts.plan.config), used_(model.tensors().size()) {}

  Result<void> find() {
    const bool gpt2 = c_.architecture == Architecture::kGpt2;
    p_.token_embedding = PIXELLM_TRY(matrix("token_embd", c_.embedding_length, c_.vocab_size));
    if (gpt2)
      p_.position_embedding = PIXELLM_TRY(matrix("position_embd", c_.embedding_length, c_.context_length));
    for (uint32_t i = 0; i < c_.n_layers; i++) p_.layers.push_back(PIXELLM_TRY(layer(i)));
    for (const LayerMatrices& l : p_.layers)
      if (l.attention_in.size() != p_.layers.front().attention_in.size())
        return fail(ErrorCode::kUnsupported,
                    "gpu: some layers have attn_qkv, others attn_q, attn_k and attn_v");
    p_.output_norm = PIXELLM_TRY(norm("output_norm", gpt2));
    p_.output = p_.token_embedding;
    if (model_.find("output.weight"))
      p_.output = PIXELLM_TRY(matrix("output", c_.embedding_length, c_.vocab_size));
    if (const TensorInfo* t = model_.find("rope_freqs.weight"); t && c_.architecture == Architecture::kLlama)
      used_[index_of(t)] = true;  // in the host's RoPE tables
    for (size_t i = 0; i < used_.size(); i++)
      if (!used_[i])
        return fail(ErrorCode::kUnsupported,
                    fmt::format("gpu: tensor {} is no part of architecture {} as it is implemented",
                                model_.tensors()[i].name, architecture_name(c_.architecture)));
    p_.rows = qkv_rows(c_, p_.layers.front().attention_in.size() == 1);
    return {};
  }

  // Matrices that one dispatch may read together come into one texture.
  Result<void> cut(uint64_t max_rows) {
    std::vector<std::vector<Matrix*>> sets = {{&p_.token_embedding}, {&p_.position_embedding}, {&p_.output}};
    for (LayerMatrices& l : p_.layers) {
      sets.emplace_back();
      for (Matrix& m : l.attention_in) sets.back().push_back(&m);
      sets.push_back({&l.attention_out});
      sets.push_back({&l.gate, &l.up});
      sets.push_back({&l.down});
    }
    std::vector<RowRange> ranges;
    for (const auto& set : sets) {
      RowRange all;
      for (const Matrix* m : set)
        if (m->present()) all = joined(all, m->rows);
      if (all != RowRange{}) ranges.push_back(all);
    }
    TextureCut cut = PIXELLM_TRY(cut_rows(ranges, max_rows));
    p_.plan.textures = std::move(cut.textures);
    auto place = cut.tensors.begin();
    auto range = ranges.begin();
    for (const auto& set : sets) {
      bool any = false;
      for (Matrix* m : set) {
        if (!m->present()) continue;
        m->place = {place->texture, place->row + (m->rows.first - range->first)};
        any = true;
      }
      if (any) place++, range++;
    }
    return {};
  }

 private:
  static RowRange joined(const RowRange& a, const RowRange& b) {
    return a == RowRange{} ? b : RowRange{std::min(a.first, b.first), std::max(a.end, b.end)};
  }
  size_t index_of(const TensorInfo* t) const { return static_cast<size_t>(t - model_.tensors().data()); }

  Result<const TensorInfo*> tensor(const std::string& name, uint64_t k, uint64_t n_rows) {
    const TensorInfo* t = model_.find(name);
    if (!t)
      return fail(ErrorCode::kCorrupt, fmt::format("gpu: tensor {} is missing, architecture {} needs it",
                                                   name, architecture_name(c_.architecture)));
    if (t->k() != k || t->n_rows() != n_rows)
      return fail(ErrorCode::kCorrupt,
                  fmt::format("gpu: tensor {} is [{}, {}], this {} model needs [{}, {}]", name, t->k(),
                              t->n_rows(), architecture_name(c_.architecture), k, n_rows));
    used_[index_of(t)] = true;
    return t;
  }

  // Its first float in `vectors`.
  Result<uint32_t> vector(const std::string& name, uint64_t n) {
    PIXELLM_CHECK(tensor(name, n, 1));
    const uint64_t at = p_.vector_floats;
    p_.plan.vectors.push_back({name, at, n});
    p_.vector_floats += round_up(n, 64);
    if (p_.vector_floats >= kNone)
      return fail(ErrorCode::kTooLarge, "gpu: more than 2^32 values in one-dimensional tensors");
    return static_cast<uint32_t>(at);
  }

  Result<Matrix> matrix(const std::string& name, uint64_t k, uint64_t n_rows) {
    const TensorInfo* t = PIXELLM_TRY(tensor(name + ".weight", k, n_rows));
    if (t->layout != Layout::kCells)
      return fail(ErrorCode::kCorrupt, fmt::format("gpu: tensor {} is no matrix", t->name));
    if (k > kMaxK)
      return fail(
          ErrorCode::kUnsupported,
          fmt::format("gpu: tensor {} has rows of {} columns, the shaders take {}", t->name, k, kMaxK));
    Matrix m;
    m.type = t->type, m.k = k, m.n_rows = n_rows, m.offset = t->offset;
    const auto [first, last] = model_.picture_rows(*t);
    m.rows = {first, last + 1};
    if (model_.find(name + ".bias")) m.bias_at = PIXELLM_TRY(vector(name + ".bias", n_rows));
    return m;
  }

  Result<NormPlace> norm(const std::string& name, bool with_bias) {
    NormPlace n;
    n.weight_at = PIXELLM_TRY(vector(name + ".weight", c_.embedding_length));
    if (with_bias) n.bias_at = PIXELLM_TRY(vector(name + ".bias", c_.embedding_length));
    return n;
  }

  Result<LayerMatrices> layer(uint32_t index) {
    const bool gpt2 = c_.architecture == Architecture::kGpt2,
               gemma = c_.architecture == Architecture::kGemma3;
    const std::string blk = fmt::format("blk.{}.", index);
    const uint64_t embd = c_.embedding_length, ffn = c_.feed_forward_length;
    LayerMatrices l;
    l.attention_norm = PIXELLM_TRY(norm(blk + "attn_norm", gpt2));
    if (model_.find(blk + "attn_qkv.weight")) {
      l.attention_in.push_back(PIXELLM_TRY(matrix(blk + "attn_qkv", embd, c_.q_width() + 2 * c_.kv_width())));
    } else {
      l.attention_in.push_back(PIXELLM_TRY(matrix(blk + "attn_q", embd, c_.q_width())));
      l.attention_in.push_back(PIXELLM_TRY(matrix(blk + "attn_k", embd, c_.kv_width())));
      l.attention_in.push_back(PIXELLM_TRY(matrix(blk + "attn_v", embd, c_.kv_width())));
    }
    if (gemma || c_.architecture == Architecture::kQwen3) {
      l.q_norm_at = PIXELLM_TRY(vector(blk + "attn_q_norm.weight", c_.head_dim));
      l.k_norm_at = PIXELLM_TRY(vector(blk + "attn_k_norm.weight", c_.head_dim));
    }
    l.attention_out = PIXELLM_TRY(matrix(blk + "attn_output", c_.q_width(), embd));
    l.ffn_norm = PIXELLM_TRY(norm(blk + "ffn_norm", gpt2));
    if (!gpt2) l.gate = PIXELLM_TRY(matrix(blk + "ffn_gate", embd, ffn));
    l.up = PIXELLM_TRY(matrix(blk + "ffn_up", embd, ffn));
    l.down = PIXELLM_TRY(matrix(blk + "ffn_down", ffn, embd));
    if (gemma) {
      l.attention_post_at = PIXELLM_TRY(vector(blk + "post_attention_norm.weight", embd));
      l.ffn_post_at = PIXELLM_TRY(vector(blk + "post_ffw_norm.weight", embd));
    }
    l.local_rope = c_.is_sliding(index);
    l.window = l.local_rope ? c_.sliding_window : 0;
    p_.local_rope |= l.local_rope;
    return l;
  }

  const Model& model_;
  PlanParts& p_;
  const ModelConfig& c_;
  std::vector<bool> used_;
};

Result<void> check(const ModelConfig& c) {
  if (c.architecture == Architecture::kMlp)
    return fail(ErrorCode::kUnsupported, "gpu: architecture mlp runs on the CPU only");
  if (c.head_dim % 2 != 0 || c.head_dim > kMaxHeadDim)
    return fail(ErrorCode::kUnsupported,
                fmt::format("gpu: heads of {} values, the shaders take even numbers up to {}", c.head_dim,
                            kMaxHeadDim));
  if (c.n_heads / c.n_kv_heads > kMaxGroup)
    return fail(ErrorCode::kUnsupported, fmt::format("gpu: {} heads for each key head, the shaders take {}",
                                                     c.n_heads / c.n_kv_heads, kMaxGroup));
  return {};
}

}  // namespace

const char* family(TensorType type) {
  switch (type) {
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16:
      return "float";
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
      return "k";
    case TensorType::kQ6_K:
      return "q6_k";
    default:
      return "q";
  }
}

std::array<uint32_t, 4> PlanParts::place(const Matrix& m) const {
  const uint64_t in_row = m.offset % plan.row_bytes;
  return {static_cast<uint32_t>(m.place.row), static_cast<uint32_t>(in_row / 16),
          static_cast<uint32_t>((plan.row_bytes - in_row) / traits(m.type).cell_bytes),
          static_cast<uint32_t>(ceil_div(m.n_rows, uint64_t{kCellRows}))};
}

Result<PlanParts> find_parts(const Model& model, const PlanOptions& options) {
  PlanParts parts;
  Plan& plan = parts.plan;
  plan.config = PIXELLM_TRY(read_config(model));
  PIXELLM_CHECK(check(plan.config));
  plan.context =
      options.context > 0 ? options.context : std::min(plan.config.context_length, kDefaultContext);
  if (plan.context > plan.config.context_length)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("gpu: a context of {} was asked for, the model's is {}", plan.context,
                            plan.config.context_length));
  plan.batch = std::clamp<uint32_t>(options.batch, 1, plan.context);
  plan.row_bytes = model.plane().row_bytes();
  plan.picture_rows = model.plane().rows();
  plan.rows_per_layer = options.rows_per_layer;
  Finder finder(model, parts);
  PIXELLM_CHECK(finder.find());
  PIXELLM_CHECK(finder.cut(options.max_texture_rows));
  return parts;
}

}  // namespace pixellm::gpu
