#include "infer/arena.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <utility>

#include "base/bytes.h"

#if defined(__SANITIZE_ADDRESS__)
#define PIXELLM_ARENA_REDZONES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PIXELLM_ARENA_REDZONES 1
#endif
#endif
#ifdef PIXELLM_ARENA_REDZONES
#include <sanitizer/asan_interface.h>
#endif

namespace pixellm {
namespace {

// Under AddressSanitizer the lines between two arrays may not be touched, so that a kernel that runs past one
// is seen.
void forbid([[maybe_unused]] const uint8_t* from, [[maybe_unused]] uint64_t bytes) {
#ifdef PIXELLM_ARENA_REDZONES
  ASAN_POISON_MEMORY_REGION(from, bytes);
#endif
}

void allow([[maybe_unused]] const uint8_t* from, [[maybe_unused]] uint64_t bytes) {
#ifdef PIXELLM_ARENA_REDZONES
  ASAN_UNPOISON_MEMORY_REGION(from, bytes);
#endif
}

constexpr uint64_t kSmallPage = 4096, kLargePage = 2 << 20;

// Zeroed memory that begins at a large page when it is as large as one, or MAP_FAILED.
void* map_aligned(uint64_t bytes) {
  const uint64_t spare = bytes < kLargePage ? 0 : kLargePage;
  void* p = mmap(nullptr, bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
  if (p == MAP_FAILED || spare == 0) return p;
  auto* from = static_cast<uint8_t*>(p);
  const uint64_t before =
      round_up(reinterpret_cast<uintptr_t>(from), kLargePage) - reinterpret_cast<uintptr_t>(from);
  if (before > 0) munmap(from, before);
  if (spare > before) munmap(from + before + bytes, spare - before);
  return from + before;
}

}  // namespace

Arena::Arena(Arena&& other) noexcept { *this = std::move(other); }

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(size_, other.size_);
  std::swap(overflow_, other.overflow_);
  std::swap(gaps_, other.gaps_);
  return *this;
}

Arena::~Arena() {
  if (!base_) return;
  allow(base_, size_);
  munmap(base_, round_up(size_, kSmallPage));
}

uint64_t Arena::add_bytes(uint64_t n, uint64_t element_bytes) {
  const uint64_t offset = size_;
  const auto bytes = checked_mul(n, element_bytes);
  const auto end = bytes ? checked_add(size_, *bytes) : std::nullopt;
  // An odd number of lines between arrays, so that arrays of round sizes do not all begin at the same cache
  // set.
  const auto next = end ? checked_add(*end, 3 * 64 + 63) : std::nullopt;
  if (next)
    gaps_.emplace_back(*end, *next / 64 * 64);
  else
    overflow_ = true;
  size_ = next ? *next / 64 * 64 : size_;
  return offset;
}

Result<void> Arena::reserve(const char* what) {
  if (size_ == 0 && !overflow_) return {};
  void* p = MAP_FAILED;
  if (!overflow_ && size_ < uint64_t{1} << 47) p = map_aligned(round_up(size_, kSmallPage));
  if (p == MAP_FAILED)
    return fail(ErrorCode::kTooLarge,
                fmt::format("infer: the system gives no {} bytes for the {}; a smaller context needs less",
                            overflow_ ? "2^64 or more" : std::to_string(size_), what));
  base_ = static_cast<uint8_t*>(p);
  for (const auto& [from, to] : gaps_) forbid(base_ + from, to - from);
  return {};
}

void Arena::prefer_large_pages([[maybe_unused]] uint64_t bytes) {
#ifdef MADV_HUGEPAGE
  if (const uint64_t whole = bytes / kLargePage * kLargePage; whole > 0) madvise(base_, whole, MADV_HUGEPAGE);
#endif
}

}  // namespace pixellm
