// argmax_part and argmax, top_k_part and top_k against a sort.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "gpu/shader_run.h"

namespace pixellm::gpu {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr uint32_t kNone = 0xffffffff, kK = 64;

class LogitsShaders : public GpuTest {
 protected:
  void check(const std::vector<float>& logits, const std::string& what) {
    SCOPED_TRACE(what + ", " + std::to_string(logits.size()) + " logits");
    const auto n = static_cast<uint32_t>(logits.size()), n_max = (n + 1023) / 1024, n_top = (n + 4095) / 4096;
    ShaderRun run(device(), pipelines_);
    const Buffer &params = run.uniform({n}), &in = run.storage(logits);
    const Buffer &max_parts = run.storage(std::vector<uint32_t>(3 * n_max, 9)),
                 &best = run.storage(std::vector<uint32_t>(2, 9));
    const Buffer &top_parts = run.storage(std::vector<uint32_t>(2 * kK * n_top, 9)),
                 &top = run.storage(std::vector<uint32_t>(2 * kK, 9));
    const auto add = [&](std::string_view shader, const Buffer& from, const Buffer& to, uint32_t groups) {
      const Binding bindings[] = {{1, params}, {2, from}, {3, to}};
      run.dispatch(shader, {}, bindings, groups);
    };
    add("argmax_part.wgsl", in, max_parts, n_max);
    add("argmax.wgsl", max_parts, best, 1);
    add("top_k_part.wgsl", in, top_parts, n_top);
    add("top_k.wgsl", top_parts, top, 1);
    if (HasFatalFailure()) return;

    std::vector<float> value = logits;
    for (float& x : value) x = std::isnan(x) ? -kInf : x;
    std::vector<uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0u);
    const auto first = [&](uint32_t a, uint32_t b) {
      return value[a] != value[b] ? value[a] > value[b] : a < b;
    };
    std::partial_sort(order.begin(), order.begin() + std::min(n, kK), order.end(), first);
    const auto got_best = run.read(best);
    EXPECT_EQ(got_best[0], order[0]);
    EXPECT_EQ(got_best[1] == 0, std::ranges::all_of(logits, [](float x) { return std::isfinite(x); }));
    const auto got = run.read(top);
    for (uint32_t i = 0; i < kK; i++) {
      ASSERT_EQ(got[2 * i], i < n ? order[i] : kNone) << "place " << i;
      ASSERT_EQ(std::bit_cast<float>(got[2 * i + 1]), i < n ? value[order[i]] : -kInf) << "place " << i;
    }
  }

 private:
  ShaderRun::Pipelines pipelines_;
};

TEST_F(LogitsShaders, EverySizeAndOrder) {
  std::mt19937 random(1);
  std::normal_distribution<float> distribution(0, 5);
  for (const size_t n : {1, 63, 64, 65, 1024, 1025, 4096, 4097, 50257, 151936}) {
    std::vector<float> x(n);
    std::ranges::generate(x, [&] { return distribution(random); });
    check(x, "random");
    std::ranges::sort(x);
    check(x, "rising");
    std::vector<float> near(n);
    std::ranges::transform(x, near.begin(), [](float v) { return 20 + v * 1e-6f; });
    check(near, "close together");
  }
}

TEST_F(LogitsShaders, EqualOnesByTheirIds) {
  for (const size_t n : {1, 70, 5000, 40000}) {
    check(std::vector<float>(n, -3.5f), "all equal");
    std::vector<float> x(n);
    for (size_t i = 0; i < n; i++) x[i] = static_cast<float>(i * 7919 % 13);
    check(x, "thirteen values");
    for (size_t i = 0; i < n; i++) x[i] = i % 3 ? -0.0f : 0.0f;
    check(x, "zeros of both signs");
  }
}

TEST_F(LogitsShaders, WhatIsNotFinite) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const size_t n : {1, 70, 5000}) {
    check(std::vector<float>(n, nan), "NaN");
    check(std::vector<float>(n, -nan), "negative NaN");
    check(std::vector<float>(n, -kInf), "-inf");
    std::vector<float> x(n);
    for (size_t i = 0; i < n; i++) x[i] = i % 5 == 0 ? nan : i % 5 == 1 ? -kInf : -static_cast<float>(i);
    check(x, "mixed");
    x[n / 2] = kInf;
    check(x, "one +inf");
    std::vector<float> last(n, -1e30f);
    last.back() = nan;
    check(last, "a NaN at the end");
  }
}

}  // namespace
}  // namespace pixellm::gpu
