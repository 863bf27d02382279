// Which WebGPU library is taken. No adapter is needed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gpu/device.h"

namespace pixellm::gpu {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Sets an environment variable for a while.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { old_.empty() ? ::unsetenv(name_) : ::setenv(name_, old_.c_str(), 1); }

 private:
  const char* name_;
  std::string old_;
};

TEST(WebGpuLibrary, ABadPathIsNamed) {
  const Variable variable("PIXELLM_WEBGPU", "/no/such/library.so");
  for (const Error& error : {adapters().error(), Device::open({}).error()}) {
    EXPECT_EQ(error.code, ErrorCode::kNotFound);
    EXPECT_THAT(error.message,
                AllOf(HasSubstr("/no/such/library.so"), HasSubstr("PIXELLM_WEBGPU"), HasSubstr("Vulkan")));
  }
}

TEST(WebGpuLibrary, AFileThatIsNoLibraryIsNamed) {
  const auto path = std::filesystem::path(testing::TempDir()) / "pixellm_not_a_library.so";
  std::ofstream(path) << "text";
  const Variable variable("PIXELLM_WEBGPU", path);
  const auto found = adapters();
  std::filesystem::remove(path);
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message, AllOf(HasSubstr(path.string()), HasSubstr("Vulkan")));
}

TEST(WebGpuLibrary, AnotherLibraryIsNamedWithWhatItLacks) {
  const Variable variable("PIXELLM_WEBGPU", PIXELLM_OTHER_LIBRARY);
  const auto found = adapters();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(found.error().message,
              AllOf(HasSubstr(PIXELLM_OTHER_LIBRARY), HasSubstr("wgpuCreateInstance"), HasSubstr("Vulkan")));
}

}  // namespace
}  // namespace pixellm::gpu
