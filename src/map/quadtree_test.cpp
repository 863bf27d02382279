#include "map/quadtree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

namespace pixellm {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr TileRect kEverything{{kMin, kMin}, {kMax, kMax}};

// A sorted array that counts what is asked of it.
class ArrayCursor : public KeyCursor {
 public:
  explicit ArrayCursor(const std::vector<MortonKey>& keys) : keys_(keys) {}

  Result<std::optional<MortonKey>> seek(MortonKey at_least) override {
    ++seeks;
    at_ = static_cast<size_t>(std::ranges::lower_bound(keys_, at_least) - keys_.begin());
    return current();
  }
  Result<std::optional<MortonKey>> next() override {
    ++nexts;
    EXPECT_LT(at_, keys_.size()) << "next() after the end";
    ++at_;
    return current();
  }
  uint64_t steps() const { return seeks + nexts; }

  uint64_t seeks = 0, nexts = 0;

 private:
  std::optional<MortonKey> current() const {
    return at_ < keys_.size() ? std::optional(keys_[at_]) : std::nullopt;
  }
  const std::vector<MortonKey>& keys_;
  size_t at_ = std::numeric_limits<size_t>::max();
};

std::vector<MortonKey> keys_of(const std::vector<TileCoord>& tiles) {
  std::vector<MortonKey> keys;
  for (TileCoord t : tiles) keys.push_back(morton_key(t));
  std::ranges::sort(keys);
  const auto repeated = std::ranges::unique(keys);
  keys.erase(repeated.begin(), repeated.end());
  return keys;
}

std::vector<TileCoord> found(const std::vector<MortonKey>& keys, const TileRect& rect) {
  ArrayCursor cursor(keys);
  std::vector<TileCoord> tiles;
  EXPECT_TRUE(visit_tiles(cursor, rect, [&](TileCoord t) { return tiles.push_back(t), true; }));
  ArrayCursor again(keys);
  EXPECT_EQ(count_tiles(again, rect), tiles.size());
  return tiles;
}

std::vector<TileCoord> by_looking_at_all(const std::vector<MortonKey>& keys, const TileRect& rect) {
  std::vector<TileCoord> tiles;
  for (MortonKey key : keys)
    if (rect.contains(tile_of(key))) tiles.push_back(tile_of(key));
  return tiles;
}

std::optional<TileRect> bounds_by_looking_at_all(const std::vector<MortonKey>& keys) {
  std::optional<TileRect> box;
  for (MortonKey key : keys) {
    const TileCoord t = tile_of(key);
    if (!box) box = TileRect{t, t};
    box->min = {std::min(box->min.x, t.x), std::min(box->min.y, t.y)};
    box->max = {std::max(box->max.x, t.x), std::max(box->max.y, t.y)};
  }
  return box;
}

std::optional<TileRect> bounds(const std::vector<MortonKey>& keys) {
  ArrayCursor cursor(keys);
  auto result = bounds_of_tiles(cursor);
  EXPECT_TRUE(result);
  return *result;
}

TEST(Quadtree, EmptyWorldAndOneTile) {
  const std::vector<MortonKey> none;
  EXPECT_TRUE(found(none, kEverything).empty());
  EXPECT_EQ(bounds(none), std::nullopt);
  for (TileCoord t : {TileCoord{0, 0}, {-1, -1}, {kMin, kMin}, {kMax, kMax}, {kMin, kMax}, {156, 312}}) {
    const std::vector<MortonKey> one = {morton_key(t)};
    EXPECT_EQ(found(one, kEverything), std::vector<TileCoord>{t});
    EXPECT_EQ(found(one, {t, t}), std::vector<TileCoord>{t});
    EXPECT_EQ(bounds(one), (TileRect{t, t}));
    EXPECT_TRUE(found(one, {{7, 7}, {6, 7}}).empty());  // an empty rectangle
  }
}

TEST(Quadtree, VisitStopsWhenTold) {
  const std::vector<MortonKey> keys = keys_of({{0, 0}, {1, 0}, {0, 1}, {1, 1}});
  ArrayCursor cursor(keys);
  std::vector<TileCoord> seen;
  ASSERT_TRUE(
      visit_tiles(cursor, kEverything, [&](TileCoord t) { return seen.push_back(t), seen.size() < 2; }));
  EXPECT_EQ(seen, (std::vector<TileCoord>{{0, 0}, {1, 0}}));
}

class BrokenCursor : public KeyCursor {
 public:
  Result<std::optional<MortonKey>> seek(MortonKey key) override {
    if (seeks_++ == 0) return key;
    return fail(ErrorCode::kIo, "gone");
  }
  Result<std::optional<MortonKey>> next() override { return fail(ErrorCode::kIo, "gone"); }

