// Byte-level BPE: words of a pre-tokenizer, merged pair by pair in the order of the merges' ranks. Immutable
// after create; thread-safe. Time n log n in a word's length.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tokenizer/merge_table.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/vocabulary.h"

namespace pixellm {

class BpeEncoder {
 public:
  // Keeps a view of `vocabulary`, which must outlive it. kCorrupt: too many merges.
  static Result<BpeEncoder> create(const Vocabulary& vocabulary, std::span<const std::string_view> merges,
                                   PreTokenizerInfo pre);

  // Appends the text's ids. `no_control`: tokens of kind control and unknown never come out. Bytes that the
  // vocabulary lacks are left out and appended to `dropped` when it is given.
  void encode(std::string_view text, bool no_control, std::vector<TokenId>& ids, std::string* dropped) const;

 private:
  struct Scratch;

  BpeEncoder(const Vocabulary& vocabulary, std::span<const std::string_view> merges, PreTokenizerInfo pre);
  bool encode_whole(std::string_view word, bool no_control, Scratch& scratch,
                    std::vector<TokenId>& ids) const;
  bool find_pair(Scratch& scratch, uint32_t left) const;
  void merge(Scratch& scratch) const;
  void emit(uint32_t symbol, bool no_control, std::vector<TokenId>& ids, std::string* dropped) const;

  const Vocabulary* vocabulary_;
  PreTokenizerInfo pre_;
  MergeTable merges_;
  std::array<TokenId, 256> raw_byte_tokens_{};  // tokens whose text is that one byte, -1 where there is none
};

}  // namespace pixellm
