// The v0 network's vocabulary: the id of a character is its Unicode code point modulo the vocabulary's size.
// Ids below 128 are ASCII characters; the others stand for many characters each and are shown as '?'.
// docs/tokenizer.md.
#include <fmt/core.h>

#include "tokenizer/tokenizer_model.h"
#include "tokenizer/unicode.h"

namespace pixellm {
namespace {

constexpr uint32_t kMostTokens = uint32_t{1} << 24;
constexpr TokenId kAsciiEnd = 128;

class CodePoints final : public TokenizerModel {
 public:
  explicit CodePoints(uint32_t vocab_size) : vocab_size_(vocab_size) {}

  void encode(std::string_view text, std::span<const TextRange>, bool, std::vector<TokenId>& ids,
              std::string*) const override {
    while (!text.empty()) ids.push_back(static_cast<TokenId>(take_code_point(text) % vocab_size_));
  }
  std::string token_bytes(TokenId id, bool) const override {
    return std::string(1, id < kAsciiEnd ? static_cast<char>(id) : '?');
  }
  uint32_t vocab_size() const override { return vocab_size_; }
  bool is_end_of_generation(TokenId) const override { return false; }
  std::optional<TokenId> find(std::string_view token_text) const override {
    if (token_text.size() != 1) return std::nullopt;
    const auto id = static_cast<TokenId>(static_cast<uint8_t>(token_text[0]));
    return id < kAsciiEnd && static_cast<uint32_t>(id) < vocab_size_ ? std::optional(id) : std::nullopt;
  }
  std::optional<TokenId> bos() const override { return std::nullopt; }
  std::optional<TokenId> eos() const override { return std::nullopt; }
  bool should_add_bos() const override { return false; }

 private:
  uint32_t vocab_size_;
};

}  // namespace

MadeTokenizerModel make_code_points(const TokenizerSpec& spec) {
  if (!spec.tokens.empty())
    return fail(ErrorCode::kCorrupt,
                fmt::format("tokenizer: model code-point has no list of tokens, this one has {}",
                            spec.tokens.size()));
  if (spec.bos || spec.eos || spec.eot || spec.unknown || spec.padding || !spec.end_of_generation.empty())
    return fail(
        ErrorCode::kUnsupported,
        "tokenizer: model code-point has no bos, eos or other special tokens, the metadata names some");
  if (spec.vocab_size == 0)
    return fail(ErrorCode::kCorrupt, "tokenizer: model code-point with a vocabulary of 0 tokens");
  if (spec.vocab_size > kMostTokens)
    return fail(ErrorCode::kTooLarge,
                fmt::format("tokenizer: {} tokens, at most {} are allowed", spec.vocab_size, kMostTokens));
  return std::make_unique<CodePoints>(static_cast<uint32_t>(spec.vocab_size));
}

}  // namespace pixellm
