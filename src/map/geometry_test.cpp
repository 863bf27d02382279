#include "map/geometry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

#include "base/hash.h"

namespace pixellm {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr uint64_t kAll = std::numeric_limits<uint64_t>::max();

TEST(Geometry, TileAtRoundsDown) {
  EXPECT_EQ(tile_at(130, 195, 64), (TileCoord{2, 3}));
  EXPECT_EQ(tile_at(-100, -200, 64), (TileCoord{-2, -4}));
  EXPECT_EQ(tile_at(-1, 0, 64), (TileCoord{-1, 0}));
  EXPECT_EQ(tile_at(-64, -65, 64), (TileCoord{-1, -2}));
  EXPECT_EQ(tile_at(63, 64, 64), (TileCoord{0, 1}));
  EXPECT_EQ(tile_at(kMin, kMax, 64), (TileCoord{kMin / 64, kMax / 64}));
  EXPECT_EQ(tile_at(kMin, kMax, 1000), (TileCoord{kMin / 1000 - 1, kMax / 1000}));
  EXPECT_EQ(tile_at(kMin, kMax, 1), (TileCoord{kMin, kMax}));
}

TEST(Geometry, CheckRect) {
  EXPECT_TRUE(check_rect({kMin, kMin, kAll, kAll}));
  EXPECT_TRUE(check_rect({kMin + 1, kMin + 1, kAll, kAll}));
  EXPECT_TRUE(check_rect({kMax, kMax, 1, 1}));
  EXPECT_TRUE(check_rect({-1, 0, uint64_t{1} << 63, uint64_t{1} << 63}));
  EXPECT_TRUE(check_rect({kMax, kMax, 0, kAll}));
  EXPECT_TRUE(check_rect({kMax, kMax, kAll, 0}));
  for (const PixelRect& bad :
       {PixelRect{kMax, 0, 2, 1}, PixelRect{0, kMax, 1, 2}, PixelRect{kMin + 2, 0, kAll, 1},
        PixelRect{0, 1, 1, kAll}, PixelRect{0, 0, (uint64_t{1} << 63) + 1, 1}}) {
    auto result = check_rect(bad);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(result.error().message, testing::HasSubstr("leaves the world"));
  }
}

TEST(Geometry, Intersect) {
  EXPECT_EQ(intersect({0, 0, 10, 10}, {5, -5, 10, 10}), (PixelRect{5, 0, 5, 5}));
  EXPECT_EQ(intersect({-5, -5, 4, 4}, {-3, -4, 100, 1}), (PixelRect{-3, -4, 2, 1}));
  EXPECT_EQ(intersect({0, 0, 10, 10}, {10, 0, 1, 1}), PixelRect{});
  EXPECT_EQ(intersect({0, 0, 10, 10}, {0, 10, 1, 1}), PixelRect{});
  EXPECT_EQ(intersect({0, 0, 10, 10}, {3, 3, 0, 5}), PixelRect{});
  EXPECT_EQ(intersect({kMax, 0, 0, kAll}, {kMin, kMin, kAll, kAll}), PixelRect{});
  EXPECT_EQ(intersect({kMin, kMin, kAll, kAll}, {kMin, kMin, kAll, kAll}),
            (PixelRect{kMin, kMin, kAll, kAll}));
  EXPECT_EQ(intersect({kMin, kMin, kAll, kAll}, {kMin + 1, kMin + 1, kAll, kAll}),
            (PixelRect{kMin + 1, kMin + 1, kAll - 1, kAll - 1}));
  EXPECT_EQ(intersect({kMin, kMin, 1, 1}, {kMax, kMax, 1, 1}), PixelRect{});
}

TEST(Geometry, TilesOf) {
  EXPECT_EQ(tiles_of({0, 0, 0, 5}, 64), std::nullopt);
  EXPECT_EQ(tiles_of({kMax, kMax, 5, 0}, 64), std::nullopt);
  EXPECT_EQ(tiles_of({0, 0, 64, 64}, 64), (TileRect{{0, 0}, {0, 0}}));  // aligned: no tile too many
  EXPECT_EQ(tiles_of({0, 0, 65, 64}, 64), (TileRect{{0, 0}, {1, 0}}));
  EXPECT_EQ(tiles_of({-1, -1, 2, 2}, 64), (TileRect{{-1, -1}, {0, 0}}));
  EXPECT_EQ(tiles_of({kMin, kMin, kAll, kAll}, 64),
            (TileRect{{kMin / 64, kMin / 64}, {kMax / 64, kMax / 64}}));
  EXPECT_EQ(tiles_of({kMax, kMin, 1, 1}, 16), (TileRect{{kMax / 16, kMin / 16}, {kMax / 16, kMin / 16}}));
}

TEST(MortonKey, GoldenKeys) {
  const std::vector<std::pair<TileCoord, std::string>> golden = {
      {{0, 0}, "c0000000000000000000000000000000"},       {{1, 0}, "c0000000000000000000000000000001"},
      {{0, 1}, "c0000000000000000000000000000002"},       {{2, 3}, "c000000000000000000000000000000e"},
      {{-1, -1}, "3fffffffffffffffffffffffffffffff"},     {{-1, 0}, "95555555555555555555555555555555"},
      {{0, -1}, "6aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},      {{156, 312}, "c0000000000000000000000000024bd0"},
      {{-2, -4}, "3ffffffffffffffffffffffffffffff4"},     {{kMin, kMin}, "00000000000000000000000000000000"},
      {{kMax, kMax}, "ffffffffffffffffffffffffffffffff"}, {{kMax, kMin}, "55555555555555555555555555555555"},
      {{kMin, kMax}, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
  };
  for (const auto& [tile, hex] : golden) {
    const MortonKey key = morton_key(tile);
    EXPECT_EQ(to_hex(key.encode()), hex) << tile.x << "," << tile.y;
    EXPECT_EQ(tile_of(key), tile);
    EXPECT_EQ(MortonKey::decode(key.encode().data()), key);
  }
}

TEST(MortonKey, RoundTripsWithABitByBitInterleaving) {
  std::mt19937_64 random(1);
  const std::vector<int64_t> ends = {kMin, kMin + 1, kMin / 2, -2, -1, 0, 1, 2, kMax / 2, kMax - 1, kMax};
  std::vector<TileCoord> tiles;
  for (int64_t x : ends)
    for (int64_t y : ends) tiles.push_back({x, y});
  for (int i = 0; i < 1000; ++i) {
    const int shift = static_cast<int>(random() % 64);
    tiles.push_back({static_cast<int64_t>(random()) >> shift, static_cast<int64_t>(random()) >> shift});
  }
  for (TileCoord t : tiles) {
    const uint64_t x = static_cast<uint64_t>(t.x) + (uint64_t{1} << 63),
                   y = static_cast<uint64_t>(t.y) + (uint64_t{1} << 63);
    MortonKey slow;
    for (int bit = 63; bit >= 0; --bit) {
      for (uint64_t v : {y, x}) slow = {slow.high << 1 | slow.low >> 63, slow.low << 1 | (v >> bit & 1)};
    }
    EXPECT_EQ(morton_key(t), slow);
    EXPECT_EQ(tile_of(slow), t);
  }
}

// A quadtree walked north-west, north-east, south-west, south-east.
void walk(int64_t x, int64_t y, int64_t side, std::vector<TileCoord>& out) {
  if (side == 1) return out.push_back({x, y});
  const int64_t half = side / 2;
  walk(x, y, half, out);
  walk(x + half, y, half, out);
  walk(x, y + half, half, out);
  walk(x + half, y + half, half, out);
}

TEST(MortonKey, OrderIsTheQuadtrees) {
  std::vector<TileCoord> tiles;
  for (auto [x, y] : {std::pair<int64_t, int64_t>{-16, -16}, {0, -16}, {-16, 0}, {0, 0}})
    walk(x, y, 16, tiles);
  ASSERT_EQ(tiles.size(), 1024u);
  for (size_t i = 1; i < tiles.size(); ++i) {
    const MortonKey a = morton_key(tiles[i - 1]), b = morton_key(tiles[i]);
    EXPECT_LT(a, b);
    EXPECT_LT(a.encode(), b.encode());  // bytes compare as keys do
  }
}

// All keys of a square of tiles in order, as the world for next_key_in: what it must find is found by looking
// at each.
TEST(NextKeyIn, AgreesWithLookingAtEveryKey) {
  std::mt19937_64 random(2);
  for (TileCoord corner :
       {TileCoord{-8, -8}, {0, 0}, {-5, 3}, {kMin, kMin}, {kMax - 15, kMax - 15}, {kMin, kMax - 15}}) {
    std::vector<MortonKey> keys;
    for (int64_t y = 0; y < 16; ++y)
      for (int64_t x = 0; x < 16; ++x) keys.push_back(morton_key({corner.x + x, corner.y + y}));
    std::ranges::sort(keys);
    for (int round = 0; round < 60; ++round) {
      const int64_t x0 = random() % 16, y0 = random() % 16;
      const int64_t x1 = x0 + random() % (16 - x0), y1 = y0 + random() % (16 - y0);
      const TileRect rect{{corner.x + x0, corner.y + y0}, {corner.x + x1, corner.y + y1}};
      std::optional<MortonKey> expected;
      for (size_t i = keys.size(); i-- > 0;) {
        EXPECT_EQ(next_key_in(keys[i], rect), expected);
        if (rect.contains(tile_of(keys[i]))) expected = keys[i];
      }
    }
  }
}

TEST(NextKeyIn, FarKeysAndWideRectangles) {
  const MortonKey first = morton_key({kMin, kMin}), last = morton_key({kMax, kMax});
  const TileRect world{{kMin, kMin}, {kMax, kMax}};
  EXPECT_EQ(next_key_in(first, world), (MortonKey{0, 1}));
  EXPECT_EQ(next_key_in({0, kAll}, world), (MortonKey{1, 0}));
  EXPECT_EQ(next_key_in(last, world), std::nullopt);
  EXPECT_EQ(next_key_in({kAll, kAll - 1}, world), last);
  EXPECT_EQ(next_key_in(first, {{5, 7}, {6, 9}}), morton_key({5, 7}));
  EXPECT_EQ(next_key_in(morton_key({6, 9}), {{5, 7}, {6, 9}}), std::nullopt);
  EXPECT_EQ(next_key_in(last, {{5, 7}, {6, 9}}), std::nullopt);
  EXPECT_EQ(next_key_in(first, {{6, 7}, {5, 9}}), std::nullopt);
  EXPECT_EQ(next_key_in(first, {{kMax, kMax}, {kMax, kMax}}), last);

  // Against the definition, at random: the result is in the rectangle, above the key, and no later than any
  // sample is.
  std::mt19937_64 random(3);
  const auto coordinate = [&] { return static_cast<int64_t>(random()) >> (random() % 64); };
  for (int round = 0; round < 3000; ++round) {
    const auto [x0, x1] = std::minmax({coordinate(), coordinate()});
    const auto [y0, y1] = std::minmax({coordinate(), coordinate()});
    const TileRect rect{{x0, y0}, {x1, y1}};
    const auto inside = [&](int64_t low, int64_t high) {
      const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
      const uint64_t step = span == kAll ? random() : random() % (span + 1);
      return static_cast<int64_t>(static_cast<uint64_t>(low) + step);
    };
    const MortonKey from =
        round % 2 ? morton_key({coordinate(), coordinate()}) : morton_key({inside(x0, x1), inside(y0, y1)});
    const auto next = next_key_in(from, rect);
    if (next) {
      EXPECT_GT(*next, from);
      EXPECT_TRUE(rect.contains(tile_of(*next)));
    }
    for (int sample = 0; sample < 20; ++sample) {
      const MortonKey key = morton_key({inside(x0, x1), inside(y0, y1)});
      if (key > from) {
        ASSERT_TRUE(next);
        EXPECT_LE(*next, key);
      }
    }
  }
}

}  // namespace
}  // namespace pixellm
