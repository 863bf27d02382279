#include "map/tile_store.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <numeric>
#include <thread>

#include "map/store_test_util.h"

namespace pixellm {
namespace {

using namespace store_test;

class TileStoreTest : public StoreTest {};

TEST_F(TileStoreTest, TilesComeBack) {
  Buffer a, b;
  {
    auto store = open();
    a = pixels(*store, 1), b = pixels(*store, 2);
    EXPECT_EQ(store->tile_size(), 64u);
    EXPECT_EQ(get(*store, {2, 3}), Buffer{});
    ASSERT_TRUE(store->commit({.tiles = {{{2, 3}, a}, {{-7, 0}, b}}, .lengths = {{-448, 5, 1234}}}));
    EXPECT_EQ(get(*store, {2, 3}), a);
    EXPECT_EQ(get(*store, {-7, 0}), b);
  }
  auto store = open();
  EXPECT_EQ(get(*store, {2, 3}), a);
  EXPECT_EQ(get(*store, {-7, 0}), b);
  auto snapshot = *store->snapshot();
  EXPECT_EQ(*snapshot->byte_length(-448, 5), 1234u);
  EXPECT_EQ(*snapshot->byte_length(-448, 6), std::nullopt);
  EXPECT_TRUE(*snapshot->has_tile({-7, 0}));
  EXPECT_FALSE(*snapshot->has_tile({0, 0}));
  EXPECT_EQ(stats(*store).tiles, 2u);
  EXPECT_EQ(stats(*store).old_versions, 0u);
}

TEST_F(TileStoreTest, SnapshotsSeeOneState) {
  auto store = open();
  const Buffer a = pixels(*store, 1), b = pixels(*store, 2);
  put(*store, {0, 0}, a);
  auto snapshot = *store->snapshot();
  const uint64_t version = snapshot->version();
  for (int i = 0; i < 20; ++i) put(*store, {0, 0}, b);
  put(*store, {1, 0}, b);
  auto rgb = *snapshot->tile({0, 0});
  EXPECT_EQ(Buffer(rgb->begin(), rgb->end()), a);
  EXPECT_FALSE(*snapshot->has_tile({1, 0}));
  EXPECT_TRUE(*snapshot->refresh());
  EXPECT_FALSE(*snapshot->refresh());
  EXPECT_EQ(snapshot->version(), version + 21);
  rgb = *snapshot->tile({0, 0});
  EXPECT_EQ(Buffer(rgb->begin(), rgb->end()), b);
  snapshot->release();
  put(*store, {0, 0}, a);
  EXPECT_TRUE(*snapshot->refresh());
}

TEST_F(TileStoreTest, SnapshotsOutliveTheStoreAndMoveBetweenThreads) {
  auto store = open();
  const Buffer a = pixels(*store, 1);
  put(*store, {5, -5}, a);
  std::unique_ptr<StoreSnapshot> snapshot = *store->snapshot();
  store.reset();
  Buffer seen;
  std::thread([&] {
    const auto rgb = *snapshot->tile({5, -5});
    seen.assign(rgb->begin(), rgb->end());
    snapshot.reset();
  }).join();
  EXPECT_EQ(seen, a);
}

TEST_F(TileStoreTest, ReadersWhileOneWrites) {
  auto store = open({.tile_size = 16});
  const auto fill = [&](uint64_t seed) {
    const Buffer rgb = pixels(*store, seed);
    StoreChanges changes;
    for (int i = 0; i < 50; ++i) changes.tiles.push_back({{i, -i}, rgb});
    ASSERT_TRUE(store->commit(changes));
  };
  fill(0);
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r)
    readers.emplace_back([&] {
      auto snapshot = *store->snapshot();
      do {
        ASSERT_TRUE(snapshot->refresh());
        const auto first = *snapshot->tile({0, 0});
        for (int i = 1; i < 50; ++i) ASSERT_TRUE(std::ranges::equal(*first, **snapshot->tile({i, -i})));
      } while (!done);
    });
  for (uint64_t seed = 1; seed < 40; ++seed) fill(seed);
  done = true;
  for (auto& reader : readers) reader.join();
}

TEST_F(TileStoreTest, CoordinatesAtTheEnds) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min(), kMax = std::numeric_limits<int64_t>::max();
  auto store = open({.tile_size = 16});
  std::vector<TileCoord> tiles;
  for (const int64_t x : {kMin, kMin + 1, int64_t{-1}, int64_t{0}, kMax - 1, kMax})
    for (const int64_t y : {kMin, int64_t{0}, kMax}) tiles.push_back({x, y});
  std::vector<Buffer> rgb;
  StoreChanges changes;
  for (size_t i = 0; i < tiles.size(); ++i) rgb.push_back(pixels(*store, i));
  for (size_t i = 0; i < tiles.size(); ++i) changes.tiles.push_back({tiles[i], rgb[i]});
  changes.lengths = {{kMin, kMax, 1}, {kMax, kMin, ~uint64_t{0}}};
  ASSERT_TRUE(store->commit(changes));
  for (size_t i = 0; i < tiles.size(); ++i) EXPECT_EQ(get(*store, tiles[i]), rgb[i]);
  std::ranges::sort(tiles, {}, morton_key);
  EXPECT_EQ(all_tiles(*store), tiles);
  EXPECT_EQ(*(*store->snapshot())->byte_length(kMin, kMax), 1u);
  EXPECT_EQ(*(*store->snapshot())->byte_length(kMax, kMin), ~uint64_t{0});
}

