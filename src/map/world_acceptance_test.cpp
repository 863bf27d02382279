// What the original project asked of its InfiniteMap, by meaning: 24 cases of its tiled generation, 18 of its
// regions.
#include <map>
#include <optional>

#include "map/quadtree.h"
#include "map/tile_cache.h"
#include "map/world_test_util.h"

namespace pixellm {
namespace {

using namespace world_test;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// ---- the tiled generation

class TiledTest : public WorldTest {
 protected:
  void SetUp() override {
    WorldTest::SetUp();
    opened_.emplace(open_world({.tile_size = 64}));
  }
  World& map() { return *opened_; }
  void open_again() {
    opened_.reset();
    opened_.emplace(open_world());
  }

 private:
  std::optional<World> opened_;
};

TEST_F(TiledTest, A01_ANewTileIsBlackAndClean) {
  TileCache cache(3 * 64 * 64, 1 << 20, [](std::span<const TileChange>) { return Result<void>(); });
  EXPECT_FALSE((*cache.insert({2, 3}))->dirty());
  const auto pin = map().pin({2, 3});
  EXPECT_EQ(Buffer(pin->rgb().begin(), pin->rgb().end()), Buffer(3 * 64 * 64));
  EXPECT_EQ(map().stats()->dirty_tiles, 0u);
}

TEST_F(TiledTest, A02_BoundsOfATile) {
  ASSERT_TRUE(map().set(130, 195, kRed));
  EXPECT_EQ(**map().bounds(), (TileRect{{2, 3}, {2, 3}}));
  EXPECT_THAT(*map().tiles({128, 192, 64, 64}), ElementsAre(TileCoord{2, 3}));
  for (const PixelRect& outside :
       {PixelRect{127, 192, 1, 64}, {192, 192, 1, 64}, {128, 191, 64, 1}, {128, 256, 64, 1}})
    EXPECT_THAT(*map().tiles(outside), IsEmpty());
}

TEST_F(TiledTest, A03_WhichPixelsATileHolds) {
  EXPECT_EQ(tile_at(0, 63, 64), (TileCoord{0, 0}));
  EXPECT_EQ(tile_at(64, 0, 64), (TileCoord{1, 0}));
  EXPECT_EQ(tile_at(-1, -1, 64), (TileCoord{-1, -1}));
}

TEST_F(TiledTest, A04_PlaceOfAPixelInItsTile) {
  ASSERT_TRUE(map().set(130, 195, {9, 8, 7}));
  const auto pin = map().pin({2, 3});
  const size_t at = 3 * (3 * 64 + 2);
  EXPECT_EQ((Rgb{pin->rgb()[at], pin->rgb()[at + 1], pin->rgb()[at + 2]}), (Rgb{9, 8, 7}));
}

TEST_F(TiledTest, A05_TwoTilesAreCounted) {
  ASSERT_TRUE(map().set(10, 10, kRed));
  ASSERT_TRUE(map().set(100, 100, kRed));
  EXPECT_EQ(*map().count({0, 0, 1000, 1000}), 2u);
}

// The original's tree split a node with three tiles into four; an order of keys has no nodes, what is found
// is the same.
TEST_F(TiledTest, A06_QuadrantsOfMoreThanTwo) {
  for (const auto& [x, y] : {std::pair<int64_t, int64_t>{0, 0}, {640, 0}, {0, 640}, {640, 640}})
    ASSERT_TRUE(map().set(x, y, kRed));
  for (const auto& [x, y] : {std::pair<int64_t, int64_t>{0, 0}, {512, 0}, {0, 512}, {512, 512}})
    EXPECT_EQ(*map().count({x, y, 512, 512}), 1u);
}

TEST_F(TiledTest, A07_ARegionFindsOnlyWhatIsInside) {
  for (const auto& [x, y] : {std::pair<int64_t, int64_t>{10, 10}, {200, 200}, {5000, 5000}, {-10, -10}})
    ASSERT_TRUE(map().set(x, y, kRed));
  EXPECT_THAT(*map().tiles({0, 0, 256, 256}), ElementsAre(TileCoord{0, 0}, TileCoord{3, 3}));
}

TEST_F(TiledTest, A08_ANewMap) {
  EXPECT_EQ(map().tile_size(), 64u);
  EXPECT_TRUE(std::filesystem::is_directory(world()));
}

TEST_F(TiledTest, A09_APixelsTile) { EXPECT_EQ(tile_at(130, 195, map().tile_size()), (TileCoord{2, 3})); }

TEST_F(TiledTest, A10_SetAndGet) {
  ASSERT_TRUE(map().set(100, 200, {255, 128, 64}));
  EXPECT_EQ(get(map(), 100, 200), (Rgb{255, 128, 64}));
}

TEST_F(TiledTest, A11_UnsetIsBlack) { EXPECT_EQ(get(map(), 999999, -999999), kBlack); }

TEST_F(TiledTest, A12_BytesComeBack) {
  ASSERT_TRUE(map().write_bytes(0, 0, text("Hello, Infinite Map! Stored as pixels.")));
  EXPECT_EQ(*map().read_bytes(0, 0), text("Hello, Infinite Map! Stored as pixels."));
}

TEST_F(TiledTest, A13_PixelsComeBack) {
  const Buffer pixels = random_pixels(32, 32, 1);
  ASSERT_TRUE(map().write({50, 50, 32, 32}, pixels));
  EXPECT_EQ(read(map(), {50, 50, 32, 32}), pixels);
}

TEST_F(TiledTest, A14_OriginAndFarAway) {
  ASSERT_TRUE(map().write_bytes(0, 0, text("origin")));
  ASSERT_TRUE(map().write_bytes(10000, 20000, text("far away")));
  EXPECT_EQ(*map().read_bytes(0, 0), text("origin"));
  EXPECT_EQ(*map().read_bytes(10000, 20000), text("far away"));
  EXPECT_EQ(map().stats()->tiles_in_memory, 2u);
}

TEST_F(TiledTest, A15_ARegionOverManyTiles) {
  const Buffer pixels = random_pixels(128, 128, 1);
  ASSERT_TRUE(map().write({32, 32, 128, 128}, pixels));
  EXPECT_EQ(read(map(), {32, 32, 128, 128}), pixels);
  EXPECT_EQ(map().stats()->dirty_tiles, 9u);
}

TEST_F(TiledTest, A16_ANegativePixel) {
  ASSERT_TRUE(map().set(-100, -200, kGreen));
  EXPECT_EQ(get(map(), -100, -200), kGreen);
  EXPECT_EQ(tile_at(-100, -200, 64), (TileCoord{-2, -4}));
}

TEST_F(TiledTest, A17_ANegativeRegion) {
  const Buffer pixels = random_pixels(16, 16, 1);
  ASSERT_TRUE(map().write({-50, -50, 16, 16}, pixels));
  EXPECT_EQ(read(map(), {-50, -50, 16, 16}), pixels);
}

TEST_F(TiledTest, A18_ARegionAcrossTheOrigin) {
  const Buffer pixels = random_pixels(64, 64, 1);
  ASSERT_TRUE(map().write({-32, -32, 64, 64}, pixels));
  EXPECT_EQ(read(map(), {-32, -32, 64, 64}), pixels);
  EXPECT_EQ(*map().count({-64, -64, 128, 128}), 4u);
}

TEST_F(TiledTest, A19_EightNeighbors) {
  std::vector<PixelAt> wanted;
  for (int64_t y = 9; y <= 11; y++)
    for (int64_t x = 63; x <= 65; x++) {
      const Rgb rgb{static_cast<uint8_t>(x), static_cast<uint8_t>(y), 1};
      ASSERT_TRUE(map().set(x, y, rgb));
      if (x != 64 || y != 10) wanted.push_back({x, y, rgb});
    }
  const auto around = *map().neighbors(64, 10, 1);
  ASSERT_THAT(around, SizeIs(8));
  for (size_t i = 0; i < 8; i++) {
    EXPECT_EQ(around[i].x, wanted[i].x);
    EXPECT_EQ(around[i].y, wanted[i].y);
    EXPECT_EQ(around[i].rgb, wanted[i].rgb);
  }
  EXPECT_THAT(*map().neighbors(0, 0, 2), SizeIs(24));
}

TEST_F(TiledTest, A20_TilesInARegion) {
  for (const auto& [x, y] : {std::pair<int64_t, int64_t>{10, 10}, {100, 10}, {10, 100}})
    ASSERT_TRUE(map().set(x, y, kRed));
  EXPECT_THAT(*map().tiles({0, 0, 200, 200}), SizeIs(3));
}

TEST_F(TiledTest, A21_FlushAndOpenAgain) {
  ASSERT_TRUE(map().set(100, 100, kBlue));
  ASSERT_TRUE(map().flush());
  World again = open_world({.read_only = true});
  EXPECT_EQ(get(again, 100, 100), kBlue);
}

TEST_F(TiledTest, A22_ACacheOfTwo) {
  World small = World::open((folder_ / "small").string(), {.cache_bytes = 2 * 3 * 64 * 64}).value();
  for (int64_t i = 0; i < 3; i++) ASSERT_TRUE(small.set(i * 100, 0, {static_cast<uint8_t>(i + 1), 0, 0}));
  EXPECT_LE(small.stats()->tiles_in_memory, 2u);
  for (int64_t i = 0; i < 3; i++) EXPECT_EQ(get(small, i * 100, 0)[0], i + 1);
}

TEST_F(TiledTest, A23_StatisticsOfANewMap) {
  const WorldStats s = *map().stats();
  EXPECT_EQ(s.tile_size, 64u);
  EXPECT_EQ(s.tiles_in_memory, 0u);
  EXPECT_EQ(s.tiles_on_disk, 0u);
  EXPECT_EQ(s.dirty_tiles, 0u);
  EXPECT_EQ(s.cache_bytes, 0u);
}

TEST_F(TiledTest, A24_DirtyUntilFlushed) {
  ASSERT_TRUE(map().set(0, 0, kRed));
  EXPECT_GT(map().stats()->dirty_tiles, 0u);
  ASSERT_TRUE(map().flush());
  EXPECT_EQ(map().stats()->dirty_tiles, 0u);
  EXPECT_EQ(map().stats()->tiles_on_disk, 1u);
}

TEST_F(TiledTest, EmptyBytes) {
  ASSERT_TRUE(map().write_bytes(5, 5, {}));
  EXPECT_THAT(*map().read_bytes(5, 5), IsEmpty());
}

// ---- the generation of regions

using RegionsTest = TiledTest;

TEST_F(RegionsTest, C01_ARegionsFieldsAndBounds) {
  ASSERT_TRUE(map().write({64, 128, 64, 64}, random_pixels(64, 64, 1)));
  EXPECT_EQ(**map().bounds(), (TileRect{{1, 2}, {1, 2}}));
  EXPECT_EQ(intersect({64, 128, 64, 64}, {100, 150, 500, 500}), (PixelRect{100, 150, 28, 42}));
}

TEST_F(RegionsTest, C02_ANewMapIsEmpty) {
  EXPECT_EQ(*map().bounds(), std::nullopt);
  EXPECT_EQ(*map().count({INT64_MIN, INT64_MIN, UINT64_MAX, UINT64_MAX}), 0u);
}

TEST_F(RegionsTest, C03_OneRegion) {
  const Buffer pixels = random_pixels(64, 64, 1);
  ASSERT_TRUE(map().write({0, 0, 64, 64}, pixels));
  EXPECT_EQ(read(map(), {0, 0, 64, 64}), pixels);
}

TEST_F(RegionsTest, C04_ThreeColors) {
  for (const Rgb& c : {kRed, kGreen, kBlue}) {
    Buffer pixels;
    for (int i = 0; i < 64 * 64; i++) pixels.insert(pixels.end(), c.begin(), c.end());
    ASSERT_TRUE(map().write({0, 0, 64, 64}, pixels));
    EXPECT_EQ(read(map(), {0, 0, 64, 64}), pixels);
  }
}

TEST_F(RegionsTest, C05_UnwrittenIsZero) {
  EXPECT_EQ(read(map(), {1000, 1000, 32, 32}), Buffer(3 * 32 * 32));
}

TEST_F(RegionsTest, C06_Overwriting) {
  ASSERT_TRUE(map().write({0, 0, 64, 64}, random_pixels(64, 64, 1)));
  ASSERT_TRUE(map().write({0, 0, 64, 64}, random_pixels(64, 64, 2)));
  EXPECT_EQ(read(map(), {0, 0, 64, 64}), random_pixels(64, 64, 2));
}

TEST_F(RegionsTest, C07_NegativeCoordinates) {
  ASSERT_TRUE(map().write({-128, -64, 64, 64}, random_pixels(64, 64, 1)));
  EXPECT_EQ(read(map(), {-128, -64, 64, 64}), random_pixels(64, 64, 1));
  EXPECT_THAT(*map().tiles({-128, -64, 64, 64}), ElementsAre(TileCoord{-2, -1}));
}

TEST_F(RegionsTest, C08_ExistingNeighbors) {
  for (int64_t x = 0; x < 3; x++) ASSERT_TRUE(map().write({x * 64, 0, 64, 64}, random_pixels(64, 64, 1)));
  EXPECT_THAT(*map().neighbor_tiles(64, 0, 1), ElementsAre(TileCoord{0, 0}, TileCoord{2, 0}));
  EXPECT_THAT(*map().neighbor_tiles(0, 0, 1), ElementsAre(TileCoord{1, 0}));
  EXPECT_THAT(*map().neighbor_tiles(0, 0, 2), SizeIs(2));
}

TEST_F(RegionsTest, C09_FarApart) {
  const std::map<std::pair<int64_t, int64_t>, uint64_t> places{
      {{0, 0}, 1}, {{100000, 100000}, 2}, {{-50000, 75000}, 3}};
  for (const auto& [at, seed] : places)
    ASSERT_TRUE(map().write({at.first, at.second, 64, 64}, random_pixels(64, 64, seed)));
  for (const auto& [at, seed] : places)
    EXPECT_EQ(read(map(), {at.first, at.second, 64, 64}), random_pixels(64, 64, seed));
  ASSERT_TRUE(map().flush());
  EXPECT_LE(map().stats()->tiles_on_disk, 12u);
}

TEST_F(RegionsTest, C10_APartOfWhatWasWritten) {
  const Buffer pixels = random_pixels(64, 64, 1);
  ASSERT_TRUE(map().write({0, 0, 64, 64}, pixels));
  const Buffer wide = read(map(), {-16, -16, 96, 96});
  for (size_t y = 0; y < 96; y++)
    for (size_t x = 0; x < 3 * 96; x++) {
      const bool inside = y >= 16 && y < 80 && x >= 48 && x < 240;
      ASSERT_EQ(wide[y * 288 + x], inside ? pixels[(y - 16) * 192 + x - 48] : 0);
    }
}

TEST_F(RegionsTest, C11_NothingIsRead) {
  for (const PixelRect& empty : {PixelRect{0, 0, 0, 0}, {0, 0, 10, 0}, {0, 0, 0, 10}})
    EXPECT_THAT(read(map(), empty), IsEmpty());
}

TEST_F(RegionsTest, C12_ALargePattern) {
  Buffer pixels(size_t{3} * 1024 * 1024);
  for (size_t i = 0; i < pixels.size(); i++)
    pixels[i] = static_cast<uint8_t>(i % 3 == 0 ? i / 3 % 1024 : i / 3072);
  ASSERT_TRUE(map().write({-512, -512, 1024, 1024}, pixels));
  EXPECT_EQ(read(map(), {-512, -512, 1024, 1024}), pixels);
}

// The first partial write after opening again failed in the original.
TEST_F(RegionsTest, C13_AcrossInstances) {
  ASSERT_TRUE(map().write({0, 0, 64, 64}, random_pixels(64, 64, 1)));
  ASSERT_TRUE(map().flush());
  open_again();
  EXPECT_EQ(read(map(), {0, 0, 64, 64}), random_pixels(64, 64, 1));
  ASSERT_TRUE(map().set(3, 3, kRed));
  EXPECT_EQ(get(map(), 3, 3), kRed);
}

TEST_F(RegionsTest, C14_OtherThanRgbIsRefused) {
  EXPECT_EQ(map().write({0, 0, 64, 64}, Buffer(64 * 64)).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(*map().bounds(), std::nullopt);
}

TEST_F(RegionsTest, C15_OtherThanBytesIsRefused) {
  EXPECT_EQ(map().write({0, 0, 64, 64}, Buffer(sizeof(float) * 3 * 64 * 64)).error().code,
            ErrorCode::kInvalidArgument);
}

TEST_F(RegionsTest, C16_ManySmallWrites) {
  for (int64_t i = 0; i < 100; i++)
    ASSERT_TRUE(map().write({i * 10, i * 7, 8, 8}, random_pixels(8, 8, static_cast<uint64_t>(i))));
  ASSERT_TRUE(map().flush());
  for (int64_t i = 0; i < 100; i++)
    ASSERT_EQ(read(map(), {i * 10, i * 7, 8, 8}), random_pixels(8, 8, static_cast<uint64_t>(i)));
}

TEST_F(RegionsTest, C17_ManyReads) {
  const Buffer pixels = random_pixels(256, 256, 1);
  ASSERT_TRUE(map().write({0, 0, 256, 256}, pixels));
  for (size_t i = 0; i < 1000; i++) {
    const size_t x = i * 7 % 256, y = i * 13 % 256, at = 3 * (y * 256 + x);
    ASSERT_EQ(get(map(), static_cast<int64_t>(x), static_cast<int64_t>(y)),
              (Rgb{pixels[at], pixels[at + 1], pixels[at + 2]}));
  }
}

TEST_F(RegionsTest, C18_EverythingIsErased) {
  ASSERT_TRUE(map().write({-100, -100, 300, 300}, random_pixels(300, 300, 1)));
  EXPECT_EQ(*map().erase({INT64_MIN, INT64_MIN, UINT64_MAX, UINT64_MAX}), 36u);
  EXPECT_EQ(*map().bounds(), std::nullopt);
  EXPECT_EQ(read(map(), {-100, -100, 300, 300}), Buffer(3 * 300 * 300));
}

}  // namespace
}  // namespace pixellm
