// Golden hashes. When one changes, the arithmetic changed: on purpose, then put the new one here and into the
// commit's "Signature:" line, or by mistake.
#include "infer/signature.h"

#include <gtest/gtest.h>

namespace pixellm {
namespace {

constexpr std::pair<std::string_view, std::string_view> kGolden[] = {
    {"gpt2", "097bc9f7c62e34f4e849db62c62ebddb80de234539284625d299688995cc2cfb"},
    {"llama", "73118c0f99d43a34f9a8b93c3f8d04e885c47bcab6e1f9797578be6564eaf587"},
    {"qwen2", "1e1ead2108f7909f79692681af9449216eb76c4629fd502bfa34b8d5aa77e154"},
    {"qwen3", "ccc2017e62b3076dd8b473dee075be3ad07c58dff11958d7900ec885a87e0acc"},
    {"gemma3", "15e9eff852621369ca773a1065ea216e83790e6d057d0fee7eb01b26397a69fe"},
    {"mlp", "cf557240a00c9c564962ae5440277fb0cf2194f267c396a1e833f40e4d903722"},
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

TEST(Signature, TheWholeIsThatOfTheParts) {
  const auto whole = model_signature();
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(*whole, "06a40d0195e2b1d42cb21f98d33432193b90e4701f97b81fa31efe19f21b8ae7");
}

}  // namespace
}  // namespace pixellm