TEST_F(TileStoreTest, EveryTileSize) {
  for (const uint32_t size : {16u, 17u, 64u, 100u, 255u, 256u, 257u, 1000u, 1024u}) {
    std::filesystem::remove_all(world());
    auto store = open({.tile_size = size});
    std::vector<Buffer> rgb;
    StoreChanges changes;
    for (uint64_t i = 0; i < 5; ++i) rgb.push_back(pixels(*store, i));
    for (size_t i = 0; i < 5; ++i) changes.tiles.push_back({{-2, static_cast<int64_t>(i)}, rgb[i]});
    ASSERT_TRUE(store->commit(changes));
    store.reset();
    store = open({.tile_size = size});
    EXPECT_EQ(store->tile_bytes(), uint64_t{3} * size * size);
    for (size_t i = 0; i < 5; ++i) EXPECT_EQ(get(*store, {-2, static_cast<int64_t>(i)}), rgb[i]) << size;
    EXPECT_TRUE(store->verify()->other.empty());
  }
}

TEST_F(TileStoreTest, TilesFillTheirPages) {
  auto store = open();
  const Buffer rgb = pixels(*store, 1);
  StoreChanges changes;
  for (int i = 0; i < 320; ++i) changes.tiles.push_back({{i, 0}, rgb});
  ASSERT_TRUE(store->commit(changes));
  EXPECT_GT(320.0 * 12288 / static_cast<double>(stats(*store).used_bytes), 0.96);
}