 private:
  int seeks_ = 0;
};

TEST(Quadtree, ErrorsOfTheCursorComeOut) {
  BrokenCursor a, b, c;
  EXPECT_EQ(visit_tiles(a, kEverything, [](TileCoord) { return true; }).error().message, "gone");
  EXPECT_EQ(count_tiles(b, {{0, 0}, {1, 1}}).error().code, ErrorCode::kIo);
  EXPECT_EQ(bounds_of_tiles(c).error().message, "gone");
}

struct WorldKind {
  const char* name;
  int64_t x, y, side;
  uint64_t tiles;
};

TEST(Quadtree, AgreesWithLookingAtAllTiles) {
  std::mt19937_64 random(4);
  const std::vector<WorldKind> kinds = {{"dense", 0, 0, 12, 130},
                                        {"negative", -40, -50, 20, 60},
                                        {"around the origin", -9, -9, 18, 120},
                                        {"sparse", -1000, -1000, 2000, 40},
                                        {"very sparse", kMin / 2, kMin / 2, kMax, 30},
                                        {"low end", kMin, kMin, 16, 50},
                                        {"high end", kMax - 15, kMax - 15, 16, 50}};
  for (const WorldKind& kind : kinds) {
    for (int world = 0; world < 40; ++world) {
      SCOPED_TRACE(std::string(kind.name) + ", world " + std::to_string(world));
      std::vector<TileCoord> tiles;
      const auto somewhere = [&] {
        return TileCoord{kind.x + static_cast<int64_t>(random() % kind.side),
                         kind.y + static_cast<int64_t>(random() % kind.side)};
      };
      for (uint64_t i = random() % kind.tiles; i-- > 0;) tiles.push_back(somewhere());
      const std::vector<MortonKey> keys = keys_of(tiles);
      EXPECT_EQ(found(keys, kEverything).size(), keys.size());
      EXPECT_EQ(bounds(keys), bounds_by_looking_at_all(keys));
      for (int round = 0; round < 20; ++round) {
        const TileCoord a = somewhere(), b = somewhere();
        const TileRect rect{{std::min(a.x, b.x), std::min(a.y, b.y)},
                            {std::max(a.x, b.x), std::max(a.y, b.y)}};
        EXPECT_EQ(found(keys, rect), by_looking_at_all(keys, rect));
      }
    }
  }
}

// Shapes on which a walk that follows single tiles takes as many seeks as there are tiles.
TEST(Quadtree, BoundsOfLinesTakeFewSteps) {
  struct Line {
    const char* name;
    std::function<TileCoord(int64_t)> at;
    uint64_t seeks;  // at most
  };
  const int64_t n = 50'000;
  const std::vector<Line> lines = {
      {"row", [](int64_t i) { return TileCoord{i - 1234, 8}; },
       35'000},  // all of it is border: a look every few tiles
      {"column", [](int64_t i) { return TileCoord{-7, i - 1234}; }, 35'000},
      {"diagonal", [](int64_t i) { return TileCoord{i - 2500, i - 2500}; }, 1500},
      {"other diagonal", [](int64_t i) { return TileCoord{i, -i}; }, 1500},
      {"far apart", [](int64_t i) { return TileCoord{i * 1'000'003, i * i % 49'999 * 1'000'003}; }, 1500},
  };
  for (const Line& line : lines) {
    SCOPED_TRACE(line.name);
    std::vector<TileCoord> tiles;
    for (int64_t i = 0; i < n; ++i) tiles.push_back(line.at(i));
    const std::vector<MortonKey> keys = keys_of(tiles);
    ArrayCursor cursor(keys);
    EXPECT_EQ(*bounds_of_tiles(cursor), bounds_by_looking_at_all(keys));
    EXPECT_LT(cursor.seeks, line.seeks);
  }
}

// 10 million tiles: a full square of 3000 x 3000 and a million strewn over 2^40 each way. The steps of a
// query are bounded by what it finds and by its border, whatever the size of the world.
class TenMillionTiles : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    keys_.reserve(10'000'000);
    for (int64_t y = 0; y < kSide; ++y)
      for (int64_t x = 0; x < kSide; ++x) keys_.push_back(morton_key({kLeft + x, kTop + y}));
    std::mt19937_64 random(5);
    while (keys_.size() < 10'000'000)
      keys_.push_back(
          morton_key({static_cast<int64_t>(random()) >> 24, static_cast<int64_t>(random()) >> 24}));
    std::ranges::sort(keys_);
    ASSERT_TRUE(std::ranges::adjacent_find(keys_) == keys_.end());
  }
  static void TearDownTestSuite() { keys_ = {}; }

  static constexpr int64_t kSide = 3000, kLeft = -1001, kTop = -501;  // off every power of two
  static std::vector<MortonKey> keys_;
};
std::vector<MortonKey> TenMillionTiles::keys_;

TEST_F(TenMillionTiles, StepsGrowWithTheAnswerAndTheBorder) {
  for (int64_t side : {1, 4, 32, 256, 1024}) {
    for (TileCoord corner : {TileCoord{-3, -5}, {-700, -333}, {0, 0}, {1, 1}}) {
      const TileRect rect{corner, {corner.x + side - 1, corner.y + side - 1}};
      ArrayCursor cursor(keys_);
      const uint64_t answer = *count_tiles(cursor, rect);
      EXPECT_EQ(answer, static_cast<uint64_t>(side * side));
      EXPECT_EQ(cursor.nexts, answer);
      EXPECT_LE(cursor.seeks, static_cast<uint64_t>(4 * side));  // the border
    }
  }
}

TEST_F(TenMillionTiles, EmptyAndSparsePlacesAreQuick) {
  const TileRect nothing{{kLeft + kSide + 5, kTop},
                         {kLeft + kSide + 4000, kTop + 3000}};  // beside the square
  ArrayCursor beside(keys_);
  EXPECT_EQ(*count_tiles(beside, nothing), by_looking_at_all(keys_, nothing).size());
  EXPECT_LE(beside.steps(), 200u);  // its border passes the square at a distance of 16 tiles, as quadrants go

  const int64_t far = int64_t{1} << 38;
  const TileRect wide{{far, far},
                      {far + (far >> 4), far + (far >> 4)}};  // 1/16384 of what the strewn ones cover
  ArrayCursor strewn(keys_);
  const uint64_t answer = *count_tiles(strewn, wide);
  EXPECT_GT(answer, 10u);
  EXPECT_EQ(strewn.nexts, answer);
  EXPECT_LE(strewn.seeks, 2 * answer);

  const TileRect line{{kMin, kTop},
                      {kMax, kTop}};  // a row through everything: the square's, and what else is there
  ArrayCursor row(keys_);
  EXPECT_EQ(*count_tiles(row, line), static_cast<uint64_t>(kSide));
  EXPECT_LE(row.steps(), 20'000u);
}

TEST_F(TenMillionTiles, BoundsLookAtFewTiles) {
  ArrayCursor all(keys_);
  EXPECT_EQ(*bounds_of_tiles(all), bounds_by_looking_at_all(keys_));
  EXPECT_LE(all.steps(), 20'000u);
}

TEST(Quadtree, BoundsOfAFullSquareTakeStepsLikeItsBorder) {
  std::vector<TileCoord> tiles;
  for (int64_t y = 0; y < 1000; ++y)
    for (int64_t x = 0; x < 1000; ++x) tiles.push_back({x - 333, y + 77});
  const std::vector<MortonKey> keys = keys_of(tiles);
  ArrayCursor cursor(keys);
  EXPECT_EQ(*bounds_of_tiles(cursor), (TileRect{{-333, 77}, {666, 1076}}));
  EXPECT_LE(cursor.steps(), 40'000u);
}

}  // namespace
}  // namespace pixellm
