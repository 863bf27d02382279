// The vocabulary proper: token texts, kinds, scores, and what follows from well-known texts (which tokens end
// a generation). Immutable after create; thread-safe.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tokenizer/string_table.h"
#include "tokenizer/tokenizer.h"

namespace pixellm {

// What a token is, as bits: well-known texts turn a token of another kind into a control token too.
namespace token_flag {
constexpr uint8_t kNormal = 1, kUnknown = 2, kControl = 4, kUserDefined = 8, kUnused = 16, kByte = 32;
constexpr uint8_t kStripRight = 64;  // white space after it in a text belongs to it
}  // namespace token_flag

class Vocabulary {
 public:
  static Result<Vocabulary> create(const TokenizerSpec& spec);

  uint32_t size() const { return texts_.size(); }
  bool is_valid(TokenId id) const { return id >= 0 && static_cast<uint32_t>(id) < size(); }
  std::string_view text(TokenId id) const { return texts_[static_cast<uint32_t>(id)]; }
  uint8_t flags(TokenId id) const { return flags_[static_cast<size_t>(id)]; }
  bool has(TokenId id, uint8_t flags) const { return (flags_[static_cast<size_t>(id)] & flags) != 0; }
  float score(TokenId id) const { return scores_.empty() ? 0.0f : scores_[static_cast<size_t>(id)]; }
  std::optional<TokenId> find(std::string_view text) const;
  bool ends_generation(TokenId id) const { return ends_generation_[static_cast<size_t>(id)]; }
  size_t longest_text() const { return longest_text_; }
  const StringTable& texts() const { return texts_; }

 private:
  Result<void> add_tokens(const TokenizerSpec& spec);
  Result<void> add_kinds_and_scores(const TokenizerSpec& spec);
  Result<void> mark_end_of_generation(const TokenizerSpec& spec);
  void mark_stripping(const TokenizerSpec& spec);

  StringTable texts_;  // index = id
  std::vector<uint8_t> flags_;
  std::vector<float> scores_;
  std::vector<bool> ends_generation_;
  size_t longest_text_ = 0;
};

// Value of a byte token's text "<0x41>", hex digits in either case.
std::optional<uint8_t> byte_token_value(std::string_view text);

}  // namespace pixellm
