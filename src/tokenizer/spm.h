// SentencePiece style: characters are joined pair by pair into tokens, best score first; what is no token
// comes out as byte tokens. Immutable after create; thread-safe. Time n log n in the text's length.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace pixellm {

class SpmEncoder {
 public:
  // Keeps a view of `vocabulary`, which must outlive it.
  SpmEncoder(const Vocabulary& vocabulary, std::optional<TokenId> unknown);

  // Appends the text's ids, with U+2581 for spaces and one before the text when `space_first`. `no_control`:
  // tokens of kind control and unknown are not built from characters. A character that neither tokens nor
  // byte tokens express gives the unknown token, if there is one, and its bytes are appended to `dropped`
  // when it is given.
  void encode(std::string_view text, bool space_first, bool no_control, std::vector<TokenId>& ids,
              std::string* dropped) const;

 private:
  struct Run;

  const Vocabulary* vocabulary_;
  std::optional<TokenId> unknown_;
  std::array<TokenId, 256> byte_tokens_;  // -1 where there is none
};

}  // namespace pixellm
