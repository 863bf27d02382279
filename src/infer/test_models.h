// For tests: an engine over a tiny model, and ways to run tokens through it.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <vector>

#include "infer/session.h"
#include "infer/tiny_model.h"

namespace pixellm {

inline std::vector<TokenId> test_tokens(uint32_t n, uint32_t vocab_size) {
  std::vector<TokenId> ids;
  for (uint32_t i = 0; i < n; i++) ids.push_back(static_cast<TokenId>((i * i * 31 + i * 7 + 5) % vocab_size));
  return ids;
}

// Sizes that fill no cell and no SIMD register, unless a type needs blocks of 256.
inline TinySpec test_spec(Architecture architecture, std::vector<TensorType> types) {
  bool big = false;
  for (const TensorType t : types) big |= traits(t).block_elements > 32;
  TinySpec spec{.architecture = architecture, .types = std::move(types)};
  if (!big) {
    spec.embedding_length = 160;
    spec.feed_forward_length = 224;
    spec.n_heads = 5;
    spec.n_kv_heads = architecture == Architecture::kLlama ? 1 : 5;
    spec.head_dim = 32;
  }
  if (architecture == Architecture::kGpt2) spec.n_kv_heads = spec.n_heads;
  if (architecture == Architecture::kLlama)
    spec.rope_factors = true, spec.biases = true, spec.tied_output = false;
  if (architecture == Architecture::kQwen2) spec.rope_linear_factor = 4;
  if (architecture == Architecture::kGemma3) {
    spec.n_layers = 3;
    spec.sliding_window = 9;
    spec.sliding_period = 3;
    spec.attention_softcap = 20;
    spec.final_softcap = 15;
  }
  return spec;
}

inline Model open_tiny(const TinyModel& tiny) {
  auto model = tiny.open();
  if (!model) ADD_FAILURE() << model.error().message;
  return std::move(*model);
}

struct TokenLogits {
  std::vector<std::vector<float>> logits;  // per token
  std::string error;
};

// Every token's logits, in one feed_each.
inline TokenLogits run_each(const Engine& engine, std::span<const TokenId> ids, int n_threads, uint32_t batch,
                            ActivationKind activations = ActivationKind::kInt8) {
  TokenLogits run;
  ThreadPool pool(n_threads);
  auto session = Session::create(engine, pool, {.context = 0, .batch = batch, .activations = activations});
  if (!session) return {{}, session.error().message};
  auto fed =
      (*session)->feed_each(ids, [&](uint32_t position, std::span<const float> logits) -> Result<void> {
        if (position != run.logits.size()) return fail(ErrorCode::kInternal, "positions out of order");
        run.logits.emplace_back(logits.begin(), logits.end());
        return {};
      });
  if (!fed) run.error = fed.error().message;
  return run;
}

// The last token's logits, in one feed.
inline std::vector<float> run_last(const Engine& engine, std::span<const TokenId> ids, int n_threads,
                                   uint32_t batch, ActivationKind activations = ActivationKind::kInt8) {
  ThreadPool pool(n_threads);
  auto session = Session::create(engine, pool, {.context = 0, .batch = batch, .activations = activations});
  if (!session || !(*session)->feed(ids)) return {};
  return {(*session)->logits().begin(), (*session)->logits().end()};
}

}  // namespace pixellm
