// Training v0: plain stochastic gradient descent on all weights. spec/v0.md, section 5.
//
//   TrainOptions options = default_options(Objective::kNext);
//   auto network = PIXELLM_TRY(train(tokens, options, pool, on_step));
// The result depends on tokens and options only, not on the number of threads or the CPU.
#pragma once
#include <cstdint>
#include <functional>
#include <span>

#include "base/error.h"
#include "base/threads.h"
#include "v0/network.h"

namespace pixellm::v0 {

enum class Objective : uint8_t {
  kOriginal,  // the target is the window's second token: the answer is in the question, as in the original
  kNext,      // the target is the token after the window
};

// Which token the window that begins at token `start` shall predict.
inline uint64_t target_index(uint64_t start, Objective objective, uint32_t window) {
  return start + (objective == Objective::kOriginal ? 1 : window);
}

struct TrainOptions {
  Objective objective = Objective::kNext;
  uint32_t steps = 0;
  double lr = 0;
  uint32_t batch = 32, window = 64;
  uint64_t seed = 42;  // of the initial weights and, the stream going on, of the batches
};
TrainOptions default_options(Objective objective);

inline constexpr uint32_t kMaxSteps = 100'000'000, kMaxBatch = 4096, kMaxWindow = 65535;
inline constexpr double kMaxRate = 1000;

// Called after each step, counted from 1, with the mean loss of its batch in nats, measured before its
// update. Its error ends training and becomes train()'s.
using OnStep = std::function<Result<void>(uint32_t step, double loss)>;

// kInvalidArgument: options outside the limits above; fewer than window + 2 tokens; a loss that is not finite
// (the message names the step). Ids must be below kVocabSize.
Result<Network> train(std::span<const TokenId> tokens, const TrainOptions& options, ThreadPool& pool,
                      const OnStep& on_step);

struct Evaluation {
  uint32_t windows = 0;
  double loss = 0;  // mean over the windows, nats
  double constant =
      0;  // the same for the best prediction that ignores the window: the entropy of these targets
};

// Over at most 4096 windows at even distances. kInvalidArgument: fewer than window + 2 tokens.
Result<Evaluation> evaluate(const Network& network, std::span<const TokenId> tokens, Objective objective,
                            uint32_t window, ThreadPool& pool);

}  // namespace pixellm::v0
