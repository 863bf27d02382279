#include "infer/forward.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>
#include <optional>

#include "infer/profile.h"
#include "infer/rope_rows.h"

namespace pixellm {
namespace {

// One matrix of a phase: y[t * stride + row] for every token t of the step.
struct Product {
  Operation operation;
  const Linear* linear;
  float* y;
  uint64_t stride;
};

// A fraction of [0, n_groups) that begins `from` and ends `to` units of cost after the start of the phase.
std::pair<uint64_t, uint64_t> groups_between(uint64_t from, uint64_t to, uint64_t start, uint64_t cost,
                                             uint64_t n_groups) {
  const auto group_at = [&](uint64_t unit) {
    return unit <= start ? 0 : std::min(n_groups, ceil_div(unit - start, cost));
  };
  return {group_at(from), group_at(to)};
}

// One thread's part of a step. A single token's residual and activations are computed by every thread for
// itself, which is cheaper than waiting for another one; those of a batch are shared, and phases end with a
// barrier.
class Pass {
 public:
  Pass(const Engine::Impl& engine, Scratch& scratch, Worker& worker, uint32_t n_tokens)
      : e_(engine),
        c_(engine.config),
        k_(*engine.kernels),
        s_(scratch),
        mine_(scratch.threads()[static_cast<size_t>(worker.index())]),
        w_(worker),
        watch_(scratch.profile, worker.index()),
        group_(engine.config.n_heads / engine.config.n_kv_heads),
        stride_(round_up(engine.config.embedding_length, kCellRows)),
        n_(n_tokens) {}

  void run(KvCache& cache, const Step& step) {
    position_ = step.position;
    cache_ = &cache;
    places_ = step.places;
    embed(step.ids);
    const uint32_t last = c_.n_layers - 1;
    for (uint32_t i = 0; i <= last; i++) {
      const LayerWeights& layer = e_.layers[i];
      project_in(layer, i > 0 ? &e_.layers[i - 1].ffn_post_norm : nullptr);
      const bool all_queries = i < last || step.output == Step::Output::kAll;
      rotate_and_store(layer, i, all_queries ? 0 : step.output == Step::Output::kLast ? n_ - 1 : n_);
      if (i == last && step.output == Step::Output::kNone) return;
      if (!all_queries && n_ > 1) keep_last();
      attend(layer, i);
      project_out(layer);
      feed_forward(layer);
    }
    const Norm& post = e_.layers[last].ffn_post_norm;
    if (step.output == Step::Output::kLast) {
      prepare_normed(0, e_.output_norm, &post, {&e_.output});
      logits();
    } else {
      const auto [begin, end] = mine(n_);
      for (uint64_t t = begin; t < end; t++) absorb(t, post, mine_.rows);
    }
  }

  void run_logits(uint32_t first, uint32_t count) {
    const uint32_t step_tokens = n_;
    single_ = step_tokens == 1;
    n_ = count;
    prepare_normed(first, e_.output_norm, nullptr, {&e_.output});
    logits();
  }

 private:
  bool single() const { return n_ == 1; }
  float* x_row(uint64_t t) const { return single_.value_or(single()) ? mine_.x : s_.x + t * stride_; }
  float* y_row(uint64_t t) const { return s_.y + t * stride_; }
  float* qkv_row(uint64_t t) const { return s_.qkv + (row_ + t) * e_.qkv_stride; }

  void wait() const {
    w_.barrier();
    watch_.lap(Operation::kBarrier);
  }

  // Where token t of the step stands.
  uint32_t position(uint64_t t) const {
    return places_.empty() ? static_cast<uint32_t>(position_ + t) : places_[t].position;
  }
  const KvCache& cache(uint64_t t) const {
    return places_.empty() ? *cache_ : cache_of(*places_[t].sequence);
  }

  // This thread's part of [0, n): all of it where every thread works for itself.
  std::pair<uint64_t, uint64_t> mine(uint64_t n) const {
    return single() ? std::pair<uint64_t, uint64_t>(0, n) : w_.share(n);
  }

