// Golden hashes. When one changes, the arithmetic changed: on purpose, then put the new one here and into the
// commit's "Signature:" line, or by mistake.
#include "infer/signature.h"

#include <gtest/gtest.h>

namespace pixellm {
namespace {

constexpr std::pair<std::string_view, std::string_view> kGolden[] = {
    {"gpt2", ""}, {"llama", ""}, {"qwen2", ""}, {"qwen3", ""}, {"gemma3", ""},
};

TEST(Signature, EveryInstructionSetHasTheGoldenOne) {
  for (const Kernels* kernels : available_kernels()) {
    SCOPED_TRACE(kernels->name);
    const auto parts = signature_parts(*kernels);
    ASSERT_TRUE(parts) << parts.error().message;
    ASSERT_EQ(parts->size(), std::size(kGolden));
    for (size_t i = 0; i < parts->size(); i++) {
      EXPECT_EQ((*parts)[i].architecture, kGolden[i].first);
      EXPECT_EQ((*parts)[i].sha256, kGolden[i].second) << (*parts)[i].architecture;
    }
  }
}

}  // namespace
}  // namespace pixellm
