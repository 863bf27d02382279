// erase() and restore() against a plain model of what they promise.
#include <algorithm>
#include <map>
#include <optional>

#include "map/store_test_util.h"

namespace pixellm {
namespace {

using namespace store_test;

constexpr uint32_t kSize = 16;

class EraseTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    store_ = open({.tile_size = kSize});
  }
  uint64_t erase(PixelRect rect) { return *store_->erase(rect); }
  uint64_t restore(PixelRect rect) { return *store_->restore(rect); }
  std::optional<uint64_t> length(int64_t x, int64_t y) { return *(*store_->snapshot())->byte_length(x, y); }
  Buffer paint(TileCoord tile, uint64_t seed) {
    const Buffer rgb = pixels(*store_, seed);
    put(*store_, tile, rgb);
    return rgb;
  }
  std::unique_ptr<TileStore> store_;
};

void black_out(Buffer& rgb, uint32_t x0, uint32_t y0, uint32_t x1, uint32_t y1) {
  for (uint32_t y = y0; y < y1; ++y)
    std::fill(rgb.begin() + 3 * (y * kSize + x0), rgb.begin() + 3 * (y * kSize + x1), uint8_t{0});
}

TEST_F(EraseTest, WholeTilesCeaseAndReturn) {
  const Buffer a = paint({0, 0}, 1), b = paint({1, 0}, 2), c = paint({2, 0}, 3);
  EXPECT_EQ(erase({0, 0, 32, 16}), 2u);
  EXPECT_EQ(all_tiles(*store_), (std::vector<TileCoord>{{2, 0}}));
  EXPECT_EQ(stats(*store_).old_versions, 2u);
  EXPECT_EQ(erase({0, 0, 32, 16}), 0u);
  store_.reset();
  store_ = open();
  EXPECT_EQ(restore({0, 0, 48, 16}), 2u);
  EXPECT_EQ(get(*store_, {0, 0}), a);
  EXPECT_EQ(get(*store_, {1, 0}), b);
  EXPECT_EQ(get(*store_, {2, 0}), c);
  EXPECT_EQ(restore({0, 0, 48, 16}), 0u);
  EXPECT_EQ(stats(*store_).old_versions, 0u);
}

TEST_F(EraseTest, PartsTurnBlackAndReturn) {
  const Buffer a = paint({-1, -1}, 1);
  Buffer erased = a;
  black_out(erased, 2, 3, 6, 16);
  EXPECT_EQ(erase({-14, -13, 4, 13}), 1u);
  EXPECT_EQ(get(*store_, {-1, -1}), erased);
  EXPECT_EQ(erase({-14, -13, 4, 13}), 0u);  // nothing is there to take
  EXPECT_EQ(restore({-14, -13, 2, 100}), 1u);
  black_out(erased = a, 4, 3, 6, 16);
  EXPECT_EQ(get(*store_, {-1, -1}), erased);
  EXPECT_EQ(restore({-16, -16, 16, 16}), 1u);
  EXPECT_EQ(get(*store_, {-1, -1}), a);
  EXPECT_EQ(restore({-16, -16, 16, 16}), 0u);
}

TEST_F(EraseTest, RestoreGoesBackEraseByErase) {
  const Buffer a = paint({0, 0}, 1);
  erase({0, 0, 16, 16});
  const Buffer b = paint({0, 0}, 2);
  erase({0, 0, 16, 16});
  const Buffer c = paint({0, 0}, 3);
  EXPECT_EQ(restore({0, 0, 16, 16}), 1u);
  EXPECT_EQ(get(*store_, {0, 0}), b);
  EXPECT_EQ(restore({0, 0, 16, 16}), 1u);
  EXPECT_EQ(get(*store_, {0, 0}), a);
  EXPECT_EQ(restore({0, 0, 16, 16}), 0u);
}

TEST_F(EraseTest, LengthsGoWithTheirPixels) {
  const Buffer a = pixels(*store_, 1);
  ASSERT_TRUE(store_->commit({.tiles = {{{0, 0}, a}}, .lengths = {{3, 4, 77}, {5, 15, 5}, {100, 100, 0}}}));
  EXPECT_EQ(erase({0, 0, 4, 5}), 1u);
  EXPECT_EQ(length(3, 4), std::nullopt);
  EXPECT_EQ(length(5, 15), 5u);
  ASSERT_TRUE(store_->commit({.lengths = {{3, 4, 99}}}));
  EXPECT_EQ(erase({0, 0, 200, 200}), 2u);  // the empty region at (100, 100) has no tile
  EXPECT_EQ(length(3, 4), std::nullopt);
  EXPECT_EQ(length(100, 100), std::nullopt);
  EXPECT_EQ(restore({0, 0, 16, 16}), 1u);
  EXPECT_EQ(length(3, 4), 99u);
  EXPECT_EQ(length(5, 15), 5u);
  EXPECT_EQ(length(100, 100), std::nullopt);
  EXPECT_EQ(restore({0, 0, 200, 200}), 2u);
  EXPECT_EQ(length(3, 4), 77u);
  EXPECT_EQ(length(100, 100), 0u);
  EXPECT_EQ(get(*store_, {0, 0}), a);
}

