// Prompt look-up: what followed the last time that the last tokens stood in the text. Constant time a token.
#pragma once
#include <array>
#include <optional>

#include "infer/drafter.h"

namespace pixellm {

// For each length of 8, 4, 3 and 2 tokens a table from the tokens' hash to the place after their last
// occurrence. A place that was found is followed as long as the text agrees, which tells apart what two
// tokens cannot; when one token of a long agreement differs, the place after it is tried, too.
class NgramDrafter final : public Drafter {
 public:
  std::span<const double, kConfidences> first_guesses() const override;
  bool runs_model() const override { return false; }
  Result<void> prepare(std::span<const TokenId> history, const std::atomic<bool>* interrupted) override;
  Result<void> draft(std::span<const TokenId> history, size_t longest,
                     const std::function<bool(const DraftToken&)>& worth_more,
                     std::vector<DraftToken>& out) override;
  void truncate(size_t n_tokens) override;

 private:
  static constexpr std::array<size_t, 4> kOrders = {8, 4, 3, 2};

  void index(std::span<const TokenId> history);
  void grow(std::span<const TokenId> history);
  void insert(std::span<const TokenId> history, size_t end);
  void follow(std::span<const TokenId> history, size_t at);
  void look_up(std::span<const TokenId> history);
  uint32_t& slot(size_t order, const TokenId* end);

  std::array<std::vector<uint32_t>, kOrders.size()> tables_;  // places by hash; 0: none
  size_t indexed_ = 0;                                        // tokens of the history that are known
  size_t place_ = 0, agreed_ = 0;  // of the token that may come next, and how many before it agree; 0: none
  size_t resumed_ = 0;             // place after one that disagreed; 0: none
};

}  // namespace pixellm
