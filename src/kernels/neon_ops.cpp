// Norms, activation functions, RoPE, softmax and attention with NEON.
#include <cstdint>

#include "kernels/kernel_parts.h"
#include "kernels/math_constants.h"
#include "kernels/simd_neon.h"

PIXELLM_BEGIN_NEON
namespace pixellm::neon {
namespace {

#include "kernels/ops-inl.h"
//
#include "kernels/attention-inl.h"

}  // namespace

#include "kernels/fill_ops-inl.h"

}  // namespace pixellm::neon
PIXELLM_END_TARGET
