#include "infer/ngram_drafter.h"

#include <algorithm>
#include <bit>

namespace pixellm {
namespace {

constexpr size_t kFewestSlots = 4096;
constexpr size_t kLongestMatch = 32;  // more is not counted
constexpr size_t kSureMatch = 16;     // a place that agrees so long needs no other
constexpr size_t kWorthResuming = 6;  // tokens that agreed before the one that did not
constexpr uint8_t kResumed = 7;

// By tokens that agree before the one that is guessed.
uint8_t confidence(size_t agreed) {
  if (agreed < 4) return agreed < 3 ? 0 : 1;
  if (agreed < 9) return agreed < 6 ? 2 : 3;
  return agreed < 16 ? 4 : agreed < 24 ? 5 : 6;
}

}  // namespace

std::span<const double, kConfidences> NgramDrafter::first_guesses() const {
  static constexpr std::array<double, kConfidences> kRates = {0.12, 0.25, 0.4, 0.6, 0.75, 0.9, 0.95, 0.4};
  return kRates;
}

uint32_t& NgramDrafter::slot(size_t order, const TokenId* end) {
  uint64_t hash = 0;
  for (size_t i = 1; i <= kOrders[order]; i++)
    hash = (hash ^ static_cast<uint32_t>(end[-static_cast<ptrdiff_t>(i)])) * 0x9e3779b97f4a7c15u;
  const size_t n_slots = tables_[order].size();
  return tables_[order][hash >> (64 - std::countr_zero(n_slots))];
}

// The tokens before `end` are followed by history[end].
void NgramDrafter::insert(std::span<const TokenId> history, size_t end) {
  for (size_t order = 0; order < kOrders.size(); order++)
    if (end >= kOrders[order]) slot(order, history.data() + end) = static_cast<uint32_t>(end);
}

// At least two slots a token, doubling: amortised, a token is inserted a constant number of times.
void NgramDrafter::grow(std::span<const TokenId> history) {
  if (tables_[0].size() >= 2 * history.size()) return;
  const size_t n_slots = std::bit_ceil(std::max(kFewestSlots, 4 * history.size()));
  for (auto& table : tables_) table.assign(n_slots, 0);
  for (size_t end = 1; end < indexed_; end++) insert(history, end);
}

// Moves along with the token at `at`.
void NgramDrafter::follow(std::span<const TokenId> history, size_t at) {
  const TokenId id = history[at];
  const size_t resumed = std::exchange(resumed_, 0);
  if (place_ > 0 && history[place_] == id) {
    place_++;
    agreed_ = std::min(agreed_ + 1, kLongestMatch);
  } else if (resumed > 0 && history[resumed] == id) {
    place_ = resumed + 1;
    agreed_ = kWorthResuming;
  } else {
    if (place_ > 0 && agreed_ >= kWorthResuming) resumed_ = place_ + 1;
    place_ = agreed_ = 0;
  }
}

void NgramDrafter::index(std::span<const TokenId> history) {
  grow(history);
  for (; indexed_ < history.size(); indexed_++) {
    if (indexed_ > 0) insert(history, indexed_);
    follow(history, indexed_);
  }
}

// Takes another place when more tokens agree there.
void NgramDrafter::look_up(std::span<const TokenId> history) {
  const size_t n = history.size();
  for (size_t order = 0; order < kOrders.size() && agreed_ < kSureMatch; order++) {
    if (n < kOrders[order]) continue;
    const size_t end = slot(order, history.data() + n);
    if (end == 0) continue;
    size_t agreed = 0;
    while (agreed < std::min(end, kLongestMatch) && history[end - 1 - agreed] == history[n - 1 - agreed])
      agreed++;
    if (agreed < kOrders[order] || agreed <= agreed_) continue;
    place_ = end;
    agreed_ = agreed;
    break;
  }
}

Result<void> NgramDrafter::prepare(std::span<const TokenId> history, const std::atomic<bool>*) {
  index(history);
  return {};
}

Result<void> NgramDrafter::draft(std::span<const TokenId> history, size_t longest,
                                 const std::function<bool(const DraftToken&)>& worth_more,
                                 std::vector<DraftToken>& out) {
  index(history);
  look_up(history);
  const size_t n = history.size(), first = out.size();
  const bool resumes = resumed_ > 0 && resumed_ < n && agreed_ <= 2;
  const size_t from = resumes ? resumed_ : place_, agreed = resumes ? kWorthResuming : agreed_;
  if (from == 0 || from >= n) return {};
  for (size_t i = 0; i < longest; i++) {
    // A text that repeats itself goes on where the history ends.
    const TokenId id = from + i < n ? history[from + i] : out[first + from + i - n].id;
    out.push_back({id, resumes && i == 0 ? kResumed : confidence(agreed + i)});
    if (!worth_more(out.back())) break;
  }
  return {};
}

// The tables are filled again at the next draft: places that newer ones took over count again.
void NgramDrafter::truncate(size_t n_tokens) {
  if (n_tokens >= indexed_) return;
  indexed_ = n_tokens;
  for (auto& table : tables_) table.clear();
  place_ = agreed_ = resumed_ = 0;
}

}  // namespace pixellm