  void embed(std::span<const TokenId> ids) {
    const auto [begin, end] = mine(n_);
    for (uint64_t t = begin; t < end; t++) {
      float* x = x_row(t);
      dequantize_row(e_.token_embedding, static_cast<uint64_t>(ids[t]), x);
      if (c_.embedding_scale != 1) k_.scale(x, c_.embedding_scale, c_.embedding_length);
      if (e_.position_embedding.n_rows > 0) {
        dequantize_row(e_.position_embedding, position(t), mine_.rows);
        k_.add(x, mine_.rows, c_.embedding_length);
      }
    }
    const auto [rope_begin, rope_end] = w_.share(c_.n_rot > 0 ? n_ : 0);
    for (uint64_t t = rope_begin; t < rope_end; t++) {
      rope_row(e_, false, position(t), s_.rope + t * c_.n_rot);
      if (e_.has_local_rope) rope_row(e_, true, position(t), s_.rope_local + t * c_.n_rot);
    }
    watch_.lap(Operation::kEmbed);
    if (!single()) wait();
  }

  void normalize(const float* x, const Norm& norm, float* y) const {
    if (norm.bias.empty())
      k_.rms_norm(x, norm.weight.data(), c_.embedding_length, c_.norm_eps, y);
    else
      k_.layer_norm(x, norm.weight.data(), norm.bias.data(), c_.embedding_length, c_.norm_eps, y);
  }

  // x += y, or x += norm(y). `row` is room for one row.
  void absorb(uint64_t t, const Norm& post, float* row) const {
    const float* y = y_row(t);
    if (post.present()) normalize(y, post, row), y = row;
    k_.add(x_row(t), y, c_.embedding_length);
  }

  // Activations for `linears`, from rows that fill(first token, count) delivers as {pointer, stride}.
  template <class Fill>
  void prepare(uint64_t k, std::initializer_list<const Linear*> linears, Fill fill) {
    bool blocks = false, floats = false;
    for (const Linear* linear : linears)
      if (linear->present()) (linear->is_float() ? floats : blocks) = true;
    blocks_ = Activations::shape(n_, k, s_.activations);
    floats_ = Activations::shape(n_, k, ActivationKind::kFloat);
    blocks_.data = single() ? mine_.blocks : s_.blocks;
    floats_.data = single() ? mine_.floats : s_.floats;
    const auto [begin, end] = mine(ceil_div(n_, kPanel));
    for (uint64_t p = begin; p < end; p++) {
      const auto first = static_cast<uint32_t>(p * kPanel), count = std::min<uint32_t>(kPanel, n_ - first);
      const auto [rows, stride] = fill(first, count);
      if (blocks) prepare_part(blocks_, first, count, rows, stride, k);
      if (floats) prepare_part(floats_, first, count, rows, stride, k);
    }
    watch_.lap(Operation::kPrepare);
    if (!single()) wait();
  }

  // Tokens [first, first + count) of the batch, a whole number of panels or its end. Their rows stand from
  // `rows` on, not at their place in the batch, so the kernel sees them as a batch of its own.
  void prepare_part(const Activations& all, uint32_t first, uint32_t count, const float* rows,
                    uint64_t stride, uint64_t k) const {
    Activations part = all;
    part.n_tokens = count;
    part.data = static_cast<uint8_t*>(all.data) + first / all.tokens_per_panel() * all.panel_bytes();
    k_.prepare(rows, stride, k, 0, part.n_panels(), part);
  }

  // Activations of norm(x) for tokens from `first` on; with `post`, the last product is added to x before.
  void prepare_normed(uint64_t first, const Norm& norm, const Norm* post,
                      std::initializer_list<const Linear*> linears) {
    prepare(c_.embedding_length, linears, [&](uint64_t t, uint32_t count) {
      for (uint32_t i = 0; i < count; i++) {
        float* row = mine_.rows + i * stride_;
        if (post) absorb(first + t + i, *post, row);
        normalize(x_row(first + t + i), norm, row);
      }
      return std::pair<const float*, uint64_t>(mine_.rows, stride_);
    });
  }

