#include "base/base64.h"

#include <gtest/gtest.h>

#include <random>

namespace pixellm {
namespace {

Bytes bytes(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

TEST(Base64, ExamplesOfTheRfc) {
  const std::pair<std::string_view, std::string_view> examples[] = {{"", ""},
                                                                    {"f", "Zg=="},
                                                                    {"fo", "Zm8="},
                                                                    {"foo", "Zm9v"},
                                                                    {"foob", "Zm9vYg=="},
                                                                    {"fooba", "Zm9vYmE="},
                                                                    {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : examples) {
    EXPECT_EQ(to_base64(bytes(plain)), encoded);
    const auto back = from_base64(encoded);
    ASSERT_TRUE(back) << encoded;
    EXPECT_EQ(std::string(back->begin(), back->end()), plain);
  }
}

TEST(Base64, AnyBytesComeBack) {
  std::mt19937 random(1);
  for (size_t size = 0; size < 300; size++) {
    std::vector<uint8_t> data(size);
    for (uint8_t& b : data) b = static_cast<uint8_t>(random());
    EXPECT_EQ(from_base64(to_base64(data)), data);
  }
}

TEST(Base64, RefusesAllElse) {
  for (const char* text : {"Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "====", "=m9v", "Z=9v", "Zm=v",
                           "Zg==Zm9v", " Zm9v", "Zm9v\n", "Zm-v", "Zm_v", "Zm\x80v", "Zm9vZ==="})
    EXPECT_FALSE(from_base64(text)) << text;
}

}  // namespace
}  // namespace pixellm
