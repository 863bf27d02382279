#include <algorithm>
#include <cstring>

#include "infer/forward.h"

namespace pixellm {

Result<KvCache> KvCache::create(const Engine::Impl& engine, uint32_t context, CacheKind kind) {
  KvCache cache;
  cache.kind_ = kind;
  cache.n_layers_ = engine.config.n_layers;
  cache.n_kv_heads_ = engine.config.n_kv_heads;
  cache.head_dim_ = engine.head_dim_padded;
  cache.n_positions_ = round_up(context, 16);
  cache.chunk_positions_ = std::min<uint64_t>(cache.n_positions_, kAttentionChunk);
  // Positions are at most 2^28, values of a head 2^20, layers 2^16 and heads 2^20, so that neither of the
  // factors can pass 64 bits before the arena looks at their product.
  const auto chunk =
      checked_mul(cache.n_layers_ * cache.n_kv_heads_, cache.chunk_positions_ * cache.position_bytes());
  const auto all =
      checked_mul(chunk.value_or(UINT64_MAX), ceil_div(cache.n_positions_, cache.chunk_positions_));
  cache.chunk_bytes_ = chunk.value_or(0);
  cache.memory_.add<uint8_t>(all.value_or(UINT64_MAX));
  PIXELLM_CHECK(cache.memory_.reserve("KV cache"));
  // Not for a last chunk that the context does not fill: its untouched positions would become memory.
  cache.memory_.prefer_large_pages(cache.n_positions_ / cache.chunk_positions_ * cache.chunk_bytes_);
  return cache;
}

uint64_t KvCache::position_bytes() const {
  return 2 * (head_dim_ * element_bytes() + (kind_ == CacheKind::kF16 ? 0 : sizeof(float)));
}

KvCache::Head KvCache::head(uint64_t layer, uint64_t kv_head, uint64_t chunk) const {
  const uint64_t index = layer * n_kv_heads_ + kv_head,
                 vectors = chunk_positions_ * head_dim_ * element_bytes();
  uint8_t* keys = memory_.at<uint8_t>(chunk * chunk_bytes_ + index * chunk_positions_ * position_bytes());
  uint8_t* values = keys + vectors;
  if (kind_ == CacheKind::kF16) return {keys, values, nullptr, nullptr};
  auto* factors = reinterpret_cast<float*>(values + vectors);
  return {keys, values, factors, factors + chunk_positions_};
}

uint64_t KvCache::bytes() const { return n_layers_ * n_kv_heads_ * n_positions_ * position_bytes(); }

void KvCache::copy_from(const KvCache& other, uint32_t n_positions) {
  const uint64_t chunk = n_positions / chunk_positions_, rest = n_positions % chunk_positions_;
  std::memcpy(memory_.at<uint8_t>(0), other.memory_.at<uint8_t>(0), chunk * chunk_bytes_);
  if (rest == 0) return;
  const uint64_t vector_bytes = head_dim_ * element_bytes();
  for (uint64_t layer = 0; layer < n_layers_; layer++)
    for (uint64_t kv_head = 0; kv_head < n_kv_heads_; kv_head++) {
      const Head to = head(layer, kv_head, chunk), from = other.head(layer, kv_head, chunk);
      std::memcpy(to.keys, from.keys, round_up(rest, 16) * vector_bytes);
      std::memcpy(to.values, from.values, rest * vector_bytes);
      if (kind_ == CacheKind::kF16) continue;
      std::memcpy(to.key_factors, from.key_factors, rest * sizeof(float));
      std::memcpy(to.value_factors, from.value_factors, rest * sizeof(float));
    }
}

Result<Scratch> Scratch::create(const Engine::Impl& engine, const SequenceSizes& sizes) {
  const uint32_t batch = sizes.batch;
  const ModelConfig& c = engine.config;
  const uint64_t embedding = round_up(c.embedding_length, kCellRows);
  const uint64_t widest = std::max<uint64_t>({c.embedding_length, c.q_width(), c.feed_forward_length});
  const auto bytes = [&](uint32_t n_tokens, ActivationKind kind) {
    const bool needed = kind == ActivationKind::kFloat ? engine.has_float : engine.has_quantized;
    return needed ? Activations::shape(n_tokens, widest, kind).bytes_needed() : 0;
  };
  const uint64_t blocks_one = bytes(1, sizes.activations), floats_one = bytes(1, ActivationKind::kFloat);
  const uint64_t blocks_all = bytes(batch, sizes.activations),
                 floats_all = bytes(batch, ActivationKind::kFloat);
  const uint64_t attention_floats = (engine.qkv_stride + c.q_width()) * batch;

  Scratch s;
  s.activations = sizes.activations;
  s.profile = sizes.profile;
  s.max_chunks = ceil_div(sizes.context, kAttentionChunk);
  s.logits_stride = round_up(c.vocab_size, kCellRows);
  Arena& m = s.memory;
  const uint64_t x = m.add<float>(batch * embedding), y = m.add<float>(batch * embedding);
  const uint64_t shared = m.add<float>(std::max(attention_floats, engine.ffn_stride * batch));
  const uint64_t parts =
      m.add<float>(c.n_heads * s.max_chunks * attention_part_floats(engine.head_dim_padded));
  const uint64_t rope = m.add<float>(uint64_t{batch} * c.n_rot),
                 rope_local = m.add<float>(uint64_t{batch} * c.n_rot);
  const uint64_t blocks = m.add<uint8_t>(blocks_all), floats = m.add<uint8_t>(floats_all);
  const uint64_t logits = m.add<float>(sizes.n_logits * s.logits_stride);
  struct Offsets {
    uint64_t x, rows, heads, half, attention, blocks, floats;
  };
  std::vector<Offsets> offsets;
  for (int i = 0; i < sizes.n_threads; i++)
    offsets.push_back({.x = m.add<float>(embedding),
                       .rows = m.add<float>(kPanel * embedding),
                       .heads = m.add<float>(uint64_t{2} * kMaxAttentionQueries * engine.head_dim_padded),
                       .half = m.add<uint16_t>(engine.head_dim_padded),
                       .attention = m.add<float>(attention_scratch_floats(engine.head_dim_padded)),
                       .blocks = m.add<uint8_t>(blocks_one),
                       .floats = m.add<uint8_t>(floats_one)});
  PIXELLM_CHECK(m.reserve("working memory"));

  s.x = m.at<float>(x);
  s.y = m.at<float>(y);
  s.qkv = s.ffn = m.at<float>(shared);
  s.attended = s.qkv + engine.qkv_stride * batch;
  s.parts = m.at<float>(parts);
  s.rope = m.at<float>(rope);
  s.rope_local = m.at<float>(rope_local);
  s.blocks = m.at<void>(blocks);
  s.floats = m.at<float>(floats);
  s.logits = m.at<float>(logits);
  for (const Offsets& o : offsets)
    s.threads_.push_back({.x = m.at<float>(o.x),
                          .rows = m.at<float>(o.rows),
                          .heads = m.at<float>(o.heads),
                          .half = m.at<uint16_t>(o.half),
                          .attention = m.at<float>(o.attention),
                          .blocks = m.at<void>(o.blocks),
                          .floats = m.at<float>(o.floats)});
  return s;
}

}  // namespace pixellm
