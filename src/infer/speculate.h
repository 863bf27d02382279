// Speculative decoding: guesses what comes next and has the model check several guesses in one step. It
// changes how long an answer takes and nothing else: every token is sampled from the same logits, in the same
// order, by the same sampler as without; logits are bit-equal for every batch (session.h).
//
//   Speculator speculator = Speculator::ngram();
//   options.speculator = &speculator;                   // of GenerateOptions; keep it for the next turn
//   auto g = PIXELLM_TRY(generate(*session, tokenizer, prompt, options, emit));
// The length of the drafts follows measured times, so the counts in Generation may differ from run to run.
// Belongs to one session and one thread at a time.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "infer/draft_plan.h"
#include "infer/drafter.h"
#include "infer/session.h"

namespace pixellm {

inline constexpr uint32_t kMaxDraft = 64, kDefaultDraft = 15;  // 15 and the token before fill two panels

struct SpeculatorOptions {
  uint32_t longest = kDefaultDraft;  // tokens of a draft, 1 to kMaxDraft
  bool adaptive = true;              // false: always as long as can be had, whatever it costs
};

class Speculator {
 public:
  // Prompt look-up: what followed when the last tokens stood in prompt or answer before.
  static Speculator ngram(const SpeculatorOptions& options = {});

  // A smaller model of the same vocabulary (check_same_vocabulary), in a session of its own that may share
  // the thread pool.
  static Speculator draft_model(std::unique_ptr<Session> session, const SpeculatorOptions& options = {});

  Speculator(std::unique_ptr<Drafter> drafter, std::string mode, const SpeculatorOptions& options);

  const std::string& mode() const { return mode_; }  // "ngram", "draft"

  // Why there are no more drafts: what went wrong with the draft model. Empty: nothing.
  const std::string& failure() const { return failure_; }

  // For generate(). A prompt follows the first `position` tokens of the session; returns early once
  // `interrupted`.
  void begin(uint32_t position, std::span<const TokenId> prompt, const std::atomic<bool>* interrupted);

  // Tokens to check in the next step, at most `room`; perhaps none. Valid until the next call.
  std::span<const TokenId> draft(size_t room);

  // The answer's next tokens, which a step of n_fed tokens (0: none; 1: none of the draft; more: beginning of
  // the draft) has given in `seconds`.
  void accept(std::span<const TokenId> ids, size_t n_fed, double seconds);

 private:
  size_t choose(size_t longest);
  size_t planned(size_t longest);
  void make_draft(size_t longest, double gain);

  std::unique_ptr<Drafter> drafter_;
  std::string mode_, failure_;
  SpeculatorOptions options_;
  StepCosts costs_;
  Acceptance acceptance_;
  std::vector<TokenId> history_;  // what the session holds from position base_ on
  uint32_t base_ = 0;
  size_t asked_at_ = 0;  // length of the history at the last draft
  std::vector<DraftToken> guesses_;
  std::vector<TokenId> drafted_;   // the guesses that are checked
  uint32_t pause_ = 0, wait_ = 0;  // drafting that costs and gains nothing: tokens to the next try
};

}  // namespace pixellm
