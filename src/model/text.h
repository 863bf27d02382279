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

// The text without control characters: each becomes '?'.
inline std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if ((c >= 0 && c < ' ') || c == 0x7f) c = '?';
  return out;
}

}  // namespace pixellm
