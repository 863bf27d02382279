// Inside src/infer: the transformers' forward pass of one step (a batch of tokens at consecutive positions)
// over all threads.
#pragma once
#include <cstdint>
#include <span>

#include "base/threads.h"
#include "infer/arena.h"
#include "infer/computation.h"
#include "infer/engine.h"

namespace pixellm {

// Grows by chunks of kAttentionChunk positions, so that what a short text touches lies together and a layer's
// part of a chunk is one run: [chunk][layer][kv head], of each head keys [16 positions][head_dim][16], values
// [position][head_dim] and for int8 the factors [position] of both. f16 or int8, heads padded to a multiple
// of 16 values. A context shorter than a chunk makes chunks of its own size, rounded up to 16 positions.
class KvCache {
 public:
  static Result<KvCache> create(const Engine::Impl& engine, uint32_t context, CacheKind kind);

  // One head of one layer in one chunk, as the kernels want it; without factors when it is f16.
  struct Head {
    uint8_t *keys, *values;
    float *key_factors, *value_factors;
  };
  Head head(uint64_t layer, uint64_t kv_head, uint64_t chunk = 0) const;
  uint64_t chunk_bytes() const { return chunk_bytes_; }  // from a head's chunk to its next
  CacheKind kind() const { return kind_; }
  uint64_t bytes() const;  // what the context's positions take
  void copy_from(const KvCache& other, uint32_t n_positions);

 private:
  uint64_t element_bytes() const { return kind_ == CacheKind::kF16 ? 2 : 1; }
  uint64_t position_bytes() const;  // of one head

  Arena memory_;
  CacheKind kind_ = CacheKind::kF16;
  uint64_t n_layers_ = 0, n_kv_heads_ = 0, head_dim_ = 0, n_positions_ = 0;
  uint64_t chunk_positions_ = 0, chunk_bytes_ = 0;
};

const KvCache& cache_of(const Computation& transformer);  // transformer.cpp

// Working memory for steps of up to sizes.batch tokens. Nothing is allocated after create().
class Scratch {
 public:
  static Result<Scratch> create(const Engine::Impl& engine, const SequenceSizes& sizes);

  struct PerThread {
    float* x;          // [embedding]: the residual of a single token
    float* rows;       // [kPanel][embedding]: normed rows on their way into a panel
    float* heads;      // [2][kMaxAttentionQueries][head_dim_padded]
    uint16_t* half;    // [head_dim_padded]
    float* attention;  // scratch of the attention kernels
    void* blocks;      // a single token's activations
    float* floats;
  };

  Arena memory;
  ActivationKind activations = ActivationKind::kInt8;  // of quantised weights
  Profile* profile = nullptr;
  std::span<PerThread> threads() { return threads_; }
  float *x = nullptr, *y = nullptr;           // [batch][embedding]
  float *qkv = nullptr, *attended = nullptr;  // [batch][qkv_stride], [batch][q_width]
  float* ffn = nullptr;                       // [batch][ffn_stride]; the same memory as qkv and attended
  float* parts = nullptr;                     // [heads][max_chunks][attention_part_floats]
  uint64_t max_chunks = 0;
  float *rope = nullptr, *rope_local = nullptr;  // [batch][n_rot]
  void* blocks = nullptr;                        // activations of a batch
  float* floats = nullptr;
  float* logits = nullptr;  // [n_logits][logits_stride]
  uint64_t logits_stride = 0;

 private:
  std::vector<PerThread> threads_;
};

// Called by every thread of a ThreadPool::run.
void forward(const Engine::Impl& engine, Scratch& scratch, KvCache& cache, const Step& step, Worker& worker);

// Logits of tokens [first, first + count) of the step that just ran with kAll, count at most n_logits.
void forward_logits(const Engine::Impl& engine, Scratch& scratch, uint32_t step_tokens, uint32_t first,
                    uint32_t count, Worker& worker);

}  // namespace pixellm
