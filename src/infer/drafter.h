// Inside src/infer: guesses at what a model will say next. They may be wrong: a model's answer never depends
// on them (speculate.h), only the time it takes.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace pixellm {

// How sure a drafter is of a token: a class below kConfidences, whose rate of success is learned while it
// runs.
inline constexpr size_t kConfidences = 8;

struct DraftToken {
  TokenId id = 0;
  uint8_t confidence = 0;
};

// `history` is all tokens so far, prompt and answer; from call to call it only grows, but for truncate().
class Drafter {
 public:
  virtual ~Drafter() = default;

  // The rate of success that each class is taken to have before anything is known.
  virtual std::span<const double, kConfidences> first_guesses() const = 0;
  virtual bool runs_model() const = 0;  // drafting takes time that counts

  // Work on a new prompt, so that the first draft need not wait for it. Ends early once `interrupted`.
  virtual Result<void> prepare(std::span<const TokenId> history, const std::atomic<bool>* interrupted) = 0;

  // Appends at most `longest` tokens that may follow `history`; ends after one for which `worth_more` is
  // false. An error: no more drafts can be had.
  virtual Result<void> draft(std::span<const TokenId> history, size_t longest,
                             const std::function<bool(const DraftToken&)>& worth_more,
                             std::vector<DraftToken>& out) = 0;

  virtual void truncate(size_t n_tokens) = 0;  // the history was cut to its first n tokens
};

}  // namespace pixellm
