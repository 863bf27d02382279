// What this machine can hold: for refusing at once what would end with the process killed for want of memory.
//
//   PIXELLM_CHECK(check_memory(n_bytes, "a region of 3 by 5 pixels"));     // before it is taken
// Any thread.
#pragma once
#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace pixellm {

// The machine's memory in bytes, or less where the process is limited to less (ulimit -v).
uint64_t memory_limit_bytes();

// kTooLarge, naming `what`, when it takes more than that.
Result<void> check_memory(uint64_t bytes, std::string_view what);

}  // namespace pixellm
