#include <sys/auxv.h>

#include "kernels/kernel_parts.h"

namespace pixellm {
namespace {

constexpr unsigned long kDotProducts = 1ul << 20;  // HWCAP_ASIMDDP

bool has_neon() { return (getauxval(AT_HWCAP) & kDotProducts) != 0; }

constexpr IsaParts kIsas[] = {{Isa::kNeon, "neon", has_neon, neon::fill_ops, neon::fill_matmul}};

}  // namespace

const uint64_t g_prefetch_bytes = 0;

std::span<const IsaParts> built_isas() { return kIsas; }

}  // namespace pixellm
