// Text as a corpus takes it (spec/corpus.md, section 3): strict UTF-8, newlines LF, counted. Piece by piece,
// so that a file of any size needs no more memory than a piece. One thread at a time.
//
//   TextNormalizer text;
//   std::string out;
//   if (!text.push(piece, out) || !text.finish()) ...   // the file is not UTF-8
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace pixellm {

class TextNormalizer {
 public:
  // Appends the normalised text of the file's next bytes to `out`; false when they are not UTF-8, and from
  // then on. A character that a piece cuts in two comes out with the next piece.
  bool push(std::string_view piece, std::string& out);

  // The file ends here: false when it ends inside a character.
  bool finish();

  uint64_t characters() const { return characters_; }  // code points after normalisation
  uint64_t newlines() const { return newlines_; }

 private:
  bool take(std::string_view text, bool last, std::string& out);
  std::string open_;           // at most 3 bytes of a character
  bool after_return_ = false;  // the last byte was CR; its newline is out already
  bool valid_ = true;
  uint64_t characters_ = 0, newlines_ = 0;
};

}  // namespace pixellm
