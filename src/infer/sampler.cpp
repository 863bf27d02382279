#include "infer/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "infer/portable_math.h"
#include "infer/vocabulary_loops.h"

namespace pixellm {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr uint32_t kMaxPenaltyWindow = 1u << 20;
constexpr uint32_t kMostTokens = 1u << 24;  // whose weights in units are sure to have a sum of 64 bits
constexpr size_t kUnitBlock = 4 * kMaxBlock;

Result<void> check_range(std::string_view name, float value, float low, float high,
                         bool low_is_open = false) {
  if (value <= high && (low_is_open ? value > low : value >= low)) return {};
  const std::string_view from = low_is_open ? "above" : "from";
  std::string allowed = fmt::format("{} {} to {}", from, low, high);
  if (high == std::numeric_limits<float>::max())
    allowed = low == -high ? "finite values" : fmt::format("{} {}", from, low);
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("sampler: {} is {}, allowed {}", name, value, allowed));
}

}  // namespace

Result<void> validate(const SamplerOptions& o) {
  constexpr float kMax = std::numeric_limits<float>::max();
  PIXELLM_CHECK(check_range("temperature", o.temperature, 0, kMax));
  PIXELLM_CHECK(check_range("top-p", o.top_p, 0, 1, true));
  PIXELLM_CHECK(check_range("min-p", o.min_p, 0, 1));
  PIXELLM_CHECK(check_range("repeat penalty", o.repeat_penalty, 0, kMax, true));
  PIXELLM_CHECK(check_range("presence penalty", o.presence_penalty, -kMax, kMax));
  PIXELLM_CHECK(check_range("frequency penalty", o.frequency_penalty, -kMax, kMax));
  if (o.penalty_window > kMaxPenaltyWindow)
    return fail(ErrorCode::kInvalidArgument, fmt::format("sampler: penalty window is {}, allowed 0 to {}",
                                                         o.penalty_window, kMaxPenaltyWindow));
  for (const auto& [id, value] : o.bias)
    if (!(value < std::numeric_limits<float>::infinity()))
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("sampler: bias of token {} is {}, allowed finite values and -inf", id, value));
  return {};
}

Result<Sampler> Sampler::create(const SamplerOptions& options, uint32_t vocab_size) {
  PIXELLM_CHECK(validate(options));
  for (const auto& [id, value] : options.bias)
    if (id < 0 || static_cast<uint32_t>(id) >= vocab_size)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("sampler: bias for token {}, the vocabulary has 0 to {}", id,
                              static_cast<int64_t>(vocab_size) - 1));
  if (vocab_size > kMostTokens)
    return fail(ErrorCode::kTooLarge,
                fmt::format("sampler: {} tokens in the vocabulary, allowed {}", vocab_size, kMostTokens));
  Sampler s;
  s.options_ = options;
  s.vocab_size_ = vocab_size;
  s.state_ = options.seed;
  s.scores_.resize(vocab_size);
  s.maxima_.resize((vocab_size + kMaxBlock - 1) / kMaxBlock);
  if (options.temperature > 0) {
    s.scale_ = 1.0 / static_cast<double>(options.temperature);
    s.reserve_for_draws();
  }
  if (s.has_penalties()) {
    const uint32_t window = options.penalty_window;
    s.counts_.resize(vocab_size);
    s.window_.reserve(window);
    s.distinct_.reserve(window == 0 ? vocab_size : std::min(vocab_size, window + 1));
  }
  return s;
}

void Sampler::reserve_for_draws() {
  const bool has_top_k = options_.top_k > 0 && options_.top_k < vocab_size_;
  if (has_top_k) {
    ordered_maxima_.resize(maxima_.size());
    keys_.reserve(vocab_size_);
    top_scores_.resize(options_.top_k);
    select_.reserve(options_.top_k);
  } else if (options_.top_k > 0 || options_.top_p < 1) {
    select_.reserve(vocab_size_);
  } else {
    block_units_.resize((vocab_size_ + kUnitBlock - 1) / kUnitBlock);
  }
}

