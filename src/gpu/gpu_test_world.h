// What the GPU's tests share: a device of this machine, or a test that is skipped and says why.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "gpu/device.h"

namespace pixellm::gpu {

// PIXELLM_GPU_REQUIRED=1 (./test --gpu): a machine without an adapter fails instead of skipping.
inline bool gpu_required() {
  const char* set = std::getenv("PIXELLM_GPU_REQUIRED");
  return set != nullptr && *set != 0 && std::string_view(set) != "0";
}

// Opens a device for the test that derives from it; device() only after SetUp().
class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override { open({}); }

  // Skips or fails the running test when there is none; says which adapter it is.
  void open(const DeviceOptions& options) {
    device_.reset();
    auto opened = Device::open(options);
    if (!opened && gpu_required()) FAIL() << opened.error().message;
    if (!opened && opened.error().code != ErrorCode::kNotFound) FAIL() << opened.error().message;
    if (!opened) GTEST_SKIP() << "skipped without a GPU adapter: " << opened.error().message;
    const AdapterInfo& a = opened->adapter();
    static bool said = false;
    if (!std::exchange(said, true))
      std::cout << "adapter: " << a.name << ", " << a.backend << ", " << a.type << ", " << a.driver << "\n";
    RecordProperty("adapter", a.name);
    device_.emplace(std::move(*opened));
  }

  Device& device() { return *device_; }

  template <class T>
  static Bytes bytes_of(const std::vector<T>& values) {
    return {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(T)};
  }
  template <class T>
  static MutableBytes bytes_of(std::vector<T>& values) {
    return {reinterpret_cast<uint8_t*>(values.data()), values.size() * sizeof(T)};
  }

 private:
  std::optional<Device> device_;
};

}  // namespace pixellm::gpu
