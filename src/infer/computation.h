// Inside src/infer: what a Session needs of an architecture: the memory of one sequence and the pass over a
// step's tokens.
//
//   auto computation = PIXELLM_TRY(make_transformer(engine, sizes));
//   pool.run([&](Worker& w) { computation->forward(step, w); });      // every thread
// Sizes are fixed when it is made; nothing is allocated later. Positions from a step's first on are
// overwritten, so that going back is only a matter of the next step's position. One thread pool at a time.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/threads.h"
#include "infer/engine.h"

namespace pixellm {

class Computation;

// Where a token of a step belongs when a step serves several sequences.
struct Place {
  Computation* sequence;
  uint32_t position;
};

// What one run over the threads does.
struct Step {
  std::span<const TokenId> ids;  // tokens of this step
  uint32_t position = 0;         // of the first
  std::span<const Place> places =
      {};  // one for each token, with kAll; empty: all are of this sequence, one after the other
  // kLast: logits of the last token. kAll: what forward_logits() needs of every token stays. kNone: only the
  // positions' memory is filled. kBest: only which token the last one's logits make likeliest; with
  // chooses().
  enum class Output : uint8_t { kNone, kLast, kAll, kBest } output = Output::kLast;
};

struct SequenceSizes {
  uint32_t context = 0, batch = 0;  // positions; tokens of a step at most
  uint32_t n_logits = 0;            // tokens of one forward_logits() at most
  int n_threads = 1;
  ActivationKind activations = ActivationKind::kInt8;  // of quantised weights; not kFloat
  CacheKind cache = CacheKind::kF16;
  Profile* profile = nullptr;
};

class Computation {
 public:
  virtual ~Computation() = default;

  // Called by every thread of a ThreadPool::run. The last token's logits go to logits(0).
  virtual void forward(const Step& step, Worker& worker) = 0;

  // What went wrong in the last forward() or forward_logits(). On the CPU nothing can.
  virtual Result<void> outcome() { return {}; }

  // Whether steps may have `places`.
  virtual bool serves_others() const { return false; }

  // Whether steps may have kBest: after one, best() is the smallest id among the largest logits, none when
  // some logit is not finite. For computations whose logits are far from the CPU.
  virtual bool chooses() const { return false; }
  virtual std::optional<TokenId> best() const { return std::nullopt; }

  // Logits of tokens [first, first + count) of the step that just ran with kAll, to logits(0) to logits(count
  // - 1).
  virtual void forward_logits(uint32_t step_tokens, uint32_t first, uint32_t count, Worker& worker) = 0;

  virtual std::span<float> logits(uint32_t row) const = 0;  // [vocab_size]
  virtual uint64_t cache_bytes() const = 0;                 // what the context's positions take

  // `other` was made by the same function with the same engine and context.
  virtual void copy_from(const Computation& other, uint32_t n_positions) = 0;
};

using MadeComputation = Result<std::unique_ptr<Computation>>;
MadeComputation make_transformer(const Engine::Impl& engine, const SequenceSizes& sizes);  // transformer.cpp
MadeComputation make_mean_mlp(const Engine::Impl& engine, const SequenceSizes& sizes);     // forward_mlp.cpp

// For the engine's architecture.
inline MadeComputation make_computation(const Engine::Impl& engine, const SequenceSizes& sizes) {
  return engine.config.architecture == Architecture::kMlp ? make_mean_mlp(engine, sizes)
                                                          : make_transformer(engine, sizes);
}

}  // namespace pixellm