TEST_F(EraseTest, EndsOfTheCoordinates) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min(), kMax = std::numeric_limits<int64_t>::max();
  const TileCoord first = tile_at(kMin, kMin, kSize), last = tile_at(kMax, kMax, kSize);
  const Buffer a = paint(first, 1), b = paint(last, 2);
  EXPECT_EQ(erase({kMin, kMin, uint64_t{1} << 63, uint64_t{1} << 63}), 1u);
  EXPECT_EQ(erase({kMin, kMin, ~uint64_t{0}, ~uint64_t{0}}), 1u);  // but for the last column and row
  Buffer rest = b;
  black_out(rest, 0, 0, kSize - 1, kSize - 1);
  EXPECT_EQ(get(*store_, last), rest);
  EXPECT_EQ(restore({kMin, kMin, ~uint64_t{0}, ~uint64_t{0}}), 2u);
  EXPECT_EQ(get(*store_, first), a);
  EXPECT_EQ(get(*store_, last), b);
  EXPECT_EQ(store_->erase({kMax, 0, 2, 1}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(erase({kMax, 0, 0, 1}), 0u);
}

TEST_F(EraseTest, TilesThatReachBeyondTheCoordinates) {
  store_.reset();
  std::filesystem::remove_all(world());
  store_ = open({.tile_size = 17});
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  const TileCoord first = tile_at(kMin, kMin, 17);
  const Buffer a = paint(first, 1);
  ASSERT_TRUE(store_->commit({.lengths = {{kMin, kMin, 3}}}));
  EXPECT_EQ(erase({kMin, kMin, 17, 17}), 1u);
  EXPECT_NE(get(*store_, first), a);
  EXPECT_EQ(restore({kMin, kMin, 17, 17}), 1u);
  EXPECT_EQ(get(*store_, first), a);
  EXPECT_EQ(length(kMin, kMin), 3u);
}

// ---- the model

struct Model {
  static constexpr int kTiles = 3, kPixels = kTiles * int{kSize};
  struct Erase {
    std::optional<Buffer> rgb;        // the tile before
    std::vector<bool> taken;          // by pixel of the tile
    std::map<int, uint64_t> lengths;  // by pixel of the tile
  };
  struct Tile {
    std::optional<Buffer> rgb;
    std::map<int, uint64_t> lengths;
    std::vector<Erase> erases;
  };
  std::map<std::pair<int, int>, Tile> tiles;

  static bool inside(const PixelRect& r, int tx, int ty, int pixel) {
    const int64_t x = tx * int{kSize} + pixel % int{kSize}, y = ty * int{kSize} + pixel / int{kSize};
    return x >= r.x && x < r.x + int64_t(r.w) && y >= r.y && y < r.y + int64_t(r.h);
  }

  uint64_t erase(const PixelRect& r) {
    uint64_t touched = 0;
    for (auto& [at, tile] : tiles) {
      Erase e{tile.rgb, std::vector<bool>(kSize * kSize), {}};
      bool any = false, whole = true, black = true;
      for (int p = 0; p < int{kSize * kSize}; ++p) {
        const bool in = inside(r, at.first, at.second, p);
        e.taken[p] = in;
        any |= in;
        whole &= in;
        if (in && tile.rgb)
          black &= (*tile.rgb)[3 * p] == 0 && (*tile.rgb)[3 * p + 1] == 0 && (*tile.rgb)[3 * p + 2] == 0;
        if (in && tile.lengths.contains(p)) e.lengths[p] = tile.lengths[p], tile.lengths.erase(p);
      }
      if (!any || (!tile.rgb && e.lengths.empty()) || (tile.rgb && !whole && black && e.lengths.empty()))
        continue;
      if (whole)
        tile.rgb.reset();
      else if (tile.rgb)
        for (int p = 0; p < int{kSize * kSize}; ++p)
          if (e.taken[p]) std::fill_n(tile.rgb->begin() + 3 * p, 3, uint8_t{0});
      tile.erases.push_back(std::move(e));
      ++touched;
    }
    return touched;
  }

  uint64_t restore(const PixelRect& r) {
    uint64_t touched = 0;
    for (auto& [at, tile] : tiles)
      for (auto e = tile.erases.rbegin(); e != tile.erases.rend(); ++e) {
        bool any = false, rest = false;
        for (int p = 0; p < int{kSize * kSize}; ++p) {
          if (!e->taken[p]) continue;
          if (!inside(r, at.first, at.second, p)) {
            rest = true;
            continue;
          }
          any = true;
          e->taken[p] = false;
          if (e->rgb && !tile.rgb) tile.rgb = Buffer(3 * kSize * kSize);
          if (e->rgb) std::copy_n(e->rgb->begin() + 3 * p, 3, tile.rgb->begin() + 3 * p);
          if (e->lengths.contains(p)) tile.lengths[p] = e->lengths[p];
        }
        if (!any) continue;
        if (!rest) tile.erases.erase(std::next(e).base());
        ++touched;
        break;
      }
    return touched;
  }
};

class EraseModelTest : public EraseTest, public ::testing::WithParamInterface<int> {};

TEST_P(EraseModelTest, RandomChangesAgree) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  const auto below = [&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(random); };
  const auto rect = [&]() -> PixelRect {
    if (below(3) == 0)
      return {below(3) * 16, below(3) * 16, uint64_t(16 * (1 + below(3))), uint64_t(16 * (1 + below(3)))};
    return {below(50) - 2, below(50) - 2, uint64_t(below(40)), uint64_t(below(40))};
  };
  Model model;
  for (int x = 0; x < Model::kTiles; ++x)
    for (int y = 0; y < Model::kTiles; ++y) model.tiles[{x, y}] = {};
  const auto change = [&](int step) {
    const int kind = below(10);
    if (kind < 4) {
      StoreChanges changes;
      std::map<std::pair<int, int>, Buffer> painted;
      for (int n = 1 + below(4); n > 0; --n)
        painted[{below(3), below(3)}] = below(8) ? pixels(*store_, random()) : Buffer(3 * kSize * kSize);
      for (auto& [at, rgb] : painted) {
        changes.tiles.push_back({{at.first, at.second}, rgb});
        model.tiles[at].rgb = rgb;
      }
      if (below(2)) {
        const int x = below(Model::kPixels), y = below(Model::kPixels);
        changes.lengths.push_back({x, y, uint64_t(step)});
        model.tiles[{x / 16, y / 16}].lengths[y % 16 * 16 + x % 16] = uint64_t(step);
      }
      ASSERT_TRUE(store_->commit(changes));
    } else {
      const PixelRect r = rect();
      const uint64_t touched = kind < 7 ? *store_->erase(r) : *store_->restore(r);
      ASSERT_EQ(touched, kind < 7 ? model.erase(r) : model.restore(r)) << step;
    }
  };
  for (int step = 0; step < 150; ++step) {
    ASSERT_NO_FATAL_FAILURE(change(step));
    auto snapshot = *store_->snapshot();
    for (const auto& [at, tile] : model.tiles) {
      const auto rgb = *snapshot->tile({at.first, at.second});
      ASSERT_EQ(rgb.has_value(), tile.rgb.has_value()) << step << " " << at.first << " " << at.second;
      ASSERT_TRUE(!rgb || std::ranges::equal(*rgb, *tile.rgb)) << step << " " << at.first << " " << at.second;
      for (int p = 0; p < int{kSize * kSize}; ++p) {
        const auto found = *snapshot->byte_length(at.first * 16 + p % 16, at.second * 16 + p / 16);
        const auto known = tile.lengths.find(p);
        ASSERT_EQ(found, known == tile.lengths.end() ? std::nullopt : std::optional(known->second)) << step;
      }
    }
    if (step % 10 == 9) {
      const auto findings = *store_->verify();
      ASSERT_THAT(findings.other, ::testing::IsEmpty()) << step;
      ASSERT_TRUE(findings.bad.empty() && findings.bad_old_versions == 0);
    }
  }
  ASSERT_TRUE(store_->compact());
  EXPECT_EQ(restore({0, 0, 48, 48}), 0u);
  for (const auto& [at, tile] : model.tiles)
    EXPECT_EQ(get(*store_, {at.first, at.second}), tile.rgb.value_or(Buffer{}));
}

INSTANTIATE_TEST_SUITE_P(Seeds, EraseModelTest, ::testing::Range(0, 4));

}  // namespace
}  // namespace pixellm
