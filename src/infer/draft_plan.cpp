#include "infer/draft_plan.h"

#include <algorithm>
#include <bit>

namespace pixellm {
namespace {

constexpr double kWorthIt = 1.05;     // a gain below pays for nothing
constexpr double kOutlier = 4;        // times what was expected: another program had the CPU
constexpr double kLeastCost = 1.02;   // of a step of several tokens, whatever was measured
constexpr double kForget = 0.001;     // of a measured cost, with every plain step: a bad one is tried again
constexpr uint32_t kFirstWeight = 4;  // guesses that the first rate counts for
constexpr uint32_t kMemory = 32;      // guesses that a rate is the mean of

}  // namespace

size_t StepCosts::size_class(size_t n_tokens) {
  return std::min<size_t>(static_cast<size_t>(std::bit_width(n_tokens - 1)), kClasses) - 1;
}

void StepCosts::ran_plain(double seconds) {
  if (seconds <= 0) return;
  const double sample = plain_ > 0 ? std::min(seconds, plain_ * kOutlier) : seconds;
  plain_ = plain_ > 0 ? plain_ + (sample - plain_) / 8 : sample;
  for (size_t i = 0; i < kClasses; i++) steps_[i] += (kFirst[i] - steps_[i]) * kForget;
}

void StepCosts::ran(size_t n_tokens, double seconds) {
  if (!known() || seconds <= 0) return;
  double& cost = steps_[size_class(n_tokens)];
  uint32_t& seen = seen_[size_class(n_tokens)];
  seen = std::min(seen + 1, 4u);
  cost += (std::min(seconds / plain_, cost * kOutlier) - cost) / (1 + seen);
}

void StepCosts::drafted(size_t n_tokens, double seconds) {
  if (!known() || n_tokens == 0) return;
  draft_ += (std::min(seconds / plain_ / static_cast<double>(n_tokens), draft_ * kOutlier) - draft_) / 4;
}

double StepCosts::of(size_t n_tokens) const {
  return n_tokens < 2 ? 1 : std::max(kLeastCost, steps_[size_class(n_tokens)]);
}

void Acceptance::Rate::add(bool hit) {
  n = std::min(n + 1, kMemory);
  value += ((hit ? 1.0 : 0.0) - value) / std::min(n + kFirstWeight, kMemory);
}

Acceptance::Acceptance(std::span<const double, kConfidences> first_guesses) {
  for (size_t i = 0; i < kConfidences; i++) rates_[i].value = first_guesses[i];
}

void Acceptance::saw(uint8_t confidence, bool came_true) {
  rates_[confidence].add(came_true);
  mean_.add(came_true);
}

namespace {

// The best length of those up to `longest`, of which token i has rate(i) and a draft of n costs drafting(n).
template <class RateOf, class DraftingOf>
DraftLength search(size_t longest, const StepCosts& costs, RateOf rate, DraftingOf drafting) {
  DraftLength best;
  double best_gain = 1 / (1 + drafting(0)) * kWorthIt, tokens = 1, right = 1;
  for (size_t n = 1; n <= longest; n++) {
    right *= rate(n - 1);
    tokens += right;
    const double gain = tokens / (costs.of(n + 1) + drafting(n));
    if (gain > best_gain) best = {n, gain}, best_gain = gain;
  }
  return best;
}

}  // namespace

DraftLength best_length(std::span<const DraftToken> draft, const Acceptance& acceptance,
                        const StepCosts& costs, double spent) {
  return search(
      draft.size(), costs, [&](size_t i) { return acceptance.of(draft[i].confidence); },
      [&](size_t) { return spent; });
}

DraftLength expected_length(size_t longest, const Acceptance& acceptance, const StepCosts& costs) {
  return search(
      longest, costs, [&](size_t) { return acceptance.mean(); },
      [&](size_t n) { return static_cast<double>(n) * costs.of_draft(); });
}

}  // namespace pixellm
