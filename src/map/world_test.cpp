#include "map/world.h"

#include <sys/resource.h>

#include <csignal>
#include <limits>

#include "map/world_test_util.h"

namespace pixellm {
namespace {

using namespace world_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kMin = std::numeric_limits<int64_t>::min(), kMax = std::numeric_limits<int64_t>::max();
constexpr uint64_t kAllTiles = ~uint64_t{0};

TEST_F(WorldTest, ReadingCreatesNothing) {
  World world = open_world();
  const uint64_t version = world.stats()->store.version;
  EXPECT_EQ(get(world, 5, -5), kBlack);
  EXPECT_EQ(read(world, {-100, -100, 200, 200}), Buffer(3 * 200 * 200));
  EXPECT_EQ(world.neighbors(0, 0, 1)->size(), 8u);
  ASSERT_TRUE(world.flush());
  const auto stats = *world.stats();
  EXPECT_EQ(stats.tiles_on_disk, 0u);
  EXPECT_EQ(stats.tiles_in_memory, 0u);
  EXPECT_EQ(stats.store.version, version);
}

TEST_F(WorldTest, WhatWasNotFlushedIsDropped) {
  {
    World world = open_world();
    ASSERT_TRUE(world.set(1, 1, kRed));
    ASSERT_TRUE(world.flush());
    ASSERT_TRUE(world.set(2, 2, kGreen));
    EXPECT_EQ(get(world, 2, 2), kGreen);
    EXPECT_EQ(world.stats()->dirty_tiles, 1u);
  }
  World world = open_world();
  EXPECT_EQ(get(world, 1, 1), kRed);
  EXPECT_EQ(get(world, 2, 2), kBlack);
}

TEST_F(WorldTest, FlushIsOneCommit) {
  World world = open_world();
  const uint64_t before = world.stats()->store.version;
  for (int64_t i = 0; i < 50; i++) ASSERT_TRUE(world.set(i * 1000, i * 77, kRed));
  ASSERT_TRUE(world.write_bytes(-5000, 0, text("with them")));
  ASSERT_TRUE(world.flush());
  EXPECT_EQ(world.stats()->store.version, before + 1);
  ASSERT_TRUE(world.flush());
  EXPECT_EQ(world.stats()->store.version, before + 1);  // nothing to do
  ASSERT_TRUE(world.write_bytes(-5000, 0, {}));         // only a length
  ASSERT_TRUE(world.flush());
  EXPECT_EQ(world.stats()->store.version, before + 2);
}

TEST_F(WorldTest, RegionsOfEveryAlignment) {
  for (const uint32_t tile_size : {16u, 17u, 100u}) {
    std::filesystem::remove_all(this->world());
    World world = open_world({.tile_size = tile_size, .cache_bytes = 1 << 20});
    uint64_t seed = 0;
    for (const int64_t start :
         {int64_t{-250}, -int64_t{tile_size}, int64_t{-1}, int64_t{0}, int64_t{7}, kMax - 100, kMin})
      for (const uint64_t w : {uint64_t{1}, uint64_t{tile_size}, uint64_t{33}, uint64_t{70}}) {
        const PixelRect rect{start, start, w, 71 - w / 2};
        const Buffer pixels = random_pixels(rect.w, rect.h, ++seed);
        ASSERT_TRUE(world.write(rect, pixels));
        ASSERT_EQ(read(world, rect), pixels) << start << " " << w;
        ASSERT_TRUE(world.flush());
        ASSERT_EQ(read(world, rect), pixels) << start << " " << w;
        const uint64_t last = pixels.size() - 3;
        ASSERT_EQ(get(world, start + static_cast<int64_t>(w) - 1, start + static_cast<int64_t>(rect.h) - 1),
                  (Rgb{pixels[last], pixels[last + 1], pixels[last + 2]}));
      }
  }
}

TEST_F(WorldTest, PiecesAreTheWholeInOrder) {
  World world = open_world({.tile_size = 16});
  const PixelRect rect{-21, -7, 50, 37};
  Buffer rgb(3 * rect.w * rect.h);
  for (size_t i = 0; i < rgb.size(); i++) rgb[i] = static_cast<uint8_t>(i * 7 + i / 251);
  ASSERT_TRUE(world.write(rect, rgb));
  for (const uint64_t piece_bytes : {1, 3, 60, 150, 151, 1000, 1'000'000}) {
    Buffer found;
    const auto take = [&](Bytes piece) -> Result<void> {
      EXPECT_LE(piece.size(), std::max<uint64_t>(3, piece_bytes));
      found.insert(found.end(), piece.begin(), piece.end());
      return {};
    };
    ASSERT_TRUE(world.read_pieces(rect, piece_bytes, take));
    EXPECT_EQ(found, rgb) << piece_bytes;
  }
  int taken = 0;
  const auto refuse = [&](Bytes) { return ++taken, fail(ErrorCode::kIo, "no room"); };
  EXPECT_EQ(world.read_pieces(rect, 300, [&](Bytes piece) -> Result<void> { return refuse(piece); }).error().code,
            ErrorCode::kIo);
  EXPECT_EQ(taken, 1);
  EXPECT_TRUE(world.read_pieces({5, 5, 0, 9}, 300, refuse));
  EXPECT_EQ(world.read_pieces({INT64_MAX, 0, 2, 2}, 300, refuse).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(taken, 1);
}

// A reader answers from one state, also when another one is committed between two pieces.
TEST_F(WorldTest, PiecesAreOfOneState) {
  World writer = open_world({.tile_size = 16});
  ASSERT_TRUE(writer.write({0, 0, 32, 32}, Buffer(3 * 32 * 32, 1)));
  ASSERT_TRUE(writer.flush());
  World reader = open_world({.read_only = true});
  Buffer found;
  const auto take = [&](Bytes piece) -> Result<void> {
    found.insert(found.end(), piece.begin(), piece.end());
    PIXELLM_CHECK(writer.write({0, 0, 32, 32}, Buffer(3 * 32 * 32, 2)));
    return writer.flush();
  };
  ASSERT_TRUE(reader.read_pieces({0, 0, 32, 32}, 512, take));
  EXPECT_EQ(found, Buffer(3 * 32 * 32, 1));
}

TEST_F(WorldTest, TheEndsOfTheCoordinates) {
  World world = open_world({.tile_size = 100});
  for (const auto& [x, y] :
       {std::pair{kMin, kMin}, {kMin, kMax}, {kMax, kMin}, {kMax, kMax}, {kMin, int64_t{0}}}) {
    ASSERT_TRUE(world.set(x, y, kRed));
    EXPECT_EQ(get(world, x, y), kRed);
  }
  EXPECT_EQ(get(world, kMax, 0), kBlack);
  EXPECT_EQ(get(world, kMin + 1, kMin), kBlack);
  EXPECT_EQ(world.neighbors(kMin, kMax, 1)->size(), 3u);            // the others do not exist
  EXPECT_EQ(*world.count({kMin, kMin, kAllTiles, kAllTiles}), 5u);  // their tiles reach beyond the rectangle
  ASSERT_TRUE(world.flush());
  EXPECT_EQ(world.neighbor_tiles(kMax, kMax, 1)->size(), 0u);
  EXPECT_EQ(world.neighbor_tiles(kMax, kMax, 0xffffffff)->size(), 0u);
  EXPECT_EQ(*world.count({kMax, kMax, 1, 1}), 1u);
  const TileRect box = **world.bounds();
  EXPECT_EQ(box.min, tile_at(kMin, kMin, 100));
  EXPECT_EQ(box.max, tile_at(kMax, kMax, 100));
  EXPECT_EQ(*world.erase({kMax, kMax, 1, 1}), 1u);
  EXPECT_EQ(get(world, kMax, kMax), kBlack);
  EXPECT_EQ(get(world, kMin, kMax), kRed);
}

TEST_F(WorldTest, ImpossibleRegionsAreRefused) {
  World world = open_world();
  ASSERT_TRUE(world.set(0, 0, kRed));
  Buffer small(12);
  const PixelRect leaving[] = {
      {kMax, 0, 2, 1}, {0, kMax - 2, 1, 5}, {1, 1, ~uint64_t{0}, 1}, {kMin, 0, ~uint64_t{0}, ~uint64_t{0}}};
  for (const PixelRect& rect : leaving) {
    EXPECT_FALSE(world.read(rect, small));
    EXPECT_FALSE(world.write(rect, small));
    EXPECT_FALSE(region_bytes(rect));
  }
  EXPECT_EQ(region_bytes({0, 0, uint64_t{1} << 32, uint64_t{1} << 32}).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(region_bytes({0, 0, 60000, 60000}).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(*region_bytes({0, 0, 50000, 50000}), 7500000000u);
  for (const PixelRect& rect : {PixelRect{0, 0, 2, 3}, PixelRect{0, 0, 1, 1}}) {
    EXPECT_EQ(world.read(rect, small).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(world.write(rect, small).error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_TRUE(world.read({kMax, kMin, 0, 7}, {}));
  EXPECT_TRUE(world.write({kMax, kMin, 7, 0}, {}));
  EXPECT_THAT(*world.tiles({0, 0, 0, 5}), IsEmpty());
  EXPECT_EQ(*world.erase({0, 0, 5, 0}), 0u);
  EXPECT_EQ(*world.prefetch({0, 0, 5, 0}), 0u);
  EXPECT_EQ(world.neighbors(0, 0, 1025).error().code, ErrorCode::kTooLarge);
  EXPECT_THAT(*world.neighbors(0, 0, 0), IsEmpty());
  EXPECT_EQ(get(world, 0, 0), kRed);
}

TEST_F(WorldTest, ByteRegionsRememberTheirLength) {
  Buffer long_text(3 * 64 * 3 + 100);
  for (size_t i = 0; i < long_text.size(); i++) long_text[i] = static_cast<uint8_t>(i * 7 + 1);
  {
    World world = open_world();
    ASSERT_TRUE(world.write_bytes(-70, 9, long_text));
    ASSERT_TRUE(world.write_bytes(500, 500, text("ab")));
    ASSERT_TRUE(world.write_bytes(600, 600, {}));
    EXPECT_EQ(*world.read_bytes(-70, 9), long_text);  // before the flush too
    EXPECT_EQ(get(world, 500, 500), (Rgb{'a', 'b', 0}));
    EXPECT_EQ(get(world, -70, 12),
              (Rgb{long_text[576], long_text[577], long_text[578]}));  // rows of 64 pixels
    ASSERT_TRUE(world.flush());
  }
  World world = open_world();
  EXPECT_EQ(*world.read_bytes(-70, 9), long_text);
  EXPECT_EQ(*world.read_bytes(500, 500), text("ab"));
  EXPECT_THAT(*world.read_bytes(600, 600), IsEmpty());
  EXPECT_EQ(world.read_bytes(-69, 9).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(world.read_bytes(-69, 9).error().message, HasSubstr("-69,9"));
  ASSERT_TRUE(world.write_bytes(500, 500, text("longer than before")));
  EXPECT_EQ(*world.read_bytes(500, 500), text("longer than before"));
  EXPECT_EQ(*world.erase({500, 500, 1, 1}), 1u);
  EXPECT_EQ(world.read_bytes(500, 500).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(world.write_bytes(kMax, 0, text("more than a pixel")));
  EXPECT_EQ(world.read_bytes(kMax, 0).error().code, ErrorCode::kNotFound);
}

TEST_F(WorldTest, QuestionsAboutTilesSeeWhatIsNotOnDisk) {
  World world = open_world();
  EXPECT_EQ(*world.bounds(), std::nullopt);
  ASSERT_TRUE(world.set(0, 0, kRed));
  ASSERT_TRUE(world.set(-1, -1, kRed));
  ASSERT_TRUE(world.set(64, 0, kRed));
  ASSERT_TRUE(world.flush());
  ASSERT_TRUE(world.set(0, 64, kRed));
  ASSERT_TRUE(world.set(1, 1, kBlue));  // exists already
  const PixelRect around{-64, -64, 192, 192};
  EXPECT_THAT(*world.tiles(around),
              ElementsAre(TileCoord{-1, -1}, TileCoord{0, 0}, TileCoord{1, 0}, TileCoord{0, 1}));
  EXPECT_EQ(*world.count(around), 4u);
  EXPECT_THAT(*world.neighbor_tiles(5, 5, 1),
              ElementsAre(TileCoord{-1, -1}, TileCoord{1, 0}, TileCoord{0, 1}));
  EXPECT_THAT(*world.tiles({0, 0, 64, 64}), ElementsAre(TileCoord{0, 0}));  // aligned: not one too many
  ASSERT_TRUE(world.set(6400, -6400, kRed));
  EXPECT_EQ(**world.bounds(), (TileRect{{-1, -100}, {100, 1}}));
}

TEST_F(WorldTest, ASmallCacheIsOnlySlower) {
  constexpr uint64_t kTwoTiles = 2 * 3 * 64 * 64;
  World world = open_world({.cache_bytes = kTwoTiles});
  for (int64_t i = 0; i < 20; i++) {
    ASSERT_TRUE(world.set(i * 64, 0, {static_cast<uint8_t>(i + 1), 0, 0}));
    EXPECT_LE(world.stats()->tiles_in_memory, 2u);
    EXPECT_LE(world.stats()->cache_bytes, kTwoTiles);
  }
  EXPECT_GE(world.stats()->tiles_on_disk, 18u);
  for (int64_t i = 0; i < 20; i++) EXPECT_EQ(get(world, i * 64, 0)[0], i + 1);
  const Buffer wide = random_pixels(1000, 300, 1);
  ASSERT_TRUE(world.write({-500, -150, 1000, 300}, wide));
  EXPECT_EQ(read(world, {-500, -150, 1000, 300}), wide);
  EXPECT_LE(world.stats()->tiles_in_memory, 2u);
}

TEST_F(WorldTest, LargeReadsLeaveTheCacheAlone) {
  World world = open_world({.cache_bytes = 8 * 3 * 64 * 64});
  const Buffer pixels = random_pixels(640, 640, 1);
  ASSERT_TRUE(world.write({0, 0, 640, 640}, pixels));
  ASSERT_TRUE(world.flush());
  ASSERT_TRUE(world.set(0, 0, kRed));
  EXPECT_EQ(get(world, 64, 0), (Rgb{pixels[192], pixels[193], pixels[194]}));
  const auto before = *world.stats();
  const Buffer all = read(world, {0, 0, 640, 640});
  EXPECT_EQ((Rgb{all[0], all[1], all[2]}), kRed);  // what is painted wins over what is stored
  EXPECT_TRUE(std::equal(all.begin() + 3, all.end(), pixels.begin() + 3));
  const auto after = *world.stats();
  EXPECT_EQ(after.evictions, before.evictions);
  EXPECT_EQ(after.tiles_in_memory, before.tiles_in_memory);
  EXPECT_EQ(after.dirty_tiles, 1u);
}

TEST_F(WorldTest, ReadersFollowCommits) {
  World writer = open_world();
  ASSERT_TRUE(writer.set(0, 0, kRed));
  ASSERT_TRUE(writer.flush());
  World reader = open_world({.read_only = true});
  EXPECT_EQ(get(reader, 0, 0), kRed);
  EXPECT_EQ(get(reader, 1, 0), kBlack);
  ASSERT_TRUE(writer.set(0, 0, kGreen));
  EXPECT_EQ(get(reader, 0, 0), kRed);
  ASSERT_TRUE(writer.flush());
  EXPECT_EQ(get(reader, 0, 0), kGreen);
  const TilePin pin = std::move(reader.pin({0, 0})).value();
  ASSERT_TRUE(writer.set(0, 0, kBlue));
  ASSERT_TRUE(writer.set(1000, 0, kBlue));
  ASSERT_TRUE(writer.flush());
  EXPECT_EQ(*reader.count({0, 0, 2000, 1}), 2u);
  EXPECT_EQ(read(reader, {0, 0, 1, 1}), (Buffer{0, 0, 255}));
  EXPECT_EQ(pin.rgb()[1], 255);  // keeps what it had
  for (const auto& refused :
       {reader.set(0, 0, kRed), reader.write({0, 0, 1, 1}, Buffer(3)), reader.write_bytes(0, 0, Buffer(3))})
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(reader.erase({0, 0, 1, 1}).error().message, HasSubstr("reading"));
  EXPECT_FALSE(reader.restore({0, 0, 1, 1}));
  EXPECT_TRUE(reader.flush());
}

// A reader that waits keeps no pages from being used again.
TEST_F(WorldTest, WaitingReadersDoNotLetTheFileGrow) {
  World writer = open_world();
  const Buffer pixels = random_pixels(640, 640, 1);
  const auto change = [&](int times) {
    for (int i = 0; i < times; i++) {
      ASSERT_TRUE(writer.write({0, 0, 640, 640}, pixels));
      ASSERT_TRUE(writer.flush());
    }
  };
  change(10);
  World reader = open_world({.read_only = true});
  EXPECT_EQ(get(reader, 0, 0)[0], pixels[0]);
  const uint64_t before = writer.stats()->store.file_bytes;
  change(30);
  EXPECT_LE(writer.stats()->store.file_bytes, before + before / 2);
}

TEST_F(WorldTest, PinnedTilesStay) {
  World world = open_world({.cache_bytes = 2 * 3 * 64 * 64});
  ASSERT_TRUE(world.set(0, 0, kRed));
  auto pin = world.pin({0, 0});
  ASSERT_TRUE(pin);
  auto black = world.pin({9, 9});
  ASSERT_TRUE(black);
  EXPECT_EQ(Buffer(black->rgb().begin(), black->rgb().end()), Buffer(3 * 64 * 64));
  const uint8_t* address = pin->rgb().data();
  for (int64_t i = 1; i < 10; i++) ASSERT_TRUE(world.set(i * 64, 0, kGreen));
  EXPECT_EQ(world.stats()->pinned_tiles, 2u);
  ASSERT_TRUE(world.set(1, 0, kBlue));
  EXPECT_EQ(pin->rgb().data(), address);
  EXPECT_EQ(pin->rgb()[0], 255);
  EXPECT_EQ(pin->rgb()[5], 255);  // painted later
  EXPECT_EQ(*world.erase({0, 0, 64, 64}), 1u);
  EXPECT_EQ(get(world, 0, 0), kBlack);
  EXPECT_EQ(pin->rgb()[0], 255);
  World moved = std::move(world);
  *pin = std::move(*black);
  EXPECT_EQ(moved.stats()->pinned_tiles, 1u);
  EXPECT_EQ(*moved.count({-64, -64, 6400, 6400}), 9u);  // a pin makes no tile
  world = std::move(moved);                             // which ends after its pins
}

TEST_F(WorldTest, EraseAndRestore) {
  World world = open_world();
  const Buffer pixels = random_pixels(200, 200, 1);
  ASSERT_TRUE(world.write({-100, -100, 200, 200}, pixels));
  EXPECT_EQ(*world.erase({-64, -64, 100, 64}), 2u);  // flushes what it erases
  Buffer wanted = pixels;
  for (uint64_t y = 36; y < 100; y++)
    std::fill_n(wanted.begin() + static_cast<std::ptrdiff_t>(3 * (y * 200 + 36)), 300, 0);
  EXPECT_EQ(read(world, {-100, -100, 200, 200}), wanted);
  EXPECT_THAT(*world.tiles({-64, -64, 64, 64}), IsEmpty());
  ASSERT_TRUE(world.set(-50, -50, kRed));
  EXPECT_EQ(*world.restore({-64, -64, 100, 64}), 2u);
  EXPECT_EQ(read(world, {-100, -100, 200, 200}), pixels);
  EXPECT_EQ(*world.restore({-64, -64, 100, 64}), 0u);
  EXPECT_EQ(*world.erase({5000, 5000, 10, 10}), 0u);
}

TEST_F(WorldTest, PrefetchFillsTheRoomThereIs) {
  {
    World world = open_world();
    ASSERT_TRUE(world.write({0, 0, 640, 640}, random_pixels(640, 640, 1)));
    ASSERT_TRUE(world.flush());
  }
  World world = open_world({.cache_bytes = 50 * 3 * 64 * 64});
  EXPECT_EQ(*world.prefetch({0, 0, 256, 256}), 16u);
  EXPECT_EQ(*world.prefetch({0, 0, 256, 256}), 0u);
  EXPECT_EQ(*world.prefetch({10000, 10000, 256, 256}), 0u);
  const uint64_t misses = world.stats()->misses;
  get(world, 200, 200);
  EXPECT_EQ(world.stats()->misses, misses);
  for (int64_t i = 0; i < 45; i++) ASSERT_TRUE(world.set(-64 * (i + 1), 0, kRed));
  const uint64_t version = world.stats()->store.version;
  EXPECT_EQ(*world.prefetch({0, 0, 640, 640}), 5u);
  EXPECT_EQ(world.stats()->store.version, version);  // nothing had to be written for it
  EXPECT_EQ(world.stats()->dirty_tiles, 45u);
}

TEST_F(WorldTest, DamagedTilesAreNamedAndCanBePaintedWhole) {
  const Buffer pixels = random_pixels(64, 64, 1);
  {
    World world = open_world();
    ASSERT_TRUE(world.write({128, -64, 64, 64}, pixels));
    ASSERT_TRUE(world.set(0, -1, kRed));
    ASSERT_TRUE(world.flush());
  }
  damage(Bytes(pixels).subspan(500, 100), 50);
  World world = open_world();
  EXPECT_EQ(world.get(130, -3).error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(world.get(130, -3).error().message, HasSubstr("2, -1"));
  Buffer out(3 * 200 * 64);
  EXPECT_EQ(world.read({0, -64, 200, 64}, out).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(world.set(130, -3, kRed).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(world.pin({2, -1}).error().code, ErrorCode::kCorrupt);
  // Nothing of a region that meets it is painted.
  EXPECT_EQ(world.write({0, -1, 130, 1}, Buffer(390, 9)).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(get(world, 0, -1), kRed);
  EXPECT_EQ(world.stats()->dirty_tiles, 0u);
  EXPECT_EQ(*world.prefetch({0, -64, 200, 64}), 0u);  // the one is cached, the other cannot be
  ASSERT_TRUE(world.write({127, -65, 66, 66}, random_pixels(66, 66, 2)));
  ASSERT_TRUE(world.flush());
  EXPECT_EQ(read(world, {127, -65, 66, 66}), random_pixels(66, 66, 2));
}

// Makes the system refuse to let files grow, as a full disk does.
class FullDisk {
 public:
  explicit FullDisk(uint64_t limit) {
    signal_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limited{limit, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limited);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_);
  }

 private:
  rlimit before_{};
  void (*signal_)(int) = nullptr;
};

TEST_F(WorldTest, AFullDiskLosesNothing) {
  World world = open_world({.cache_bytes = 100 * 3 * 64 * 64});
  ASSERT_TRUE(world.write_bytes(-1000, -1000, text("on disk")));
  ASSERT_TRUE(world.flush());
  const Buffer pixels = random_pixels(640, 512, 1);  // 80 tiles
  {
    FullDisk full(std::filesystem::file_size(data_file()));
    ASSERT_TRUE(world.write({0, 0, 640, 512}, pixels));
    ASSERT_TRUE(world.write_bytes(-2000, -2000, text("in memory")));
    const auto flushed = world.flush();
    ASSERT_FALSE(flushed);
    EXPECT_EQ(flushed.error().code, ErrorCode::kIo);
    EXPECT_EQ(world.stats()->dirty_tiles, 81u);
    EXPECT_FALSE(world.erase({0, 0, 1, 1}));
    for (int64_t i = 0; i < 19; i++) ASSERT_TRUE(world.set(i * 64, 5000, kRed));
    const auto no_room = world.set(0, 10000, kRed);
    ASSERT_FALSE(no_room);
    EXPECT_EQ(no_room.error().code, ErrorCode::kIo);
    EXPECT_EQ(get(world, -1000, -1000), (Rgb{'o', 'n', ' '}));  // read past the cache
    EXPECT_EQ(read(world, {0, 0, 640, 512}), pixels);
    EXPECT_EQ(*world.read_bytes(-2000, -2000), text("in memory"));
    EXPECT_EQ(get(world, 64, 5000), kRed);
    World reader = open_world({.read_only = true});
    EXPECT_EQ(*reader.read_bytes(-1000, -1000), text("on disk"));
    EXPECT_EQ(*reader.count({0, 0, 640, 512}), 0u);
  }
  ASSERT_TRUE(world.flush());
  World reader = open_world({.read_only = true});
  EXPECT_EQ(read(reader, {0, 0, 640, 512}), pixels);
  EXPECT_EQ(*reader.read_bytes(-2000, -2000), text("in memory"));
  EXPECT_TRUE(reader.store().verify()->bad.empty());
}

TEST_F(WorldTest, OneWriterAndOneTileSize) {
  World world = open_world({.tile_size = 32});
  EXPECT_EQ(World::open(this->world(), {}).error().code, ErrorCode::kBusy);
  const auto other_size = World::open(this->world(), {.read_only = true, .tile_size = 64});
  ASSERT_FALSE(other_size);
  EXPECT_THAT(other_size.error().message, HasSubstr("32"));
  EXPECT_EQ(open_world({.read_only = true}).tile_size(), 32u);
  const auto missing = World::open(this->world() + "-none", {.read_only = true});
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(this->world() + "-none"));
}

}  // namespace
}  // namespace pixellm
