#include "infer/speculate.h"

#include <algorithm>
#include <chrono>

#include "infer/model_drafter.h"
#include "infer/ngram_drafter.h"

namespace pixellm {
namespace {

using Clock = std::chrono::steady_clock;

// Tries of a draft model that gains nothing: tokens of one, and between them.
constexpr size_t kTryLength = 3;
constexpr uint32_t kFirstPause = 8, kLongestPause = 128;
constexpr size_t kMissedTokens =
    8;  // more, which the draft model reads first, say nothing of what drafts cost
constexpr double kLeastExtra = 0.03;  // what one more token in a step costs at least

}  // namespace

Speculator::Speculator(std::unique_ptr<Drafter> drafter, std::string mode, const SpeculatorOptions& options)
    : drafter_(std::move(drafter)),
      mode_(std::move(mode)),
      options_(options),
      acceptance_(drafter_->first_guesses()) {
  PIXELLM_ASSERT(options.longest >= 1 && options.longest <= kMaxDraft);
}

Speculator Speculator::ngram(const SpeculatorOptions& options) {
  return {std::make_unique<NgramDrafter>(), "ngram", options};
}

Speculator Speculator::draft_model(std::unique_ptr<Session> session, const SpeculatorOptions& options) {
  return {std::make_unique<ModelDrafter>(std::move(session)), "draft", options};
}

// Tokens that the session was fed without this speculator are unknown: the history then begins after them.
void Speculator::begin(uint32_t position, std::span<const TokenId> prompt,
                       const std::atomic<bool>* interrupted) {
  const bool known = position >= base_ && position - base_ <= history_.size();
  if (!known) base_ = position;
  history_.resize(position - base_);
  drafter_->truncate(known ? history_.size() : 0);
  history_.insert(history_.end(), prompt.begin(), prompt.end());
  guesses_.clear();
  asked_at_ = history_.size();
  if (!failure_.empty()) return;
  if (auto prepared = drafter_->prepare(history_, interrupted); !prepared)
    failure_ = prepared.error().message;
}

void Speculator::make_draft(size_t longest, double gain) {
  double right = 1;
  const auto worth_more = [&](const DraftToken& token) {
    if (!drafter_->runs_model() || !options_.adaptive) return true;
    right *= acceptance_.of(token.confidence);
    return right * acceptance_.mean() > (costs_.of_draft() + kLeastExtra) * std::max(gain, 1.0);
  };
  const auto start = Clock::now();
  const auto made = drafter_->draft(history_, longest, worth_more, guesses_);
  if (!made) failure_ = made.error().message;
  const size_t missed = history_.size() - std::exchange(asked_at_, history_.size());
  if (drafter_->runs_model() && missed <= kMissedTokens)
    costs_.drafted(guesses_.size(), std::chrono::duration<double>(Clock::now() - start).count());
}

// How many guesses of a drafter that costs to ask for.
size_t Speculator::planned(size_t longest) {
  const DraftLength length = expected_length(longest, acceptance_, costs_);
  if (length.n > 0) {
    pause_ = 0;
    make_draft(length.n, length.gain);
    return length.n;
  }
  if (wait_ > 0) return wait_--, 0;
  pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
  wait_ = pause_;
  make_draft(std::min(longest, kTryLength), 0);
  return guesses_.size();
}

size_t Speculator::choose(size_t longest) {
  if (!options_.adaptive) {
    make_draft(longest, 1);
    return guesses_.size();
  }
  if (!drafter_->runs_model()) {
    // Guessed even where nothing will be checked: whether it was right is learned from plain steps, too.
    make_draft(options_.longest, 1);
    const std::span possible = std::span(guesses_).first(std::min(longest, guesses_.size()));
    return costs_.known() ? best_length(possible, acceptance_, costs_, 0).n : 0;
  }
  if (!costs_.known() || longest == 0 || planned(longest) == 0) return 0;
  const double spent = static_cast<double>(guesses_.size()) * costs_.of_draft();
  return best_length(guesses_, acceptance_, costs_, spent).n;
}

std::span<const TokenId> Speculator::draft(size_t room) {
  guesses_.clear();
  drafted_.clear();
  if (!failure_.empty()) return {};
  const size_t n = choose(std::min<size_t>(room, options_.longest));
  for (size_t i = 0; i < std::min(n, guesses_.size()); i++) drafted_.push_back(guesses_[i].id);
  return drafted_;
}

void Speculator::accept(std::span<const TokenId> ids, size_t n_fed, double seconds) {
  if (n_fed == 1) costs_.ran_plain(seconds);
  if (n_fed > 1) costs_.ran(n_fed, seconds);
  for (size_t i = 0; i < std::min(ids.size(), guesses_.size()); i++) {
    const bool right = ids[i] == guesses_[i].id;
    acceptance_.saw(guesses_[i].confidence, right);
    if (!right) break;
  }
  history_.insert(history_.end(), ids.begin(), ids.end());
}

}  // namespace pixellm
