// Drafts by a smaller model of the same vocabulary: its likeliest token each time.
#pragma once
#include <memory>

#include "infer/drafter.h"
#include "infer/session.h"

namespace pixellm {

// Its session keeps its own cache, cut back where the texts part. Drafts end where its context does.
class ModelDrafter final : public Drafter {
 public:
  explicit ModelDrafter(std::unique_ptr<Session> session) : session_(std::move(session)) {}

  std::span<const double, kConfidences> first_guesses() const override;
  bool runs_model() const override { return true; }
  Result<void> prepare(std::span<const TokenId> history, const std::atomic<bool>* interrupted) override;
  Result<void> draft(std::span<const TokenId> history, size_t longest,
                     const std::function<bool(const DraftToken&)>& worth_more,
                     std::vector<DraftToken>& out) override;
  void truncate(size_t n_tokens) override;

 private:
  void cut_to(std::span<const TokenId> history);
  Result<void> feed(std::span<const TokenId> ids);

  std::unique_ptr<Session> session_;
  std::vector<TokenId> held_;  // what the session holds
  size_t same_ = 0;            // tokens of it that are known to be the history's
};

// Whether a draft's ids mean what the model's do. Trailing tokens that are marked as unused may be missing on
// either side. kInvalidArgument names the first difference.
Result<void> check_same_vocabulary(const TokenizerSpec& model, const TokenizerSpec& draft);

}  // namespace pixellm
