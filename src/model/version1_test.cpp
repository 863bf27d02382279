#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/test_model.h"
#include "model/test_version1.h"

namespace pixellm {
namespace {

using ::testing::HasSubstr;

std::string error_of(const std::vector<uint8_t>& payload) {
  const auto file = wrap_in_pxif(payload, kVersion1Width * 3);
  const auto model = open_wrapped(file);
  return model ? "" : model.error().message;
}

TEST(Version1, ReadsWhatTheHashProves) {
  for (const uint64_t entry_bytes : {28, 32})
    for (const bool is_relative : {false, true}) {
      const auto payload = version1_payload({.is_relative = is_relative, .entry_bytes = entry_bytes});
      const auto file = wrap_in_pxif(payload, kVersion1Width * 3);
      const auto model = open_wrapped(file);
      ASSERT_TRUE(model) << model.error().message;
      EXPECT_EQ(model->header().version_major, 1);
      EXPECT_EQ(model->header().vocab_size, 320u);
      EXPECT_EQ(model->header().n_layers, 7u);
      ASSERT_EQ(model->tensors().size(), 2u);
      const TensorInfo &a = *model->find("layer.0.embed"), &b = *model->find("layer.1.ffn");
      EXPECT_EQ(a.n_elements(), 24u);
      EXPECT_EQ(b.n_elements(), 36u);
      const uint64_t first = ceil_div(256 + 2 * entry_bytes, 3) * 3;
      EXPECT_EQ(source_bytes(*model, b), std::vector(payload.begin() + static_cast<ptrdiff_t>(first + 96),
                                                     payload.begin() + static_cast<ptrdiff_t>(first + 240)));
      const auto floats = model->read_floats(a);
      ASSERT_TRUE(floats);
      EXPECT_EQ((*floats)[5], load_le<float>(&payload[first + 20]));
      ThreadPool pool(1);
      EXPECT_THAT(*model->verify(VerifyLevel::kSha256, pool), ::testing::IsEmpty());
    }
}

TEST(Version1, HalfPrecision) {
  const auto payload = version1_payload({.encoding = 3, .precision = 1});
  const auto file = wrap_in_pxif(payload, kVersion1Width * 3);
  const auto model = open_wrapped(file);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->tensors()[1].type, TensorType::kF16);
  EXPECT_EQ(model->tensors()[1].n_elements(), 72u);
}

TEST(Version1, RefusesWhatTheTextLeavesOpen) {
  EXPECT_THAT(error_of(version1_payload({.encoding = 2, .precision = 2})),
              HasSubstr("no field stores the minimum and the maximum"));
  EXPECT_THAT(error_of(version1_payload({.is_big = true})), HasSubstr("byte order of the weights"));
  EXPECT_THAT(error_of(version1_payload({.encoding = 1, .precision = 1})),
              HasSubstr("weight_encoding 1 with precision 1"));
  EXPECT_THAT(error_of(version1_payload({.encoding = 7})), HasSubstr("weight_encoding is 7"));
  EXPECT_THAT(error_of(version1_payload({.minor = 1})), HasSubstr("version 1.1"));
  auto payload = version1_payload({});
  payload[0x34] ^= 1;
  EXPECT_THAT(error_of(payload), HasSubstr("the directory cannot be decided"));
  payload = version1_payload({});
  payload.back() = 1;  // behind the weights: belongs to nobody
  EXPECT_EQ(error_of(payload), "");
  payload[0x2C] = 17;
  EXPECT_THAT(error_of(payload), HasSubstr("total_width x total_height is 17"));
}

TEST(Version1, EveryBitFlipAndTruncation) {
  const auto payload = version1_payload({});
  for (size_t bit = 0; bit < (256 + 64) * 8; bit++) {
    auto bad = payload;
    bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const auto file = wrap_in_pxif(bad, kVersion1Width * 3);
    const auto model = open_wrapped(file);
    if (!model) continue;
    for (const TensorInfo& t : model->tensors()) ASSERT_EQ(source_bytes(*model, t).size(), t.stored_bytes);
  }
  for (size_t n = 1; n < payload.size(); n++) {
    std::vector<uint8_t> cut(payload.begin(), payload.begin() + static_cast<ptrdiff_t>(n));
    if (n >= 0x34) store_le<uint32_t>(&cut[0x30], static_cast<uint32_t>(ceil_div(n, kVersion1Width * 3)));
    if (n <= payload.size() - kVersion1Width * 3) {
      EXPECT_NE(error_of(cut), "") << n;
    }
  }
}

}  // namespace
}  // namespace pixellm
