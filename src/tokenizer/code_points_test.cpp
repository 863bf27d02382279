#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace pixellm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TokenizerSpec spec_of(uint64_t vocab_size) {
  TokenizerSpec spec;
  spec.model = kCodePointModel;
  spec.vocab_size = vocab_size;
  return spec;
}

Tokenizer made(uint64_t vocab_size = 1024) {
  auto t = Tokenizer::create(spec_of(vocab_size));
  EXPECT_TRUE(t) << t.error().message;
  return std::move(*t);
}

TEST(CodePoints, IdsAreCodePointsModuloTheSize) {
  const Tokenizer t = made();
  EXPECT_EQ(t.vocab_size(), 1024u);
  EXPECT_THAT(t.encode("pxOS", false), ElementsAre(112, 120, 79, 83));
  EXPECT_THAT(t.encode("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", true),
              ElementsAre(0xE9, 0x20AC % 1024, 0x1F600 % 1024));
  EXPECT_THAT(t.encode("", false), IsEmpty());
  EXPECT_THAT(t.encode(std::string_view("\0\n", 2), false), ElementsAre(0, 10));
  EXPECT_THAT(made(7).encode("az", false), ElementsAre('a' % 7, 'z' % 7));
  EXPECT_THAT(made(1).encode("az", false), ElementsAre(0, 0));
  EXPECT_THAT(made(1 << 24).encode("\xF4\x8F\xBF\xBF", false), ElementsAre(0x10FFFF));
}

// What Python's bytes.decode("utf-8", "replace") gives.
TEST(CodePoints, WhatIsNotUtf8IsOneReplacementForEachMaximalSubpart) {
  const Tokenizer t = made(1 << 24);
  const auto codes = [&](std::string_view text) { return t.encode(text, false); };
  constexpr TokenId r = 0xFFFD;
  EXPECT_THAT(codes("a\xFF"
                    "b"),
              ElementsAre('a', r, 'b'));
  EXPECT_THAT(codes("\x80\xBF"), ElementsAre(r, r));
  EXPECT_THAT(codes("\xC0\xAF"), ElementsAre(r, r));  // overlong
  EXPECT_THAT(codes("\xE0\x80\xAF"), ElementsAre(r, r, r));
  EXPECT_THAT(codes("\xED\xA0\x80"), ElementsAre(r, r, r));         // a surrogate
  EXPECT_THAT(codes("\xF4\x90\x80\x80"), ElementsAre(r, r, r, r));  // above U+10FFFF
  EXPECT_THAT(codes("\xF5\x80"), ElementsAre(r, r));
  EXPECT_THAT(codes("\xE2\x82"
                    "a"),
              ElementsAre(r, 'a'));  // begun and not finished
  EXPECT_THAT(codes("\xF0\x9F\x98"
                    "a"),
              ElementsAre(r, 'a'));
  EXPECT_THAT(codes("\xF0\x9F\x98"), ElementsAre(r));
  EXPECT_THAT(codes("\xC3"), ElementsAre(r));
  EXPECT_THAT(codes("\xC3\xC3\xA9"), ElementsAre(r, 0xE9));
}

TEST(CodePoints, EveryCodePointIsTakenWhole) {
  for (uint32_t code = 0; code <= 0x10FFFF; code++) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    append_utf8(code, text);
    std::string_view rest = text;
    ASSERT_EQ(take_code_point(rest), code);
    ASSERT_TRUE(rest.empty());
  }
}

TEST(CodePoints, DecodesAsciiAndQuestionMarks) {
  const Tokenizer t = made();
  EXPECT_EQ(t.decode(std::vector<TokenId>{104, 105, 127, 128, 971, 0}), std::string("hi\x7F??\0", 6));
  EXPECT_EQ(t.token_bytes(65), "A");
  EXPECT_EQ(t.token_bytes(1023, true), "?");
  EXPECT_EQ(t.token_bytes(1024), "");
  EXPECT_EQ(t.token_bytes(-1), "");
  StreamDecoder stream(t);
  EXPECT_EQ(stream.push('a') + stream.push(500) + stream.flush(), "a?");
}

TEST(CodePoints, HasNoSpecialTokens) {
  const Tokenizer t = made();
  EXPECT_EQ(t.bos(), std::nullopt);
  EXPECT_EQ(t.eos(), std::nullopt);
  EXPECT_FALSE(t.should_add_bos());
  for (TokenId id = -1; id <= 1024; id++) EXPECT_FALSE(t.is_end_of_generation(id));
  EXPECT_EQ(t.find("A"), 65);
  EXPECT_EQ(t.find("AB"), std::nullopt);
  EXPECT_EQ(t.find("<|im_end|>"), std::nullopt);
  EXPECT_EQ(t.find(""), std::nullopt);
  EXPECT_EQ(t.find("\xC3"), std::nullopt);
  EXPECT_EQ(made(65).find("A"), std::nullopt);
  const TextPart parts[] = {{"<|im_start|>", true}, {"\xC3", false}, {"\xA9", true}};
  EXPECT_EQ(t.encode_parts(parts), t.encode("<|im_start|>\xC3\xA9", true));
}

TEST(CodePoints, RefusesContradictions) {
  const auto error_of = [](auto change) {
    TokenizerSpec spec = spec_of(1024);
    change(spec);
    auto t = Tokenizer::create(spec);
    EXPECT_FALSE(t);
    return t ? Error{} : t.error();
  };
  EXPECT_EQ(error_of([](TokenizerSpec& s) { s.vocab_size = 0; }).code, ErrorCode::kCorrupt);
  EXPECT_EQ(error_of([](TokenizerSpec& s) { s.vocab_size = (1 << 24) + 1; }).code, ErrorCode::kTooLarge);
  EXPECT_EQ(error_of([](TokenizerSpec& s) { s.vocab_size = UINT64_MAX; }).code, ErrorCode::kTooLarge);
  EXPECT_EQ(error_of([](TokenizerSpec& s) { s.tokens = {"a"}; }).code, ErrorCode::kCorrupt);
  EXPECT_THAT(error_of([](TokenizerSpec& s) { s.eos = 3; }).message, HasSubstr("eos"));
  EXPECT_EQ(error_of([](TokenizerSpec& s) { s.end_of_generation = {3}; }).code, ErrorCode::kUnsupported);
  EXPECT_THAT(error_of([](TokenizerSpec& s) { s.model = "bert"; }).message,
              HasSubstr("gpt2, llama and code-point"));
}

}  // namespace
}  // namespace pixellm
