// The merges of a byte-level BPE: which pair of symbols becomes which, and how early. A symbol is a token's
// id or, from the vocabulary's size on, a text that is no token.
//
// A merge list has 150,000 entries and a prompt needs some hundred of them, so nothing is hashed when it is
// made: lists name their results in the order of the tokens, and what a merge says then follows from the
// result's text and the place of the cut. Only merges out of that order go into a table at once; a long text
// has all of them put into one, since looking a pair up there is several times as fast.
// Thread-safe after creation.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace pixellm {

class MergeTable {
 public:
  static constexpr uint32_t kNoRank = 0xFFFFFFFF;
  struct Found {
    uint32_t rank = kNoRank;  // place in the list
    uint32_t result = 0;
  };

  // Keeps a view of `vocabulary`, which must outlive it; copies what it needs of `merges`, at most 2^31.
  // An entry that is no pair keeps its rank and matches nothing.
  MergeTable(const Vocabulary& vocabulary, std::span<const std::string_view> merges);

  // The symbol of a byte of a text.
  uint32_t byte_symbol(uint8_t byte) const { return byte_symbols_[byte]; }
  std::string_view text(uint32_t symbol) const {
    return symbol < vocabulary_->size() ? vocabulary_->text(static_cast<TokenId>(symbol))
                                        : extra_[symbol - vocabulary_->size()];
  }

  // The merge of two symbols, the first of equal ones. `joined` is memory to work in.
  Found find(uint32_t left, uint32_t right, std::string& joined) const;

  // Makes find() fast from here on; some milliseconds. Any thread.
  void prepare_for_long_text() const;

 private:
  // Pairs of symbols by hash, open addressing.
  class Pairs {
   public:
    void reserve(size_t count);
    void add(uint32_t left, uint32_t right, Found merge);  // of equal pairs the lowest rank stays
    Found find(uint32_t left, uint32_t right) const;

   private:
    struct Entry {
      uint32_t left, right;
      Found merge;
    };
    size_t slot(uint32_t left, uint32_t right) const;
    std::vector<Entry> entries_;
    std::vector<uint32_t> slots_;  // entry + 1, 0: free; a power of two, at most half full
  };
  struct All {
    std::once_flag once;
    std::atomic<bool> ready = false;
    Pairs pairs;
  };

  uint32_t symbol(std::string_view text);
  bool add_in_order(std::string_view merge, size_t space, uint32_t& result);
  void fill(Pairs& pairs) const;

  const Vocabulary* vocabulary_;
  StringTable extra_;  // symbols that are no tokens
  std::array<uint32_t, 256> byte_symbols_{};
  // By rank, for merges in order: the result, else kNoRank; and the length of its left part.
  std::vector<uint32_t> results_, left_sizes_;
  std::vector<uint32_t>
      first_ranks_;  // by token: of the merges in order that give it, which follow each other
  Pairs others_;
  std::unique_ptr<All> all_ = std::make_unique<All>();
};

}  // namespace pixellm
