#include "tokenizer/pretokenize.h"

#include <gtest/gtest.h>

#include <string>

namespace pixellm {
namespace {

// Words joined by '|'; the tests' texts hold no '|'.
std::string words(std::string_view text, PreTokenizer rules) {
  const std::vector<Char> chars = decode_characters(text);
  std::string out;
  size_t at = 0;
  for (const size_t end : split_words(chars, rules)) {
    EXPECT_LT(at, end);
    if (at > 0) out += '|';
    for (; at < end; ++at) append_utf8(chars[at].code_point(), out);
  }
  EXPECT_EQ(at, chars.size());
  return out;
}

TEST(PreTokenizer, Gpt2) {
  const auto w = [](std::string_view t) { return words(t, PreTokenizer::kGpt2); };
  EXPECT_EQ(w("Hello world"), "Hello| world");
  EXPECT_EQ(w("a  b"), "a| | b");
  EXPECT_EQ(w("a \n b"), "a| \n| b");
  EXPECT_EQ(w("tail  "), "tail|  ");
  EXPECT_EQ(w("it's we'll I'D x're 've"), "it|'s| we|'ll| I|'|D| x|'re| '|ve");
  EXPECT_EQ(w("year 2024!?"), "year| 2024|!?");
  EXPECT_EQ(w("a\tb"), "a|\t|b");
  EXPECT_EQ(w("日本語。x²"), "日本語|。|x|²");
  EXPECT_EQ(w(" "), " ");
  EXPECT_EQ(w(""), "");
  EXPECT_EQ(w("x\u3000\u3000y"), "x|\u3000|\u3000|y");
}

TEST(PreTokenizer, SmolLmTakesNumbersOneByOne) {
  const auto w = [](std::string_view t) { return words(t, PreTokenizer::kSmolLm); };
  EXPECT_EQ(w("in 2024 x1"), "in| |2|0|2|4| x|1");
  EXPECT_EQ(w("a  1"), "a|  |1");  // white space before a number ends its piece
  EXPECT_EQ(w("½٣"), "½|٣");
}

TEST(PreTokenizer, Llama3) {
  const auto w = [](std::string_view t) { return words(t, PreTokenizer::kLlama3); };
  EXPECT_EQ(w("I'LL don'T"), "I|'LL| don|'T");
  EXPECT_EQ(w("12345678"), "123|456|78");
  EXPECT_EQ(w(" 123"), " |123");
  EXPECT_EQ(w("(a,b)\n\nx"), "(a|,b|)\n\n|x");
  EXPECT_EQ(w("a \r\n\n  b"), "a| \r\n\n| | b");
  EXPECT_EQ(w("\ta"), "\ta");
  EXPECT_EQ(w("\na"), "\n|a");
  EXPECT_EQ(w("   "), "   ");
  EXPECT_EQ(w("a !?"), "a| !?");
}

TEST(PreTokenizer, Qwen2TakesDigitsOneByOne) {
  EXPECT_EQ(words("12 I'Ve", PreTokenizer::kQwen2), "1|2| I|'Ve");
}

TEST(PreTokenizer, DefaultIsolatesPunctuation) {
  const auto w = [](std::string_view t) { return words(t, PreTokenizer::kDefault); };
  EXPECT_EQ(w("it's a+b, 12345 x"), "it|'|s| a|+|b|,| |123|45| x");
  EXPECT_EQ(w("a `b`"), "a| `|b|`");
}

TEST(PreTokenizer, NamesAreWholeWords) {
  EXPECT_EQ(find_pre_tokenizer("")->rules, PreTokenizer::kDefault);
  EXPECT_EQ(find_pre_tokenizer("gpt-2")->rules, PreTokenizer::kGpt2);
  EXPECT_EQ(find_pre_tokenizer("smollm")->rules, PreTokenizer::kSmolLm);
  EXPECT_EQ(find_pre_tokenizer("qwen2")->rules, PreTokenizer::kQwen2);
  const auto llama = find_pre_tokenizer("llama-bpe");
  ASSERT_TRUE(llama.has_value());
  EXPECT_EQ(llama->rules, PreTokenizer::kLlama3);
  EXPECT_TRUE(llama->whole_words_first);
  EXPECT_TRUE(llama->add_bos);
  EXPECT_FALSE(find_pre_tokenizer("dbrx")->whole_words_first);
  for (const char* name : {"gpt", " gpt-2 ", "gpt-2 phi-2", " ", "deepseek-llm", "GPT-2"}) {
    EXPECT_FALSE(find_pre_tokenizer(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace pixellm
