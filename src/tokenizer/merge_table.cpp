#include "tokenizer/merge_table.h"

#include <algorithm>
#include <bit>

#include "tokenizer/unicode.h"

namespace pixellm {

MergeTable::MergeTable(const Vocabulary& vocabulary, std::span<const std::string_view> merges)
    : vocabulary_(&vocabulary) {
  for (uint32_t byte = 0; byte < 256; ++byte) {
    std::string letter;
    append_utf8(byte_letter(static_cast<uint8_t>(byte)), letter);
    byte_symbols_[byte] = symbol(letter);
  }
  results_.reserve(merges.size());
  left_sizes_.reserve(merges.size());
  first_ranks_.assign(vocabulary.size(), kNoRank);
  uint32_t result = kNoRank;  // of the merge before
  std::string joined;
  for (const std::string_view merge : merges) {
    const auto rank = static_cast<uint32_t>(results_.size());
    const size_t space = merge.empty() ? std::string_view::npos : merge.find(' ', 1);
    if (space != std::string_view::npos && add_in_order(merge, space, result)) continue;
    results_.push_back(kNoRank);
    left_sizes_.push_back(0);
    if (space == std::string_view::npos) continue;
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    joined.assign(left).append(right);
    result = symbol(joined);
    const uint32_t left_symbol = symbol(left);
    others_.add(left_symbol, symbol(right), {rank, result});
  }
}

// Whether the merge gives the same token as the one before it, or the token after that. Then `result` is it.
bool MergeTable::add_in_order(std::string_view merge, size_t space, uint32_t& result) {
  const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
  const auto rank = static_cast<uint32_t>(results_.size());
  for (const uint32_t id : {result + 1, result}) {
    if (id >= vocabulary_->size()) continue;
    const std::string_view token = vocabulary_->text(static_cast<TokenId>(id));
    if (token.size() != merge.size() - 1 || !token.starts_with(left) || !token.ends_with(right)) continue;
    if (first_ranks_[id] == kNoRank)
      first_ranks_[id] = rank;
    else if (results_.back() != id)
      return false;
    results_.push_back(id);
    left_sizes_.push_back(static_cast<uint32_t>(space));
    result = id;
    return true;
  }
  return false;
}

uint32_t MergeTable::symbol(std::string_view text) {
  if (const auto id = vocabulary_->find(text)) return static_cast<uint32_t>(*id);
  return vocabulary_->size() + extra_.add(text).first;
}

MergeTable::Found MergeTable::find(uint32_t left, uint32_t right, std::string& joined) const {
  if (all_->ready.load(std::memory_order_acquire)) return all_->pairs.find(left, right);
  const Found other = others_.find(left, right);
  const std::string_view left_text = text(left), right_text = text(right);
  if (left_text.size() + right_text.size() > vocabulary_->longest_text()) return other;
  joined.assign(left_text).append(right_text);
  const auto id = vocabulary_->find(joined);
  if (!id) return other;
  const auto result = static_cast<uint32_t>(*id);
  for (uint32_t rank = first_ranks_[result]; rank < results_.size() && results_[rank] == result; ++rank)
    if (left_sizes_[rank] == left_text.size()) return rank < other.rank ? Found{rank, result} : other;
  return other;
}

void MergeTable::prepare_for_long_text() const {
  std::call_once(all_->once, [&] {
    fill(all_->pairs);
    all_->ready.store(true, std::memory_order_release);
  });
}

void MergeTable::fill(Pairs& pairs) const {
  // Looking the parts up one by one would wait for memory 100,000 times.
  std::vector<std::string_view> parts;
  std::vector<uint32_t> ranks;
  for (uint32_t rank = 0; rank < results_.size(); ++rank) {
    if (results_[rank] == kNoRank) continue;
    const std::string_view token = vocabulary_->text(static_cast<TokenId>(results_[rank]));
    parts.push_back(token.substr(0, left_sizes_[rank]));
    parts.push_back(token.substr(left_sizes_[rank]));
    ranks.push_back(rank);
  }
  std::vector<uint32_t> found(parts.size());
  vocabulary_->texts().find_all(parts, found);
  const auto number = [&](size_t part) {
    if (found[part] != StringTable::kNone) return found[part];
    const auto extra = extra_.find(parts[part]);
    return extra ? vocabulary_->size() + *extra : StringTable::kNone;  // what nothing gives matches nothing
  };
  pairs = others_;
  pairs.reserve(results_.size());
  for (size_t i = 0; i < ranks.size(); ++i) {
    const uint32_t left = number(2 * i), right = number(2 * i + 1);
    if (left != StringTable::kNone && right != StringTable::kNone)
      pairs.add(left, right, {ranks[i], results_[ranks[i]]});
  }
}

void MergeTable::Pairs::reserve(size_t count) {
  const size_t n_slots = std::bit_ceil(std::max<size_t>(64, count * 2));
  if (n_slots <= slots_.size()) return;
  slots_.assign(n_slots, 0);
  entries_.reserve(count);
  for (uint32_t i = 0; i < entries_.size(); ++i) slots_[slot(entries_[i].left, entries_[i].right)] = i + 1;
}

void MergeTable::Pairs::add(uint32_t left, uint32_t right, Found merge) {
  if ((entries_.size() + 1) * 2 > slots_.size()) reserve(entries_.size() * 2 + 1);
  uint32_t& at = slots_[slot(left, right)];
  if (at != 0) {
    Found& old = entries_[at - 1].merge;
    if (merge.rank < old.rank) old = merge;
    return;
  }
  entries_.push_back({left, right, merge});
  at = static_cast<uint32_t>(entries_.size());
}

MergeTable::Found MergeTable::Pairs::find(uint32_t left, uint32_t right) const {
  if (slots_.empty()) return {};
  const uint32_t at = slots_[slot(left, right)];
  return at == 0 ? Found() : entries_[at - 1].merge;
}

size_t MergeTable::Pairs::slot(uint32_t left, uint32_t right) const {
  const uint64_t key = (static_cast<uint64_t>(left) << 32 | right) * 0x9E3779B97F4A7C15u;
  const size_t mask = slots_.size() - 1;
  size_t at = (key ^ key >> 32) & mask;
  while (slots_[at] != 0 &&
         (entries_[slots_[at] - 1].left != left || entries_[slots_[at] - 1].right != right))
    at = (at + 1) & mask;
  return at;
}

}  // namespace pixellm
