#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/test_model.h"

namespace pixellm {
namespace {

using ::testing::HasSubstr;

struct Options {
  bool is_big = false, is_relative = false;
  uint64_t entry_bytes = 28;
  uint8_t encoding = 1, precision = 0, minor = 0;
};

constexpr uint64_t kWidth = 16;

template <class T>
void put(uint8_t* p, T v, bool is_big) {
  is_big ? store_be<T>(p, v) : store_le<T>(p, v);
}

// Two tensors, "embed" of 4 x 8 and "ffn" of 16 x 3 pixels, behind a version 1 header.
std::vector<uint8_t> version1(const Options& o) {
  const uint64_t areas[] = {32, 48};
  const uint64_t first = ceil_div(256 + 2 * o.entry_bytes, 3), rows = ceil_div(first + 80, kWidth);
  std::vector<uint8_t> p(rows * kWidth * 3);
  std::memcpy(p.data(), "PXIM", 4);
  p[4] = 1;
  p[5] = o.minor;
  put<uint16_t>(&p[6], 1, o.is_big);
  put<uint32_t>(&p[0x10], 320, o.is_big);
  put<uint32_t>(&p[0x14], 7, o.is_big);
  p[0x28] = o.encoding;
  p[0x29] = o.precision;
  put<uint16_t>(&p[0x2A], 64, o.is_big);
  put<uint32_t>(&p[0x2C], kWidth, o.is_big);
  put<uint32_t>(&p[0x30], static_cast<uint32_t>(rows), o.is_big);
  uint64_t pixel = o.is_relative ? 0 : first;
  for (uint64_t i = 0; i < 2; i++) {
    uint8_t* e = &p[256 + i * o.entry_bytes];
    put<uint64_t>(e, pixel, o.is_big);
    put<uint32_t>(e + 8, i == 0 ? 4 : 16, o.is_big);
    put<uint32_t>(e + 12, i == 0 ? 8 : 3, o.is_big);
    e[16] = i == 0 ? 0 : 2;
    pixel += areas[i];
  }
  for (uint64_t i = 0; i < 240; i++) p[first * 3 + i] = static_cast<uint8_t>(i * 37 & 0xBF);
  const Digest d = sha256(Bytes(p).subspan(first * 3, 240));
  std::copy(d.begin(), d.end(), p.begin() + 0x34);
  return p;
}

std::string error_of(const std::vector<uint8_t>& payload) {
  const auto file = wrap_in_pxif(payload, kWidth * 3);
  const auto model = open_wrapped(file);
  return model ? "" : model.error().message;
}

TEST(Version1, ReadsWhatTheHashProves) {
  for (const uint64_t entry_bytes : {28, 32})
    for (const bool is_relative : {false, true}) {
      const auto payload = version1({.is_relative = is_relative, .entry_bytes = entry_bytes});
      const auto file = wrap_in_pxif(payload, kWidth * 3);
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
  const auto payload = version1({.encoding = 3, .precision = 1});
  const auto file = wrap_in_pxif(payload, kWidth * 3);
  const auto model = open_wrapped(file);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->tensors()[1].type, TensorType::kF16);
  EXPECT_EQ(model->tensors()[1].n_elements(), 72u);
}

TEST(Version1, RefusesWhatTheTextLeavesOpen) {
  EXPECT_THAT(error_of(version1({.encoding = 2, .precision = 2})),
              HasSubstr("no field stores the minimum and the maximum"));
  EXPECT_THAT(error_of(version1({.is_big = true})), HasSubstr("byte order of the weights"));
  EXPECT_THAT(error_of(version1({.encoding = 1, .precision = 1})),
              HasSubstr("weight_encoding 1 with precision 1"));
  EXPECT_THAT(error_of(version1({.encoding = 7})), HasSubstr("weight_encoding is 7"));
  EXPECT_THAT(error_of(version1({.minor = 1})), HasSubstr("version 1.1"));
  auto payload = version1({});
  payload[0x34] ^= 1;
  EXPECT_THAT(error_of(payload), HasSubstr("the directory cannot be decided"));
  payload = version1({});
  payload.back() = 1;  // behind the weights: belongs to nobody
  EXPECT_EQ(error_of(payload), "");
  payload[0x2C] = 17;
  EXPECT_THAT(error_of(payload), HasSubstr("total_width x total_height is 17"));
}

TEST(Version1, EveryBitFlipAndTruncation) {
  const auto payload = version1({});
  for (size_t bit = 0; bit < (256 + 64) * 8; bit++) {
    auto bad = payload;
    bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const auto file = wrap_in_pxif(bad, kWidth * 3);
    const auto model = open_wrapped(file);
    if (!model) continue;
    for (const TensorInfo& t : model->tensors()) ASSERT_EQ(source_bytes(*model, t).size(), t.stored_bytes);
  }
  for (size_t n = 1; n < payload.size(); n++) {
    std::vector<uint8_t> cut(payload.begin(), payload.begin() + static_cast<ptrdiff_t>(n));
    if (n >= 0x34) store_le<uint32_t>(&cut[0x30], static_cast<uint32_t>(ceil_div(n, kWidth * 3)));
    if (n <= payload.size() - kWidth * 3) {
      EXPECT_NE(error_of(cut), "") << n;
    }
  }
}

}  // namespace
}  // namespace pixellm
