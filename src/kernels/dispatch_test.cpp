#include <cstdlib>
#include <optional>

#include "kernels/kernels.h"
#include "kernels/test_data.h"

namespace pixellm {
namespace {

// Sets PIXELLM_ISA for one test and puts back what was there.
class Dispatch : public testing::Test {
 protected:
  Dispatch() {
    if (const char* v = std::getenv("PIXELLM_ISA")) before_ = v;
    unsetenv("PIXELLM_ISA");
  }
  ~Dispatch() override {
    if (before_)
      setenv("PIXELLM_ISA", before_->c_str(), 1);
    else
      unsetenv("PIXELLM_ISA");
  }
  static void force(const char* word) { setenv("PIXELLM_ISA", word, 1); }

 private:
  std::optional<std::string> before_;
};

TEST_F(Dispatch, TablesAreComplete) {
  const std::vector<const Kernels*> all = available_kernels();
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all[0], &kScalarKernels);
  for (const Kernels* k : all) {
    SCOPED_TRACE(k->name);
    EXPECT_EQ(kernels_for(k->isa), k);
    for (const Kernels::Matmul m : k->matmul) EXPECT_NE(m, nullptr);
    EXPECT_NE(k->prepare, nullptr);
    EXPECT_NE(k->rms_norm, nullptr);
    EXPECT_NE(k->layer_norm, nullptr);
    EXPECT_NE(k->add, nullptr);
    EXPECT_NE(k->scale, nullptr);
    EXPECT_NE(k->silu_mul, nullptr);
    EXPECT_NE(k->gelu_mul, nullptr);
    EXPECT_NE(k->gelu, nullptr);
    EXPECT_NE(k->softcap, nullptr);
    EXPECT_NE(k->rope, nullptr);
    EXPECT_NE(k->attention, nullptr);
    EXPECT_NE(k->to_f16, nullptr);
    EXPECT_NE(k->softmax, nullptr);
    EXPECT_NE(k->int8_peak, nullptr);
  }
}

#if defined(__x86_64__)
TEST_F(Dispatch, ThisCpuGetsWhatItHas) {
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  EXPECT_EQ(kernels_for(Isa::kAvx2) != nullptr, avx2);
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  EXPECT_EQ(kernels_for(Isa::kAvx512) != nullptr, avx512);
  EXPECT_EQ(kernels_for(Isa::kAvxVnni) != nullptr, avx2 && __builtin_cpu_supports("avxvnni"));
  if (avx512) {
    EXPECT_NE(kernels_for(Isa::kAvx512Bw), nullptr);
  }
  EXPECT_EQ(kernels_for(Isa::kNeon), nullptr);
}
#endif

TEST_F(Dispatch, WithoutAWordTheBestIsActive) {
  const auto active = active_kernels();
  ASSERT_TRUE(active.has_value());
  EXPECT_EQ(*active, available_kernels().back());
  force("");
  EXPECT_EQ(*active_kernels(), *active);
}

TEST_F(Dispatch, AWordForcesItsIsa) {
  for (const Kernels* k : available_kernels()) {
    force(std::string(k->name).c_str());
    const auto active = active_kernels();
    ASSERT_TRUE(active.has_value());
    EXPECT_EQ(*active, k);
  }
}

TEST_F(Dispatch, AnUnknownWordIsRefused) {
  for (const char* word : {"sse9", "AVX2", "avx", "scalar "}) {
    force(word);
    const auto active = active_kernels();
    ASSERT_FALSE(active.has_value()) << word;
    EXPECT_EQ(active.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(active.error().message.find(word), std::string::npos);
  }
}

TEST_F(Dispatch, AnIsaOfAnotherMachineIsUnsupported) {
  int lacking = 0;
  for (const auto& [word, isa] : {std::pair{"neon", Isa::kNeon},
                                  {"avx512bw", Isa::kAvx512Bw},
                                  {"avxvnni", Isa::kAvxVnni},
                                  {"avx2", Isa::kAvx2}}) {
    if (kernels_for(isa) != nullptr) continue;
    lacking++;
    force(word);
    const auto active = active_kernels();
    ASSERT_FALSE(active.has_value()) << word;
    EXPECT_EQ(active.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(active.error().message.find(word), std::string::npos);
  }
  EXPECT_GT(lacking, 0);  // no machine has both x86's and Arm's
}

TEST(ActivationShape, OneTokenIsAPanelOfOne) {
  const Activations one = Activations::shape(1, 576, ActivationKind::kInt8);
  EXPECT_EQ(one.panel, 1);
  EXPECT_EQ(one.n_panels(), 1u);
  EXPECT_EQ(one.k_padded, 768u);
  EXPECT_EQ(one.bytes_needed(), 768 / 32 * sizeof(ActBlock<1>));
  EXPECT_EQ(Activations::shape(1, 576, ActivationKind::kFloat).bytes_needed(), 768 * sizeof(float));
}

TEST(ActivationShape, MoreTokensFillPanelsOfEight) {
  const Activations nine = Activations::shape(9, 256, ActivationKind::kInt8);
  EXPECT_EQ(nine.panel, kPanel);
  EXPECT_EQ(nine.n_panels(), 2u);
  EXPECT_EQ(nine.bytes_needed(), 2 * 256 / 32 * sizeof(ActBlock<kPanel>));
  EXPECT_EQ(Activations::shape(9, 256, ActivationKind::kFloat).bytes_needed(),
            2 * 256 * kPanel * sizeof(float));
}

TEST(ActivationShape, FewTokensFillSmallPanelsAndTwoPlanesTakeTwoSlots) {
  const auto panel = [](uint32_t n, ActivationKind kind) { return Activations::shape(n, 64, kind).panel; };
  EXPECT_EQ(panel(2, ActivationKind::kInt8), 2);
  EXPECT_EQ(panel(3, ActivationKind::kInt8), 4);
  EXPECT_EQ(panel(4, ActivationKind::kInt8), 4);
  EXPECT_EQ(panel(5, ActivationKind::kInt8), kPanel);
  EXPECT_EQ(panel(1, ActivationKind::kInt16), 2);
  EXPECT_EQ(panel(2, ActivationKind::kInt16), 4);
  EXPECT_EQ(panel(3, ActivationKind::kInt16), kPanel);
  EXPECT_EQ(panel(2, ActivationKind::kFloat), kPanel);
  EXPECT_EQ(Activations::shape(5, 64, ActivationKind::kInt16).n_panels(), 2u);
}

}  // namespace
}  // namespace pixellm
