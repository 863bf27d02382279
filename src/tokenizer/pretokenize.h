// Pre-tokenizers: how a byte-level BPE cuts a text into words before merging. Hand-written scanners for the
// regular expressions that models name in `tokenizer.ggml.pre`; linear time, no recursion. Rules:
// docs/tokenizer.md.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/unicode.h"

namespace pixellm {

enum class PreTokenizer { kGpt2, kSmolLm, kLlama3, kQwen2, kDefault };

struct PreTokenizerInfo {
  PreTokenizer rules;
  bool whole_words_first;  // a word that is a token is taken without merging
  bool add_bos;            // the model's default
};

// Rules of a name in `tokenizer.ggml.pre`; nullopt when it is not implemented. "" is "default".
std::optional<PreTokenizerInfo> find_pre_tokenizer(std::string_view name);

// Ends of the words (exclusive indices into `text`), ascending; together they cover the text.
std::vector<size_t> split_words(std::span<const Char> text, PreTokenizer rules);

}  // namespace pixellm
