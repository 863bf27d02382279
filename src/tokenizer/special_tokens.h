// Finds the texts of control, unknown and user-defined tokens inside a text, longest tokens first over the
// whole text and among equals from left to right, as llama.cpp does. Immutable after construction;
// thread-safe.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace pixellm {

struct TextRange {
  size_t begin = 0;
  size_t end = 0;  // exclusive
};

struct SpecialMatch {
  TokenId id;
  size_t begin;
  size_t end;         // of the token's text
  size_t next_begin;  // where ordinary text goes on: past white space that the token swallows
};

class SpecialTokens {
 public:
  explicit SpecialTokens(const Vocabulary& vocabulary);

  // Matches in the order of the text, not overlapping. Inside `guarded` (ascending, disjoint) only
  // user-defined tokens are recognised. Time n log n in the text for a given vocabulary.
  std::vector<SpecialMatch> find(std::string_view text, std::span<const TextRange> guarded) const;

 private:
  struct Entry {
    TokenId id;
    uint32_t length;
    bool always;  // recognised in guarded text too
    bool strips_right;
  };
  struct Node {
    int32_t child = -1, sibling = -1;
    int32_t rank = -1;  // index into by_rank_ of the token that ends here
    uint8_t byte = 0;
  };
  struct Finder;

  void insert(std::string_view text, int32_t rank);
  int32_t child(int32_t node, uint8_t byte) const;

  std::vector<Entry> by_rank_;  // longest first
  std::vector<Node> nodes_;     // a trie of the texts
  std::array<int32_t, 256> roots_;
  bool any_always_ = false;
};

}  // namespace pixellm
