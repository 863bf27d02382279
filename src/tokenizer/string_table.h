// A set of distinct strings numbered in the order they came: open addressing over one block of bytes, because
// a vocabulary of 150,000 strings must be ready in milliseconds.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pixellm {

class StringTable {
 public:
  // Room for `count` strings of `total_bytes`, so that adding them moves nothing.
  void reserve(size_t count, size_t total_bytes);

  // Index of `text`, and whether it is new. At most 2^31 strings.
  std::pair<uint32_t, bool> add(std::string_view text);
  std::optional<uint32_t> find(std::string_view text) const;

  // add() in two steps, for many texts one after the other: begin_add some texts ahead of finish_add with its
  // result, so that memory is there when it is needed. Nothing is to be reserved in between.
  uint32_t begin_add(std::string_view text) const;
  std::pair<uint32_t, bool> finish_add(std::string_view text, uint32_t begun);

  // Indices of many texts at once, kNone for those that are not there; several times as fast as one by one.
  // Requires found.size() == texts.size().
  void find_all(std::span<const std::string_view> texts, std::span<uint32_t> found) const;
  static constexpr uint32_t kNone = 0xFFFFFFFF;

  uint32_t size() const { return static_cast<uint32_t>(ends_.size()); }
  std::string_view operator[](uint32_t index) const {  // until the next add
    const size_t begin = index == 0 ? 0 : ends_[index - 1];
    return std::string_view(bytes_).substr(begin, ends_[index] - begin);
  }

 private:
  struct Slot {
    uint32_t hash = 0;
    uint32_t index_plus_1 = 0;  // 0: free
  };

  size_t probe(std::string_view text, uint32_t hash) const;
  void rehash(size_t n_slots);

  std::vector<Slot> slots_;   // a power of two, at most 3/4 full
  std::vector<size_t> ends_;  // of each string in bytes_
  std::string bytes_;
};

}  // namespace pixellm
