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

// Keys [layer][kv head][context/16][head_dim][16] and values [layer][kv head][context][head_dim], f16, heads
// padded to a multiple of 16 values, the context to a multiple of 16 positions.
class KvCache {
 public:
  static Result<KvCache> create(const Engine::Impl& engine, uint32_t context);

  uint16_t* keys(uint32_t layer, uint32_t kv_head) const {
    return keys_ + (layer * n_kv_heads_ + kv_head) * head_size_;
  }
  uint16_t* values(uint32_t layer, uint32_t kv_head) const {
    return values_ + (layer * n_kv_heads_ + kv_head) * head_size_;
  }
  uint64_t bytes() const { return 2 * n_layers_ * n_kv_heads_ * head_size_ * sizeof(uint16_t); }
  void copy_from(const KvCache& other, uint32_t n_positions);

 private:
  Arena memory_;
  uint16_t* keys_ = nullptr;
  uint16_t* values_ = nullptr;
  uint64_t n_layers_ = 0, n_kv_heads_ = 0, head_dim_ = 0, head_size_ = 0;
};

// Working memory for steps of up to sizes.batch tokens. Nothing is allocated after create().
class Scratch {
 public:
  static Result<Scratch> create(const Engine::Impl& engine, const SequenceSizes& sizes);

  struct PerThread {
    float* x;          // [embedding]: the residual of a single token
    float* rows;       // [kPanel][embedding]: normed rows on their way into a panel
    float* heads;      // [2][kMaxAttentionQueries][head_dim_padded]
    uint16_t* half;    // [head_dim_padded]
    float* attention;  // scores of kMaxAttentionQueries queries
    void* blocks;      // a single token's activations
    float* floats;
  };

  Arena memory;
  ActivationKind activations = ActivationKind::kInt8;  // of quantised weights
  std::span<PerThread> threads() { return threads_; }
  float *x = nullptr, *y = nullptr;              // [batch][embedding]
  float *qkv = nullptr, *attended = nullptr;     // [batch][qkv_stride], [batch][q_width]
  float* ffn = nullptr;                          // [batch][ffn_stride]; the same memory as qkv and attended
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
