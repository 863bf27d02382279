#include "base/thread_choice.h"

#include <algorithm>

namespace pixellm {
namespace {

constexpr double kUnusual = 2, kWorthFewer = 0.75, kWorthMore = 0.95, kForget = 1.01, kWeight = 0.2;

}  // namespace

ThreadChoice::ThreadChoice(int most) {
  for (int n = std::max(1, most);; n = (n + 1) / 2) {
    levels_.push_back({n});
    if (n == 1) return;
  }
}

void ThreadChoice::took(double seconds) {
  if (levels_.size() == 1) return;
  if (trying_) return end_trial(seconds);
  Level& l = levels_[level_];
  const bool unusual = l.fastest > 0 && seconds > kUnusual * l.fastest;
  l.usual = l.usual == 0 ? seconds : l.usual + kWeight * (seconds - l.usual);
  l.fastest = l.fastest == 0 ? seconds : std::min(l.fastest * kForget, seconds);
  since_trial_++;
  if (since_trial_ >= patience_ || (unusual && level_ + 1 < levels_.size() && since_trial_ >= kSoonest))
    begin_trial();
}

void ThreadChoice::begin_trial() {
  const bool can_go_down = level_ + 1 < levels_.size();
  tried_ =
      level_ > 0 && (up_next_ || !can_go_down) ? level_ - 1 : std::min(level_ + depth_, levels_.size() - 1);
  up_next_ = !up_next_;
  trying_ = true;
}

void ThreadChoice::end_trial(double seconds) {
  const bool better = seconds < (tried_ > level_ ? kWorthFewer : kWorthMore) * levels_[level_].usual;
  patience_ = better ? kSoonest : level_ == 0 ? kLatest : std::min(2 * patience_, kLatest);
  // Half as many may stand in each other's way as well.
  depth_ = !better && level_ + depth_ + 1 < levels_.size() ? depth_ + 1 : 1;
  if (better) {
    level_ = tried_;
    levels_[level_].usual = levels_[level_].fastest = seconds;
  }
  trying_ = false;
  since_trial_ = 0;
}

}  // namespace pixellm
