#include "gpu/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <initializer_list>
#include <span>

#include "gpu/plan_builder.h"

namespace pixellm::gpu {
namespace {

// Where the products' activations come from.
struct Source {
  const char* buffer;
  uint64_t k;
  bool normed;
};

// What a product does with its result.
struct Result32 {
  uint32_t epilogue = 0;
  const char* out = "x";  // buffer of binding 5
  uint64_t out_at = 0, out_stride = 0;
  const char* act = "act_x";  // buffer of binding 6
  uint32_t emit = 0;          // bit 0: int8, bit 1: floats
  uint32_t norm_at = kNone;   // in `vectors`
};

class Builder {
 public:
  explicit Builder(PlanParts& parts) : p_(parts), plan_(parts.plan), c_(parts.plan.config) {}

  Result<void> build() {
    add_buffers();
    for (const bool single : {true, false}) {
      single_ = single;
      auto& list = single ? plan_.decode : plan_.prefill;
      out_ = &list;
      PIXELLM_CHECK(embed());
      for (uint32_t i = 0; i < c_.n_layers; i++) PIXELLM_CHECK(layer(i));
      layer_ = -1;
      single_ = true;  // logits of one token
      PIXELLM_CHECK(output(single ? 0 : 1));
    }
    single_ = false;
    out_ = &plan_.logits;
    PIXELLM_CHECK(output(1));
    add_choice();
    return {};
  }

 private:
  // gpt2 and gemma3 norm what a product gave, or subtract a mean: then norms are dispatches of their own.
  bool fused_norms() const {
    return c_.architecture != Architecture::kGpt2 && c_.architecture != Architecture::kGemma3;
  }
  bool gpt2() const { return c_.architecture == Architecture::kGpt2; }
  uint64_t attended_stride() const { return round_up(c_.q_width(), 32); }
  // Positions that the cache has room for.
  uint64_t cache_positions() const { return round_up(plan_.context, 32); }
  uint32_t query_tile() const { return c_.head_dim > 128 ? kQueryTile / 2 : kQueryTile; }
  uint64_t embedding_stride() const { return round_up(c_.embedding_length, 32); }

  // ---- buffers

  static uint64_t act_words(uint64_t k, uint32_t emit) {
    const uint64_t padded = round_up(k, 256);
    return padded / 8 * 3 + (emit & 2 ? padded : 0);
  }
  uint32_t emit_for(std::initializer_list<const Matrix*> consumers) const {
    uint32_t emit = 0;
    for (const Matrix* m : consumers)
      if (m->present()) emit |= is_float_type(m->type) ? 2 : 1;
    return emit;
  }
  uint32_t emit_for_attention(uint32_t i) const {
    uint32_t emit = 0;
    for (const Matrix& m : p_.layers[i].attention_in) emit |= emit_for({&m});
    return emit;
  }
  uint32_t emit_after(uint32_t i) const {
    return i + 1 < c_.n_layers ? emit_for_attention(i + 1) : emit_for({&p_.output});
  }

  void buffer(std::string name, uint64_t bytes, bool uniform = false) {
    plan_.buffers.push_back({std::move(name), std::max<uint64_t>(round_up(bytes, 16), 16), uniform});
  }

  void add_buffers() {
    const uint64_t batch = plan_.batch, embd = embedding_stride();
    uint32_t x = emit_for({&p_.output}), a = 0, f = 0;
    for (uint32_t i = 0; i < c_.n_layers; i++) {
      const LayerMatrices& l = p_.layers[i];
      x |= emit_for_attention(i) | emit_for({&l.gate, &l.up});
      a |= emit_for({&l.attention_out});
      f |= emit_for({&l.down});
    }
    act_x_ = act_words(c_.embedding_length, x), act_a_ = act_words(c_.q_width(), a);
    act_f_ = act_words(c_.feed_forward_length, f);
    chunks_ = ceil_div(plan_.context, kAttentionChunkPositions);
    part_ = round_up(c_.head_dim, 4) + 4;

    buffer("step", 16, true);
    buffer("vectors", 4 * p_.vector_floats);
    buffer("tokens", 4 * batch);
    buffer("rope", 4 * batch * c_.n_rot);
    buffer("rope_local", p_.local_rope ? 4 * batch * c_.n_rot : 0);
    buffer("x", 4 * batch * embd);
    buffer("qkv", 4 * batch * p_.rows.stride);
    buffer("act_x", 4 * batch * act_x_);
    buffer("act_a", 4 * batch * act_a_);
    buffer("act_f", 4 * batch * act_f_);
    buffer("parts", 4 * c_.n_heads * chunks_ * part_);
    buffer("attended", 4 * batch * attended_stride());
    buffer("y", fused_norms() ? 0 : 4 * batch * embd);
    for (uint32_t i = 0; i < c_.n_layers; i++)
      for (const char* which : {"k.", "v."})
        buffer(which + std::to_string(i), 2 * uint64_t{c_.n_kv_heads} * cache_positions() * c_.head_dim);
    buffer("logits", 4 * kMaxLogitRows * round_up(c_.vocab_size, 32));
    buffer("best_parts", 12 * ceil_div(c_.vocab_size, 1024));
    buffer("best", 16);
    buffer("top_parts", 8 * kTopK * ceil_div(c_.vocab_size, 4096));
    buffer("top", 8 * kTopK);
  }

