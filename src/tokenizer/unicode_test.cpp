#include "tokenizer/unicode.h"

#include <gtest/gtest.h>

namespace pixellm {
namespace {

std::vector<uint32_t> code_points(std::string_view text) {
  std::vector<uint32_t> out;
  for (const Char c : decode_characters(text)) out.push_back(c.code_point());
  return out;
}

TEST(Unicode, CharacterClassesAreUnicode151) {
  size_t n_letters = 0, n_numbers = 0, n_spaces = 0, n_punctuation = 0;
  for (uint32_t c = 0; c < 0x110000; ++c) {
    const CharClass k = classify(c);
    n_letters += k == CharClass::kLetter;
    n_numbers += k == CharClass::kNumber;
    n_spaces += k == CharClass::kSpace;
    n_punctuation += k == CharClass::kPunctuation;
  }
  // The counts of Unicode 15.1: another version of utf8proc would give other ids.
  EXPECT_EQ(n_letters, 136726u);
  EXPECT_EQ(n_numbers, 1831u);
  EXPECT_EQ(n_spaces, 25u);
  EXPECT_EQ(n_punctuation, 842u);
  EXPECT_EQ(classify(0x2EBF0), CharClass::kLetter);
  EXPECT_EQ(classify(0x2EE5E), CharClass::kOther);
  EXPECT_EQ(classify(0xD800), CharClass::kOther);
}

TEST(Unicode, DecodesLeniently) {
  const uint32_t bad = kReplacementCharacter;
  EXPECT_EQ(code_points("a\xC3\xA9\xE6\x97\xA5\xF0\x9F\x98\x80"),
            (std::vector<uint32_t>{'a', 0xE9, 0x65E5, 0x1F600}));
  EXPECT_EQ(code_points("\xC0\x80"), (std::vector<uint32_t>{0}));           // overlong
  EXPECT_EQ(code_points("\xED\xA0\x80"), (std::vector<uint32_t>{0xD800}));  // surrogate
  EXPECT_EQ(code_points("\xF4\x8F\xBF\xBF"), (std::vector<uint32_t>{0x10FFFF}));
  EXPECT_EQ(code_points("\xF4\x90\x80\x80"), (std::vector<uint32_t>{bad, bad, bad, bad}));
  EXPECT_EQ(code_points("\xF8\x88\x80\x80\x80"), (std::vector<uint32_t>{bad, bad, bad, bad, bad}));
  EXPECT_EQ(code_points("\x80z"), (std::vector<uint32_t>{bad, 'z'}));
  EXPECT_EQ(code_points("\xE6\x97"), (std::vector<uint32_t>{bad, bad}));
  EXPECT_EQ(code_points("\xC3\xC3\xA9"), (std::vector<uint32_t>{bad, 0xE9}));
}

TEST(Unicode, WritesWhatItReads) {
  for (uint32_t c = 0; c < 0x110000; c += c < 0x3000 ? 1 : 251) {
    std::string text;
    append_utf8(c, text);
    EXPECT_EQ(text.size(), utf8_size(c));
    EXPECT_EQ(code_points(text), std::vector<uint32_t>{c});
  }
}

TEST(Unicode, ByteLettersAreDistinctAndPrintable) {
  std::vector<bool> seen(0x200);
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const uint32_t letter = byte_letter(static_cast<uint8_t>(byte));
    ASSERT_LT(letter, seen.size());
    EXPECT_FALSE(seen[letter]);
    seen[letter] = true;
    EXPECT_EQ(byte_of_letter(letter), byte);
    EXPECT_NE(classify(letter), CharClass::kSpace);
  }
  EXPECT_EQ(byte_letter(' '), 0x120u);
  EXPECT_EQ(byte_letter('\n'), 0x10Au);
  EXPECT_EQ(byte_letter(0xAD), 0x143u);
  EXPECT_EQ(byte_of_letter(0x144), std::nullopt);
  EXPECT_EQ(byte_of_letter(' '), std::nullopt);
}

TEST(Unicode, HoldsBackOnlyWhatCanBecomeACharacter) {
  EXPECT_EQ(whole_utf8_prefix("abc"), 3u);
  EXPECT_EQ(whole_utf8_prefix("a\xC3"), 1u);
  EXPECT_EQ(whole_utf8_prefix("a\xC3\xA9"), 3u);
  EXPECT_EQ(whole_utf8_prefix("\xE6\x97"), 0u);
  EXPECT_EQ(whole_utf8_prefix("\xF0\x9F\x98"), 0u);
  EXPECT_EQ(whole_utf8_prefix("\xF0\x9F\x98\x80"), 4u);
  EXPECT_EQ(whole_utf8_prefix("\x80\x80"), 2u);  // continuation bytes of nothing
  EXPECT_EQ(whole_utf8_prefix("\xC0"), 1u);      // never a lead byte
  EXPECT_EQ(whole_utf8_prefix("\xED\xA0"), 2u);  // would be a surrogate
  EXPECT_EQ(whole_utf8_prefix("\xF4\x90"), 2u);  // would be above U+10FFFF
  EXPECT_EQ(whole_utf8_prefix("\xE0\x80"), 2u);  // would be overlong
  EXPECT_EQ(whole_utf8_prefix(""), 0u);
}

}  // namespace
}  // namespace pixellm
