#include "kernels/kernel_parts.h"

namespace pixellm {

std::span<const IsaParts> built_isas() { return {}; }

}  // namespace pixellm