  // ---- dispatches

  PlanBinding bound(uint32_t binding, std::string_view name) const {
    return {PlanBinding::Kind::kBuffer, binding, plan_.buffer(name)};
  }
  Dispatch begin(std::string shader, std::string label) const {
    Dispatch d;
    d.layer = layer_;
    d.shader = std::move(shader) + ".wgsl";
    d.label = std::move(label);
    d.bindings.push_back(bound(0, "step"));
    d.bindings.push_back({PlanBinding::Kind::kParams, 1, 0});
    return d;
  }
  void add_matrix_constants(Dispatch& d, const Matrix& m) const {
    d.constants = {{"TYPE", static_cast<double>(m.type)},
                   {"K", static_cast<double>(m.k)},
                   {"CELLS_PER_ROW", static_cast<double>(plan_.row_bytes / traits(m.type).cell_bytes)},
                   {"ROWS_PER_LAYER", plan_.rows_per_layer}};
    d.bindings.push_back({PlanBinding::Kind::kTexture, 2, m.place.texture});
  }
  Extent tokens(uint32_t each = 1) const {
    if (single_) return {.times = 1};
    return {.of = logits_ ? Extent::Of::kLogits : Extent::Of::kTokens, .each = each};
  }
  static uint32_t bits(float v) { return std::bit_cast<uint32_t>(v); }

  // y of matrices of one type one after the other, or gate and up. `token_words` is the activations' stride.
  void product(std::string label, std::span<const Matrix* const> matrices, const Source& from,
               const Result32& to, uint32_t first_token = 0) {
    const Matrix& m = *matrices.front();
    Dispatch d = begin(std::string(single_ ? "matvec_" : "matmul_") + family(m.type), std::move(label));
    add_matrix_constants(d, m);
    d.constants.insert(d.constants.end(), {{"SEGMENTS", static_cast<double>(matrices.size())},
                                           {"EPILOGUE", to.epilogue},
                                           {"NORMED", from.normed ? 1.0 : 0.0},
                                           {"EMIT", to.emit},
                                           {"ACTIVATION", gelu() ? 1.0 : 0.0}});
    d.params.assign(24, 0);
    uint32_t groups = 0;
    for (size_t s = 0; s < 3; s++) {
      d.params[12 + s] = kNone;
      if (s >= matrices.size()) continue;
      const auto place = p_.place(*matrices[s]);
      std::ranges::copy(place, d.params.begin() + static_cast<ptrdiff_t>(4 * s));
      d.params[12 + s] = matrices[s]->bias_at;
      groups = to.epilogue == 2 ? place[3] : groups + place[3];
    }
    d.params[15] = to.norm_at;
    d.params[16] = static_cast<uint32_t>(to.out_at);
    d.params[17] = static_cast<uint32_t>(to.out_stride);
    d.params[18] = static_cast<uint32_t>(act_stride(from.buffer));
    d.params[19] = static_cast<uint32_t>(act_stride(to.act));
    d.params[20] = bits(c_.norm_eps);
    d.params[21] = first_token;
    d.bindings.insert(d.bindings.end(),
                      {bound(3, from.buffer), bound(4, "vectors"), bound(5, to.out), bound(6, to.act)});
    if (single_) {
      const uint32_t pairs = static_cast<uint32_t>(ceil_div(groups, uint64_t{2}));
      const uint32_t across = std::min(pairs, kMaxWorkgroups);
      d.workgroups = {
          {{.times = across}, {.times = static_cast<uint32_t>(ceil_div(pairs, uint64_t{across}))}, {}}};
    } else {
      d.constants.insert(d.constants.end(), {{"ROW_TILE", kRowTile}, {"TOKEN_TILE", kTokenTile}});
      d.workgroups = {{{.times = static_cast<uint32_t>(ceil_div(16 * uint64_t{groups}, uint64_t{kRowTile}))},
                       tokens(kTokenTile),
                       {}}};
    }
    out_->push_back(std::move(d));
  }

