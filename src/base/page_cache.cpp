#include "base/page_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace pixellm {

uint64_t bytes_not_in_memory(Bytes mapped) {
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(mapped.data()) / page * page;
  const uint64_t pages = (reinterpret_cast<uintptr_t>(mapped.data()) + mapped.size() - begin) / page;
  const uint64_t samples = std::min<uint64_t>(pages, 256);
  uint64_t missing = 0;
  for (uint64_t i = 0; i < samples; i++) {
    unsigned char here = 1;
    if (::mincore(reinterpret_cast<void*>(begin + i * pages / samples * page), page, &here) != 0) return 0;
    missing += (here & 1) == 0;
  }
  return samples == 0 ? 0 : mapped.size() / samples * missing;
}

}  // namespace pixellm
