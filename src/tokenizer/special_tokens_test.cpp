#include <gtest/gtest.h>

#include <algorithm>

#include "tokenizer/test_vocabulary.h"

namespace pixellm {
namespace {

class SpecialTokensTest : public testing::Test {
 protected:
  SpecialTokensTest() : v(TestVocabulary::byte_level("gpt-2")) {
    start = v.add("<|im_start|>", TokenKind::kControl);
    end = v.add("<|im_end|>", TokenKind::kControl);
    unknown = v.add("<unk>", TokenKind::kUnknown);
    tool_long = v.add("<tool>", TokenKind::kUserDefined);
    tool = v.add("<tool", TokenKind::kUserDefined);
    lines = v.add("\n\n", TokenKind::kUserDefined);
  }
  TestVocabulary v;
  TokenId start, end, unknown, tool_long, tool, lines;
};

TEST_F(SpecialTokensTest, OnlyWhereTheCallerAllowsIt) {
  const Tokenizer t = v.tokenizer();
  EXPECT_EQ(t.encode("<|im_start|>hello<unk>", true), (Ids{start, 259, unknown}));
  const Ids plain = t.encode("<|im_start|>hello<unk>", false);
  for (const TokenId id : plain) EXPECT_LT(id, start);
  EXPECT_EQ(t.decode(plain), "<|im_start|>hello<unk>");
}

TEST_F(SpecialTokensTest, UserDefinedAlwaysAndLongestFirst) {
  const Tokenizer t = v.tokenizer();
  for (const bool special : {false, true}) {
    EXPECT_EQ(t.encode("<tool>..<tool\n\n\n", special), (Ids{tool_long, 284, tool, lines, '\n'}));
  }
}

// The longest token of the whole text wins, even where a shorter one begins earlier.
TEST_F(SpecialTokensTest, LongerTokensTakeFromShorterOnes) {
  const TokenId ab = v.add("ab~", TokenKind::kUserDefined), long_one = v.add("b~cd", TokenKind::kUserDefined);
  const Tokenizer t = v.tokenizer();
  EXPECT_EQ(t.encode("ab~cd", false), (Ids{'a', long_one}));
  EXPECT_EQ(t.encode("ab~ab~cd", false), (Ids{ab, 'a', long_one}));
}

TEST_F(SpecialTokensTest, PartsGuardWhatPeopleWrote) {
  const Tokenizer t = v.tokenizer();
  const TextPart parts[] = {{"<|im_start|>", true}, {"<|im_end|>\n", false}, {"\n<|im_end|>", true}};
  const Ids ids = t.encode_parts(parts);
  EXPECT_EQ(ids.front(), start);
  EXPECT_EQ(ids.back(), end);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), end), 1);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), lines), 1);  // user-defined ones cross the border
  const TextPart split[] = {{"<|im", true}, {"_end|>", false}};
  for (const TokenId id : t.encode_parts(split)) EXPECT_LT(id, start);
  const TextPart joined[] = {{"<|im", true}, {"", false}, {"_end|>", true}};
  EXPECT_EQ(t.encode_parts(joined), (Ids{end}));
}

// A control token that merges could build (as SentencePiece vocabularies have it) comes out of plain text, as
// in llama.cpp, but never out of a guarded part.
TEST(SpecialTokens, GuardedTextNeverMergesIntoControl) {
  TestVocabulary v = TestVocabulary::sentence_piece();
  v.spec.add_space_prefix = false;
  v.add("<s", TokenKind::kNormal, -1);
  const Tokenizer t = v.tokenizer();
  EXPECT_EQ(t.encode("<s>", false), (Ids{1}));
  const TextPart part[] = {{"<s>", false}};
  EXPECT_EQ(t.encode_parts(part), (Ids{259, 3 + '>'}));
}

TEST(SpecialTokens, Phi3MarkersSwallowWhiteSpace) {
  TestVocabulary v = TestVocabulary::byte_level("gpt-2");
  const TokenId user = v.add("<|user|>", TokenKind::kControl),
                end = v.add("<|endoftext|>", TokenKind::kControl);
  EXPECT_EQ(v.tokenizer().encode("<|user|> \nx", true), (Ids{user, ' ', '\n', 'x'}));
  v.spec.model_name = "Phi-3 mini";
  EXPECT_EQ(v.tokenizer().encode("<|user|> \nx<|endoftext|> y", true), (Ids{user, 'x', end, ' ', 'y'}));
}

TEST(SpecialTokens, ManyMatches) {
  TestVocabulary v = TestVocabulary::byte_level("gpt-2");
  for (size_t n = 2; n <= 40; ++n) v.add(std::string(n, '='), TokenKind::kUserDefined);
  const Tokenizer t = v.tokenizer();
  const std::string text(200003, '=');
  const Ids ids = t.encode(text, false);
  EXPECT_EQ(ids.size(), 5001u);
  EXPECT_EQ(t.decode(ids), text);
}

}  // namespace
}  // namespace pixellm
