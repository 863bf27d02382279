// Inside src/tokenizer: what a Tokenizer needs of a kind of vocabulary. Immutable after creation;
// thread-safe.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/tokenizer.h"

namespace pixellm {

class TokenizerModel {
 public:
  virtual ~TokenizerModel() = default;

  // Appends the text's ids. In `guarded` ranges control tokens are not recognised; with `no_control` nothing
  // else makes them either. Bytes without a token are appended to `dropped` when it is given.
  virtual void encode(std::string_view text, std::span<const TextRange> guarded, bool no_control,
                      std::vector<TokenId>& ids, std::string* dropped) const = 0;

  virtual std::string token_bytes(TokenId id, bool special) const = 0;  // requires a valid id
  virtual uint32_t vocab_size() const = 0;
  virtual bool is_end_of_generation(TokenId id) const = 0;  // requires a valid id
  virtual std::optional<TokenId> find(std::string_view token_text) const = 0;
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
  virtual bool should_add_bos() const = 0;
};

using MadeTokenizerModel = Result<std::unique_ptr<const TokenizerModel>>;

// Models gpt2 and llama: a list of token texts (listed_tokens.cpp).
MadeTokenizerModel make_listed_tokens(TokenizerSpec spec);

// Model code-point: ids are code points, there is no list (code_points.cpp).
MadeTokenizerModel make_code_points(const TokenizerSpec& spec);

}  // namespace pixellm