bool Sampler::has_penalties() const {
  return options_.repeat_penalty != 1 || options_.presence_penalty != 0 || options_.frequency_penalty != 0;
}

void Sampler::accept(TokenId id) {
  if (counts_.empty() || id < 0 || static_cast<uint32_t>(id) >= vocab_size_) return;
  if (counts_[id]++ == 0) distinct_.push_back(id);
  if (options_.penalty_window == 0) return;
  if (window_.size() < options_.penalty_window) return window_.push_back(id);
  const TokenId oldest = std::exchange(window_[window_next_], id);
  window_next_ = (window_next_ + 1) % window_.size();
  if (--counts_[oldest] > 0) return;
  *std::ranges::find(distinct_, oldest) = distinct_.back();
  distinct_.pop_back();
}

std::span<const float> Sampler::adjust(std::span<const float> logits) {
  PIXELLM_ASSERT(logits.size() == vocab_size_);
  for (size_t i = 0; i < logits.size(); i++) scores_[i] = std::isnan(logits[i]) ? kNever : logits[i];
  for (const auto& [id, value] : options_.bias) {
    scores_[id] += value;
    if (std::isnan(scores_[id])) scores_[id] = kNever;  // +inf forbidden by -inf
  }
  for (const TokenId id : distinct_) {
    float& score = scores_[id];
    score = score > 0 ? score / options_.repeat_penalty : score * options_.repeat_penalty;
    score -= static_cast<float>(counts_[id]) * options_.frequency_penalty + options_.presence_penalty;
    if (std::isnan(score)) score = kNever;
  }
  return scores_;
}

TokenId Sampler::sample(std::span<const float> logits) {
  PIXELLM_ASSERT(logits.size() == vocab_size_);
  const bool as_they_are = options_.bias.empty() && distinct_.empty();
  const std::span<const float> scores = as_they_are ? logits : adjust(logits);
  vocabulary_loops().block_maxima(scores.data(), scores.size(), maxima_.data());
  const auto top = std::ranges::max_element(maxima_);
  const float best = top == maxima_.end() ? kNever : *top;
  if (options_.temperature == 0 || options_.top_k == 1 || vocab_size_ < 2 || !std::isfinite(best)) {
    if (best == kNever) return 0;
    const auto begin = scores.begin() + (top - maxima_.begin()) * static_cast<ptrdiff_t>(kMaxBlock);
    return static_cast<TokenId>(std::find(begin, scores.end(), best) - scores.begin());
  }
  if (options_.top_k == 0 && options_.top_p == 1) return sample_by_id(scores, best);
  if (options_.top_k == 0 || options_.top_k >= vocab_size_) return sample_by_rank(scores, best);
  collect_top_k(scores);
  for (size_t i = 0; i < keys_.size(); i++)
    top_scores_[i] = scores[static_cast<size_t>(rank_key_id(keys_[i]))];
  return rank_key_id(keys_[static_cast<size_t>(sample_by_rank(top_scores_, best))]);
}

// keys_: the top_k best tokens, in order.
void Sampler::collect_top_k(std::span<const float> scores) {
  const size_t k = options_.top_k;
  // So many blocks have a maximum not below `least`, so that the k best are not below it either.
  float least = kNever;
  if (k <= maxima_.size()) {
    const auto kth = ordered_maxima_.begin() + static_cast<ptrdiff_t>(k) - 1;
    std::ranges::copy(maxima_, ordered_maxima_.begin());
    std::nth_element(ordered_maxima_.begin(), kth, ordered_maxima_.end(), std::greater<>());
    least = *kth;
  }
  keys_.clear();
  size_t room = k;  // for scores equal to `least`: the first by id
  for (size_t b = 0; b < maxima_.size(); b++) {
    if (maxima_[b] < least || (maxima_[b] == least && room == 0)) continue;
    const size_t end = std::min(scores.size(), (b + 1) * kMaxBlock);
    for (size_t i = b * kMaxBlock; i < end; i++) {
      const float score = std::isnan(scores[i]) ? kNever : scores[i];
      if (score < least || (score == least && room == 0)) continue;
      room -= score == least;
      keys_.push_back(rank_key(score, static_cast<TokenId>(i)));
    }
  }
  const auto end_of_top = keys_.begin() + static_cast<ptrdiff_t>(k);
  if (end_of_top != keys_.end()) std::nth_element(keys_.begin(), end_of_top, keys_.end());
  keys_.erase(end_of_top, keys_.end());
  std::ranges::sort(keys_);
}

