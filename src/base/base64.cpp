#include "base/base64.h"

#include <algorithm>
#include <array>

namespace pixellm {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNotADigit = 64;

constexpr std::array<uint8_t, 256> kValues = [] {
  std::array<uint8_t, 256> values{};
  values.fill(kNotADigit);
  for (size_t i = 0; i < kAlphabet.size(); i++)
    values[static_cast<uint8_t>(kAlphabet[i])] = static_cast<uint8_t>(i);
  return values;
}();

}  // namespace

std::string to_base64(Bytes data) {
  std::string text;
  text.reserve(ceil_div(data.size(), 3) * 4);
  for (size_t i = 0; i < data.size(); i += 3) {
    const size_t n = std::min<size_t>(3, data.size() - i);
    const uint32_t bits =
        uint32_t{data[i]} << 16 | (n > 1 ? uint32_t{data[i + 1]} << 8 : 0) | (n > 2 ? data[i + 2] : 0);
    for (size_t digit = 0; digit < 4; digit++)
      text.push_back(digit <= n ? kAlphabet[bits >> (18 - 6 * digit) & 63] : '=');
  }
  return text;
}

std::optional<std::vector<uint8_t>> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::vector<uint8_t> data;
  data.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    size_t n = 3;  // bytes of this group
    if (i + 4 == text.size() && text[i + 3] == '=') n = text[i + 2] == '=' ? 1 : 2;
    uint32_t bits = 0;
    for (size_t digit = 0; digit <= n; digit++) {
      const uint8_t value = kValues[static_cast<uint8_t>(text[i + digit])];
      if (value == kNotADigit) return std::nullopt;
      bits |= uint32_t{value} << (18 - 6 * digit);
    }
    if ((bits & ((uint32_t{1} << (24 - 8 * n)) - 1)) != 0) return std::nullopt;
    for (size_t byte = 0; byte < n; byte++) data.push_back(static_cast<uint8_t>(bits >> (16 - 8 * byte)));
  }
  return data;
}

}  // namespace pixellm
