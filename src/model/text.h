// Bytes from files inside messages.
#pragma once
#include <string>
#include <string_view>

namespace pixellm {

// The text in single quotes, safe to print: what is not printable ASCII becomes '?', what is long is cut.
inline std::string quoted(std::string_view text) {
  constexpr size_t kLimit = 80;
  std::string out = "'";
  for (const char c : text.substr(0, kLimit)) out += c >= ' ' && c <= '~' ? c : '?';
  return out + (text.size() > kLimit ? "...'" : "'");
}

}  // namespace pixellm
