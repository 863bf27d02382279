// Ids of the small byte-level vocabulary, compared once with llama.cpp's for the same vocabulary and stored
// here.
#include <gtest/gtest.h>

#include "tokenizer/test_vocabulary.h"

namespace pixellm {
namespace {

struct Case {
  const char* pre;
  std::string_view text;
  Ids ids;
};

TEST(Bpe, StoredIds) {
  const Case cases[] = {
      {"gpt-2", "hello world", {259, 264}},
      {"gpt-2", "hello  world", {259, 32, 264}},
      {"gpt-2", "it's he'll IT'S", {105, 116, 271, 32, 256, 272, 32, 73, 84, 39, 83}},
      {"gpt-2", "a123 1234 12", {97, 266, 32, 266, 52, 32, 265}},
      {"smollm", "a123 1234 12", {97, 49, 50, 51, 32, 49, 50, 51, 52, 32, 49, 50}},
      {"llama-bpe", "a123 1234 12", {97, 266, 32, 266, 52, 32, 265}},
      {"qwen2", "a123 1234 12", {97, 49, 50, 51, 32, 49, 50, 51, 52, 32, 49, 50}},
      {"gpt-2", "x\n\n y\r\n\n  z \n", {120, 269, 32, 121, 13, 269, 32, 32, 122, 32, 10}},
      {"gpt-2", "aaaaaaa", {274, 273, 97}},
      {"gpt-2", "aaa", {273, 97}},
      {"llama-bpe", "aaa", {275}},  // a word that is a token comes before merging
      {"gpt-2", "café 日本 😀", {99, 97, 102, 276, 32, 230, 151, 165, 230, 156, 172, 32, 240, 159, 152, 128}},
      {"gpt-2", "  \t the!! !\n", {267, 9, 278, 279, 280, 10}},
      {"default", "  \t the!! !\n", {267, 9, 278, 279, 32, 33, 10}},
      {"gpt-2", "\u2007x\u00A0 y", {226, 128, 135, 120, 194, 160, 32, 121}},
      {"gpt-2",
       "a\xFF\xC0\x80"
       "b",
       {97, 239, 191, 189, 0, 98}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(TestVocabulary::byte_level(c.pre).tokenizer().encode(c.text, false), c.ids)
        << c.pre << ": " << c.text;
  }
}

// "x y" merges, but "xy" is no token: its letters come out as single bytes' tokens.
TEST(Bpe, MergeWithoutToken) {
  EXPECT_EQ(TestVocabulary::byte_level("gpt-2").tokenizer().encode("xy", false), (Ids{'x', 'y'}));
}

TEST(Bpe, DroppedBytesAreReported) {
  TokenizerSpec spec;
  spec.model = "gpt2";
  spec.pre = "gpt-2";
  spec.tokens = {"a", "b"};
  const Tokenizer tokenizer = std::move(*Tokenizer::create(spec));
  std::string dropped = "kept:";
  EXPECT_EQ(tokenizer.encode("a\x04 b\xC3\xA9", false, &dropped), (Ids{0, 1}));
  EXPECT_EQ(dropped, "kept:\x04 \xC3\xA9");
  EXPECT_EQ(tokenizer.encode("\xFF", false), Ids{});
}

TEST(Bpe, OddMergesAreHarmless) {
  TestVocabulary v = TestVocabulary::byte_level("gpt-2");
  for (const std::string_view merge : {"", " ", "q", " q", "q ", "q w e", "h e"})
    v.spec.merges.push_back(merge);
  EXPECT_EQ(v.tokenizer().encode("hello qwe", false), (Ids{259, 32, 'q', 'w', 'e'}));
}

TEST(Bpe, EveryByteSurvives) {
  const Tokenizer tokenizer = TestVocabulary::byte_level("qwen2").tokenizer();
  std::string text;
  for (uint32_t c = 0; c < 0x3000; ++c) append_utf8(c, text);
  std::string dropped;
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, false, &dropped)), text);
  EXPECT_EQ(dropped, "");
}

// n log n: these would take minutes if they were quadratic.
TEST(Bpe, LongRuns) {
  for (const char* pre : {"gpt-2", "smollm", "llama-bpe", "qwen2", "default"}) {
    const Tokenizer tokenizer = TestVocabulary::byte_level(pre).tokenizer();
    for (const char c : {'a', ' ', '\n', '1', '\'', '!', '\xFF'}) {
      const std::string text(100000, c);
      const Ids ids = tokenizer.encode(text, true);
      EXPECT_GE(ids.size(), text.size() / 4);
      if (c != '\xFF') {
        EXPECT_EQ(tokenizer.decode(ids), text);
      }
    }
  }
}

}  // namespace
}  // namespace pixellm
