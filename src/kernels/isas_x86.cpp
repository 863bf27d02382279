#include <cpuid.h>

#include "kernels/kernel_parts.h"

namespace pixellm {
namespace {

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

bool has_avxvnni() { return has_avx2() && __builtin_cpu_supports("avxvnni"); }

bool has_avx512bw() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

bool has_avx512() { return has_avx512bw() && __builtin_cpu_supports("avx512vnni"); }

// AMD's family is 25 for Zen 3 and 4, 26 for Zen 5.
uint64_t best_prefetch() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return 0;
  const unsigned family = (a >> 8 & 15) + ((a >> 8 & 15) == 15 ? a >> 20 & 255 : 0);
  return __builtin_cpu_is("amd") && family >= 26 ? 4096 : 0;
}

constexpr IsaParts kIsas[] = {
    {Isa::kAvx2, "avx2", has_avx2, avx2::fill_ops, avx2::fill_matmul},
    {Isa::kAvxVnni, "avxvnni", has_avxvnni, avx2::fill_ops, avxvnni::fill_matmul},
    {Isa::kAvx512Bw, "avx512bw", has_avx512bw, avx512::fill_ops, avx512bw::fill_matmul},
    {Isa::kAvx512, "avx512", has_avx512, avx512::fill_ops, avx512::fill_matmul},
};

}  // namespace

const uint64_t g_prefetch_bytes = best_prefetch();

std::span<const IsaParts> built_isas() { return kIsas; }

}  // namespace pixellm
