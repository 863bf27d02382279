#include "gpu/weight_textures.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <random>

#include "gpu/gpu_test_world.h"
#include "pixel/flat_png.h"
#include "pixel/png_encode.h"
#include "pixel/pxif_writer.h"

namespace pixellm::gpu {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Copies every texel of a texture, layer after layer, into a buffer.
constexpr char kReadBack[] = R"(@group(0) @binding(0) var pixels: texture_2d_array<u32>;
@group(0) @binding(1) var<storage, read_write> texels: array<vec4<u32>>;
@compute @workgroup_size(8, 8) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let size = textureDimensions(pixels);
  if (id.x < size.x && id.y < size.y) {
    texels[(id.z * size.y + id.y) * size.x + id.x] = textureLoad(pixels, id.xy, id.z, 0);
  }
})";

class WeightTexturesTest : public GpuTest {
 protected:
  static constexpr uint32_t kWidth = 64, kRows = 333;  // pixels: 12 texels a row

  void SetUp() override {
    DeviceOptions low;
    low.at_most.max_texture_size = 64;
    low.at_most.max_texture_layers = 5;
    open(low);
    std::mt19937 random(3);
    pixels_.resize(size_t{3} * kWidth * kRows);
    for (uint8_t& p : pixels_) p = static_cast<uint8_t>(random());
    folder_ = std::filesystem::path(testing::TempDir()) / ("pixellm_weights_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string flat_png(uint64_t width);
  void check_upload(const PixelPlane& plane);

  // Payload bytes of the rows of `texture`, padded to whole layers.
  std::vector<uint8_t> read_back(const Texture& texture) {
    std::vector<uint8_t> out(size_t{16} * texture.width() * texture.height() * texture.layers());
    const auto read = [&]() -> Result<void> {
      const auto pipeline = PIXELLM_TRY(device().pipeline("read_back", kReadBack, {}));
      const auto buffer = PIXELLM_TRY(device().buffer(out.size(), BufferUse::kStorage, "texels"));
      const Binding bindings[] = {{0, texture}, {1, buffer}};
      const auto group = PIXELLM_TRY(device().bind(pipeline, bindings));
      Commands commands;
      commands.dispatch(pipeline, group, (texture.width() + 7) / 8, (texture.height() + 7) / 8,
                        texture.layers());
      return device().submit_read(commands, buffer, 0, out);
    }();
    EXPECT_TRUE(read) << read.error().message;
    return out;
  }

  std::vector<uint8_t> pixels_;
  std::filesystem::path folder_;
};

std::string WeightTexturesTest::flat_png(uint64_t width) {
  const std::string path = folder_ / "flat.png";
  auto png = FlatPngWriter::create(path, 3 * width, kRows);
  EXPECT_TRUE(png) << png.error().message;
  for (uint32_t row = 0; row < kRows; row++)
    EXPECT_TRUE(png->write_row(Bytes(pixels_).subspan(row * 3 * width, 3 * width)));
  EXPECT_TRUE(png->finish());
  return path;
}

// Tensors that share rows, more of them than one texture of 5 layers of 16 rows holds: every texel is where
// it is said to be.
void WeightTexturesTest::check_upload(const PixelPlane& plane) {
  const std::vector<RowRange> tensors = {{0, 1},     {1, 30},    {29, 80},   {80, 150},
                                         {149, 160}, {160, 161}, {200, 280}, {279, 333}};
  UploadOptions options;
  options.rows_per_layer = 16;
  options.step_bytes = 2 * 10 * plane.row_bytes();  // steps of 10 rows, which do not divide a layer
  uint64_t last = 0, all = 0;
  options.progress = [&](uint64_t done, uint64_t total) {
    EXPECT_GT(done, last);
    last = done;
    all = total;
  };
  const auto cut =
      cut_rows(tensors, max_texture_rows(device().limits(), plane.row_bytes(), options.rows_per_layer));
  ASSERT_TRUE(cut) << cut.error().message;
  EXPECT_GE(cut->textures.size(), 4u);
  const auto weights = upload_rows(device(), plane, cut->textures, options);
  ASSERT_TRUE(weights) << weights.error().message;
  ASSERT_EQ(weights->textures.size(), cut->textures.size());
  EXPECT_EQ(last, all);
  std::vector<std::vector<uint8_t>> texels;
  for (const Texture& texture : weights->textures) texels.push_back(read_back(texture));
  for (size_t i = 0; i < tensors.size(); i++) {
    const auto [texture, first] = cut->tensors[i];
    for (uint64_t r = 0; r < tensors[i].end - tensors[i].first; r++) {
      const uint64_t layer = (first + r) / 16, y = (first + r) % 16,
                     height = weights->textures[texture].height();
      ASSERT_LT(layer, weights->textures[texture].layers());
      const auto begin =
          texels[texture].begin() + static_cast<ptrdiff_t>((layer * height + y) * plane.row_bytes());
      ASSERT_TRUE(std::ranges::equal(plane.row(tensors[i].first + r), std::span(begin, plane.row_bytes())))
          << "tensor " << i << " row " << r;
    }
  }
}

TEST_F(WeightTexturesTest, AFlatPng) {
  const auto plane = PixelPlane::open(flat_png(kWidth));
  ASSERT_TRUE(plane) << plane.error().message;
  ASSERT_EQ(plane->kind(), PlaneKind::kFlatPng);
  check_upload(*plane);
}

TEST_F(WeightTexturesTest, APxif) {
  const std::string path = folder_ / "picture.pxi";
  auto file = PxifWriter::create(path, {.width = kWidth});
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_TRUE(file->write(pixels_));
  ASSERT_TRUE(file->finish());
  const auto plane = PixelPlane::open(path);
  ASSERT_TRUE(plane) << plane.error().message;
  ASSERT_EQ(plane->kind(), PlaneKind::kPxif);
  check_upload(*plane);
}

TEST_F(WeightTexturesTest, ADecodedPng) {
  const std::string path = folder_ / "small.png";
  ASSERT_TRUE(write_rgb_png(path, kWidth, kRows, pixels_));
  const auto plane = PixelPlane::open(path);
  ASSERT_TRUE(plane) << plane.error().message;
  ASSERT_EQ(plane->kind(), PlaneKind::kDecodedPng);
  check_upload(*plane);
}

TEST_F(WeightTexturesTest, PagesMayBeGivenBackBehindTheUpload) {
  const auto plane = PixelPlane::open(flat_png(kWidth));
  ASSERT_TRUE(plane) << plane.error().message;
  const RowRange rows[] = {{3, 60}};
  const auto weights = upload_rows(
      device(), *plane, rows, {.rows_per_layer = 32, .step_bytes = 1, .release_pages = true, .progress = {}});
  ASSERT_TRUE(weights) << weights.error().message;
  const auto texels = read_back(weights->textures.front());
  for (uint64_t r = 0; r < 57; r++)
    ASSERT_EQ(std::memcmp(texels.data() + r * 192, plane->row(3 + r).data(), 192), 0) << r;
}

TEST_F(WeightTexturesTest, WhatCannotBeUploadedIsAnError) {
  const auto plane = PixelPlane::open(flat_png(kWidth));
  ASSERT_TRUE(plane) << plane.error().message;
  const auto error_for = [&](RowRange range, uint32_t rows_per_layer) {
    const RowRange ranges[] = {range};
    const auto made =
        upload_rows(device(), *plane, ranges, {.rows_per_layer = rows_per_layer, .progress = {}});
    return made ? Error{} : made.error();
  };
  EXPECT_EQ(error_for({0, 334}, 64).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_for({7, 7}, 64).code, ErrorCode::kInvalidArgument);
  const Error deep = error_for({0, 81}, 16);
  EXPECT_EQ(deep.code, ErrorCode::kTooLarge);
  EXPECT_THAT(deep.message, AllOf(HasSubstr("flat.png"), HasSubstr("81 rows"), HasSubstr("80")));
  EXPECT_EQ(error_for({0, 10}, 65).code, ErrorCode::kTooLarge);
  EXPECT_EQ(error_for({0, 10}, 0).code, ErrorCode::kTooLarge);
}

TEST_F(WeightTexturesTest, RowsThatAreNotWholeTexelsAreRefused) {
  const std::string path = folder_ / "odd.png";
  ASSERT_TRUE(write_rgb_png(path, 63, 4, Bytes(pixels_).first(63 * 3 * 4)));
  const auto plane = PixelPlane::open(path);
  ASSERT_TRUE(plane) << plane.error().message;
  const RowRange ranges[] = {{0, 4}};
  const auto made = upload_rows(device(), *plane, ranges, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(made.error().message, AllOf(HasSubstr("odd.png"), HasSubstr("189"), HasSubstr("16")));
}

TEST_F(WeightTexturesTest, AFileCutShortBehindItsMappingIsAnError) {
  const std::string path = flat_png(kWidth);
  const auto plane = PixelPlane::open(path);
  ASSERT_TRUE(plane) << plane.error().message;
  std::filesystem::resize_file(path, 8192);
  const RowRange ranges[] = {{0, 70}};
  const auto made = upload_rows(device(), *plane, ranges, {.rows_per_layer = 16, .progress = {}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kIo);
  EXPECT_THAT(made.error().message, HasSubstr("flat.png"));
}

TEST_F(WeightTexturesTest, ALostDeviceIsAnError) {
  const auto plane = PixelPlane::open(flat_png(kWidth));
  ASSERT_TRUE(plane) << plane.error().message;
  const RowRange ranges[] = {{0, 70}};
  UploadOptions options;
  options.rows_per_layer = 16;
  options.step_bytes = 1;
  options.progress = [&](uint64_t done, uint64_t) {
    if (done > 20 * 192) device().lose();
  };
  const auto made = upload_rows(device(), *plane, ranges, options);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("lost"));
}

}  // namespace
}  // namespace pixellm::gpu