  void prepare_rows(const float* rows, uint64_t stride, uint64_t k, const Linear& linear) {
    prepare(k, {&linear}, [&](uint64_t t, uint32_t) {
      return std::pair<const float*, uint64_t>(rows + t * stride, stride);
    });
  }

  void multiply(const Product& p, uint64_t group_begin, uint64_t group_end) const {
    p.linear->apply(k_, group_begin, group_end, p.linear->is_float() ? floats_ : blocks_, p.y, p.stride);
    const uint64_t groups = group_end - group_begin;
    watch_.lap(p.operation, p.linear->weight.type, groups * p.linear->group_bytes(),
               2 * groups * kCellRows * p.linear->weight.k * n_);
  }

  // The matrices' groups are dealt out in one sequence, by the bytes that they make a thread read.
  void multiply_all(std::span<const Product> products) const {
    uint64_t total = 0, start = 0;
    for (const Product& p : products) total += p.linear->weight.n_groups() * p.linear->group_bytes();
    const auto [from, to] = w_.share(total);
    for (const Product& p : products) {
      const uint64_t groups = p.linear->weight.n_groups(), cost = p.linear->group_bytes();
      const auto [begin, end] = groups_between(from, to, start, cost, groups);
      multiply(p, begin, end);
      start += groups * cost;
    }
    wait();
  }

  void project_in(const LayerWeights& layer, const Norm* post) {
    const auto& in = layer.attention_in;
    std::array<Product, 3> products{};
    for (size_t i = 0; i < in.size(); i++)
      products[i] = {Operation::kAttentionIn, &in[i], s_.qkv + layer.attention_in_at[i], e_.qkv_stride};
    if (in.size() == 1)
      prepare_normed(0, layer.attention_norm, post, {&in[0]});
    else
      prepare_normed(0, layer.attention_norm, post, {&in[0], &in[1], &in[2]});
    multiply_all(std::span(products).first(in.size()));
  }

  // Per-head norms, RoPE, and the new keys and values into the cache. Queries before token `first_query` are
  // not needed.
  void rotate_and_store(const LayerWeights& layer, uint32_t index, uint32_t first_query) const {
    const uint64_t per_token = uint64_t{c_.n_heads} + c_.n_kv_heads;
    const auto [begin, end] = w_.share(n_ * per_token);
    for (uint64_t item = begin; item < end; item++) {
      const uint64_t t = item / per_token, head = item % per_token;
      float* row = qkv_row(t);
      if (head < c_.n_heads) {
        if (t >= first_query) rotate(layer, layer.q_norm, t, row + e_.q_at + head * c_.head_dim);
      } else {
        const uint64_t kv_head = head - c_.n_heads;
        float* key = row + e_.k_at + kv_head * c_.head_dim;
        rotate(layer, layer.k_norm, t, key);
        store(cache(t).head(index, kv_head, position(t) / kAttentionChunk), position(t) % kAttentionChunk,
              key, row + e_.v_at + kv_head * c_.head_dim);
      }
    }
    watch_.lap(Operation::kRope);
    wait();
  }

  void rotate(const LayerWeights& layer, const std::vector<float>& norm, uint64_t t, float* head) const {
    if (!norm.empty()) {
      k_.rms_norm(head, norm.data(), c_.head_dim, c_.norm_eps, mine_.heads);
      std::memcpy(head, mine_.heads, c_.head_dim * sizeof(float));
    }
    const float* table = layer.local_rope ? s_.rope_local : s_.rope;
    if (c_.n_rot > 0) k_.rope(head, c_.n_rot, c_.rope_neox, table + t * c_.n_rot);
  }

