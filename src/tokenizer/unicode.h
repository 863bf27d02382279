// Code points as the tokenizers see them: lenient UTF-8 decoding, character classes, and the 256-letter
// alphabet that byte-level BPE writes bytes in. Functions are pure and thread-safe.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pixellm {

constexpr uint32_t kReplacementCharacter = 0xFFFD;

// What the pre-tokenizers' rules distinguish. kSpace is Unicode's White_Space, kLetter category L*, kNumber
// N*, kPunctuation P*; the tables are Unicode 15.1's.
enum class CharClass : uint8_t { kOther, kLetter, kNumber, kSpace, kPunctuation };
CharClass classify(uint32_t code_point);
CharClass char_class_of(uint32_t code_point);  // the same without classify's table for ASCII (char_class.cpp)

// One character of a text with its class: code point in the low 24 bits.
class Char {
 public:
  Char(uint32_t code_point, CharClass char_class)
      : bits_(code_point | static_cast<uint32_t>(char_class) << 24) {}
  uint32_t code_point() const { return bits_ & 0xFFFFFF; }
  CharClass char_class() const { return static_cast<CharClass>(bits_ >> 24); }
  bool is(CharClass c) const { return char_class() == c; }

 private:
  uint32_t bits_;
};

// The text's characters. Lenient, as llama.cpp reads: overlong forms and surrogates count as what they say; a
// byte that begins no character of at most U+10FFFF is U+FFFD by itself.
std::vector<Char> decode_characters(std::string_view text);

// Removes the first character from `text` and gives its code point. Strict: what is not well-formed UTF-8 gives U+FFFD for
// each maximal subpart (Unicode 15, section 3.9; Python's errors="replace"). Requires that there is one.
uint32_t take_code_point(std::string_view& text);

// Bytes of `code_point` in UTF-8; surrogates as three bytes. Requires at most U+10FFFF.
size_t utf8_size(uint32_t code_point);
void append_utf8(uint32_t code_point, std::string& out);

// Length that a UTF-8 lead byte announces; 1 for bytes that lead nothing.
inline size_t announced_utf8_size(uint8_t lead) {
  return lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

// Length of the text without a trailing character that is well-formed so far but not whole.
size_t whole_utf8_prefix(std::string_view text);

// The printable character that stands for a byte in a byte-level vocabulary ('A' for 0x41, U+0120 for a
// space), and back.
uint32_t byte_letter(uint8_t byte);
std::optional<uint8_t> byte_of_letter(uint32_t code_point);

}  // namespace pixellm
