#include "gpu/shaders.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace pixellm::gpu {
namespace {

TEST(Shaders, EveryFileIsPartOfTheProgramAsItStands) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(PIXELLM_SOURCE_DIR "/src/gpu/shaders")) {
    if (entry.path().extension() != ".wgsl") continue;
    count++;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    EXPECT_EQ(shader_text(entry.path().filename().string()), text) << entry.path();
  }
  EXPECT_EQ(shaders().size(), count);
  EXPECT_TRUE(std::ranges::is_sorted(shaders(), {}, &Shader::file_name));
  EXPECT_EQ(shader_text("no_such.wgsl"), "");
}

}  // namespace
}  // namespace pixellm::gpu
