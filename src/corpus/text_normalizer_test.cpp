#include "corpus/text_normalizer.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace pixellm {
namespace {

struct Taken {
  std::string text;
  uint64_t characters = 0, newlines = 0;
  friend bool operator==(const Taken&, const Taken&) = default;
};

std::optional<Taken> normalise(std::string_view bytes, size_t piece) {
  TextNormalizer normalizer;
  Taken out;
  for (size_t at = 0; at < bytes.size(); at += piece)
    if (!normalizer.push(bytes.substr(at, piece), out.text)) return std::nullopt;
  if (!normalizer.finish()) return std::nullopt;
  out.characters = normalizer.characters();
  out.newlines = normalizer.newlines();
  return out;
}

TEST(TextNormalizer, NewlinesBecomeLfAndAreCountedHoweverTheTextIsCut) {
  using namespace std::string_literals;
  const std::vector<std::pair<std::string, Taken>> cases = {
      {"", {"", 0, 0}},
      {"a\nb", {"a\nb", 3, 1}},
      {"a\r\nb\r\n", {"a\nb\n", 4, 2}},
      {"a\rb\r", {"a\nb\n", 4, 2}},
      {"\r\r\n\n\r", {"\n\n\n\n", 4, 4}},
      {"\xef\xbb\xbfx\0y"s, {"\xef\xbb\xbfx\0y"s, 4, 0}},
      {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\r\n", {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n", 4, 1}},
      {"\xe2\x80\xa8", {"\xe2\x80\xa8", 1, 0}},  // U+2028 is a character, not a newline
  };
  for (const auto& [bytes, expected] : cases)
    for (const size_t piece : {1uz, 2uz, 3uz, 5uz, 100uz})
      EXPECT_EQ(normalise(bytes, piece), expected) << bytes << " " << piece;
}

TEST(TextNormalizer, RefusesWhatIsNotUtf8) {
  for (const std::string_view bytes :
       {"\x80", "a\xff", "\xc3", "\xc3(", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xe2\x82", "abc\xf0\x9f\x98",
        "\xff\xfe"
        "a",
        "\xc3\n", "\xe2\x82\nabcdef"})
    for (const size_t piece : {1uz, 2uz, 3uz, 100uz})
      EXPECT_FALSE(normalise(bytes, piece)) << bytes << " " << piece;
  TextNormalizer normalizer;
  std::string out;
  EXPECT_FALSE(
      normalizer.push("\xff"
                      "abcd",
                      out));
  EXPECT_FALSE(normalizer.push("fine", out));
  EXPECT_FALSE(normalizer.finish());
}

}  // namespace
}  // namespace pixellm
