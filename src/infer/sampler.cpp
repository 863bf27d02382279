#include "infer/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "infer/exp_weights.h"
#include "infer/portable_math.h"

namespace pixellm {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr uint32_t kMaxPenaltyWindow = 1u << 20;

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

float score_of(uint64_t key) {
  const auto bits = ~static_cast<uint32_t>(key >> 32);
  return std::bit_cast<float>(bits & 0x80000000u ? bits & 0x7fffffffu : ~bits);
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
  Sampler s;
  s.options_ = options;
  s.vocab_size_ = vocab_size;
  s.state_ = options.seed;
  s.scores_.resize(vocab_size);
  if (options.temperature > 0) {
    s.scale_ = 1.0 / static_cast<double>(options.temperature);
    s.weights_.resize(vocab_size);
    s.keys_.reserve(vocab_size);
  }
  if (s.has_penalties()) {
    const uint32_t window = options.penalty_window;
    s.counts_.resize(vocab_size);
    s.window_.reserve(window);
    s.distinct_.reserve(window == 0 ? vocab_size : std::min(vocab_size, window + 1));
  }
  return s;
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
  adjust(logits);
  const TokenId best_id = argmax(scores_);
  if (options_.temperature == 0 || options_.top_k == 1 || vocab_size_ < 2 || !std::isfinite(scores_[best_id]))
    return best_id;
  const double best = scores_[best_id];
  if (options_.top_k > 0) {
    collect_top_k();
    double total = 0;
    for (size_t i = 0; i < keys_.size(); i++) total += weights_[i] = weight(score_of(keys_[i]), best);
    return draw_by_rank(best, total);
  }
  exp_weights(scores_, best, scale_, weights_);
  if (options_.top_p < 1) return draw_by_rank(best, collect_nucleus());
  return draw_by_id();
}

// The weight of the best token is 1. The same bits as exp_weights.
double Sampler::weight(float score, double best) const {
  return portable_exp((static_cast<double>(score) - best) * scale_);
}

// keys_: the top_k best tokens, in order.
void Sampler::collect_top_k() {
  const size_t k = std::min<size_t>(options_.top_k, vocab_size_);
  keys_.clear();
  for (uint32_t i = 0; i < k; i++) keys_.push_back(rank_key(scores_[i], static_cast<TokenId>(i)));
  std::make_heap(keys_.begin(), keys_.end());
  float worst = score_of(keys_.front());
  for (uint32_t i = static_cast<uint32_t>(k); i < vocab_size_; i++) {
    if (!(scores_[i] > worst)) continue;  // an equal one has the larger id
    std::pop_heap(keys_.begin(), keys_.end());
    keys_.back() = rank_key(scores_[i], static_cast<TokenId>(i));
    std::push_heap(keys_.begin(), keys_.end());
    worst = score_of(keys_.front());
  }
  std::sort_heap(keys_.begin(), keys_.end());
}

// keys_: every token that top-p and min-p may keep, in no order. All tokens lighter than the bound together
// weigh less than what top-p leaves out. Returns the weight of the whole vocabulary.
double Sampler::collect_nucleus() {
  double total = 0;
  for (const double w : weights_) total += w;
  const double left_out = total * (1.0 - static_cast<double>(options_.top_p));
  const double bound = std::max(left_out / vocab_size_, static_cast<double>(options_.min_p));
  keys_.clear();
  for (uint32_t i = 0; i < vocab_size_; i++)
    if (weights_[i] >= bound) keys_.push_back(rank_key(scores_[i], static_cast<TokenId>(i)));
  return total;
}

// Cuts keys_ by top-p (of `total`) and min-p, and draws. Only as many keys are sorted as the cut needs, in
// steps that grow.
TokenId Sampler::draw_by_rank(double best, double total) {
  const double wanted = options_.top_p < 1 ? total * static_cast<double>(options_.top_p)
                                           : std::numeric_limits<double>::infinity();
  const double least = options_.min_p;
  double reached = 0;
  size_t kept = 0, sorted = options_.top_k > 0 ? keys_.size() : 0;
  while (kept < keys_.size() && reached < wanted) {
    if (kept == sorted) {
      const auto from = keys_.begin() + static_cast<ptrdiff_t>(sorted);
      sorted = std::min(keys_.size(), std::max<size_t>(256, sorted * 4));
      const auto to = keys_.begin() + static_cast<ptrdiff_t>(sorted);
      if (to != keys_.end()) std::nth_element(from, to, keys_.end());
      std::sort(from, to);
    }
    const double w = weight(score_of(keys_[kept]), best);
    if (w < least && kept > 0) break;
    weights_[kept++] = w;
    reached += w;
  }
  const double mark = uniform() * reached;
  double passed = 0;
  size_t chosen = 0;
  for (; chosen + 1 < kept; chosen++)
    if (mark < (passed += weights_[chosen])) break;
  return rank_key_id(keys_[chosen]);
}

TokenId Sampler::draw_by_id() {
  const double least = options_.min_p;
  double total = 0;
  for (double& w : weights_) {
    if (w < least) w = 0;
    total += w;
  }
  const double mark = uniform() * total;
  double passed = 0;
  size_t chosen = 0;
  for (size_t i = 0; i < weights_.size(); i++) {
    if (weights_[i] == 0) continue;
    chosen = i;
    if (mark < (passed += weights_[i])) break;
  }
  return static_cast<TokenId>(chosen);
}

// splitmix64 (Steele, Lea, Flood 2014); the upper 53 bits as a multiple of 2^-53 in [0, 1).
double Sampler::uniform() {
  uint64_t z = state_ += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return static_cast<double>((z ^ z >> 31) >> 11) * 0x1p-53;
}

double log_sum_exp(std::span<const float> logits) {
  const TokenId best_id = argmax(logits);
  const double best = logits.empty() || std::isnan(logits[best_id]) ? kNever : logits[best_id];
  if (!std::isfinite(best)) return best;
  double sum = 0;
  std::array<double, 512> part;
  for (size_t i = 0; i < logits.size(); i += part.size()) {
    const size_t n = std::min(part.size(), logits.size() - i);
    exp_weights(logits.subspan(i, n), best, 1.0, part);
    for (size_t j = 0; j < n; j++) sum += part[j];
  }
  return best + portable_log(sum);
}

TokenId argmax(std::span<const float> logits) {
  size_t best = 0;
  float score = kNever;
  for (size_t i = 0; i < logits.size(); i++)
    if (logits[i] > score) score = logits[i], best = i;
  return static_cast<TokenId>(best);
}

}  // namespace pixellm
