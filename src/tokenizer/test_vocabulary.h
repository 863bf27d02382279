// Small vocabularies for the tests, made here: nothing of a real model is in the repository.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace pixellm {

// Owns the strings that a TokenizerSpec refers to.
class TestVocabulary {
 public:
  // Byte-level: ids 0..255 are the bytes, then the merges' results (all but "xy"), then what add() appends.
  static TestVocabulary byte_level(std::string_view pre) {
    TestVocabulary v;
    v.spec.model = "gpt2";
    v.spec.pre = pre;
    for (int byte = 0; byte < 256; ++byte) {
      std::string letter;
      append_utf8(byte_letter(static_cast<uint8_t>(byte)), letter);
      v.add(letter);
    }
    for (const std::string_view merge :
         {"h e",  "l l", "he ll", "hell o", "Ġ w",  "o r",  "Ġw or", "l d", "Ġwor ld", "1 2",  "12 3",
          "1 23", "Ġ Ġ", "ĠĠ ĠĠ", "Ċ Ċ",    "ĊĊ Ċ", "' s",  "' ll",  "a a", "aa aa",   "a aa", "x y",
          "Ã ©",  "Ġ t", "Ġt he", "! !",    "Ġ !",  "Ġ ĊĊ", "č Ċ",   "Ġ 1", ". ."}) {
      v.spec.merges.push_back(merge);
      std::string result(merge);
      result.erase(result.find(' '), 1);
      if (result != "xy" && std::ranges::find(v.strings_, result) == v.strings_.end()) v.add(result);
    }
    return v;
  }

  // SentencePiece style: <unk> <s> </s>, 256 byte tokens, then what add() appends.
  static TestVocabulary sentence_piece() {
    TestVocabulary v;
    v.spec.model = "llama";
    v.add("<unk>", TokenKind::kUnknown);
    v.add("<s>", TokenKind::kControl);
    v.add("</s>", TokenKind::kControl);
    for (int byte = 0; byte < 256; ++byte) {
      constexpr std::string_view kHex = "0123456789ABCDEF";
      v.add(std::string("<0x") + kHex[static_cast<size_t>(byte / 16)] + kHex[static_cast<size_t>(byte % 16)] +
                ">",
            TokenKind::kByte);
    }
    return v;
  }

  TokenId add(std::string text, TokenKind kind = TokenKind::kNormal, float score = 0) {
    spec.tokens.push_back(strings_.emplace_back(std::move(text)));
    spec.kinds.push_back(static_cast<uint8_t>(kind));
    spec.scores.push_back(score);
    return static_cast<TokenId>(spec.tokens.size() - 1);
  }

  Tokenizer tokenizer() const {
    auto made = Tokenizer::create(spec);
    EXPECT_TRUE(made.has_value()) << made.error().message;
    return std::move(*made);
  }

  TokenizerSpec spec;

 private:
  std::deque<std::string> strings_;
};

using Ids = std::vector<TokenId>;

}  // namespace pixellm