  uint64_t act_stride(std::string_view buffer) const {
    return buffer == "act_x" ? act_x_ : buffer == "act_a" ? act_a_ : act_f_;
  }
  bool gelu() const { return gpt2() || c_.architecture == Architecture::kGemma3; }

  Result<void> embed() {
    layer_ = -1;
    const bool fused = fused_norms();
    look_up("embed", p_.token_embedding, 0, fused);
    if (p_.position_embedding.present()) look_up("position", p_.position_embedding, 1, false);
    if (!fused) normalise("norm", 0, kNone, p_.layers[0].attention_norm, emit_for_attention(0));
    return {};
  }

  void look_up(std::string label, const Matrix& m, uint32_t source, bool emits) {
    Dispatch d = begin("embed", std::move(label));
    add_matrix_constants(d, m);
    d.constants.insert(d.constants.end(),
                       {{"SOURCE", source}, {"ADD", source}, {"EMIT", emits ? emit_for_attention(0) : 0}});
    const auto place = p_.place(m);
    d.params.assign(place.begin(), place.end());
    d.params.insert(d.params.end(), {emits ? p_.layers[0].attention_norm.weight_at : kNone,
                                     static_cast<uint32_t>(embedding_stride()), static_cast<uint32_t>(act_x_),
                                     bits(source == 0 ? c_.embedding_scale : 1.0f)});
    d.bindings.insert(d.bindings.end(),
                      {bound(3, "tokens"), bound(4, "vectors"), bound(5, "x"), bound(6, "act_x")});
    d.workgroups = {{{.times = static_cast<uint32_t>(ceil_div(m.k, uint64_t{256}))}, tokens(), {}}};
    out_->push_back(std::move(d));
  }

  // POST of spec/plan.md; emits into act_x.
  void normalise(std::string label, uint32_t post, uint32_t post_at, const NormPlace& norm, uint32_t emit) {
    Dispatch d = begin("norm", std::move(label));
    d.constants = {{"K", c_.embedding_length}, {"POST", post}, {"NORM", gpt2() ? 2.0 : 1.0}, {"EMIT", emit}};
    const auto stride = static_cast<uint32_t>(embedding_stride());
    d.params = {post_at,
                norm.weight_at,
                norm.bias_at,
                stride,
                stride,
                static_cast<uint32_t>(act_x_),
                bits(c_.norm_eps),
                0};
    d.bindings.insert(d.bindings.end(),
                      {bound(2, "y"), bound(4, "vectors"), bound(5, "x"), bound(6, "act_x")});
    d.workgroups = {{tokens(), {}, {}}};
    out_->push_back(std::move(d));
  }

  Result<void> layer(uint32_t i) {
    layer_ = static_cast<int32_t>(i);
    const LayerMatrices& l = p_.layers[i];
    const Source x{"act_x", c_.embedding_length, fused_norms()};
    attention_in(l, x);
    attention(l, i);

    const Source attended{"act_a", c_.q_width(), false};
    const uint32_t ffn_emit = emit_for({&l.gate, &l.up});
    residual("attention out", l.attention_out, attended, l.attention_post_at, l.ffn_norm, ffn_emit);

    if (l.gate.present() && (l.gate.type != l.up.type || l.gate.place.texture != l.up.place.texture))
      return fail(ErrorCode::kUnsupported, fmt::format("gpu: layer {} has ffn_gate of type {} and ffn_up of "
                                                       "type {}, the shaders take both of one type",
                                                       i, traits(l.gate.type).name, traits(l.up.type).name));
    const Matrix* gated[] = {&l.gate, &l.up};
    const Matrix* plain[] = {&l.up};
    const Result32 hidden{
        .epilogue = l.gate.present() ? 2u : 3u, .act = "act_f", .emit = emit_for({&l.down})};
    product("gate and up", l.gate.present() ? std::span<const Matrix* const>(gated) : plain, x, hidden);

    const Source ffn{"act_f", c_.feed_forward_length, false};
    const NormPlace& next = i + 1 < c_.n_layers ? p_.layers[i + 1].attention_norm : p_.output_norm;
    residual("down", l.down, ffn, l.ffn_post_at, next, emit_after(i));
    return {};
  }

