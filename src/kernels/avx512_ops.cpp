// Norms, activation functions, RoPE, softmax and attention with AVX-512.
#include <cstdint>

#include "kernels/kernel_parts.h"
#include "kernels/math_constants.h"
#include "kernels/simd_avx512.h"

PIXELLM_BEGIN_AVX512
namespace pixellm::avx512 {
namespace {

#include "kernels/ops-inl.h"
//
#include "kernels/attention-inl.h"

}  // namespace

#include "kernels/fill_ops-inl.h"

}  // namespace pixellm::avx512
PIXELLM_END_TARGET
