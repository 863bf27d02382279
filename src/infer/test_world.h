// For tests of generation: a byte-level model with a pool, a tokenizer and an engine.
#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "infer/test_models.h"
#include "tokenizer/tokenizer.h"

namespace pixellm {

// What the result holds; a failure of the test where it holds an error.
template <class T>
T value_of(Result<T> result) {
  if (!result) ADD_FAILURE() << result.error().message;
  return std::move(*result);
}

struct TestWorld {
  static constexpr uint32_t kVocab = 260, kContext = 128;

  // One layer.
  static TinySpec spec(uint64_t seed = 1) {
    return {.types = {TensorType::kF32, TensorType::kQ8_0},
            .n_layers = 1,
            .embedding_length = 64,
            .n_heads = 2,
            .n_kv_heads = 1,
            .head_dim = 32,
            .feed_forward_length = 64,
            .vocab_size = kVocab,
            .context_length = kContext,
            .seed = seed};
  }

  explicit TestWorld(const TinyModel& tiny, int threads = 1)
      : pool(threads),
        model(open_tiny(tiny)),
        tokenizer(value_of(Tokenizer::create(value_of(read_tokenizer_spec(model.metadata()))))),
        engine(value_of(Engine::create(model))) {}

  std::unique_ptr<Session> session(uint32_t context = kContext, uint32_t batch = 32) {
    return value_of(Session::create(engine, pool, {.context = context, .batch = batch}));
  }
  std::vector<TokenId> encode(std::string_view text) const { return tokenizer.encode(text, false); }

  ThreadPool pool;
  Model model;
  Tokenizer tokenizer;
  Engine engine;
};

}  // namespace pixellm
