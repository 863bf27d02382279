#include <fmt/format.h>

#include "base/utf8.h"
#include "cli/common.h"

namespace pixellm::cli {
namespace {

// C0, DEL and C1 control characters; the line and direction controls that could disguise a text.
bool is_control(std::string_view character) {
  const auto lead = static_cast<uint8_t>(character[0]);
  if (character.size() == 1) return lead < 0x20 || lead == 0x7f;
  if (character.size() == 2) return lead == 0xc2 && static_cast<uint8_t>(character[1]) < 0xa0;
  const bool general_punctuation = lead == 0xe2 && static_cast<uint8_t>(character[1]) == 0x80;
  const auto last = static_cast<uint8_t>(character.back());
  return character.size() == 3 && general_punctuation &&
         (last == 0x8e || last == 0x8f || (last >= 0xa8 && last <= 0xae));
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = utf8_character_length(text);
    const std::string_view piece = text.substr(0, length == 0 ? 1 : length);
    if (length == 0 || (is_control(piece) && piece != "\n")) {
      for (const char c : piece) out += fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
    } else {
      out += piece;
    }
    text.remove_prefix(piece.size());
  }
  return out;
}

}  // namespace pixellm::cli
