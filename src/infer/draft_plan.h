// Inside src/infer: how long a draft should be, from what steps cost and how often guesses come true.
//
// A draft of k tokens of which each is right with probability p_j, given that those before are, makes a step
// yield 1 + p_1 + p_1 p_2 + ... tokens for the cost of k + 1; the length with the most tokens for its cost is
// taken, and none when plain steps are as good. Rates and costs are learned while it runs.
#pragma once
#include <array>
#include <span>

#include "infer/drafter.h"

namespace pixellm {

// Costs in steps of one token. One thread at a time.
class StepCosts {
 public:
  bool known() const { return plain_ > 0; }
  void ran_plain(double seconds);
  void ran(size_t n_tokens, double seconds);  // one step of n tokens, n > 1
  void drafted(size_t n_tokens, double seconds);

  double of(size_t n_tokens) const;           // a step of n tokens; above 1 when n is
  double of_draft() const { return draft_; }  // drafting a token

 private:
  static constexpr size_t kClasses = 6;  // 2, 3-4, 5-8, 9-16, 17-32, more
  static size_t size_class(size_t n_tokens);

  double plain_ = 0;  // seconds
  std::array<double, kClasses> steps_ = kFirst;
  std::array<uint32_t, kClasses> seen_ = {};
  double draft_ = 0.25;
  static constexpr std::array<double, kClasses> kFirst = {1.2, 1.3, 1.7, 2.8, 5.0, 9.0};
};

// Rates of success by confidence, and of all guesses together.
class Acceptance {
 public:
  explicit Acceptance(std::span<const double, kConfidences> first_guesses);
  void saw(uint8_t confidence, bool came_true);
  double of(uint8_t confidence) const { return rates_[confidence].value; }
  double mean() const { return mean_.value; }

 private:
  struct Rate {
    double value = 0.5;
    uint32_t n = 0;
    void add(bool hit);
  };
  std::array<Rate, kConfidences> rates_;
  Rate mean_;
};

struct DraftLength {
  size_t n = 0;     // 0: plain steps are as good
  double gain = 1;  // tokens for the cost of a plain step
};

// For a draft that is made; `spent` is what making it has cost.
DraftLength best_length(std::span<const DraftToken> draft, const Acceptance& acceptance,
                        const StepCosts& costs, double spent);

// For one that is to be made.
DraftLength expected_length(size_t longest, const Acceptance& acceptance, const StepCosts& costs);

}  // namespace pixellm
