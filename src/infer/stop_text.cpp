#include "infer/stop_text.h"

#include <algorithm>

namespace pixellm {

std::string StopScanner::push(std::string_view text) {
  if (found_) return {};
  if (stops_.empty()) return std::string(text);
  for (const char c : text) {
    held_ += c;
    size_t longest = 0;
    for (const std::string& stop : stops_)
      if (held_.ends_with(stop)) longest = std::max(longest, stop.size());
    if (longest == 0) continue;
    found_ = true;
    held_.resize(held_.size() - longest);
    return std::exchange(held_, {});
  }
  size_t keep = 0;  // the longest end of what is held that begins a stop text
  for (const std::string& stop : stops_)
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; n--)
      if (held_.ends_with(std::string_view(stop).substr(0, n))) keep = n;
  std::string sure = held_.substr(0, held_.size() - keep);
  held_.erase(0, sure.size());
  return sure;
}

std::string StopScanner::flush() { return found_ ? std::string() : std::exchange(held_, {}); }

}  // namespace pixellm
