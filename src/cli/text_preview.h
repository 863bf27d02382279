// The beginning of some bytes as people read them: text when what was looked at is UTF-8, else hexadecimal.
#pragma once
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace pixellm::cli {

// Takes the bytes piece by piece, of any length, in little memory. They may end before the whole does: the
// rest is then counted in bytes instead of characters.
class TextPreview {
 public:
  static constexpr uint64_t kCharacters = 500, kHexBytes = 100;
  static constexpr uint64_t kLookBytes = uint64_t{1} << 20;  // more need not be taken

  void take(Bytes piece);
  bool is_text() const { return is_text_; }  // so far; once false, more bytes change nothing

  // After the last piece: printable, with its line's end. `total_bytes`: of the whole.
  std::string finish(uint64_t total_bytes);

 private:
  void count(std::string_view text, bool is_last);

  std::string head_;               // at most kHexBytes bytes
  std::string text_, unfinished_;  // the first characters; a character that the next piece may complete
  uint64_t characters_ = 0, taken_ = 0;  // taken_: bytes
  bool is_text_ = true;
};

}  // namespace pixellm::cli
