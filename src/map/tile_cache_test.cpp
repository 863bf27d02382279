#include "map/tile_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>
#include <random>

namespace pixellm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kTileBytes = 3 * 16 * 16;

// What a store would hold.
struct Backing {
  std::map<TileCoord, std::vector<uint8_t>> tiles;
  std::vector<std::vector<TileCoord>> batches;
  bool full = false;

  TileCache::WriteBack function() {
    return [this](std::span<const TileChange> changes) -> Result<void> {
      if (full) return fail(ErrorCode::kIo, "no space left");
      batches.emplace_back();
      for (const TileChange& c : changes) {
        tiles[c.tile].assign(c.rgb.begin(), c.rgb.end());
        batches.back().push_back(c.tile);
      }
      return {};
    };
  }
};

TileCache make(Backing& backing, uint64_t capacity) {
  return TileCache(kTileBytes, capacity * kTileBytes, backing.function());
}

CachedTile* put(TileCache& cache, TileCoord coord, uint8_t value, bool dirty = true) {
  auto tile = cache.insert(coord);
  EXPECT_TRUE(tile);
  std::fill_n((*tile)->rgb(), kTileBytes, value);
  if (dirty) cache.mark_dirty(**tile);
  return *tile;
}

TEST(TileCache, LeastRecentlyUsedLeavesFirst) {
  Backing backing;
  TileCache cache = make(backing, 3);
  for (int64_t i = 0; i < 3; i++) put(cache, {i, 0}, 1, false);
  EXPECT_NE(cache.find({0, 0}), nullptr);  // 1 is the oldest now
  put(cache, {3, 0}, 1, false);
  EXPECT_EQ(cache.peek({1, 0}), nullptr);
  EXPECT_NE(cache.peek({2, 0}), nullptr);  // a peek does not count as use
  put(cache, {4, 0}, 1, false);
  EXPECT_EQ(cache.peek({2, 0}), nullptr);
  EXPECT_NE(cache.peek({0, 0}), nullptr);
  EXPECT_EQ(cache.stats().evictions, 2u);
  EXPECT_EQ(cache.stats().tiles, 3u);
  EXPECT_EQ(cache.stats().bytes, 3 * kTileBytes);
}

TEST(TileCache, CountsHitsAndMisses) {
  Backing backing;
  TileCache cache = make(backing, 2);
  EXPECT_EQ(cache.find({7, 7}), nullptr);
  put(cache, {7, 7}, 1, false);
  EXPECT_NE(cache.find({7, 7}), nullptr);
  EXPECT_NE(cache.find({7, 7}), nullptr);
  EXPECT_EQ(cache.stats().hits, 2u);
  EXPECT_EQ(cache.stats().misses, 1u);
}

TEST(TileCache, WritesAllChangedTilesBackInKeyOrderWhenOneIsDue) {
  Backing backing;
  TileCache cache = make(backing, 4);
  put(cache, {1, 1}, 11);
  put(cache, {-1, -1}, 12);
  put(cache, {0, 1}, 13);
  put(cache, {5, 5}, 14, false);
  put(cache, {6, 6}, 15);
  EXPECT_THAT(backing.batches, ElementsAre(ElementsAre(TileCoord{-1, -1}, TileCoord{0, 1}, TileCoord{1, 1})));
  EXPECT_EQ(backing.tiles[(TileCoord{1, 1})], std::vector<uint8_t>(kTileBytes, 11));
  EXPECT_EQ(cache.peek({1, 1}), nullptr);
  EXPECT_FALSE(cache.peek({-1, -1})->dirty());
  EXPECT_THAT(cache.dirty(), ElementsAre(cache.peek({6, 6})));
}

TEST(TileCache, WriteBackIsOneCallAndNoneWithoutChanges) {
  Backing backing;
  TileCache cache = make(backing, 4);
  EXPECT_TRUE(cache.write_back());
  EXPECT_THAT(backing.batches, IsEmpty());
  CachedTile* tile = put(cache, {1, 0}, 1);
  cache.mark_dirty(*tile);
  put(cache, {0, 0}, 1);
  EXPECT_EQ(cache.stats().dirty_tiles, 2u);
  EXPECT_TRUE(cache.write_back());
  EXPECT_TRUE(cache.write_back());
  EXPECT_THAT(backing.batches, ElementsAre(ElementsAre(TileCoord{0, 0}, TileCoord{1, 0})));
  EXPECT_EQ(cache.stats().dirty_tiles, 0u);
}

