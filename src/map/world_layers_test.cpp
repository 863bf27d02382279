#include <cstring>

#include "map/world_test_util.h"

namespace pixellm {
namespace {

using namespace world_test;
using ::testing::HasSubstr;

// Every pixel tells its place.
class Pattern : public PixelLayer {
 public:
  Pattern(std::string name, PixelRect rect) : name_(std::move(name)), rect_(rect) {}
  const std::string& name() const override { return name_; }
  const PixelRect& rect() const override { return rect_; }
  Result<void> read(const PixelRect& part, uint8_t* out, uint64_t out_stride) const override {
    EXPECT_EQ(intersect(part, rect_), part);
    for (uint64_t j = 0; j < part.h; j++)
      for (uint64_t i = 0; i < part.w; i++) {
        const Rgb rgb = at(part.x + static_cast<int64_t>(i), part.y + static_cast<int64_t>(j));
        std::memcpy(out + j * out_stride + 3 * i, rgb.data(), 3);
      }
    return {};
  }
  static Rgb at(int64_t x, int64_t y) { return {static_cast<uint8_t>(x), static_cast<uint8_t>(y), 77}; }

 private:
  std::string name_;
  PixelRect rect_;
};

class LayersTest : public WorldTest {
 protected:
  static Result<void> add(World& world, const std::string& name, PixelRect rect) {
    return world.add_layer(std::make_unique<Pattern>(name, rect));
  }
};

TEST_F(LayersTest, ReadsAreComposed) {
  World world = open_world();
  const Buffer pixels = random_pixels(300, 10, 1);
  ASSERT_TRUE(world.write({-100, -10, 300, 10}, pixels));
  get(world, 10, -1);
  ASSERT_TRUE(add(world, "model.png", {10, 0, 100, 100}));
  ASSERT_TRUE(add(world, "other.png", {110, 0, 5, 5}));
  const PixelRect rect{-100, -10, 300, 60};
  const Buffer all = read(world, rect);
  for (int64_t y = -10; y < 50; y++)
    for (int64_t x = -100; x < 200; x++) {
      const size_t i = static_cast<size_t>(3 * ((y + 10) * 300 + x + 100));
      const bool covered = (y >= 0 && x >= 10 && x < 110) || (y >= 0 && y < 5 && x >= 110 && x < 115);
      Rgb wanted = covered ? Pattern::at(x, y) : kBlack;
      if (y < 0) std::copy_n(pixels.begin() + static_cast<std::ptrdiff_t>(i), 3, wanted.begin());
      ASSERT_EQ((Rgb{all[i], all[i + 1], all[i + 2]}), wanted) << x << "," << y;
      ASSERT_EQ(get(world, x, y), wanted) << x << "," << y;
    }
  EXPECT_EQ(read(world, {20, 20, 2, 1}), (Buffer{20, 20, 77, 21, 20, 77}));
  EXPECT_EQ(world.neighbors(10, 0, 1)->back().rgb, Pattern::at(11, 1));
  EXPECT_EQ(world.layers().size(), 2u);
  ASSERT_TRUE(world.remove_layer("model.png"));
  EXPECT_EQ(get(world, 20, 20), kBlack);
  EXPECT_EQ(world.remove_layer("model.png").error().code, ErrorCode::kNotFound);
}

TEST_F(LayersTest, PaintingErasingAndRestoringThereIsRefused) {
  World world = open_world();
  ASSERT_TRUE(add(world, "model.png", {10, 0, 100, 100}));
  ASSERT_TRUE(world.set(9, 0, kRed));
  ASSERT_TRUE(world.set(8, 0, kRed));  // beside it, in the same tile
  EXPECT_EQ(get(world, 10, 0), Pattern::at(10, 0));
  const Result<void> refused[] = {world.set(10, 0, kRed), world.write({0, 99, 11, 5}, Buffer(165)),
                                  world.write_bytes(8, 0, text("crosses its border")),
                                  world.write_bytes(10, 5, {})};
  for (const auto& r : refused) {
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(r.error().message, HasSubstr("model.png"));
    EXPECT_THAT(r.error().message, HasSubstr("10,0,100,100"));
  }
  EXPECT_THAT(world.erase({-100, -100, 1000, 1000}).error().message, HasSubstr("model.png"));
  EXPECT_THAT(world.restore({109, 99, 1, 1}).error().message, HasSubstr("model.png"));
  EXPECT_EQ(get(world, 9, 0), kRed);
  EXPECT_TRUE(world.erase({0, 0, 10, 100}));
  EXPECT_EQ(get(world, 9, 0), kBlack);
}

TEST_F(LayersTest, OneThatMeetsSomethingIsRefused) {
  World world = open_world();
  ASSERT_TRUE(world.set(1000, 1000, kRed));
  ASSERT_TRUE(world.flush());
  ASSERT_TRUE(world.set(2000, 2000, kRed));
  ASSERT_TRUE(add(world, "model.png", {10, 0, 100, 100}));
  const auto meets_layer = add(world, "other.png", {109, 99, 50, 50});
  EXPECT_THAT(meets_layer.error().message, HasSubstr("other.png"));
  EXPECT_THAT(meets_layer.error().message, HasSubstr("model.png"));
  EXPECT_THAT(add(world, "other.png", {500, 500, 501, 501}).error().message, HasSubstr("15,15"));
  EXPECT_THAT(add(world, "other.png", {2000, 2000, 500, 1}).error().message, HasSubstr("31,31"));
  EXPECT_FALSE(add(world, "other.png", {0, 0, 0, 5}));
  EXPECT_FALSE(add(world, "other.png", {INT64_MAX, 0, 2, 5}));
  EXPECT_EQ(world.layers().size(), 1u);
  ASSERT_TRUE(add(world, "other.png", {1001, 1001, 999, 999}));  // beside what is painted in the same tiles
  // Painting beside a layer does not keep it from being there when the world is opened again.
  ASSERT_TRUE(world.set(999, 1001, kRed));
  ASSERT_TRUE(world.set(9, 50, kRed));
  ASSERT_TRUE(world.flush());
  world = open_world({.read_only = true});
  EXPECT_TRUE(add(world, "model.png", {10, 0, 100, 100}));
  EXPECT_TRUE(add(world, "other.png", {1001, 1001, 999, 999}));
}

}  // namespace
}  // namespace pixellm
