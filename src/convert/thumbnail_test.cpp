#include "convert/thumbnail.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <set>

#include "convert/gguf_builder.h"
#include "convert/palette.h"

namespace pixellm {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class ThumbnailTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "pixellm-thumbnail-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  Model model_of(const GgufBuilder& b) {
    EXPECT_TRUE(write_file(path("in.gguf"), b.build()).has_value());
    const auto imported = import_model(path("in.gguf"), path("model.png"), {}, {});
    EXPECT_TRUE(imported.has_value()) << imported.error().message;
    ThreadPool pool(1);
    auto model = Model::open(path("model.png"), VerifyLevel::kNone, pool);
    EXPECT_TRUE(model.has_value()) << model.error().message;
    return std::move(*model);
  }

  fs::path folder_;
};

// [n_rows, k] floats; `value(row, column)`.
template <class F>
std::vector<uint8_t> floats(uint64_t n_rows, uint64_t k, F value) {
  std::vector<uint8_t> out;
  for (uint64_t r = 0; r < n_rows; r++)
    for (uint64_t c = 0; c < k; c++) GgufBuilder::append<float>(out, value(r, c));
  return out;
}

GgufBuilder one_matrix(std::vector<uint8_t> contents, uint64_t k, uint64_t n_rows) {
  GgufBuilder b;
  b.tensor("token_embd.weight", TensorType::kF32, {k, n_rows});
  b.tensors[0].contents = std::move(contents);
  return b;
}

Rgb pixel(const Thumbnail& image, uint32_t x, uint32_t y) {
  const size_t at = (size_t{y} * image.width + x) * 3;
  return {image.rgb[at], image.rgb[at + 1], image.rgb[at + 2]};
}
int brightness(const Rgb& c) { return c[0] + c[1] + c[2]; }

TEST_F(ThumbnailTest, LightWhereWeightsAreLarge) {
  // Large in the upper half's left quarter, whatever the sign.
  const auto value = [](uint64_t r, uint64_t c) {
    return (r < 64 && c < 32 ? 8.0f : 0.5f) * (c % 2 ? 1.0f : -1.0f);
  };
  const Model model = model_of(one_matrix(floats(128, 128, value), 128, 128));
  const auto image = draw_thumbnail(model, {.width = 128}, {});
  ASSERT_TRUE(image.has_value()) << image.error().message;
  EXPECT_EQ(image->width, 128u);
  EXPECT_EQ(image->rgb.size(), size_t{3} * 128 * image->height);
  const uint32_t left = 128 / 40, w = 128 - 2 * left, h = image->height - 2 * left;
  EXPECT_EQ(pixel(*image, 0, 0), kBackground);
  for (uint32_t y = 1; y < h - 1; y++)
    for (uint32_t x = 1; x < w - 1; x++) {
      const bool large = y < h / 2 - 1 && x<w / 4 - 1, small = y> h / 2 + 1 || x > w / 4 + 1;
      const int b = brightness(pixel(*image, left + x, left + y));
      if (large) {
        ASSERT_GT(b, 500) << x << ", " << y;
      } else if (small) {
        ASSERT_LT(b, 250) << x << ", " << y;
      }
    }
}

TEST_F(ThumbnailTest, AttentionHeadsAreNeighbours) {
  // Head n has weights of size 2^n: as many shades as heads.
  GgufBuilder b;
  b.string("general.architecture", "llama").scalar<uint32_t>("llama.attention.head_count", 9);
  b.tensor("blk.0.attn_q.weight", TensorType::kF32, {64, 16 * 9});
  b.tensors[0].contents =
      floats(16 * 9, 64, [](uint64_t r, uint64_t) { return static_cast<float>(1 << r / 16); });
  const auto image = draw_thumbnail(model_of(b), {.width = 640}, {});
  ASSERT_TRUE(image.has_value()) << image.error().message;
  std::set<Rgb> shades;
  for (uint32_t i = 0; i < image->width * image->height; i++)
    shades.insert(pixel(*image, i % image->width, i / image->width));
  EXPECT_EQ(shades.size(), 10u) << "nine heads and the background";
}

TEST_F(ThumbnailTest, EveryKindAndShapeIsDrawn) {
  GgufBuilder b;
  b.string("general.architecture", "llama").scalar<uint32_t>("llama.attention.head_count", 3);
  b.tensor("token_embd.weight", TensorType::kF16, {7, 1000})
      .tensor("output.weight", TensorType::kQ6_K, {256, 17});
  for (int layer = 0; layer < 40; layer++) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    b.tensor(prefix + "attn_norm.weight", TensorType::kF32, {1});
    b.tensor(prefix + "attn_q.weight", TensorType::kQ4_0, {96, 96});
    b.tensor(prefix + "ffn_up.weight", TensorType::kQ8_0, {10240, 3});
    b.tensor(prefix + "odd", TensorType::kBF16, {3, 2, 2, 2});
  }
  const Model model = model_of(b);
  for (const uint32_t width : {64u, 128u, 1024u}) {
    uint64_t last = 0, total = 0;
    const auto image = draw_thumbnail(model, {.width = width}, [&](uint64_t done, uint64_t all) {
      EXPECT_GE(done, last);
      last = done;
      total = all;
    });
    ASSERT_TRUE(image.has_value()) << image.error().message;
    EXPECT_EQ(last, total);
    EXPECT_GT(image->height, width / 4);
    EXPECT_LT(image->height, width * 4);
  }
}

TEST_F(ThumbnailTest, WeightsThatAreNoNumbers) {
  const auto value = [](uint64_t r, uint64_t) {
    return r % 2 ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity();
  };
  EXPECT_TRUE(draw_thumbnail(model_of(one_matrix(floats(32, 32, value), 32, 32)), {}, {}).has_value());
}

TEST_F(ThumbnailTest, TheFileIsTheDrawing) {
  const Model model = model_of(one_matrix({}, 64, 64));
  ASSERT_TRUE(write_thumbnail(model, path("small.png"), {.width = 192}, {}).has_value());
  const auto image = draw_thumbnail(model, {.width = 192}, {});
  const auto plane = PixelPlane::open(path("small.png"));
  ASSERT_TRUE(plane.has_value()) << plane.error().message;
  EXPECT_EQ(plane->kind(), PlaneKind::kFlatPng);
  std::vector<uint8_t> rgb(plane->payload_bytes());
  ASSERT_TRUE(plane->read(0, rgb).has_value());
  EXPECT_EQ(rgb, image->rgb);
}

TEST_F(ThumbnailTest, Refusals) {
  const Model model = model_of(one_matrix({}, 64, 64));
  for (const uint32_t width : {0u, 65u, 8256u}) {
    const auto image = draw_thumbnail(model, {.width = width}, {});
    ASSERT_FALSE(image.has_value());
    EXPECT_EQ(image.error().code, ErrorCode::kInvalidArgument);
  }
  const auto nothing = draw_thumbnail(model_of(GgufBuilder()), {}, {});
  ASSERT_FALSE(nothing.has_value());
  EXPECT_THAT(nothing.error().message, HasSubstr("no tensors"));
}

TEST(Palette, LightnessGrows) {
  for (int type = 0; type <= 5; type++) {
    int last = 0;
    for (int i = 0; i <= 32; i++) {
      const Rgb c = palette_color(static_cast<LayerType>(type), i / 32.0);
      const int luma = 2126 * c[0] + 7152 * c[1] + 722 * c[2];
      EXPECT_GT(luma, last) << type << " " << i;
      last = luma;
    }
  }
}

}  // namespace
}  // namespace pixellm
