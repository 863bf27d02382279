// UTF-8, one character at a time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pixellm {

inline constexpr size_t kMaxUtf8Bytes = 4;

// Bytes of the character at the start of `text`, which is not empty; 0 when there is none: a wrong lead, a
// cut or overlong form, a surrogate, a value over U+10FFFF.
constexpr size_t utf8_character_bytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; i++)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;
  if (lead == 0xed && byte(1) > 0x9f) return 0;
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

}  // namespace pixellm