  // `position` counts from the chunk's first. The padding of a head was zero from the beginning and stays so.
  void store(const KvCache::Head& to, uint64_t position, const float* key, const float* value) const {
    const uint64_t dim = e_.head_dim_padded;
    const uint64_t lane = position / 16 * dim * 16 + position % 16;
    if (to.key_factors != nullptr) {
      to.key_factors[position] = k_.to_int8(padded(key), dim, reinterpret_cast<int8_t*>(to.keys) + lane, 16);
      to.value_factors[position] =
          k_.to_int8(padded(value), dim, reinterpret_cast<int8_t*>(to.values) + position * dim, 1);
      return;
    }
    auto* keys = reinterpret_cast<uint16_t*>(to.keys) + lane;
    k_.to_f16(key, c_.head_dim, mine_.half);
    for (uint32_t d = 0; d < c_.head_dim; d++) keys[d * 16] = mine_.half[d];
    k_.to_f16(value, c_.head_dim, reinterpret_cast<uint16_t*>(to.values) + position * dim);
  }

  // A head's values with zeros up to the padded length.
  const float* padded(const float* head) const {
    if (e_.head_dim_padded == c_.head_dim) return head;
    std::memcpy(mine_.heads, head, c_.head_dim * sizeof(float));
    std::fill(mine_.heads + c_.head_dim, mine_.heads + e_.head_dim_padded, 0.0f);
    return mine_.heads;
  }

  // From here on only the step's last token counts: it becomes a single token.
  void keep_last() {
    row_ = n_ - 1;
    position_ += n_ - 1;
    std::memcpy(mine_.x, s_.x + row_ * stride_, c_.embedding_length * sizeof(float));
    n_ = 1;
  }

  void attend(const LayerWeights& layer, uint32_t index) const {
    if (single() && first_seen(layer, 0) / kAttentionChunk < position(0) / kAttentionChunk)
      return attend_by_chunks(layer, index);
    const uint64_t heads = std::min<uint64_t>(group_, kMaxAttentionQueries), parts = ceil_div(group_, heads);
    const uint64_t tokens = single() || !places_.empty() ? 1 : kMaxAttentionQueries / heads;
    const uint64_t blocks = ceil_div(n_, tokens), step = static_cast<uint64_t>(w_.count());
    const auto call = [&](uint64_t block, uint64_t head, uint64_t n_heads) {
      const uint64_t t = block * tokens;
      attend_heads(queries(layer, head, n_heads, t, std::min(tokens, n_ - t)), cache(t), index, head);
    };
    const auto seen = [&](uint64_t block) {
      const uint64_t t = std::min<uint64_t>((block + 1) * tokens, n_) - 1;
      return uint64_t{position(t)} + 1 - first_seen(layer, t);
    };
    if (blocks <= 4 * step || !places_.empty()) {
      deal_heads(blocks, seen, call);
    } else {
      // One KV head after the other: its keys and values stay in a core's own cache. Later tokens cost more:
      // dealing in turn keeps the threads even.
      for (auto i = static_cast<uint64_t>(w_.index()); i < c_.n_kv_heads * parts * blocks; i += step) {
        const uint64_t part = i / blocks % parts, head = i / blocks / parts * group_ + part * heads;
        call(i % blocks, head, std::min(heads, group_ - part * heads));
      }
    }
    watch_.lap(Operation::kAttention);
    wait();
  }

  // A single token far into its text: the work is split over the chunks of the cache, too.
  void attend_by_chunks(const LayerWeights& layer, uint32_t index) const {
    const uint64_t first = first_seen(layer, 0), end = uint64_t{position(0)} + 1,
                   first_chunk = first / kAttentionChunk,
                   n_chunks = ceil_div(end, kAttentionChunk) - first_chunk;
    const uint64_t part_floats = attention_part_floats(e_.head_dim_padded),
                   stride = s_.max_chunks * part_floats;
    const auto seen_of = [&](uint64_t chunk) {
      const uint64_t begin = (first_chunk + chunk) * kAttentionChunk;
      return std::min(end, begin + kAttentionChunk) - std::max(first, begin);
    };
    deal_heads(n_chunks, seen_of, [&](uint64_t chunk, uint64_t head, uint64_t n_heads) {
      const Queries q = queries(layer, head, n_heads, 0, 1);
      AttentionArgs args = arguments(q, cache(0).head(index, head / group_), cache(0).chunk_bytes());
      const uint64_t after = head + n_heads, next = chunk + after / c_.n_heads;
      if (next < n_chunks)
        args.next_keys = cache(0).head(index, after % c_.n_heads / group_, first_chunk + next).keys;
      k_.attention_chunk(args, static_cast<uint32_t>(first_chunk + chunk),
                         s_.parts + head * stride + chunk * part_floats, stride);
    });
    watch_.lap(Operation::kAttention);
    wait();
    const auto [first_head, end_head] = w_.share(c_.n_heads);
    for (uint64_t head = first_head; head < end_head; head++) {
      k_.attention_join(s_.parts + head * stride, part_floats, static_cast<uint32_t>(n_chunks),
                        e_.head_dim_padded, mine_.heads);
      std::memcpy(s_.attended + head * c_.head_dim, mine_.heads, c_.head_dim * sizeof(float));
    }
    watch_.lap(Operation::kAttention);
    wait();
  }

