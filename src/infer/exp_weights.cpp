#include "infer/exp_weights.h"

#include "infer/portable_math.h"

namespace pixellm {
namespace {

[[gnu::always_inline]] inline void fill(const float* scores, size_t n, double best, double scale,
                                        double* out) {
  for (size_t i = 0; i < n; i++) out[i] = portable_exp((static_cast<double>(scores[i]) - best) * scale);
}

#if defined(__x86_64__)
using Fill = void (*)(const float*, size_t, double, double, double*);

__attribute__((target("avx2"))) void fill_avx2(const float* scores, size_t n, double best, double scale,
                                               double* out) {
  fill(scores, n, best, scale, out);
}
__attribute__((target("avx512f"))) void fill_avx512(const float* scores, size_t n, double best, double scale,
                                                    double* out) {
  fill(scores, n, best, scale, out);
}
void fill_plain(const float* scores, size_t n, double best, double scale, double* out) {
  fill(scores, n, best, scale, out);
}

Fill choose() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return fill_avx512;
  return __builtin_cpu_supports("avx2") ? fill_avx2 : fill_plain;
}
#endif

}  // namespace

void exp_weights(std::span<const float> scores, double best, double scale, std::span<double> out) {
#if defined(__x86_64__)
  static const Fill chosen = choose();
  chosen(scores.data(), scores.size(), best, scale, out.data());
#else
  fill(scores.data(), scores.size(), best, scale, out.data());
#endif
}

void exp_weights_plain(std::span<const float> scores, double best, double scale, std::span<double> out) {
  fill(scores.data(), scores.size(), best, scale, out.data());
}

}  // namespace pixellm
