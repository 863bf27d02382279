#include "map/map_picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>
#include <random>

#include "base/file.h"
#include "map/mounts.h"
#include "model/test_model.h"
#include "pixel/flat_png.h"
#include "pixel/plane.h"
#include "pixel/png_encode.h"

namespace pixellm {
namespace {

using ::testing::HasSubstr;

class Pictures : public ::testing::Test {
 protected:
  TestFolder folder_;

  World open(uint32_t tile_size = 64) {
    auto world = World::open(folder_.path("world"), {.tile_size = tile_size});
    EXPECT_TRUE(world) << world.error().message;
    PIXELLM_ASSERT(world);
    return std::move(*world);
  }
  std::vector<uint8_t> export_and_read(World& world, const PixelRect& rect, uint32_t zoom,
                                       PlaneKind* kind = nullptr) {
    const auto written = export_picture(world, rect, zoom, folder_.path("out.png"));
    EXPECT_TRUE(written) << written.error().message;
    if (!written) return {};
    const auto plane = PixelPlane::open(folder_.path("out.png"));
    EXPECT_TRUE(plane) << plane.error().message;
    std::vector<uint8_t> rgb(plane->payload_bytes());
    EXPECT_TRUE(plane->read(0, rgb));
    if (kind) *kind = plane->kind();
    const uint64_t side = uint64_t{1} << zoom;
    EXPECT_EQ(plane->width(), rect.w / side + (rect.w % side != 0));
    EXPECT_EQ(plane->rows(), rect.h / side + (rect.h % side != 0));
    return rgb;
  }
};

// Averages of what World::read gives, pixel by pixel.
std::vector<uint8_t> brute_force(World& world, const PixelRect& rect, uint32_t zoom) {
  std::vector<uint8_t> rgb(3 * rect.w * rect.h), out;
  PIXELLM_ASSERT(world.read(rect, rgb));
  const uint64_t side = uint64_t{1} << zoom;
  for (uint64_t y = 0; y < rect.h; y += side)
    for (uint64_t x = 0; x < rect.w; x += side)
      for (uint64_t c = 0; c < 3; c++) {
        uint64_t sum = 0, n = 0;
        for (uint64_t j = y; j < std::min(rect.h, y + side); j++)
          for (uint64_t i = x; i < std::min(rect.w, x + side); i++, n++) sum += rgb[3 * (j * rect.w + i) + c];
        out.push_back(static_cast<uint8_t>((2 * sum + n) / (2 * n)));
      }
  return out;
}

void scatter(World& world, std::mt19937& random, int n, int64_t reach) {
  for (int i = 0; i < n; i++) {
    const PixelRect rect{.x = static_cast<int64_t>(random() % (2 * reach)) - reach,
                         .y = static_cast<int64_t>(random() % (2 * reach)) - reach,
                         .w = 1 + random() % 60,
                         .h = 1 + random() % 60};
    std::vector<uint8_t> rgb(3 * rect.w * rect.h);
    for (uint8_t& v : rgb) v = static_cast<uint8_t>(random());
    PIXELLM_ASSERT(world.write(rect, rgb));
  }
}

TEST_F(Pictures, AreTheAveragesOfTheWorld) {
  for (const uint32_t tile_size : {16u, 64u, 100u}) {
    std::filesystem::remove_all(folder_.path("world"));
    World world = open(tile_size);
    std::mt19937 random(tile_size);
    scatter(world, random, 20, 300);
    ASSERT_TRUE(world.flush());
    scatter(world, random, 5, 300);  // these are in the cache only
    for (uint32_t zoom = 0; zoom <= 10; zoom++) {
      const PixelRect rect{.x = static_cast<int64_t>(random() % 300) - 350,
                           .y = static_cast<int64_t>(random() % 300) - 350,
                           .w = 1 + random() % 500,
                           .h = 1 + random() % 500};
      ASSERT_EQ(export_and_read(world, rect, zoom), brute_force(world, rect, zoom)) << "zoom " << zoom;
    }
  }
}

TEST_F(Pictures, ASparseWorldFromFarAway) {
  World world = open();
  const std::vector<uint8_t> white(3 * 4096 * 64, 255);
  ASSERT_TRUE(world.write({.x = 0, .y = 0, .w = 4096, .h = 64}, white));
  ASSERT_TRUE(world.set(int64_t{1} << 44, -(int64_t{1} << 44), {1, 2, 3}));
  ASSERT_TRUE(world.set(INT64_MIN, INT64_MIN, {255, 255, 255}));
  // All there is, every zoom whose picture is small enough; 64 white rows of a square of 2^z by 2^z pixels.
  for (uint32_t zoom = 12; zoom <= 32; zoom++) {
    const uint64_t side = uint64_t{100} << zoom;
    const PixelRect rect{.x = -(int64_t{50} << zoom), .y = -(int64_t{50} << zoom), .w = side, .h = side};
    const auto rgb = export_and_read(world, rect, zoom);
    // 255 * 4096 * 64 / 4^zoom, rounded half up
    EXPECT_EQ(rgb[3 * (50 * 100 + 50)], zoom == 12 ? 4 : zoom == 13 ? 1 : 0) << "zoom " << zoom;
    EXPECT_EQ(std::accumulate(rgb.begin(), rgb.end(), uint64_t{0}), uint64_t{3} * rgb[3 * (50 * 100 + 50)]);
  }
  // The corner of the coordinates.
  EXPECT_EQ(export_and_read(world, {.x = INT64_MIN, .y = INT64_MIN, .w = 3, .h = 3}, 2),
            (std::vector<uint8_t>(3, 28)));
}

TEST_F(Pictures, FlatWhereTheMeasuresAllow) {
  World world = open();
  ASSERT_TRUE(world.set(0, 0, {9, 8, 7}));
  PlaneKind kind;
  EXPECT_EQ(export_and_read(world, {.x = 0, .y = 0, .w = 128, .h = 2}, 0, &kind).size(), 768u);
  EXPECT_EQ(kind, PlaneKind::kFlatPng);
  EXPECT_EQ(export_and_read(world, {.x = 0, .y = 0, .w = 127, .h = 2}, 0, &kind).size(), 762u);
  EXPECT_EQ(kind, PlaneKind::kDecodedPng);
  export_and_read(world, {.x = -30000, .y = 0, .w = 64000, .h = 1}, 0, &kind);  // too wide to be flat
  EXPECT_EQ(kind, PlaneKind::kDecodedPng);
}

TEST_F(Pictures, RefusesWhatCannotBe) {
  World world = open();
  const auto refused = [&](const PixelRect& rect, uint32_t zoom) {
    const auto written = export_picture(world, rect, zoom, folder_.path("no.png"));
    EXPECT_FALSE(written);
    EXPECT_FALSE(std::filesystem::exists(folder_.path("no.png")));
    return written ? Error{} : written.error();
  };
  EXPECT_EQ(refused({.x = INT64_MAX, .y = 0, .w = 2, .h = 1}, 0).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused({.w = 1, .h = 1}, 33).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused({.w = 0, .h = 1}, 0).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused({.w = uint64_t{1} << 31, .h = 1}, 0).code, ErrorCode::kTooLarge);
  EXPECT_EQ(refused({.w = uint64_t{1} << 17, .h = uint64_t{1} << 16}, 0).code, ErrorCode::kTooLarge);
  EXPECT_EQ(refused({.x = INT64_MIN, .y = INT64_MIN, .w = ~uint64_t{0}, .h = ~uint64_t{0}}, 32).code,
            ErrorCode::kTooLarge);
  EXPECT_THAT(refused({.w = uint64_t{1} << 40, .h = 1}, 2).message, HasSubstr("larger --zoom"));
}

TEST_F(Pictures, ShowMountedModels) {
  ASSERT_TRUE(TestModel::every_type().write(folder_.path("model.png")));
  World world = open();
  std::mt19937 random(1);
  scatter(world, random, 6, 100);  // beside the models
  ASSERT_TRUE(world.flush());
  ASSERT_TRUE(mount_model(world, folder_.path("model.png"), 213, -170));  // not at a tile's corner
  // Shares tiles with the model.
  ASSERT_TRUE(world.write({.x = 193, .y = -180, .w = 20, .h = 300}, std::vector<uint8_t>(3 * 20 * 300, 200)));
  for (const uint32_t zoom : {0u, 1u, 3u, 5u, 9u}) {
    const PixelRect rect{.x = -150, .y = -200, .w = 1200, .h = 500};
    ASSERT_EQ(export_and_read(world, rect, zoom), brute_force(world, rect, zoom)) << "zoom " << zoom;
  }
  std::filesystem::remove(folder_.path("model.png"));
  ASSERT_TRUE(world.flush());
  {
    const World closed = std::move(world);
  }
  World again = open();
  ASSERT_TRUE(open_mounts(again));
  EXPECT_FALSE(export_picture(again, {.x = 250, .y = -170, .w = 9, .h = 9}, 0, folder_.path("no.png")));
  EXPECT_TRUE(export_picture(again, {.x = -100, .y = -170, .w = 9, .h = 9}, 0, folder_.path("yes.png")));
  EXPECT_FALSE(std::filesystem::exists(folder_.path("no.png")));
}

// ---- into the world

class Imports : public Pictures {
 protected:
  std::vector<uint8_t> pixels(uint64_t n) {
    std::mt19937 random(2);
    std::vector<uint8_t> rgb(3 * n);
    for (uint8_t& v : rgb) v = static_cast<uint8_t>(random());
    return rgb;
  }
};

TEST_F(Imports, OfEveryKindComeBack) {
  const uint64_t w = 192, h = 150;
  const auto rgb = pixels(w * h);
  ASSERT_TRUE(write_rgb_png(folder_.path("ordinary.png"), w, h, rgb));
  auto flat = FlatPngWriter::create(folder_.path("flat.png"), 3 * w, h);
  ASSERT_TRUE(flat);
  for (uint64_t y = 0; y < h; y++) ASSERT_TRUE(flat->write_row(Bytes(rgb).subspan(3 * w * y, 3 * w)));
  ASSERT_TRUE(flat->finish());
  ASSERT_TRUE(write_file(folder_.path("box.pxi"), wrap_in_pxif(rgb, 3 * w)));
  World world = open(48);
  int64_t x = -77;
  for (const char* name : {"ordinary.png", "flat.png", "box.pxi"}) {
    const auto painted = import_picture(world, folder_.path(name), x, -33);
    ASSERT_TRUE(painted) << painted.error().message;
    EXPECT_EQ(*painted, (PixelRect{.x = x, .y = -33, .w = w, .h = h}));
    std::vector<uint8_t> back(rgb.size());
    ASSERT_TRUE(world.read(*painted, back));
    EXPECT_EQ(back, rgb) << name;
    x += 200;
  }
  EXPECT_EQ(export_and_read(world, {.x = -77, .y = -33, .w = w, .h = h}, 0), rgb);
}

TEST_F(Imports, OfAWidePictureAtTheEndOfTheWorld) {
  const auto rgb = pixels(uint64_t{9000} * 3);
  ASSERT_TRUE(write_rgb_png(folder_.path("wide.png"), 9000, 3, rgb));
  World world = open();
  const PixelRect rect{.x = INT64_MAX - 8999, .y = INT64_MIN, .w = 9000, .h = 3};
  ASSERT_TRUE(import_picture(world, folder_.path("wide.png"), rect.x, rect.y));
  EXPECT_EQ(export_and_read(world, rect, 0), rgb);
  EXPECT_FALSE(import_picture(world, folder_.path("wide.png"), rect.x + 1, 0));
  EXPECT_FALSE(import_picture(world, folder_.path("wide.png"), 0, INT64_MAX - 1));
}

TEST_F(Imports, RefusedBeforeAnythingIsPainted) {
  ASSERT_TRUE(TestModel::smallest().write(folder_.path("model.png")));
  ASSERT_TRUE(write_rgb_png(folder_.path("p.png"), 100, 1000, pixels(100 * 1000)));
  World world = open();
  ASSERT_TRUE(mount_model(world, folder_.path("model.png"), 90, 990));
  const auto over =
      import_picture(world, folder_.path("p.png"), 0, 0);  // only its last corner meets the model
  ASSERT_FALSE(over);
  EXPECT_THAT(over.error().message, HasSubstr("model.png is mounted"));

  auto damaged = *read_file(folder_.path("model.png"), 1 << 20);
  damaged[damaged.size() / 2] ^= 1;
  ASSERT_TRUE(write_file(folder_.path("damaged.png"), damaged));
  const auto bad = import_picture(world, folder_.path("damaged.png"), -5000, 0);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(bad.error().message, HasSubstr("damaged: rows"));
  auto box = wrap_in_pxif(pixels(64), 48);
  box.back() ^= 1;
  ASSERT_TRUE(write_file(folder_.path("damaged.pxi"), box));
  EXPECT_FALSE(import_picture(world, folder_.path("damaged.pxi"), -5000, 0));
  EXPECT_FALSE(import_picture(world, folder_.path("missing.png"), -5000, 0));
  EXPECT_EQ(world.count({.x = INT64_MIN, .y = INT64_MIN, .w = ~uint64_t{0}, .h = ~uint64_t{0}}).value(), 0u);
}

}  // namespace
}  // namespace pixellm