  // Deals out the heads of n chunks or tokens, cost(i) being what one head of i costs. A thread's part is one
  // sequence, in the order of the cache's memory; call(i, first head, heads) gets heads of one KV head.
  template <class Cost, class Call>
  void deal_heads(uint64_t n, Cost cost, Call call) const {
    uint64_t total = 0, start = 0;
    for (uint64_t i = 0; i < n; i++) total += cost(i) * c_.n_heads;
    const auto [from, to] = w_.share(total);
    for (uint64_t i = 0; i < n; i++) {
      auto [head, end] = groups_between(from, to, start, cost(i), c_.n_heads);
      while (head < end) {
        const uint64_t next = std::min({end, (head / group_ + 1) * group_, head + kMaxAttentionQueries});
        call(i, head, next - head);
        head = next;
      }
      start += cost(i) * c_.n_heads;
    }
  }

  // The first position that token t sees.
  uint32_t first_seen(const LayerWeights& layer, uint64_t t) const {
    const uint32_t last = position(t);
    return layer.window > 0 && last >= layer.window ? last - layer.window + 1 : 0;
  }

  struct Queries {
    std::array<const float*, kMaxAttentionQueries> queries{};
    std::array<float*, kMaxAttentionQueries> outputs{}, results{};  // the same where heads need no padding
    std::array<uint32_t, kMaxAttentionQueries> first{}, last{};
    uint32_t count = 0;
  };

  // Heads [head, head + n_heads) of tokens [token, token + n_tokens).
  Queries queries(const LayerWeights& layer, uint64_t head, uint64_t n_heads, uint64_t token,
                  uint64_t n_tokens) const {
    const uint32_t dim = e_.head_dim_padded;
    Queries q;
    q.count = static_cast<uint32_t>(n_heads * n_tokens);
    for (uint32_t i = 0; i < q.count; i++) {
      const uint64_t t = token + i / n_heads, h = head + i % n_heads;
      q.queries[i] = qkv_row(t) + e_.q_at + h * c_.head_dim;
      q.results[i] = q.outputs[i] = s_.attended + t * c_.q_width() + h * c_.head_dim;
      if (dim != c_.head_dim) {
        float* query = mine_.heads + i * dim;
        std::memcpy(query, q.queries[i], c_.head_dim * sizeof(float));
        std::fill(query + c_.head_dim, query + dim, 0.0f);
        q.queries[i] = query;
        q.outputs[i] = mine_.heads + (kMaxAttentionQueries + i) * dim;
      }
      q.last[i] = position(t);
      q.first[i] = first_seen(layer, t);
    }
    return q;
  }

  AttentionArgs arguments(const Queries& q, const KvCache::Head& cache, uint64_t chunk_bytes) const {
    return {.queries = q.queries.data(),
            .outputs = q.outputs.data(),
            .first = q.first.data(),
            .last = q.last.data(),
            .n_queries = q.count,
            .head_dim = e_.head_dim_padded,
            .keys = cache.keys,
            .values = cache.values,
            .key_factors = cache.key_factors,
            .value_factors = cache.value_factors,
            .chunk_bytes = chunk_bytes,
            .next_keys = nullptr,
            .scale = c_.attention_scale,
            .softcap = c_.attention_softcap,
            .scratch = mine_.attention};
  }

