#include <fmt/format.h>

#include "v0/network.h"

namespace pixellm::v0 {
namespace {

// The code point at the start of `text` and its length; length 0 for what is not UTF-8 (overlong forms,
// surrogates and values above U+10FFFF are not).
struct CodePoint {
  uint32_t value = 0;
  size_t length = 0;
};

CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {};
  uint32_t value = lead & (0x7fu >> length);
  for (size_t i = 1; i < length; i++) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3fu);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = value >= 0xd800 && value < 0xe000;
  if (value < kSmallest[length] || value > 0x10ffff || is_surrogate) return {};
  return {value, length};
}

}  // namespace

Result<std::vector<TokenId>> tokenize(std::string_view utf8, uint32_t vocab_size) {
  std::vector<TokenId> ids;
  ids.reserve(utf8.size());
  for (size_t at = 0; at < utf8.size();) {
    const CodePoint c = first_code_point(utf8.substr(at));
    if (c.length == 0)
      return fail(ErrorCode::kInvalidArgument, fmt::format("the text is not UTF-8: byte {} is 0x{:02x}", at,
                                                           static_cast<uint8_t>(utf8[at])));
    ids.push_back(static_cast<TokenId>(c.value % vocab_size));
    at += c.length;
  }
  return ids;
}

char token_char(uint32_t id) { return id < 128 ? static_cast<char>(id) : '?'; }

}  // namespace pixellm::v0
