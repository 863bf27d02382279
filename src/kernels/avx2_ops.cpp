// Norms, activation functions, RoPE, softmax and attention with AVX2.
#include <cstdint>

#include "kernels/kernel_parts.h"
#include "kernels/math_constants.h"
#include "kernels/simd_avx2.h"

PIXELLM_BEGIN_AVX2
namespace pixellm::avx2 {
namespace {

#include "kernels/ops-inl.h"
//
#include "kernels/attention-inl.h"

}  // namespace

#include "kernels/fill_ops-inl.h"

}  // namespace pixellm::avx2
PIXELLM_END_TARGET