  void attend_heads(const Queries& q, const KvCache& cache, uint32_t layer, uint64_t head) const {
    k_.attention(arguments(q, cache.head(layer, head / group_), cache.chunk_bytes()));
    if (e_.head_dim_padded == c_.head_dim) return;
    for (uint32_t i = 0; i < q.count; i++)
      std::memcpy(q.results[i], q.outputs[i], c_.head_dim * sizeof(float));
  }

  void project_out(const LayerWeights& layer) {
    prepare_rows(s_.attended, c_.q_width(), c_.q_width(), layer.attention_out);
    const Product product{Operation::kAttentionOut, &layer.attention_out, s_.y, stride_};
    multiply_all({&product, 1});
  }

  // gate and up of the same rows by the same thread, which then joins them without waiting.
  void feed_forward(const LayerWeights& layer) {
    prepare_normed(0, layer.ffn_norm, &layer.attention_post_norm, {&layer.gate, &layer.up});
    const auto [begin, end] = w_.share(layer.up.weight.n_groups());
    const Product up{Operation::kGateUp, &layer.up, s_.ffn + e_.up_at, e_.ffn_stride};
    if (layer.gate.present()) multiply({Operation::kGateUp, &layer.gate, s_.ffn, e_.ffn_stride}, begin, end);
    multiply(up, begin, end);
    const uint64_t row = begin * kCellRows, rows = (end - begin) * kCellRows;
    for (uint64_t t = 0; t < n_ && rows > 0; t++) {
      float* out = s_.ffn + t * e_.ffn_stride + row;
      if (!layer.gate.present())
        k_.gelu(out, rows);
      else if (c_.architecture == Architecture::kGemma3)
        k_.gelu_mul(out, out + e_.up_at, rows);
      else
        k_.silu_mul(out, out + e_.up_at, rows);
    }
    watch_.lap(Operation::kActivation);
    wait();
    prepare_rows(s_.ffn, e_.ffn_stride, c_.feed_forward_length, layer.down);
    const Product down{Operation::kDown, &layer.down, s_.y, stride_};
    multiply_all({&down, 1});
  }

  void logits() const {
    const auto [begin, end] = w_.share(e_.output.weight.n_groups());
    multiply({Operation::kOutput, &e_.output, s_.logits, s_.logits_stride}, begin, end);
    const uint64_t row = begin * kCellRows, rows = (end - begin) * kCellRows;
    if (c_.final_softcap == 0 || rows == 0) return;
    for (uint64_t t = 0; t < n_; t++)
      k_.softcap(s_.logits + t * s_.logits_stride + row, c_.final_softcap, rows);
  }

  const Engine::Impl& e_;
  const ModelConfig& c_;
  const Kernels& k_;
  Scratch& s_;
  Scratch::PerThread& mine_;
  Worker& w_;
  mutable Stopwatch watch_;
  const uint64_t group_;        // query heads of a KV head
  const uint64_t stride_;       // floats from one token's x or y to the next one's
  uint32_t n_;                  // tokens that are being computed
  std::optional<bool> single_;  // where x is, when that is not what n_ says
  const KvCache* cache_ = nullptr;
  std::span<const Place> places_;    // of a step for several sequences
  uint64_t row_ = 0, position_ = 0;  // of the first of them: its row in qkv, its place in the text
  Activations blocks_, floats_;      // what the next products multiply
};

}  // namespace

void forward(const Engine::Impl& engine, Scratch& scratch, KvCache& cache, const Step& step, Worker& worker) {
  Pass(engine, scratch, worker, static_cast<uint32_t>(step.ids.size())).run(cache, step);
}

void forward_logits(const Engine::Impl& engine, Scratch& scratch, uint32_t step_tokens, uint32_t first,
                    uint32_t count, Worker& worker) {
  Pass(engine, scratch, worker, step_tokens).run_logits(first, count);
}

}  // namespace pixellm
