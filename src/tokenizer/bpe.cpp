#include "tokenizer/bpe.h"

#include <fmt/core.h>

#include <algorithm>
#include <queue>

namespace pixellm {
namespace {

constexpr size_t kMostMerges = size_t{1} << 24;
constexpr size_t kLongText = 16384;  // bytes from which the merges' table pays
constexpr uint32_t kEnd = 0xFFFFFFFF;
constexpr size_t kLongestWord =
    size_t{1} << 30;  // bytes; a longer one is cut there, so that 32 bits number its symbols

}  // namespace

struct BpeEncoder::Scratch {
  struct Symbol {
    uint32_t id;
    uint32_t previous, next;
    MergeTable::Found merge = {};  // with the next one; none once it is merged into the one before
  };
  std::vector<Symbol> symbols;
  std::vector<uint64_t> heap;  // rank << 32 | index of the left symbol, smallest on top
  std::string letters, joined;

  void push(uint32_t rank, uint32_t left) {
    heap.push_back(static_cast<uint64_t>(rank) << 32 | left);
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  }
  uint64_t pop() {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const uint64_t top = heap.back();
    heap.pop_back();
    return top;
  }
};

Result<BpeEncoder> BpeEncoder::create(const Vocabulary& vocabulary, std::span<const std::string_view> merges,
                                      PreTokenizerInfo pre) {
  if (merges.size() > kMostMerges) {
    return fail(ErrorCode::kTooLarge,
                fmt::format("tokenizer: {} merges, at most {} are allowed", merges.size(), kMostMerges));
  }
  return BpeEncoder(vocabulary, merges, pre);
}

BpeEncoder::BpeEncoder(const Vocabulary& vocabulary, std::span<const std::string_view> merges,
                       PreTokenizerInfo pre)
    : vocabulary_(&vocabulary), pre_(pre), merges_(vocabulary, merges) {
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    raw_byte_tokens_[byte] = vocabulary.find(std::string_view(&raw, 1)).value_or(-1);
  }
}

void BpeEncoder::encode(std::string_view text, bool no_control, std::vector<TokenId>& ids,
                        std::string* dropped) const {
  if (text.size() >= kLongText) merges_.prepare_for_long_text();
  const std::vector<Char> chars = decode_characters(text);
  Scratch scratch;
  std::string word;
  size_t at = 0;
  for (const size_t end : split_words(chars, pre_.rules)) {
    while (at < end) {
      word.clear();
      for (; at < end && word.size() < kLongestWord; ++at) append_utf8(chars[at].code_point(), word);
      if (pre_.whole_words_first && encode_whole(word, no_control, scratch, ids)) continue;
      scratch.symbols.clear();
      const uint32_t n = static_cast<uint32_t>(word.size());
      for (uint32_t i = 0; i < n; ++i) {
        scratch.symbols.push_back(
            {merges_.byte_symbol(static_cast<uint8_t>(word[i])), i - 1, i + 1 < n ? i + 1 : kEnd});
      }
      merge(scratch);
      for (uint32_t i = 0; i != kEnd; i = scratch.symbols[i].next)
        emit(scratch.symbols[i].id, no_control, ids, dropped);
    }
  }
}

bool BpeEncoder::encode_whole(std::string_view word, bool no_control, Scratch& scratch,
                              std::vector<TokenId>& ids) const {
  scratch.letters.clear();
  for (const char c : word) append_utf8(byte_letter(static_cast<uint8_t>(c)), scratch.letters);
  const std::optional<TokenId> id = vocabulary_->find(scratch.letters);
  if (!id || (no_control && vocabulary_->has(*id, token_flag::kControl | token_flag::kUnknown))) return false;
  ids.push_back(*id);
  return true;
}

// Notes the merge of a symbol with the next one. Whether there is one.
bool BpeEncoder::find_pair(Scratch& scratch, uint32_t left) const {
  Scratch::Symbol& symbol = scratch.symbols[left];
  symbol.merge = symbol.next == kEnd
                     ? MergeTable::Found()
                     : merges_.find(symbol.id, scratch.symbols[symbol.next].id, scratch.joined);
  return symbol.merge.rank != MergeTable::kNoRank;
}

// Applies merges, lowest rank first and leftmost among equals, until none fits.
void BpeEncoder::merge(Scratch& scratch) const {
  auto& symbols = scratch.symbols;
  scratch.heap.clear();
  for (uint32_t i = 0; i < symbols.size(); ++i)
    if (find_pair(scratch, i)) scratch.heap.push_back(static_cast<uint64_t>(symbols[i].merge.rank) << 32 | i);
  std::make_heap(scratch.heap.begin(), scratch.heap.end(), std::greater<>());
  while (!scratch.heap.empty()) {
    const uint64_t top = scratch.pop();
    const uint32_t left = static_cast<uint32_t>(top);
    if (symbols[left].merge.rank != top >> 32) continue;  // outdated
    const uint32_t right = symbols[left].next, next = symbols[right].next;
    symbols[left].id = symbols[left].merge.result;
    symbols[left].next = next;
    symbols[right].merge = {};
    if (next != kEnd) symbols[next].previous = left;
    if (find_pair(scratch, left)) scratch.push(symbols[left].merge.rank, left);
    const uint32_t previous = symbols[left].previous;
    if (previous != kEnd && find_pair(scratch, previous))
      scratch.push(symbols[previous].merge.rank, previous);
  }
}

// A symbol that is no token comes out as those of its letters' UTF-8 bytes that are tokens by themselves.
void BpeEncoder::emit(uint32_t symbol, bool no_control, std::vector<TokenId>& ids,
                      std::string* dropped) const {
  const auto allowed = [&](TokenId id) {
    return id >= 0 && !(no_control && vocabulary_->has(id, token_flag::kControl | token_flag::kUnknown));
  };
  const bool is_token = symbol < vocabulary_->size();
  if (is_token && allowed(static_cast<TokenId>(symbol))) {
    ids.push_back(static_cast<TokenId>(symbol));
    return;
  }
  for (const Char letter : decode_characters(merges_.text(symbol))) {
    std::string bytes;
    append_utf8(letter.code_point(), bytes);
    bool expressed = false;
    for (const char c : bytes) {
      const TokenId id = raw_byte_tokens_[static_cast<uint8_t>(c)];
      if (!allowed(id)) continue;
      ids.push_back(id);
      expressed = true;
    }
    const std::optional<uint8_t> byte = byte_of_letter(letter.code_point());
    if (!expressed && byte && dropped != nullptr) *dropped += static_cast<char>(*byte);
  }
}

}  // namespace pixellm
