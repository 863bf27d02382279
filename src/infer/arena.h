// One reservation of anonymous memory, cut into arrays. Pages that nobody touches cost nothing, and all begin
// as zero.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "base/error.h"

namespace pixellm {

class Arena {
 public:
  Arena() = default;
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;
  ~Arena();

  // Plans n elements of T, 64-byte aligned; the result is for at(). Sizes may be as large as files claim:
  // what does not fit an address space makes reserve() fail.
  template <class T>
  uint64_t add(uint64_t n) {
    return add_bytes(n, sizeof(T));
  }

  // After the last add(), once. kTooLarge names the bytes; `what` is for the message.
  Result<void> reserve(const char* what);

  // The first `bytes` are read in long runs, so that few large pages serve them better than many small ones;
  // a page that is touched is memory as a whole. Does nothing where the system has no such pages.
  void prefer_large_pages(uint64_t bytes);

  template <class T>
  T* at(uint64_t offset) const {
    return reinterpret_cast<T*>(base_ + offset);
  }
  uint64_t size() const { return size_; }

 private:
  uint64_t add_bytes(uint64_t n, uint64_t element_bytes);

  uint8_t* base_ = nullptr;
  uint64_t size_ = 0;
  bool overflow_ = false;
  std::vector<std::pair<uint64_t, uint64_t>> gaps_;  // bytes between arrays
};

}  // namespace pixellm
