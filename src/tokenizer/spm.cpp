#include "tokenizer/spm.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "tokenizer/unicode.h"

namespace pixellm {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581
constexpr size_t kLongestRun =
    size_t{1} << 30;  // bytes; a longer text is cut there, so that 32 bits number its symbols
constexpr uint32_t kEnd = 0xFFFFFFFF;

// Bits whose unsigned order is the reverse of the floats' order.
uint32_t descending(float score) {
  const uint32_t bits = std::bit_cast<uint32_t>(score + 0.0f);  // -0 becomes +0: they are equal
  return (bits & 0x80000000u) != 0 ? bits : ~(bits | 0x80000000u);
}

std::string with_visible_spaces(std::string_view text, bool space_first) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  if (space_first) out += kSpace;
  for (const char c : text) {
    if (c == ' ') {
      out += kSpace;
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

SpmEncoder::SpmEncoder(const Vocabulary& vocabulary, std::optional<TokenId> unknown)
    : vocabulary_(&vocabulary), unknown_(unknown) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (size_t byte = 0; byte < byte_tokens_.size(); ++byte) {
    const char text[] = {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
    const char raw = static_cast<char>(byte);
    const auto id = vocabulary.find(std::string_view(text, sizeof(text)));
    byte_tokens_[byte] = id ? *id : vocabulary.find(std::string_view(&raw, 1)).value_or(-1);
  }
}

// The merging of one stretch of text.
struct SpmEncoder::Run {
  struct Symbol {
    uint32_t begin, size;  // in text; size 0 when merged into the one before
    uint32_t previous, next;
  };
  struct Pair {
    uint64_t order;  // score descending, then position
    uint32_t size;   // of both symbols together when the pair was found
    bool operator>(const Pair& other) const { return order > other.order; }
  };

  const Vocabulary& vocabulary;
  const std::string& text;
  const bool no_control;
  std::vector<Symbol> symbols;
  std::vector<Pair> heap;

  bool allowed(TokenId id) const {
    return !(no_control && vocabulary.has(id, token_flag::kControl | token_flag::kUnknown));
  }

  std::optional<TokenId> token(uint32_t begin, uint32_t size) const {
    if (size > vocabulary.longest_text()) return std::nullopt;
    const auto id = vocabulary.find(std::string_view(text).substr(begin, size));
    return id && allowed(*id) ? id : std::nullopt;
  }

  std::optional<Pair> pair(uint32_t left, uint32_t right) const {
    if (left == kEnd || right == kEnd) return std::nullopt;
    const uint32_t size = symbols[left].size + symbols[right].size;
    const auto id = token(symbols[left].begin, size);
    if (!id) return std::nullopt;
    return Pair{static_cast<uint64_t>(descending(vocabulary.score(*id))) << 32 | left, size};
  }

  void push(uint32_t left, uint32_t right) {
    if (const auto p = pair(left, right)) {
      heap.push_back(*p);
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    }
  }

  void split_characters() {
    for (size_t at = 0; at < text.size();) {
      const size_t size = std::min(announced_utf8_size(static_cast<uint8_t>(text[at])), text.size() - at);
      const uint32_t index = static_cast<uint32_t>(symbols.size());
      symbols.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(size), index - 1, index + 1});
      at += size;
    }
    if (!symbols.empty()) symbols.back().next = kEnd;
  }

  void merge() {
    for (uint32_t i = 1; i < symbols.size(); ++i) {
      if (const auto p = pair(i - 1, i)) heap.push_back(*p);
    }
    std::make_heap(heap.begin(), heap.end(), std::greater<>());
    while (!heap.empty()) {
      std::pop_heap(heap.begin(), heap.end(), std::greater<>());
      const Pair top = heap.back();
      heap.pop_back();
      Symbol& left = symbols[static_cast<uint32_t>(top.order)];
      if (left.size == 0 || left.next == kEnd) continue;
      Symbol& right = symbols[left.next];
      if (left.size + right.size != top.size) continue;  // outdated
      left.size = top.size;
      left.next = right.next;
      right.size = 0;
      const uint32_t index = static_cast<uint32_t>(top.order);
      if (left.next != kEnd) symbols[left.next].previous = index;
      push(left.previous, index);
      push(index, left.next);
    }
  }
};

void SpmEncoder::encode(std::string_view text, bool space_first, bool no_control, std::vector<TokenId>& ids,
                        std::string* dropped) const {
  while (text.size() > kLongestRun) {
    encode(text.substr(0, kLongestRun), space_first, no_control, ids, dropped);
    text.remove_prefix(kLongestRun);
    space_first = false;
  }
  const std::string visible = with_visible_spaces(text, space_first);
  Run run{*vocabulary_, visible, no_control, {}, {}};
  run.split_characters();
  if (run.symbols.empty()) return;
  run.merge();
  for (uint32_t i = 0; i != kEnd; i = run.symbols[i].next) {
    const Run::Symbol& symbol = run.symbols[i];
    if (const auto id = run.token(symbol.begin, symbol.size)) {
      ids.push_back(*id);
      continue;
    }
    const std::string_view bytes = std::string_view(visible).substr(symbol.begin, symbol.size);
    const bool expressible = std::all_of(bytes.begin(), bytes.end(), [&](char c) {
      const TokenId id = byte_tokens_[static_cast<uint8_t>(c)];
      return id >= 0 && run.allowed(id);
    });
    if (expressible) {
      for (const char c : bytes) ids.push_back(byte_tokens_[static_cast<uint8_t>(c)]);
      continue;
    }
    if (unknown_) ids.push_back(*unknown_);
    if (dropped != nullptr) *dropped += bytes == kSpace ? std::string_view(" ") : bytes;
  }
}

}  // namespace pixellm
