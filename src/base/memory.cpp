#include "base/memory.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace pixellm {

uint64_t memory_limit_bytes() {
  uint64_t limit = ~uint64_t{0};
  const long pages = ::sysconf(_SC_PHYS_PAGES), page_bytes = ::sysconf(_SC_PAGESIZE);
  if (pages > 0 && page_bytes > 0) limit = static_cast<uint64_t>(pages) * static_cast<uint64_t>(page_bytes);
  rlimit space{};
  if (::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
    limit = std::min<uint64_t>(limit, space.rlim_cur);
  return limit;
}

Result<void> check_memory(uint64_t bytes, std::string_view what) {
  const uint64_t limit = memory_limit_bytes();
  if (bytes <= limit) return {};
  return fail(ErrorCode::kTooLarge,
              fmt::format("{} takes {} bytes of memory, there are {}", what, bytes, limit));
}

}  // namespace pixellm