TEST_F(TileStoreTest, BadChangesAreRefusedWhole) {
  auto store = open();
  const Buffer a = pixels(*store, 1), small(100);
  put(*store, {0, 0}, a);
  const uint64_t version = stats(*store).version;
  EXPECT_EQ(store->commit({.tiles = {{{1, 0}, a}, {{2, 0}, small}}}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(store->commit({.tiles = {{{1, 0}, a}, {{1, 0}, a}}}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(store->commit({}));
  EXPECT_EQ(stats(*store).version, version);
  EXPECT_EQ(all_tiles(*store).size(), 1u);
}

TEST_F(TileStoreTest, OldVersionsDoNotPileUp) {
  auto store = open();
  constexpr int kTiles = 320;
  std::vector<uint64_t> seeds(kTiles, 0);
  std::mt19937 random(1);
  const auto write = [&](const std::vector<int>& which, uint64_t seed) {
    std::vector<Buffer> rgb;
    StoreChanges changes;
    for (const int i : which) rgb.push_back(pixels(*store, seeds[i] = seed * 1000 + i));
    for (size_t i = 0; i < which.size(); ++i)
      changes.tiles.push_back({{which[i] % 20, which[i] / 20}, rgb[i]});
    ASSERT_TRUE(store->commit(changes));
  };
  std::vector<int> all(kTiles);
  std::iota(all.begin(), all.end(), 0);
  write(all, 1);
  for (uint64_t round = 2; round < 60; ++round) {
    std::vector<int> some;
    std::ranges::sample(all, std::back_inserter(some), 80, random);
    write(some, round);
  }
  const StoreStats s = stats(*store);
  EXPECT_LE(s.old_versions, 320u);
  const double two_versions = 2.0 * kTiles * 12308;
  EXPECT_LT(static_cast<double>(s.used_bytes), 2.5 * two_versions);
  EXPECT_LT(static_cast<double>(s.file_bytes), 3.5 * two_versions);  // writing all would be 7.4 times that
  for (int i = 0; i < kTiles; ++i) ASSERT_EQ(get(*store, {i % 20, i / 20}), pixels(*store, seeds[i])) << i;
  EXPECT_THAT(store->verify()->other, ::testing::IsEmpty());

  const uint64_t saved = *store->compact();
  EXPECT_EQ(saved, s.file_bytes - stats(*store).file_bytes);
  EXPECT_LT(static_cast<double>(stats(*store).file_bytes), 0.55 * two_versions);
  EXPECT_EQ(stats(*store).old_versions, 0u);
  EXPECT_GT(stats(*store).version, s.version);
  for (int i = 0; i < kTiles; ++i) ASSERT_EQ(get(*store, {i % 20, i / 20}), pixels(*store, seeds[i])) << i;
  write(all, 61);
  EXPECT_EQ(get(*store, {3, 0}), pixels(*store, seeds[3]));
  EXPECT_THAT(store->verify()->other, ::testing::IsEmpty());
}

TEST_F(TileStoreTest, CompactionNeedsTheWorldForItself) {
  auto store = open();
  put(*store, {0, 0}, pixels(*store, 1));
  {
    auto snapshot = *store->snapshot();
    EXPECT_EQ(store->compact().error().code, ErrorCode::kBusy);
  }
  {
    auto reader = open({.read_only = true});
    EXPECT_EQ(store->compact().error().code, ErrorCode::kBusy);
    EXPECT_EQ(reader->compact().error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_TRUE(store->compact());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(world()), {}), 2);
}

TEST_F(TileStoreTest, Records) {
  {
    auto store = open();
    ASSERT_TRUE(store->put_record({"b", {1, 2, 3}}));
    ASSERT_TRUE(store->put_record({std::string(4000, 'a'), {}}));
    ASSERT_TRUE(store->put_record({"b", {4}}));
    EXPECT_EQ(store->remove_record("c").error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store->put_record({"", {}}).error().code, ErrorCode::kTooLarge);
  }
  auto store = open();
  auto records = *(*store->snapshot())->records();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].name, std::string(4000, 'a'));
  EXPECT_EQ(records[1].value, Buffer{4});
  ASSERT_TRUE(store->remove_record("b"));
  EXPECT_EQ((*store->snapshot())->records()->size(), 1u);
}

TEST_F(TileStoreTest, OneTileSizeAWorld) {
  open({.tile_size = 32});
  EXPECT_EQ(open_error({.tile_size = 64}), ErrorCode::kInvalidArgument);
  EXPECT_THAT(message_, ::testing::HasSubstr("32"));
  EXPECT_EQ(open()->tile_size(), 32u);
  for (const uint32_t size : {0u, 15u, 1025u, ~0u})
    EXPECT_EQ(open_error({.tile_size = size}), ErrorCode::kInvalidArgument);
}

TEST_F(TileStoreTest, WhereAWorldMayBeMade) {
  EXPECT_EQ(open_error({.create = false}), ErrorCode::kNotFound);
  EXPECT_EQ(open_error({.read_only = true}), ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(world()));
  EXPECT_EQ(TileStore::open(world() + "/deeper", {}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(TileStore::open("", {}).error().code, ErrorCode::kInvalidArgument);
  std::filesystem::create_directory(world());
  ASSERT_TRUE(write_file(world() + "/notes.txt", Buffer{1}));
  EXPECT_EQ(open_error(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(message_, ::testing::HasSubstr("notes.txt"));
  EXPECT_EQ(TileStore::open(world() + "/notes.txt", {}).error().code, ErrorCode::kInvalidArgument);
  std::filesystem::remove(world() + "/notes.txt");
  put(*open(), {0, 0}, Buffer(12288));
  ASSERT_TRUE(write_file(world() + "/notes.txt", Buffer{1}));
  EXPECT_EQ(all_tiles(*open({.create = false})).size(), 1u);
}

TEST_F(TileStoreTest, ReadOnlyStoresRefuseChanges) {
  auto writer = open();
  auto store = open({.read_only = true});
  EXPECT_TRUE(store->read_only());
  EXPECT_EQ(store->commit({}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store->erase({0, 0, 1, 1}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store->restore({0, 0, 1, 1}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store->put_record({"a", {}}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store->remove_record("a").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store->repair().error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(store->verify());
  put(*writer, {1, 1}, Buffer(12288));
  EXPECT_EQ(all_tiles(*store).size(), 1u);
}

}  // namespace
}  // namespace pixellm
