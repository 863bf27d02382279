// `pixellm bench --device gpu`.
#pragma once
#include <cstdint>

#include "cli/bench_measure.h"

namespace pixellm::cli {

// Prints a line for each repeat; with `profile` the time of every kernel of a token.
Result<void> bench_gpu(const Runtime& runtime, const BenchPlan& plan, uint32_t repeats, bool json,
                       bool profile);

}  // namespace pixellm::cli
