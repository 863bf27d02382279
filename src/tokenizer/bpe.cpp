#include "tokenizer/bpe.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <queue>

namespace pixellm {
namespace {

constexpr size_t kMostMerges = size_t{1} << 24;
constexpr uint32_t kNoRank = 0xFFFFFFFF;
constexpr uint32_t kGone = 0xFFFFFFFF;
constexpr uint32_t kEnd = 0xFFFFFFFF;
constexpr size_t kLongestWord =
    size_t{1} << 30;  // bytes; a longer one is cut there, so that 32 bits number its symbols

uint64_t hash_pair(uint32_t left, uint32_t right) {
  const uint64_t key = (static_cast<uint64_t>(left) << 32 | right) * 0x9E3779B97F4A7C15u;
  return key ^ (key >> 32);
}

}  // namespace

struct BpeEncoder::Scratch {
  struct Symbol {
    uint32_t id;  // kGone when merged into the one before
    uint32_t previous, next;
  };
  std::vector<Symbol> symbols;
  std::vector<uint64_t> heap;  // rank << 32 | index of the left symbol, smallest on top
  std::string letters;

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
  BpeEncoder encoder(vocabulary, pre);
  encoder.add_byte_symbols();
  encoder.add_merges(merges);
  return encoder;
}

void BpeEncoder::add_byte_symbols() {
  for (uint32_t byte = 0; byte < 256; ++byte) {
    std::string letter;
    append_utf8(byte_letter(static_cast<uint8_t>(byte)), letter);
    byte_symbols_[byte] = symbol(letter);
    const char raw = static_cast<char>(byte);
    raw_byte_tokens_[byte] = vocabulary_->find(std::string_view(&raw, 1)).value_or(-1);
  }
}

// Number of the symbol with this text, in the letters of the byte alphabet; the token's id when it is one.
uint32_t BpeEncoder::symbol(std::string_view text) {
  if (const auto id = vocabulary_->find(text)) return static_cast<uint32_t>(*id);
  return vocabulary_->size() + extra_.add(text).first;
}

void BpeEncoder::add_merges(std::span<const std::string_view> merges) {
  // Looking the parts up one by one would wait for memory 100,000 times: that is most of the start-up time.
  std::vector<std::string_view> parts;
  parts.reserve(merges.size() * 2);
  for (const std::string_view merge : merges) {
    const size_t space = merge.empty() ? std::string_view::npos : merge.find(' ', 1);
    const bool splits = space != std::string_view::npos;
    parts.push_back(splits ? merge.substr(0, space) : std::string_view());
    parts.push_back(splits ? merge.substr(space + 1) : std::string_view());
  }
  std::vector<uint32_t> found(parts.size());
  vocabulary_->texts().find_all(parts, found);

  merges_.reserve(merges.size());
  pairs_.resize(std::bit_ceil(std::max<size_t>(2, merges.size() * 2)));
  std::string joined;
  uint32_t guess = 0;  // vocabularies mostly list the merges' results in the merges' order
  for (size_t i = 0; i < merges.size(); ++i) {
    const std::string_view left_text = parts[2 * i], right_text = parts[2 * i + 1];
    if (left_text.empty()) {
      merges_.push_back({kGone, kGone, kGone});  // keeps its rank, matches nothing
      continue;
    }
    const uint32_t left = found[2 * i] != StringTable::kNone ? found[2 * i] : symbol(left_text);
    const uint32_t right = found[2 * i + 1] != StringTable::kNone ? found[2 * i + 1] : symbol(right_text);
    joined.assign(left_text).append(right_text);
    const bool guessed =
        guess < vocabulary_->size() && vocabulary_->text(static_cast<TokenId>(guess)) == joined;
    const uint32_t result = guessed ? guess : symbol(joined);
    guess = result + 1;
    merges_.push_back({left, right, result});
    uint32_t& slot = pairs_[pair_slot(left, right)];
    if (slot == 0) slot = static_cast<uint32_t>(merges_.size());  // the first of equal merges counts
  }
}

size_t BpeEncoder::pair_slot(uint32_t left, uint32_t right) const {
  const size_t mask = pairs_.size() - 1;
  size_t at = hash_pair(left, right) & mask;
  while (pairs_[at] != 0 &&
         (merges_[pairs_[at] - 1].left != left || merges_[pairs_[at] - 1].right != right)) {
    at = (at + 1) & mask;
  }
  return at;
}

uint32_t BpeEncoder::find_rank(uint32_t left, uint32_t right) const {
  return pairs_[pair_slot(left, right)] - 1;  // a free slot gives kNoRank
}

void BpeEncoder::encode(std::string_view text, bool no_control, std::vector<TokenId>& ids,
                        std::string* dropped) const {
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
            {byte_symbols_[static_cast<uint8_t>(word[i])], i - 1, i + 1 < n ? i + 1 : kEnd});
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

// Applies merges, lowest rank first and leftmost among equals, until none fits.
void BpeEncoder::merge(Scratch& scratch) const {
  auto& symbols = scratch.symbols;
  scratch.heap.clear();
  for (uint32_t i = 0; i + 1 < symbols.size(); ++i) {
    const uint32_t rank = find_rank(symbols[i].id, symbols[i + 1].id);
    if (rank != kNoRank) scratch.heap.push_back(static_cast<uint64_t>(rank) << 32 | i);
  }
  std::make_heap(scratch.heap.begin(), scratch.heap.end(), std::greater<>());
  while (!scratch.heap.empty()) {
    const uint64_t top = scratch.pop();
    const uint32_t left = static_cast<uint32_t>(top);
    const Merge& merge = merges_[top >> 32];
    const uint32_t right = symbols[left].next;
    if (symbols[left].id != merge.left || right == kEnd || symbols[right].id != merge.right)
      continue;  // outdated
    const uint32_t next = symbols[right].next;
    symbols[left].id = merge.result;
    symbols[left].next = next;
    symbols[right].id = kGone;
    if (next != kEnd) {
      symbols[next].previous = left;
      const uint32_t rank = find_rank(merge.result, symbols[next].id);
      if (rank != kNoRank) scratch.push(rank, left);
    }
    if (const uint32_t previous = symbols[left].previous; previous != kEnd) {
      const uint32_t rank = find_rank(symbols[previous].id, merge.result);
      if (rank != kNoRank) scratch.push(rank, previous);
    }
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
  const std::string_view letters =
      is_token ? vocabulary_->text(static_cast<TokenId>(symbol)) : extra_[symbol - vocabulary_->size()];
  for (const Char letter : decode_characters(letters)) {
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
