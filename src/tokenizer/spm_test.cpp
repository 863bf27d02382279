#include <gtest/gtest.h>

#include <limits>

#include "tokenizer/test_vocabulary.h"

namespace pixellm {
namespace {

constexpr TokenId byte_id(uint8_t byte) { return 3 + byte; }

// Ids from 259: ▁ a b ab ▁ab ba ▁▁ 日
TestVocabulary letters() {
  TestVocabulary v = TestVocabulary::sentence_piece();
  v.add("▁", TokenKind::kNormal, -10);
  v.add("a", TokenKind::kNormal, -11);
  v.add("b", TokenKind::kNormal, -12);
  v.add("ab", TokenKind::kNormal, -2);
  v.add("▁ab", TokenKind::kNormal, -3);
  v.add("ba", TokenKind::kNormal, -1);
  v.add("▁▁", TokenKind::kNormal, -4);
  v.add("日", TokenKind::kNormal, -5);
  return v;
}

TEST(Spm, BestScoreFirstThenLeftmost) {
  const Tokenizer tokenizer = letters().tokenizer();
  EXPECT_EQ(tokenizer.encode("ab", false), (Ids{263}));             // ▁ab
  EXPECT_EQ(tokenizer.encode("aba", false), (Ids{259, 260, 264}));  // "ba" before "ab"
  EXPECT_EQ(tokenizer.encode("baba", false), (Ids{259, 264, 264}));
  EXPECT_EQ(tokenizer.encode("  ", false), (Ids{265, 259}));
  EXPECT_EQ(tokenizer.encode("", false), Ids{});
}

TEST(Spm, ByteFallback) {
  const Tokenizer tokenizer = letters().tokenizer();
  EXPECT_EQ(tokenizer.encode("日é\n", false), (Ids{259, 266, byte_id(0xC3), byte_id(0xA9), byte_id('\n')}));
  EXPECT_EQ(tokenizer.encode("\xFF\xE6", false), (Ids{259, byte_id(0xFF), byte_id(0xE6)}));
}

TEST(Spm, SpacePrefixAsTheMetadataSays) {
  TestVocabulary v = letters();
  v.spec.add_space_prefix = false;
  const Tokenizer tokenizer = v.tokenizer();
  EXPECT_EQ(tokenizer.encode("ab", false), (Ids{262}));
  EXPECT_EQ(tokenizer.encode(" ab", false), (Ids{263}));
  EXPECT_EQ(tokenizer.encode("<s>ab", true), (Ids{1, 262}));
}

TEST(Spm, EveryStretchAfterASpecialTokenGetsThePrefix) {
  const Tokenizer tokenizer = letters().tokenizer();
  EXPECT_EQ(tokenizer.encode("ab<s>ab</s>", true), (Ids{263, 1, 263, 2}));
}

TEST(Spm, UnknownWithoutByteTokens) {
  TokenizerSpec spec;
  spec.model = "llama";
  spec.tokens = {"<unk>", "<s>", "</s>", "▁", "a"};
  spec.kinds = {2, 3, 3, 1, 1};
  spec.add_space_prefix = false;
  const Tokenizer tokenizer = std::move(*Tokenizer::create(spec));
  std::string dropped;
  EXPECT_EQ(tokenizer.encode("aéa b", false, &dropped), (Ids{4, 0, 4, 3, 0}));
  EXPECT_EQ(dropped, "éb");
}

TEST(Spm, DecodeGivesThePrefixToo) {
  const Tokenizer tokenizer = letters().tokenizer();
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("ab \xC3\xA9", false)), " ab \xC3\xA9");
  EXPECT_EQ(tokenizer.token_bytes(265), "  ");
  EXPECT_EQ(tokenizer.token_bytes(byte_id(0)), std::string(1, '\0'));
  EXPECT_EQ(tokenizer.token_bytes(1), "");
  EXPECT_EQ(tokenizer.token_bytes(1, true), "<s>");
}

TEST(Spm, ScoresInAnyOrderOfMagnitude) {
  const float infinity = std::numeric_limits<float>::infinity();
  TestVocabulary v = letters();
  v.spec.add_space_prefix = false;
  const TokenId best = v.add("aa", TokenKind::kNormal, infinity),
                worst = v.add("bb", TokenKind::kNormal, -infinity);
  const TokenId zero = v.add("a日", TokenKind::kNormal, -0.0f),
                also_zero = v.add("日a", TokenKind::kNormal, 0.0f);
  const Tokenizer tokenizer = v.tokenizer();
  EXPECT_EQ(tokenizer.encode("baa", false), (Ids{261, best}));
  EXPECT_EQ(tokenizer.encode("bb", false), (Ids{worst}));
  EXPECT_EQ(tokenizer.encode("a日a", false), (Ids{zero, 260}));  // -0 and 0 are equal: leftmost
  EXPECT_EQ(tokenizer.encode("b日a", false), (Ids{261, also_zero}));
  v.spec.scores[260] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(Tokenizer::create(v.spec).error().code, ErrorCode::kCorrupt);
}

TEST(Spm, LongRuns) {
  const Tokenizer tokenizer = letters().tokenizer();
  for (const char c : {'a', ' ', '\n', '\xE6'}) {
    const std::string text(100000, c);
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, true)), " " + text);
  }
}

}  // namespace
}  // namespace pixellm
