#include "tokenizer/unicode.h"

#include <algorithm>
#include <array>

namespace pixellm {
namespace {

std::array<CharClass, 128> ascii_classes() {
  std::array<CharClass, 128> classes;
  for (uint32_t c = 0; c < classes.size(); ++c) classes[c] = char_class_of(c);
  return classes;
}

bool is_continuation(std::string_view text, size_t at) {
  return at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80;
}

// Code point at `at` and its length in bytes.
std::pair<uint32_t, size_t> decode_one(std::string_view text, size_t at) {
  constexpr std::pair<uint32_t, size_t> kBad = {kReplacementCharacter, 1};
  const uint8_t lead = static_cast<uint8_t>(text[at]);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xC0 || lead >= 0xF8) return kBad;
  const size_t size = announced_utf8_size(lead);
  uint32_t code_point = lead & (0x7F >> size);
  for (size_t i = 1; i < size; ++i) {
    if (!is_continuation(text, at + i)) return kBad;
    code_point = code_point << 6 | (static_cast<uint8_t>(text[at + i]) & 0x3F);
  }
  if (code_point > 0x10FFFF) return kBad;
  return {code_point, size};
}

// Bytes that stand for themselves in the byte-level alphabet; the others follow from U+0100 on in byte order.
bool is_own_letter(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

std::array<uint16_t, 256> byte_letters() {
  std::array<uint16_t, 256> letters;
  uint16_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    letters[byte] = is_own_letter(byte) ? static_cast<uint16_t>(byte) : next++;
  }
  return letters;
}

}  // namespace

CharClass classify(uint32_t code_point) {
  static const std::array<CharClass, 128> ascii = ascii_classes();
  return code_point < ascii.size() ? ascii[code_point] : char_class_of(code_point);
}

std::vector<Char> decode_characters(std::string_view text) {
  std::vector<Char> chars;
  chars.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const auto [code_point, size] = decode_one(text, at);
    chars.emplace_back(code_point, classify(code_point));
    at += size;
  }
  return chars;
}

uint32_t take_code_point(std::string_view& text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  const auto take = [&](size_t size, uint32_t code_point) {
    text.remove_prefix(size);
    return code_point;
  };
  if (lead < 0x80) return take(1, lead);
  if (lead < 0xC2 || lead > 0xF4) return take(1, kReplacementCharacter);
  const size_t size = announced_utf8_size(lead);
  // The second byte alone tells overlong forms, surrogates and what is above U+10FFFF.
  const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  uint32_t code_point = lead & (0x7F >> size);
  for (size_t i = 1; i < size; ++i) {
    if (i >= text.size() || byte(i) < (i == 1 ? low : 0x80) || byte(i) > (i == 1 ? high : 0xBF))
      return take(i, kReplacementCharacter);
    code_point = code_point << 6 | (byte(i) & 0x3F);
  }
  return take(size, code_point);
}

size_t utf8_size(uint32_t code_point) {
  return code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
}

void append_utf8(uint32_t code_point, std::string& out) {
  const size_t size = utf8_size(code_point);
  if (size == 1) {
    out += static_cast<char>(code_point);
    return;
  }
  constexpr uint8_t kLead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(kLead[size] | (code_point >> (6 * (size - 1))));
  for (size_t i = size - 1; i > 0; --i)
    out += static_cast<char>(0x80 | ((code_point >> (6 * (i - 1))) & 0x3F));
}

size_t whole_utf8_prefix(std::string_view text) {
  const size_t longest_held = std::min<size_t>(3, text.size());
  for (size_t held = 1; held <= longest_held; ++held) {
    const uint8_t lead = static_cast<uint8_t>(text[text.size() - held]);
    if ((lead & 0xC0) == 0x80) continue;
    if (lead < 0xC2 || lead > 0xF4 || announced_utf8_size(lead) <= held) return text.size();
    if (held >= 2) {  // the second byte alone tells overlong forms, surrogates and what is above U+10FFFF
      const uint8_t second = static_cast<uint8_t>(text[text.size() - held + 1]);
      const bool impossible = (lead == 0xE0 && second < 0xA0) || (lead == 0xED && second >= 0xA0) ||
                              (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second >= 0x90);
      if (impossible) return text.size();
    }
    return text.size() - held;
  }
  return text.size();
}

uint32_t byte_letter(uint8_t byte) {
  static const std::array<uint16_t, 256> letters = byte_letters();
  return letters[byte];
}

std::optional<uint8_t> byte_of_letter(uint32_t code_point) {
  if (code_point < 0x100)
    return is_own_letter(code_point) ? std::optional<uint8_t>(code_point) : std::nullopt;
  static const std::array<uint8_t, 256> bytes = [] {
    std::array<uint8_t, 256> table{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const uint32_t letter = byte_letter(static_cast<uint8_t>(byte));
      if (letter >= 0x100) table[letter - 0x100] = static_cast<uint8_t>(byte);
    }
    return table;
  }();
  constexpr uint32_t kEnd = 0x100 + 68;  // 256 bytes less the 188 that stand for themselves
  return code_point < kEnd ? std::optional<uint8_t>(bytes[code_point - 0x100]) : std::nullopt;
}

}  // namespace pixellm