TEST(TileCache, FailedWriteBackKeepsChangesAndLetsUnchangedTilesLeave) {
  Backing backing;
  TileCache cache = make(backing, 3);
  put(cache, {0, 0}, 1);
  put(cache, {1, 0}, 2);
  put(cache, {2, 0}, 3, false);
  backing.full = true;
  EXPECT_FALSE(cache.write_back());
  EXPECT_EQ(cache.stats().dirty_tiles, 2u);
  put(cache, {3, 0}, 4);  // in place of the unchanged one
  EXPECT_EQ(cache.peek({2, 0}), nullptr);
  const auto refused = cache.insert({4, 0});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kIo);
  EXPECT_EQ(cache.stats().dirty_tiles, 3u);
  EXPECT_EQ(cache.find({0, 0})->rgb()[0], 1);
  backing.full = false;
  EXPECT_TRUE(cache.insert({4, 0}));
  EXPECT_EQ(backing.tiles.size(), 3u);
}

TEST(TileCache, PinnedTilesStayEvenOverTheBudget) {
  Backing backing;
  TileCache cache = make(backing, 2);
  CachedTile* a = put(cache, {0, 0}, 1);
  CachedTile* b = put(cache, {1, 0}, 2, false);
  cache.pin(*a);
  cache.pin(*a);
  cache.pin(*b);
  EXPECT_EQ(cache.room(), 0u);
  for (int64_t i = 2; i < 20; i++) put(cache, {i, 0}, 3);
  EXPECT_EQ(cache.peek({0, 0}), a);
  EXPECT_EQ(cache.peek({1, 0}), b);
  EXPECT_EQ(cache.stats().tiles, 3u);
  EXPECT_EQ(cache.stats().pinned_tiles, 2u);
  cache.unpin(*a);
  cache.unpin(*b);
  put(cache, {20, 0}, 3);
  EXPECT_EQ(cache.peek({0, 0}), a);  // pinned once still
  EXPECT_EQ(cache.peek({1, 0}), nullptr);
  cache.unpin(*a);
  put(cache, {21, 0}, 3);
  put(cache, {22, 0}, 3);
  EXPECT_EQ(cache.peek({0, 0}), nullptr);
  EXPECT_EQ(cache.stats().pinned_tiles, 0u);
  EXPECT_EQ(backing.tiles[(TileCoord{0, 0})][0], 1);
}

TEST(TileCache, DroppedTilesLiveOnForTheirPins) {
  Backing backing;
  TileCache cache = make(backing, 4);
  CachedTile* a = put(cache, {0, 0}, 7, false);
  put(cache, {1, 0}, 8, false);
  put(cache, {2, 0}, 9, false);
  cache.pin(*a);
  cache.drop_if([](TileCoord t) { return t.x < 2; });
  EXPECT_EQ(cache.find({0, 0}), nullptr);
  EXPECT_EQ(cache.find({1, 0}), nullptr);
  EXPECT_NE(cache.find({2, 0}), nullptr);
  EXPECT_EQ(a->rgb()[0], 7);
  put(cache, {0, 0}, 70);  // another one at the same place
  EXPECT_EQ(a->rgb()[0], 7);
  cache.unpin(*a);
  EXPECT_TRUE(cache.write_back());
  cache.drop_all();
  EXPECT_EQ(cache.stats().tiles, 0u);
}

TEST(TileCache, KeepsOneTileWhateverTheBudget) {
  Backing backing;
  for (const uint64_t budget : {uint64_t{0}, kTileBytes - 1, kTileBytes}) {
    TileCache cache(kTileBytes, budget, backing.function());
    put(cache, {0, 0}, 1, false);
    put(cache, {1, 0}, 1, false);
    EXPECT_EQ(cache.stats().tiles, 1u);
    EXPECT_NE(cache.find({1, 0}), nullptr);
  }
}

// Against a plain list: the same tiles stay, and nothing that was changed is ever lost.
TEST(TileCache, AgreesWithAPlainList) {
  Backing backing;
  constexpr size_t kCapacity = 8;
  TileCache cache = make(backing, kCapacity);
  std::list<TileCoord> order;  // newest first
  std::map<TileCoord, uint8_t> content;
  std::mt19937 random(1);
  for (int step = 0; step < 20000; step++) {
    const TileCoord coord{static_cast<int64_t>(random() % 5) - 2, static_cast<int64_t>(random() % 5) - 2};
    const auto at = std::ranges::find(order, coord);
    CachedTile* tile = cache.find(coord);
    ASSERT_EQ(tile != nullptr, at != order.end());
    if (tile) {
      order.erase(at);
    } else {
      tile = *cache.insert(coord);
      std::fill_n(tile->rgb(), kTileBytes, backing.tiles.contains(coord) ? backing.tiles[coord][0] : 0);
      if (order.size() == kCapacity) order.pop_back();
    }
    order.push_front(coord);
    ASSERT_EQ(tile->rgb()[kTileBytes - 1], content[coord]);
    if (random() % 3 == 0) {
      std::fill_n(tile->rgb(), kTileBytes, content[coord] = static_cast<uint8_t>(random()));
      cache.mark_dirty(*tile);
    }
  }
  EXPECT_GT(backing.batches.size(), 100u);
}

}  // namespace
}  // namespace pixellm
