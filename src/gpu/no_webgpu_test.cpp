// A build without WebGPU links the same and says what is missing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/device.h"

namespace pixellm::gpu {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(NoWebGpu, SaysWhatIsMissing) {
  for (const Error& error : {adapters().error(), Device::open({}).error()}) {
    EXPECT_EQ(error.code, ErrorCode::kNotFound);
    EXPECT_THAT(error.message, AllOf(HasSubstr("Vulkan"), HasSubstr("./run --build")));
  }
}

}  // namespace
}  // namespace pixellm::gpu
