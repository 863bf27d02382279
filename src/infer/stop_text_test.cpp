#include "infer/stop_text.h"

#include <gtest/gtest.h>

namespace pixellm {
namespace {

// Feeds `text` in pieces of `step` bytes; what came out, with "|" where the stop text was found.
std::string scan(std::vector<std::string> stops, std::string_view text, size_t step) {
  StopScanner scanner(std::move(stops));
  std::string out;
  for (size_t i = 0; i < text.size(); i += step) out += scanner.push(text.substr(i, step));
  return out + scanner.flush() + (scanner.found() ? "|" : "");
}

TEST(StopScanner, ResultDoesNotDependOnThePieces) {
  struct Case {
    std::vector<std::string> stops;
    std::string_view text, want;
  };
  const Case cases[] = {
      {{}, "plain text", "plain text"},
      {{"END"}, "to the END of it", "to the |"},
      {{"END"}, "almost EN", "almost EN"},
      {{"END"}, "ENEND", "EN|"},
      {{"\n\n"}, "one\ntwo\n\nthree", "one\ntwo|"},
      {{"aab"}, "aaab", "a|"},
      {{"abab"}, "abaabab", "aba|"},
      {{"abcd", "bc"}, "xabcd", "xa|"},  // the one that is complete first
      {{"c", "abc"}, "abc", "|"},        // of two that end together the longest
      {{"abcx", "cd"}, "abcd", "ab|"},
      {{"###", "User:"}, "fine. User: hi", "fine. |"},
      {{"é"}, "caf\xc3\xa9!", "caf|"},
      {{"x"}, "x", "|"},
  };
  for (const Case& c : cases)
    for (size_t step = 1; step <= c.text.size(); step++)
      EXPECT_EQ(scan(c.stops, c.text, step), c.want) << c.text;
}

TEST(StopScanner, HoldsBackOnlyWhatMayStillBecomeAStop) {
  StopScanner s({"STOP", "\n\n"});
  EXPECT_EQ(s.push("abc"), "abc");
  EXPECT_EQ(s.push("x\n"), "x");
  EXPECT_EQ(s.push("y"), "\ny");
  EXPECT_EQ(s.push("ST"), "");
  EXPECT_EQ(s.push("O"), "");
  EXPECT_EQ(s.push("STO"), "STO");
  EXPECT_FALSE(s.found());
  EXPECT_EQ(s.push("P and more"), "");
  EXPECT_TRUE(s.found());
  EXPECT_EQ(s.push("more"), "");
  EXPECT_EQ(s.flush(), "");
}

}  // namespace
}  // namespace pixellm
