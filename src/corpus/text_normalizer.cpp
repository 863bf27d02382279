#include "corpus/text_normalizer.h"

#include <algorithm>

#include "base/utf8.h"

namespace pixellm {
namespace {

bool is_plain(char c) { return static_cast<uint8_t>(c) < 0x80 && c != '\r' && c != '\n'; }

}  // namespace

bool TextNormalizer::take(std::string_view text, bool last, std::string& out) {
  size_t at = 0;
  while (at < text.size()) {
    const auto plain_end = std::find_if_not(text.begin() + static_cast<ptrdiff_t>(at), text.end(), is_plain);
    const size_t plain = static_cast<size_t>(plain_end - text.begin()) - at;
    if (plain > 0) {
      out.append(text, at, plain);
      characters_ += plain;
      at += plain;
      after_return_ = false;
      continue;
    }
    if (text[at] == '\r' || text[at] == '\n') {
      const bool second_half = text[at] == '\n' && after_return_;
      after_return_ = text[at] == '\r';
      at++;
      if (second_half) continue;
      out += '\n';
      characters_++;
      newlines_++;
      continue;
    }
    const size_t length = utf8_character_length(text.substr(at));
    if (length == 0) {
      if (last || text.size() - at > 3) return valid_ = false;
      open_ = text.substr(at);
      return true;
    }
    out.append(text, at, length);
    characters_++;
    at += length;
    after_return_ = false;
  }
  return true;
}

bool TextNormalizer::push(std::string_view piece, std::string& out) {
  if (!valid_) return false;
  // The open character is completed first, so that the rest need not be copied.
  while (!open_.empty() && !piece.empty()) {
    std::string character = std::move(open_);
    open_.clear();
    character += piece[0];
    piece.remove_prefix(1);
    if (!take(character, character.size() > 3, out)) return false;
  }
  return piece.empty() || take(piece, false, out);
}

bool TextNormalizer::finish() { return valid_ = valid_ && open_.empty(); }

}  // namespace pixellm
