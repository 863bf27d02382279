#include "infer/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

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

// At most 1; score <= best, which is finite.
double weight_of(float score, double best, double temperature) {
  return portable_exp((static_cast<double>(score) - best) / temperature);
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
    s.weights_.resize(vocab_size);
    s.keys_.resize(vocab_size);
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
  if (options_.top_k > 0 || options_.top_p < 1) return draw(weigh_ordered(best), true);
  const double temperature = options_.temperature, least = options_.min_p;
  for (size_t i = 0; i < scores_.size(); i++) weights_[i] = weight_of(scores_[i], best, temperature);
  if (least > 0)
    for (double& w : weights_) w = w >= least ? w : 0;
  return draw(scores_.size(), false);
}

// Fills keys_ and weights_ with the kept tokens, best first; returns how many. The whole vocabulary is never
// sorted unless top-p keeps most of it: the order is found in steps that grow.
size_t Sampler::weigh_ordered(double best) {
  const double temperature = options_.temperature;
  const size_t n = options_.top_k > 0 ? std::min<size_t>(options_.top_k, vocab_size_) : vocab_size_;
  for (uint32_t i = 0; i < vocab_size_; i++) keys_[i] = rank_key(scores_[i], static_cast<TokenId>(i));
  size_t sorted = 0;
  const auto sort_to = [&](size_t end) {
    const auto from = keys_.begin() + static_cast<ptrdiff_t>(sorted),
               to = keys_.begin() + static_cast<ptrdiff_t>(end);
    if (to != keys_.end()) std::nth_element(from, to, keys_.end());
    std::sort(from, to);
    for (; sorted < end; sorted++) weights_[sorted] = weight_of(score_of(keys_[sorted]), best, temperature);
  };

  double total = 0;
  if (options_.top_k > 0) {
    sort_to(n);
    for (size_t i = 0; i < n; i++) total += weights_[i];
  } else {
    for (size_t i = 0; i < n; i++) weights_[i] = weight_of(scores_[i], best, temperature);
    for (size_t i = 0; i < n; i++) total += weights_[i];
  }
  const double wanted = options_.top_p < 1 ? total * options_.top_p : std::numeric_limits<double>::infinity();
  double reached = 0;
  size_t kept = 0;
  while (kept < n && reached < wanted) {
    if (kept == sorted) sort_to(std::min(n, std::max<size_t>(256, sorted * 4)));
    if (kept > 0 && weights_[kept] < options_.min_p) break;
    reached += weights_[kept++];
  }
  return kept;
}

// One of the first n weights; they are those of keys_ when `ordered`, of the ids else.
TokenId Sampler::draw(size_t n, bool ordered) {
  double total = 0;
  for (size_t i = 0; i < n; i++) total += weights_[i];
  const double mark = uniform() * total;
  double reached = 0;
  size_t chosen = 0;
  for (size_t i = 0; i < n; i++) {
    if (weights_[i] == 0) continue;
    chosen = i;
    reached += weights_[i];
    if (mark < reached) break;
  }
  return ordered ? rank_key_id(keys_[chosen]) : static_cast<TokenId>(chosen);
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
  std::array<double, 256> part;  // exp in a loop of its own vectorises
  for (size_t i = 0; i < logits.size(); i += part.size()) {
    const size_t n = std::min(part.size(), logits.size() - i);
    for (size_t j = 0; j < n; j++) part[j] = portable_exp(static_cast<double>(logits[i + j]) - best);
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
