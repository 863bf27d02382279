// Thousands of random operations on a world and on a plain table: both must always agree, whatever the size
// of the cache, in the writing world, in one that reads along, and after opening again.
#include <map>
#include <optional>

#include "map/world_test_util.h"

namespace pixellm {
namespace {

using namespace world_test;

// The world as a table of tiles. What is erased is kept by tile, latest last. Erases and restores whole tiles
// only.
class Model {
 public:
  explicit Model(int64_t tile_size) : size_(tile_size) {}

  void set(int64_t x, int64_t y, Rgb rgb) {
    auto [it, is_new] = tiles_.try_emplace(tile(x, y));
    if (is_new) it->second.resize(static_cast<size_t>(size_ * size_));
    it->second[index(x, y)] = rgb;
  }
  Rgb get(int64_t x, int64_t y) const {
    const auto it = tiles_.find(tile(x, y));
    return it == tiles_.end() ? kBlack : it->second[index(x, y)];
  }
  std::vector<TileCoord> tiles(const PixelRect& rect) const {
    std::vector<TileCoord> found;
    const auto range = tiles_of(rect, static_cast<uint32_t>(size_));
    for (const auto& [coord, pixels] : tiles_)
      if (range->contains(coord)) found.push_back(coord);
    std::ranges::sort(found, {}, morton_key);
    return found;
  }
  std::optional<TileRect> bounds() const {
    if (tiles_.empty()) return std::nullopt;
    TileRect box{tiles_.begin()->first, tiles_.begin()->first};
    for (const auto& [t, pixels] : tiles_)
      box = {{std::min(box.min.x, t.x), std::min(box.min.y, t.y)},
             {std::max(box.max.x, t.x), std::max(box.max.y, t.y)}};
    return box;
  }
  size_t erase(const PixelRect& rect) {
    const auto erased = tiles(rect);
    for (const TileCoord t : erased) history_[t].push_back(std::move(tiles_.extract(t).mapped()));
    return erased.size();
  }
  size_t restore(const PixelRect& rect) {
    const auto range = tiles_of(rect, static_cast<uint32_t>(size_));
    size_t n = 0;
    for (auto& [t, versions] : history_) {
      if (!range->contains(t) || versions.empty()) continue;
      tiles_[t] = std::move(versions.back());
      versions.pop_back();
      n++;
    }
    return n;
  }

 private:
  // Not tile_at(), which is under test.
  int64_t floor_div(int64_t v) const { return (v - ((v % size_) + size_) % size_) / size_; }
  TileCoord tile(int64_t x, int64_t y) const { return {floor_div(x), floor_div(y)}; }
  size_t index(int64_t x, int64_t y) const {
    return static_cast<size_t>((y - floor_div(y) * size_) * size_ + (x - floor_div(x) * size_));
  }

  int64_t size_;
  std::map<TileCoord, std::vector<Rgb>> tiles_;
  std::map<TileCoord, std::vector<std::vector<Rgb>>> history_;
};

struct Setting {
  uint32_t tile_size;
  uint64_t cache_tiles;
  int64_t origin;
};

class ModelTest : public WorldTest, public ::testing::WithParamInterface<Setting> {
 protected:
  int64_t size() const { return GetParam().tile_size; }
  int64_t random(int64_t n) { return static_cast<int64_t>(source_() % static_cast<uint64_t>(n)); }

  // Places around the origin, over about 6 by 6 tiles.
  int64_t place() { return GetParam().origin + random(6 * size()) - 3 * size(); }
  PixelRect rect() {
    return {place(), place(), static_cast<uint64_t>(random(2 * size()) + 1),
            static_cast<uint64_t>(random(2 * size()) + 1)};
  }
  PixelRect whole_tiles() {
    const TileCoord t = tile_at(place(), place(), GetParam().tile_size);
    return {t.x * size(), t.y * size(), static_cast<uint64_t>(size() * (random(3) + 1)),
            static_cast<uint64_t>(size() * (random(3) + 1))};
  }
  World open_it(bool read_only) const {
    const auto [tile_size, cache_tiles, origin] = GetParam();
    return open_world({.read_only = read_only,
                       .tile_size = tile_size,
                       .cache_bytes = cache_tiles * 3 * tile_size * tile_size});
  }

  static void compare(World& world, const Model& model, const PixelRect& r) {
    const Buffer found = read(world, r);
    ASSERT_FALSE(found.empty());
    for (uint64_t i = 0; i < r.w * r.h; i++) {
      const int64_t x = r.x + static_cast<int64_t>(i % r.w), y = r.y + static_cast<int64_t>(i / r.w);
      ASSERT_EQ((Rgb{found[3 * i], found[3 * i + 1], found[3 * i + 2]}), model.get(x, y)) << x << "," << y;
    }
    ASSERT_EQ(*world.tiles(r), model.tiles(r));
    ASSERT_EQ(*world.count(r), model.tiles(r).size());
    ASSERT_EQ(get(world, r.x, r.y), model.get(r.x, r.y));
  }

