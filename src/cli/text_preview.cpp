#include "cli/text_preview.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "cli/common.h"
#include "cli/fs_common.h"

namespace pixellm::cli {

void TextPreview::take(Bytes piece) {
  const std::string_view text(reinterpret_cast<const char*>(piece.data()), piece.size());
  taken_ += text.size();
  if (head_.size() < kHexBytes) head_ += text.substr(0, kHexBytes - head_.size());
  if (!is_text_) return;
  if (unfinished_.empty()) return count(text, /*is_last=*/false);
  // A character that lies across the border is put together from a few bytes of this piece.
  const size_t before = unfinished_.size();
  const size_t borrowed = std::min(text.size(), kMaxUtf8Bytes - before);
  const std::string joined = unfinished_ + std::string(text.substr(0, borrowed));
  const size_t n = utf8_character_length(joined);
  if (n == 0 && joined.size() < kMaxUtf8Bytes) {
    unfinished_ = joined;
    return;
  }
  unfinished_.clear();
  is_text_ = n > before;
  if (!is_text_) return;
  count(std::string_view(joined).substr(0, n), /*is_last=*/true);
  count(text.substr(n - before), /*is_last=*/false);
}

void TextPreview::count(std::string_view text, bool is_last) {
  while (!text.empty()) {
    const size_t n = utf8_character_length(text);
    if (n == 0) {
      if (!is_last && text.size() < kMaxUtf8Bytes)
        unfinished_ = text;
      else
        is_text_ = false;
      return;
    }
    if (characters_++ < kCharacters) text_ += text.substr(0, n);
    text.remove_prefix(n);
  }
}

std::string TextPreview::finish(uint64_t total_bytes) {
  const bool saw_all = taken_ == total_bytes;
  if (saw_all && !unfinished_.empty()) is_text_ = false;
  if (!is_text_) {
    const Bytes head(reinterpret_cast<const uint8_t*>(head_.data()), head_.size());
    return fmt::format("Binary data: {} bytes\n{}{}\n", thousands(total_bytes), to_hex(head),
                       total_bytes > head.size() ? "..." : "");
  }
  std::string out = printable(text_);
  if (!out.empty() && out.back() != '\n') out += '\n';
  if (!saw_all)
    out += fmt::format("... ({} more bytes)\n", thousands(total_bytes - text_.size()));
  else if (characters_ > kCharacters)
    out += fmt::format("... ({} more characters)\n", thousands(characters_ - kCharacters));
  return out;
}

}  // namespace pixellm::cli