// The least score that min-p keeps.
float Sampler::min_p_cut(float best) const {
  constexpr float kMost = std::numeric_limits<float>::max();
  if (options_.min_p == 0) return kNever;
  const double cut = best + static_cast<double>(options_.temperature) * portable_log(options_.min_p);
  if (cut < -static_cast<double>(kMost)) return -kMost;
  const auto nearest = static_cast<float>(cut);
  return static_cast<double>(nearest) < cut ? std::nextafter(nearest, kMost) : nearest;
}

// The place in `scores`, of which `best` is the largest.
TokenId Sampler::sample_by_rank(std::span<const float> scores, float best) {
  const UnitSums sums = select_.load(scores, best, scale_, min_p_cut(best));
  uint64_t kept = sums.kept;
  if (options_.top_p < 1) {
    const double part = static_cast<double>(sums.all) * static_cast<double>(options_.top_p);
    const auto wanted = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(part)));
    if (wanted < kept) {
      const RankSelect::Found last = select_.find(wanted - 1);
      kept = last.before + last.units;
    }
  }
  return static_cast<TokenId>(select_.find(draw(kept)).place);
}

TokenId Sampler::sample_by_id(std::span<const float> scores, float best) {
  const float cut = min_p_cut(best);
  std::array<uint64_t, kUnitBlock> units;
  const auto weigh = [&](size_t block) -> uint64_t {
    const size_t begin = block * kUnitBlock, n = std::min(kUnitBlock, scores.size() - begin);
    return vocabulary_loops().weigh(&scores[begin], n, best, scale_, cut, units.data()).kept;
  };
  uint64_t total = 0;
  for (size_t b = 0; b < block_units_.size(); b++) {
    const auto first = maxima_.begin() + static_cast<ptrdiff_t>(b * kUnitBlock / kMaxBlock);
    const auto end = maxima_.end() - first > 4 ? first + 4 : maxima_.end();
    total += block_units_[b] = *std::max_element(first, end) < cut ? 0 : weigh(b);
  }
  uint64_t left = draw(total);
  size_t block = 0;
  while (left >= block_units_[block]) left -= block_units_[block++];
  weigh(block);
  size_t i = 0;
  for (;; i++) {
    if (!(scores[block * kUnitBlock + i] >= cut)) continue;
    if (left < units[i]) break;
    left -= units[i];
  }
  return static_cast<TokenId>(block * kUnitBlock + i);
}

// A number below `units`, from splitmix64 (Steele, Lea, Flood 2014).
uint64_t Sampler::draw(uint64_t units) {
  uint64_t z = state_ += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return static_cast<uint64_t>(static_cast<unsigned __int128>(z) * units >> 64);
}

double log_sum_exp(std::span<const float> logits) {
  const TokenId best_id = argmax(logits);
  const double best = logits.empty() || std::isnan(logits[best_id]) ? kNever : logits[best_id];
  if (!std::isfinite(best)) return best;
  double sum = 0;
  std::array<double, 512> part;
  for (size_t i = 0; i < logits.size(); i += part.size()) {
    const size_t n = std::min(part.size(), logits.size() - i);
    vocabulary_loops().exp_weights(&logits[i], n, best, 1.0, part.data());
    for (size_t j = 0; j < n; j++) sum += part[j];
  }
  return best + portable_log(sum);
}

TokenId argmax(std::span<const float> logits) {
  const float best = vocabulary_loops().largest(logits.data(), logits.size());
  return best == kNever ? 0 : static_cast<TokenId>(std::ranges::find(logits, best) - logits.begin());
}

}  // namespace pixellm
