#include "infer/model_drafter.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace pixellm {
namespace {

constexpr size_t kPiece = 512;  // prompt tokens between two looks at an interruption

struct Likeliest {
  TokenId id = 0;
  uint8_t confidence = 0;  // by how far the next one is behind
};

Likeliest likeliest(std::span<const float> logits) {
  float best = -std::numeric_limits<float>::infinity(), second = best;
  size_t at = 0;
  for (size_t i = 0; i < logits.size(); i++) {
    if (!(logits[i] > second)) continue;
    if (logits[i] > best)
      second = best, best = logits[i], at = i;
    else
      second = logits[i];
  }
  static constexpr std::array<float, kConfidences - 1> kGaps = {0.25f, 0.6f, 1, 1.6f, 2.5f, 4, 6};
  const float gap = best - second;
  size_t confidence = 0;
  while (confidence < kGaps.size() && gap >= kGaps[confidence]) confidence++;
  return {static_cast<TokenId>(at), static_cast<uint8_t>(confidence)};
}

}  // namespace

std::span<const double, kConfidences> ModelDrafter::first_guesses() const {
  static constexpr std::array<double, kConfidences> kRates = {0.35, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95};
  return kRates;
}

// At least one token is left to feed, for its logits.
void ModelDrafter::cut_to(std::span<const TokenId> history) {
  size_t same = std::min({same_, held_.size(), history.size()});
  while (same < std::min(held_.size(), history.size()) && held_[same] == history[same]) same++;
  same = std::min(same, history.size() - 1);
  held_.resize(same);
  session_->truncate(static_cast<uint32_t>(same));
  same_ = same;
}

Result<void> ModelDrafter::feed(std::span<const TokenId> ids) {
  if (auto fed = session_->feed(ids); !fed) return fail_in("draft model", std::move(fed).error());
  held_.insert(held_.end(), ids.begin(), ids.end());
  return {};
}

Result<void> ModelDrafter::prepare(std::span<const TokenId> history, const std::atomic<bool>* interrupted) {
  if (history.empty() || history.size() > session_->context()) return {};
  cut_to(history);
  while (held_.size() < history.size()) {
    if (interrupted && interrupted->load(std::memory_order_relaxed)) return {};
    PIXELLM_CHECK(feed(history.subspan(held_.size(), std::min(kPiece, history.size() - held_.size()))));
  }
  same_ = history.size();
  return {};
}

Result<void> ModelDrafter::draft(std::span<const TokenId> history, size_t longest,
                                 const std::function<bool(const DraftToken&)>& worth_more,
                                 std::vector<DraftToken>& out) {
  if (history.empty() || history.size() > session_->context() || longest == 0) return {};
  cut_to(history);
  PIXELLM_CHECK(feed(history.subspan(held_.size())));
  same_ = history.size();
  for (size_t i = 0; i < longest; i++) {
    const Likeliest next = likeliest(session_->logits());
    out.push_back({next.id, next.confidence});
    if (i + 1 == longest || !worth_more(out.back()) || session_->position() == session_->context()) break;
    PIXELLM_CHECK(feed({&next.id, 1}));
  }
  return {};
}

void ModelDrafter::truncate(size_t n_tokens) { same_ = std::min(same_, n_tokens); }

namespace {

size_t n_tokens(const TokenizerSpec& spec) {
  return spec.model == kCodePointModel ? spec.vocab_size : spec.tokens.size();
}

bool is_unused(const TokenizerSpec& spec, size_t id) {
  return id < spec.kinds.size() && spec.kinds[id] == static_cast<uint8_t>(TokenKind::kUnused);
}

// Tokens without trailing unused ones.
size_t n_used(const TokenizerSpec& spec) {
  size_t n = n_tokens(spec);
  while (n > 0 && is_unused(spec, n - 1)) n--;
  return n;
}

// As messages show it: no more than a glance.
std::string shown(std::string_view text) {
  constexpr size_t kMost = 32;
  return fmt::format("\"{}{}\"", text.substr(0, kMost), text.size() > kMost ? "..." : "");
}

}  // namespace

Result<void> check_same_vocabulary(const TokenizerSpec& model, const TokenizerSpec& draft) {
  const auto differ = [](const std::string& how) {
    return fail(ErrorCode::kInvalidArgument, "draft model: the vocabulary is not the model's: " + how);
  };
  if (model.model != draft.model)
    return differ(fmt::format("its kind is {}, the model's is {}", shown(draft.model), shown(model.model)));
  const size_t common = std::min(n_tokens(model), n_tokens(draft));
  if (n_used(model) > n_tokens(draft) || n_used(draft) > n_tokens(model))
    return differ(fmt::format("it has {} tokens, the model's has {}", n_tokens(draft), n_tokens(model)));
  if (model.model == kCodePointModel) return {};
  for (size_t i = 0; i < common; i++) {
    if (model.tokens[i] == draft.tokens[i] || (is_unused(model, i) && is_unused(draft, i))) continue;
    return differ(
        fmt::format("token {} is {}, the model's is {}", i, shown(draft.tokens[i]), shown(model.tokens[i])));
  }
  return {};
}

}  // namespace pixellm