  // Consecutive matrices of one type and texture share a dispatch.
  void attention_in(const LayerMatrices& l, const Source& x) {
    const std::array<uint64_t, 3> at = {p_.rows.q_at, p_.rows.k_at, p_.rows.v_at};
    for (size_t i = 0; i < l.attention_in.size();) {
      std::vector<const Matrix*> run;
      const size_t first = i;
      do run.push_back(&l.attention_in[i++]);
      while (i < l.attention_in.size() && l.attention_in[i].type == run[0]->type &&
             l.attention_in[i].place.texture == run[0]->place.texture);
      product("attention in", run, x,
              {.out = "qkv", .out_at = at[first], .out_stride = p_.rows.stride, .act = "act_a"});
    }
  }

  // x += W act, by way of a norm of its own where there is one, and the activations for what comes next.
  void residual(std::string label, const Matrix& m, const Source& from, uint32_t post_at,
                const NormPlace& next, uint32_t emit) {
    const Matrix* one[] = {&m};
    if (fused_norms())
      return product(
          std::move(label), one, from,
          {.epilogue = 1, .out_stride = embedding_stride(), .emit = emit, .norm_at = next.weight_at});
    product(label, one, from, {.out = "y", .out_stride = embedding_stride()});
    normalise(label + ", norm", post_at == kNone ? 1 : 2, post_at, next, emit);
  }

  std::vector<uint32_t> attention_params(const LayerMatrices& l) const {
    return {static_cast<uint32_t>(p_.rows.q_at),
            static_cast<uint32_t>(p_.rows.k_at),
            static_cast<uint32_t>(p_.rows.v_at),
            l.q_norm_at,
            l.k_norm_at,
            l.window,
            bits(c_.attention_scale),
            bits(c_.attention_softcap),
            bits(c_.norm_eps),
            static_cast<uint32_t>(cache_positions()),
            static_cast<uint32_t>(chunks_),
            static_cast<uint32_t>(p_.rows.stride),
            static_cast<uint32_t>(attended_stride()),
            0,
            0,
            0};
  }
  std::vector<std::pair<std::string, double>> rotation(const LayerMatrices& l) const {
    return {{"N_ROT", c_.n_rot},
            {"NEOX", c_.rope_neox ? 1.0 : 0.0},
            {"QK_NORM", l.q_norm_at != kNone ? 1.0 : 0.0}};
  }

  void attention(const LayerMatrices& l, uint32_t i) {
    const std::string keys = "k." + std::to_string(i), values = "v." + std::to_string(i);
    const char* rope = l.local_rope ? "rope_local" : "rope";
    const std::pair<std::string, double> head{"HEAD_DIM", c_.head_dim},
        group{"GROUP", c_.n_heads / c_.n_kv_heads};
    const uint32_t emit = emit_for({&l.attention_out});
    if (single_) {
      Dispatch d = begin("attention_decode", "attention");
      d.constants = rotation(l);
      d.constants.insert(d.constants.end(), {head, group, {"CHUNK", kAttentionChunkPositions}});
      d.params = attention_params(l);
      d.bindings.insert(d.bindings.end(), {bound(2, "qkv"), bound(3, rope), bound(4, "vectors"),
                                           bound(5, keys), bound(6, values), bound(7, "parts")});
      d.workgroups = {
          {{.times = c_.n_kv_heads}, {.of = Extent::Of::kPositions, .each = kAttentionChunkPositions}, {}}};
      out_->push_back(std::move(d));
      Dispatch j = begin("attention_join", "join");
      j.constants = {head, {"WIDTH", c_.q_width()}, {"CHUNK", kAttentionChunkPositions}, {"EMIT", emit}};
      j.params = {static_cast<uint32_t>(chunks_), static_cast<uint32_t>(act_a_), 0, 0};
      j.bindings.insert(j.bindings.end(), {bound(2, "parts"), bound(3, "act_a")});
      j.workgroups = {{{.times = static_cast<uint32_t>(ceil_div(c_.q_width(), uint64_t{32}))}, {}, {}}};
      out_->push_back(std::move(j));
      return;
    }
    Dispatch r = begin("rope_store", "rotate and store");
    r.constants = rotation(l);
    r.constants.insert(r.constants.end(), {head, {"N_HEADS", c_.n_heads}, {"N_KV_HEADS", c_.n_kv_heads}});
    r.params = attention_params(l);
    r.bindings.insert(r.bindings.end(), {bound(2, "qkv"), bound(3, rope), bound(4, "vectors"), bound(5, keys),
                                         bound(6, values)});
    r.workgroups = {{{.times = c_.n_heads + c_.n_kv_heads}, tokens(), {}}};
    out_->push_back(std::move(r));
    Dispatch d = begin("attention_prefill", "attention");
    d.constants = {head, group, {"QUERIES", query_tile()}};
    d.params = attention_params(l);
    d.bindings.insert(d.bindings.end(),
                      {bound(2, "qkv"), bound(3, keys), bound(4, values), bound(5, "attended")});
    d.workgroups = {{{.times = c_.n_heads}, tokens(query_tile()), {}}};
    out_->push_back(std::move(d));
    Dispatch q = begin("norm", "quantise");
    q.constants = {{"K", c_.q_width()}, {"POST", 3}, {"NORM", 0}, {"EMIT", emit}};
    q.params = {kNone,
                kNone,
                kNone,
                static_cast<uint32_t>(attended_stride()),
                0,
                static_cast<uint32_t>(act_a_),
                bits(c_.norm_eps),
                0};
    q.bindings.insert(q.bindings.end(),
                      {bound(2, "attended"), bound(4, "vectors"), bound(5, "x"), bound(6, "act_a")});
    q.workgroups = {{tokens(), {}, {}}};
    out_->push_back(std::move(q));
  }