  void write_region(World& world, Model& model, const PixelRect& r) {
    const Buffer pixels = random_pixels(r.w, r.h, source_());
    ASSERT_TRUE(world.write(r, pixels));
    for (uint64_t i = 0; i < r.w * r.h; i++)
      model.set(r.x + static_cast<int64_t>(i % r.w), r.y + static_cast<int64_t>(i / r.w),
                {pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2]});
  }

  void write_bytes(World& world, Model& model) {
    const int64_t x = place(), y = place();
    Buffer data = random_pixels(1, static_cast<uint64_t>(random(400)), source_());
    data.resize(data.size() - std::min<size_t>(data.size(), static_cast<size_t>(random(3))));
    ASSERT_TRUE(world.write_bytes(x, y, data));
    ASSERT_EQ(*world.read_bytes(x, y), data);
    const size_t pixels = ceil_div(data.size(), 3), w = std::min(pixels, static_cast<size_t>(size()));
    if (w == 0) return;
    data.resize(round_up(pixels, w) * 3);
    for (size_t i = 0; 3 * i < data.size(); i++)
      model.set(x + static_cast<int64_t>(i % w), y + static_cast<int64_t>(i / w),
                {data[3 * i], data[3 * i + 1], data[3 * i + 2]});
  }

  void draw_line(World& world, Model& model) {
    const int64_t x = place(), y = place();
    for (int64_t i = 0; i < 20; i++) {  // most of it in one tile
      const Rgb rgb{static_cast<uint8_t>(source_()), static_cast<uint8_t>(i), 0};
      ASSERT_TRUE(world.set(x + i, y + i / 3, rgb));
      model.set(x + i, y + i / 3, rgb);
      ASSERT_EQ(get(world, x + i, y + i / 3), rgb);
    }
  }

  void step(std::optional<World>& world, World& reader, Model& model) {
    const PixelRect tiles = whole_tiles();
    switch (random(24)) {
      case 0:
        ASSERT_TRUE(world->flush());
        ASSERT_NO_FATAL_FAILURE(compare(reader, model, rect()));
        ASSERT_EQ(*reader.bounds(), model.bounds());
        break;
      case 1:
        ASSERT_TRUE(world->flush());
        world.reset();
        world.emplace(open_it(false));
        break;
      case 2:
        ASSERT_EQ(*world->erase(tiles), model.erase(tiles));
        ASSERT_NO_FATAL_FAILURE(compare(*world, model, tiles));
        ASSERT_NO_FATAL_FAILURE(compare(reader, model, tiles));
        break;
      case 3:
        ASSERT_EQ(*world->restore(tiles), model.restore(tiles));
        ASSERT_NO_FATAL_FAILURE(compare(*world, model, tiles));
        ASSERT_NO_FATAL_FAILURE(compare(reader, model, tiles));
        break;
      case 4:
        ASSERT_TRUE(world->prefetch(rect()));
        break;
      case 5:
      case 6:
      case 7:
        ASSERT_NO_FATAL_FAILURE(write_region(*world, model, random(3) == 0 ? tiles : rect()));
        break;
      case 8:
      case 9:
      case 10:
        ASSERT_NO_FATAL_FAILURE(write_bytes(*world, model));
        break;
      default:
        ASSERT_NO_FATAL_FAILURE(draw_line(*world, model));
    }
  }

  std::mt19937_64 source_{GetParam().cache_tiles * 1000 + GetParam().tile_size};
};

TEST_P(ModelTest, AgreesWithATable) {
  std::optional<World> world = open_it(false);
  World reader = open_it(true);
  Model model(size());
  for (int i = 0; i < 2000; i++) {
    ASSERT_NO_FATAL_FAILURE(step(world, reader, model)) << "step " << i;
    ASSERT_NO_FATAL_FAILURE(compare(*world, model, rect())) << "step " << i;
    ASSERT_EQ(*world->bounds(), model.bounds());
    ASSERT_LE(world->stats()->tiles_in_memory, std::max<uint64_t>(GetParam().cache_tiles, 1));
  }
}

constexpr int64_t kFar = int64_t{1} << 45;
INSTANTIATE_TEST_SUITE_P(Settings, ModelTest,
                         ::testing::Values(Setting{16, 1, 0}, Setting{16, 3, -kFar}, Setting{20, 7, 0},
                                           Setting{64, 2, kFar}, Setting{33, 100, INT64_MAX - 400}));

}  // namespace
}  // namespace pixellm
