// The beginning of some bytes as people read them: text when all of it is UTF-8, else hexadecimal.
#pragma once
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace pixellm::cli {

// Takes the bytes piece by piece, of any length, in little memory.
class TextPreview {
 public:
  static constexpr uint64_t kCharacters = 500, kHexBytes = 100;

  void take(Bytes piece);
  bool is_text() const { return is_text_; }  // so far; once false, more bytes change nothing

  // After the last piece: printable, with its line's end. `total_bytes` for what is not text.
  std::string finish(uint64_t total_bytes);

 private:
  void count(std::string_view text, bool is_last);

  std::string head_;               // at most kHexBytes bytes
  std::string text_, unfinished_;  // the first characters; a character that the next piece may complete
  uint64_t characters_ = 0;
  bool is_text_ = true;
};

}  // namespace pixellm::cli
