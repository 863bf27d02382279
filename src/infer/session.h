// One sequence of tokens running through a model: the KV cache, the scratch memory and the forward pass.
//
//   ThreadPool pool(2);
//   auto engine = PIXELLM_TRY(Engine::create(model));     // weights resolved once, shared by sessions
//   auto session = PIXELLM_TRY(Session::create(engine, pool, {.context = 2048, .batch = 512}));
//   PIXELLM_CHECK(session->feed(prompt_ids));
//   TokenId next = argmax(session->logits());
// Logits are bit-identical for every thread count, batch, and for prefill against one token at a time. feed()
// allocates nothing. A Session belongs to one thread at a time; the Engine may be shared.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "infer/config.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace pixellm {

class Backend;
class Profile;

class Engine {
 public:
  // Finds and checks every tensor that the architecture needs. `kernels` null: active_kernels(). `model` must
  // outlive it.
  static Result<Engine> create(const Model& model, const Kernels* kernels = nullptr);
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  const ModelConfig& config() const;
  const Kernels& kernels() const;
  uint64_t bytes_per_token() const;  // weight bytes that decoding one token reads

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

enum class CacheKind : uint8_t { kF16, kInt8 };

struct SessionOptions {
  uint32_t context = 0;  // positions; 0: the model's context length, at most kDefaultContext
  uint32_t batch = 512;  // prompt tokens per step, at least 1
  // What quantised weights are multiplied with. kInt16 is two hundred times as fine and reads no more memory;
  // see spec/arithmetic.md. Not kFloat.
  ActivationKind activations = ActivationKind::kInt8;
  // Keys and values: f16, or int8 with a factor for each head and position, in about half the memory.
  CacheKind cache = CacheKind::kF16;
  Profile* profile = nullptr;  // of the pool's size, filled by every step; must outlive the session
  // Null: the CPU. Else one made for the engine, which must outlive the session; `activations`, `cache` and
  // `profile` are the CPU's.
  Backend* backend = nullptr;
};
inline constexpr uint32_t kDefaultContext = 4096;

class Session {
 public:
  // kInvalidArgument when context is over the model's own, naming both.
  static Result<std::unique_ptr<Session>> create(const Engine& engine, ThreadPool& pool,
                                                 const SessionOptions& options);
  ~Session();

  // Appends tokens. kInvalidArgument: an id outside the vocabulary, or more tokens than the context holds
  // (names both numbers); then nothing was appended. kCorrupt when the model's arithmetic is not finite.
  Result<void> feed(std::span<const TokenId> ids);

  // feed(), and the likeliest next token: the smallest id among the largest logits. A backend may leave
  // logits() empty.
  Result<TokenId> feed_best(std::span<const TokenId> ids);

  // feed(), giving the logits [vocab_size] of every fed token in order. An error of `each` ends it and is
  // returned; the token that it was called for, those before and perhaps some after stay appended.
  Result<void> feed_each(std::span<const TokenId> ids,
                         const std::function<Result<void>(uint32_t position, std::span<const float>)>& each);

  // Appends ids[i] to sessions[i], reading the weights once for several sequences. All are of one engine,
  // pool, kind of activations and of cache, and different. The result is as if each had been fed alone.
  // kInvalidArgument as feed(); then nothing was appended.
  static Result<void> feed_together(std::span<Session* const> sessions, std::span<const TokenId> ids);

  std::span<const float> logits() const;  // [vocab_size] after the last fed token; empty before the first
  uint32_t position() const;              // tokens in the cache
  uint32_t context() const;
  uint64_t cache_bytes() const;
  void truncate(uint32_t position);      // forgets everything from `position` on; logits() becomes empty
  void copy_from(const Session& other);  // same engine and context

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  Result<uint32_t> feed_steps(std::span<const TokenId> ids, bool only_best);
  static Result<void> feed_some(std::span<Session* const> sessions, std::span<const TokenId> ids);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pixellm