  // Logits of one token (`first_token` 1: of the step's logit_token), or, when not single, of several.
  Result<void> output(uint32_t first_token) {
    const Matrix* one[] = {&p_.output};
    logits_ = !single_;
    product("output", one, {"act_x", c_.embedding_length, fused_norms()},
            {.out = "logits", .out_stride = round_up(c_.vocab_size, 32), .act = "act_a"}, first_token);
    logits_ = false;
    return {};
  }

  void add_choice() {
    const auto pick = [&](std::vector<Dispatch>& list, std::string shader, const char* in, const char* out,
                          uint32_t groups) {
      Dispatch d = begin(std::move(shader), "choose");
      d.bindings.erase(d.bindings.begin());  // no `step`
      d.params = {c_.vocab_size, 0, 0, 0};
      d.bindings.insert(d.bindings.end(), {bound(2, in), bound(3, out)});
      d.workgroups = {{{.times = groups}, {}, {}}};
      list.push_back(std::move(d));
    };
    const auto blocks = [&](uint32_t each) {
      return static_cast<uint32_t>(ceil_div(c_.vocab_size, uint64_t{each}));
    };
    pick(plan_.argmax, "argmax_part", "logits", "best_parts", blocks(1024));
    pick(plan_.argmax, "argmax", "best_parts", "best", 1);
    pick(plan_.top_k, "top_k_part", "logits", "top_parts", blocks(4096));
    pick(plan_.top_k, "top_k", "top_parts", "top", 1);
  }

  PlanParts& p_;
  Plan& plan_;
  const ModelConfig& c_;
  std::vector<Dispatch>* out_ = nullptr;
  bool single_ = true, logits_ = false;
  int32_t layer_ = -1;
  uint64_t act_x_ = 0, act_a_ = 0, act_f_ = 0, chunks_ = 0,
           part_ = 0;  // words a token; chunks; floats a part
};

}  // namespace

uint32_t Plan::buffer(std::string_view name) const {
  const auto found = std::ranges::find(buffers, name, &PlanBuffer::name);
  PIXELLM_ASSERT(found != buffers.end());
  return static_cast<uint32_t>(found - buffers.begin());
}

uint32_t Plan::dispatches_a_layer() const {
  std::vector<uint32_t> counts(config.n_layers);
  for (const Dispatch& d : decode)
    if (d.layer >= 0) counts[static_cast<size_t>(d.layer)]++;
  return counts.empty() ? 0 : *std::ranges::max_element(counts);
}

Result<Plan> build_plan(const Model& model, const PlanOptions& options) {
  PlanParts parts = PIXELLM_TRY(find_parts(model, options));
  PIXELLM_CHECK(Builder(parts).build());
  return std::move(parts.plan);
}

}  // namespace pixellm::gpu
