#include "tokenizer/string_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace pixellm {
namespace {

constexpr size_t kFewestSlots = 64;

uint64_t mix(uint64_t h) {
  h ^= h >> 32;
  h *= 0x9E3779B97F4A7C15u;
  return h ^ (h >> 29);
}

uint32_t hash_of(std::string_view text) {
  uint64_t h = 0x243F6A8885A308D3u ^ text.size();
  while (text.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, text.data(), 8);
    h = mix(h ^ word);
    text.remove_prefix(8);
  }
  uint64_t tail = 0;
  if (!text.empty()) std::memcpy(&tail, text.data(), text.size());
  return static_cast<uint32_t>(mix(mix(h ^ tail)) >> 8);
}

}  // namespace

void StringTable::reserve(size_t count, size_t total_bytes) {
  ends_.reserve(count);
  bytes_.reserve(total_bytes);
  const size_t n_slots = std::bit_ceil(std::max(kFewestSlots, count * 3 / 2 + 1));
  if (n_slots > slots_.size()) rehash(n_slots);
}

uint32_t StringTable::begin_add(std::string_view text) const {
  const uint32_t hash = hash_of(text);
  if (!slots_.empty()) __builtin_prefetch(&slots_[hash & (slots_.size() - 1)], 1);
  return hash;
}

std::pair<uint32_t, bool> StringTable::add(std::string_view text) { return finish_add(text, hash_of(text)); }

std::pair<uint32_t, bool> StringTable::finish_add(std::string_view text, uint32_t hash) {
  if ((ends_.size() + 1) * 4 > slots_.size() * 3) rehash(std::max(kFewestSlots, slots_.size() * 2));
  Slot& slot = slots_[probe(text, hash)];
  if (slot.index_plus_1 != 0) return {slot.index_plus_1 - 1, false};
  bytes_.append(text);
  ends_.push_back(bytes_.size());
  slot = {hash, size()};
  return {size() - 1, true};
}

std::optional<uint32_t> StringTable::find(std::string_view text) const {
  if (slots_.empty()) return std::nullopt;
  const Slot& slot = slots_[probe(text, hash_of(text))];
  return slot.index_plus_1 != 0 ? std::optional(slot.index_plus_1 - 1) : std::nullopt;
}

void StringTable::find_all(std::span<const std::string_view> texts, std::span<uint32_t> found) const {
  constexpr size_t kBlock =
      32;  // lookups under way at once: each step waits for one cache line, for all together
  std::array<uint32_t, kBlock> hashes;
  const size_t mask = slots_.size() - 1;
  for (size_t begin = 0; begin < texts.size(); begin += kBlock) {
    const size_t n = std::min(kBlock, texts.size() - begin);
    if (slots_.empty()) {
      std::fill_n(found.begin() + static_cast<ptrdiff_t>(begin), n, kNone);
      continue;
    }
    for (size_t i = 0; i < n; ++i) {
      hashes[i] = hash_of(texts[begin + i]);
      __builtin_prefetch(&slots_[hashes[i] & mask]);
    }
    for (size_t i = 0; i < n; ++i) {
      const uint32_t likely = slots_[hashes[i] & mask].index_plus_1;
      __builtin_prefetch(ends_.data() + likely - (likely != 0));
    }
    for (size_t i = 0; i < n; ++i) {
      const uint32_t likely = slots_[hashes[i] & mask].index_plus_1;
      if (likely >= 2) __builtin_prefetch(bytes_.data() + ends_[likely - 2]);
    }
    for (size_t i = 0; i < n; ++i) {
      found[begin + i] = slots_[probe(texts[begin + i], hashes[i])].index_plus_1 - 1;
    }
  }
}

// The slot that holds `text`, or the free one where it would go.
size_t StringTable::probe(std::string_view text, uint32_t hash) const {
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.index_plus_1 == 0 || (slot.hash == hash && (*this)[slot.index_plus_1 - 1] == text)) return at;
  }
}

void StringTable::rehash(size_t n_slots) {
  std::vector<Slot> old(n_slots);
  old.swap(slots_);
  const size_t mask = n_slots - 1;
  for (const Slot& slot : old) {
    if (slot.index_plus_1 == 0) continue;
    size_t at = slot.hash & mask;
    while (slots_[at].index_plus_1 != 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

}  // namespace pixellm
