// Ids of the small byte-level vocabulary, compared once with llama.cpp's for the same vocabulary and stored
// here.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

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

// Byte-level BPE from its definition: again and again the first merge of the list that fits anywhere.
Ids merge_plainly(const TokenizerSpec& spec, std::string_view word) {
  std::vector<std::string> parts;
  for (const char c : word) parts.emplace_back(1, c);
  for (bool changed = true; changed;) {
    changed = false;
    for (const std::string_view merge : spec.merges) {
      for (size_t i = 0; i + 1 < parts.size() && !changed; ++i) {
        if (parts[i] + " " + parts[i + 1] != merge) continue;
        parts[i] += parts[i + 1];
        parts.erase(parts.begin() + static_cast<ptrdiff_t>(i) + 1);
        changed = true;
      }
      if (changed) break;
    }
  }
  Ids ids;
  for (const std::string& part : parts) {
    const auto whole = std::ranges::find(spec.tokens, part);
    if (whole != spec.tokens.end()) {
      ids.push_back(static_cast<TokenId>(whole - spec.tokens.begin()));
      continue;
    }
    for (const char c : part) ids.push_back(static_cast<TokenId>(static_cast<uint8_t>(c)));
  }
  return ids;
}

// Random vocabularies over few letters: merges in the order of their results, results with several merges,
// merges out of order, results that are no tokens, the same pair twice.
TEST(Bpe, MergesAsDefined) {
  uint64_t state = 1;
  const auto random = [&](size_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>(state >> 33) % n;
  };
  for (int round = 0; round < 60; ++round) {
    TestVocabulary v = TestVocabulary::byte_level("gpt-2");
    v.spec.merges.clear();
    std::deque<std::string> merges;
    std::vector<std::string> parts = {"a", "b", "c", "d"};
    for (int i = 0; i < 40; ++i) {
      const std::string left = parts[random(parts.size())], right = parts[random(parts.size())];
      const std::string result = left + right;
      v.spec.merges.push_back(merges.emplace_back(left + " " + right));
      if (random(8) == 0) v.spec.merges.push_back(v.spec.merges[random(v.spec.merges.size())]);
      if (result.size() > 2 && random(3) == 0)
        v.spec.merges.push_back(merges.emplace_back(result.substr(0, 1) + " " + result.substr(1)));
      if (std::ranges::find(parts, result) == parts.end()) parts.push_back(result);
      const bool known = std::ranges::find(v.spec.tokens, result) != v.spec.tokens.end();
      if (!known && random(6) != 0) v.add(result);
    }
    if (round % 3 == 2)
      for (size_t i = 0; i < v.spec.merges.size(); ++i)
        std::swap(v.spec.merges[i], v.spec.merges[random(v.spec.merges.size())]);
    const Tokenizer tokenizer = v.tokenizer();
    Ids all;
    std::string text;
    for (int i = 0; i < 400; ++i) {
      std::string word;
      for (size_t n = 1 + random(40); n > 0; --n) word += static_cast<char>('a' + random(4));
      const Ids want = merge_plainly(v.spec, word);
      ASSERT_EQ(tokenizer.encode(word, false), want) << "round " << round << ", " << word;
      all.insert(all.end(), want.begin(), want.end());
      all.push_back('\n');
      text += word + "\n";
      if (i == 399) {  // a text long enough for the table of all merges, several times the same
        std::string long_text;
        Ids long_ids;
        while (long_text.size() < 20000)
          long_text += text, long_ids.insert(long_ids.end(), all.begin(), all.end());
        ASSERT_EQ(tokenizer.encode(long_text, false), long_ids) << "round " << round;
        ASSERT_EQ(tokenizer.encode(word, false), want);
      }
    }
  }
}

}  // namespace
}  // namespace pixellm
