// How long work tells its caller how far it is. Called from the thread that does the work; an empty function
// is allowed.
#pragma once
#include <cstdint>
#include <functional>

namespace pixellm {

using Progress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

}  // namespace pixellm
