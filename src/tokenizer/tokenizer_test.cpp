#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/test_vocabulary.h"

namespace pixellm {
namespace {

using testing::HasSubstr;

Error error_of(const TokenizerSpec& spec) {
  auto made = Tokenizer::create(spec);
  EXPECT_FALSE(made.has_value());
  return made ? Error{} : made.error();
}

TEST(Tokenizer, RefusesByName) {
  TestVocabulary v = TestVocabulary::byte_level("deepseek-llm");
  EXPECT_EQ(error_of(v.spec).code, ErrorCode::kUnsupported);
  EXPECT_THAT(error_of(v.spec).message, HasSubstr("deepseek-llm"));
  v.spec.model = "t5";
  EXPECT_EQ(error_of(v.spec).code, ErrorCode::kUnsupported);
  EXPECT_THAT(error_of(v.spec).message, HasSubstr("t5"));
}

TEST(Tokenizer, RefusesContradictions) {
  const TestVocabulary good = TestVocabulary::byte_level("gpt-2");
  const auto expect_corrupt = [&](auto change) {
    TokenizerSpec spec = good.spec;
    change(spec);
    EXPECT_EQ(error_of(spec).code, ErrorCode::kCorrupt) << error_of(spec).message;
  };
  expect_corrupt([](TokenizerSpec& s) { s.tokens.clear(); });
  expect_corrupt([](TokenizerSpec& s) { s.tokens[7] = s.tokens[8]; });
  expect_corrupt([](TokenizerSpec& s) { s.kinds.pop_back(); });
  expect_corrupt([](TokenizerSpec& s) { s.scores.resize(3); });
  expect_corrupt([](TokenizerSpec& s) { s.kinds[5] = 6; });  // a byte token that names no byte
  expect_corrupt([](TokenizerSpec& s) { s.bos = -1; });
  expect_corrupt([](TokenizerSpec& s) { s.eos = static_cast<TokenId>(s.tokens.size()); });
  expect_corrupt([](TokenizerSpec& s) { s.eot = INT32_MAX; });
  expect_corrupt([](TokenizerSpec& s) { s.unknown = INT32_MIN; });
  expect_corrupt([](TokenizerSpec& s) { s.padding = 1 << 20; });
  expect_corrupt([](TokenizerSpec& s) { s.end_of_generation = {0, -5}; });
}

TEST(Tokenizer, EmptyTokensGetANameOfTheirOwn) {
  TestVocabulary v = TestVocabulary::byte_level("gpt-2");
  const TokenId empty = v.add("");
  const Tokenizer t = v.tokenizer();
  EXPECT_EQ(t.find("[EMPTY_" + std::to_string(empty) + "]"), empty);
}

TEST(Tokenizer, TokenBytes) {
  TestVocabulary v = TestVocabulary::byte_level("gpt-2");
  const TokenId control = v.add("<c>", TokenKind::kControl), user = v.add("u v", TokenKind::kUserDefined);
  const TokenId unused = v.add("[unused]", TokenKind::kUnused), byte = v.add("<0x4a>", TokenKind::kByte);
  const TokenId odd = v.add("not letters", TokenKind::kNormal), undefined = v.add("zero");
  v.spec.kinds.back() = 0;
  const Tokenizer t = v.tokenizer();
  EXPECT_EQ(t.token_bytes(control), "");
  EXPECT_EQ(t.token_bytes(control, true), "<c>");
  EXPECT_EQ(t.token_bytes(user), "u v");
  EXPECT_EQ(t.token_bytes(unused), "");
  EXPECT_EQ(t.token_bytes(byte), "\x4A");
  EXPECT_EQ(t.token_bytes(odd), "not letters");
  EXPECT_EQ(t.token_bytes(undefined), "");
  EXPECT_EQ(t.token_bytes(264), " world");
  EXPECT_EQ(t.token_bytes(-1), "");
  EXPECT_EQ(t.token_bytes(1 << 20), "");
  EXPECT_EQ(t.decode(Ids{259, control, 264}), "hello world");
  EXPECT_EQ(t.decode(Ids{259, control, 264}, true), "hello<c> world");
}

TEST(Tokenizer, EndOfGeneration) {
  TestVocabulary v = TestVocabulary::byte_level("gpt-2");
  const TokenId im_end = v.add("<|im_end|>"), eos = v.add("<e>", TokenKind::kControl);
  const TokenId named = v.add("<n>"), repo = v.add("<reponame>", TokenKind::kControl);
  const TokenId later = v.add("<REPO>", TokenKind::kControl),
                start = v.add("<|im_start|>", TokenKind::kControl);
  v.spec.eos = eos;
  v.spec.end_of_generation = {named};
  const Tokenizer t = v.tokenizer();
  EXPECT_TRUE(t.is_end_of_generation(im_end));
  EXPECT_TRUE(t.is_end_of_generation(eos));
  EXPECT_TRUE(t.is_end_of_generation(named));
  EXPECT_TRUE(t.is_end_of_generation(later));  // of the known repository markers, the first in the list
  EXPECT_FALSE(t.is_end_of_generation(repo));
  EXPECT_FALSE(t.is_end_of_generation(start));
  EXPECT_FALSE(t.is_end_of_generation(0));
  EXPECT_FALSE(t.is_end_of_generation(-1));
  EXPECT_EQ(t.token_bytes(im_end), "");  // a known marker is a control token whatever its type says
}

TEST(Tokenizer, EndClosesOnlyAMessageWhereThereAreCalls) {
  TestVocabulary v = TestVocabulary::byte_level("gpt-2");
  const TokenId end = v.add("<|end|>", TokenKind::kControl);
  EXPECT_TRUE(v.tokenizer().is_end_of_generation(end));
  v.add("<|call|>", TokenKind::kControl);
  EXPECT_TRUE(v.tokenizer().is_end_of_generation(end));
  v.add("<|return|>", TokenKind::kControl);
  EXPECT_FALSE(v.tokenizer().is_end_of_generation(end));
}

TEST(Tokenizer, WhetherTextsBeginWithBos) {
  TestVocabulary gpt = TestVocabulary::byte_level("gpt-2");
  gpt.spec.bos = 3;
  EXPECT_FALSE(gpt.tokenizer().should_add_bos());
  gpt.spec.add_bos = true;
  EXPECT_TRUE(gpt.tokenizer().should_add_bos());
  gpt.spec.bos.reset();
  EXPECT_FALSE(gpt.tokenizer().should_add_bos());
  TestVocabulary llama3 = TestVocabulary::byte_level("llama-bpe");
  llama3.spec.bos = 3;
  EXPECT_TRUE(llama3.tokenizer().should_add_bos());
  const Tokenizer spm = TestVocabulary::sentence_piece().tokenizer();
  EXPECT_TRUE(spm.should_add_bos());
  EXPECT_EQ(spm.bos(), 1);
  EXPECT_EQ(spm.eos(), 2);
}

TEST(StreamDecoder, OnlyWholeCharactersComeOut) {
  const Tokenizer t = TestVocabulary::byte_level("gpt-2").tokenizer();
  StreamDecoder stream(t);
  EXPECT_EQ(stream.push('a'), "a");
  EXPECT_EQ(stream.push(0xF0), "");
  EXPECT_EQ(stream.push(0x9F), "");
  EXPECT_EQ(stream.push(0x98), "");
  EXPECT_EQ(stream.push(0x80), "\xF0\x9F\x98\x80");
  EXPECT_EQ(stream.push(0xC3), "");
  EXPECT_EQ(stream.push('b'),
            "\xC3"
            "b");  // never becomes a character
  EXPECT_EQ(stream.push(0x80), "\x80");
  EXPECT_EQ(stream.push(0xE6), "");
  EXPECT_EQ(stream.flush(), "\xE6");
  EXPECT_EQ(stream.flush(), "");
}

}  // namespace
}  // namespace pixellm
