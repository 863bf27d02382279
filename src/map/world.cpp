// Opening a world, single pixels, pins and flush.
#include "map/world.h"

#include <fmt/format.h>

#include <utility>

#include "map/world_impl.h"

namespace pixellm {

std::string to_text(const PixelRect& rect) {
  return fmt::format("{},{},{},{}", rect.x, rect.y, rect.w, rect.h);
}

World::World(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
World::World(World&&) noexcept = default;
World& World::operator=(World&&) noexcept = default;
World::~World() = default;

Result<World> World::open(const std::string& folder, const WorldOptions& options) {
  const StoreOptions store_options{.read_only = options.read_only,
                                   .create = options.create && !options.read_only,
                                   .tile_size = options.tile_size};
  auto store = PIXELLM_TRY(TileStore::open(folder, store_options));
  auto snapshot = PIXELLM_TRY(store->snapshot());
  return World(std::make_unique<Impl>(std::move(store), std::move(snapshot), options.cache_bytes));
}

uint32_t World::tile_size() const { return impl_->tile_size; }
bool World::read_only() const { return impl_->read_only; }
TileStore& World::store() { return *impl_->store; }

Result<Rgb> World::get(int64_t x, int64_t y) {
  Impl& w = *impl_;
  const auto pixel = [](const uint8_t* p) { return Rgb{p[0], p[1], p[2]}; };
  std::optional<Impl::Use> use;
  if (w.read_only) use.emplace(PIXELLM_TRY(w.begin()));
  if (const uint64_t at = w.hot.offset(x, y); at != HotTile::kOutside) {
    w.hot_hits++;
    return pixel(w.hot.rgb + at);
  }
  if (!w.read_only) PIXELLM_TRY(w.begin());
  const PixelRect one{x, y, 1, 1};
  if (const PixelLayer* layer = w.layer_at(one)) {
    Rgb rgb;
    PIXELLM_CHECK(layer->read(one, rgb.data(), rgb.size()));
    return rgb;
  }
  const TileCoord tile = tile_at(x, y, w.tile_size);
  const TilePixels found = PIXELLM_TRY(w.load_pixels(tile));
  const uint8_t* rgb = found.rgb ? found.rgb : w.black.data();
  if (found.cached || !found.rgb)
    w.make_hot(tile, rgb, found.cached && found.cached->dirty() ? found.cached->rgb() : nullptr);
  const TilePart part = part_of(one, tile, w.tile_size);
  return pixel(rgb + 3 * (uint64_t{part.y} * w.tile_size + part.x));
}

Result<void> World::set(int64_t x, int64_t y, Rgb rgb) {
  Impl& w = *impl_;
  if (w.hot.writable == nullptr || w.hot.offset(x, y) == HotTile::kOutside) {
    PIXELLM_TRY(w.begin_change({x, y, 1, 1}, "paint"));
    const TileCoord coord = tile_at(x, y, w.tile_size);
    CachedTile* tile = PIXELLM_TRY(w.tile_to_paint(coord, false));
    w.make_hot(coord, tile->rgb(), tile->rgb());
    const TilePart part = part_of({x, y, 1, 1}, coord, w.tile_size);
    std::memcpy(tile->rgb() + 3 * (uint64_t{part.y} * w.tile_size + part.x), rgb.data(), rgb.size());
    return {};
  }
  w.hot_hits++;
  std::memcpy(w.hot.writable + w.hot.offset(x, y), rgb.data(), rgb.size());
  return {};
}

Result<void> World::flush() { return impl_->flush(); }

Result<WorldStats> World::stats() {
  Impl& w = *impl_;
  const auto use = PIXELLM_TRY(w.begin());
  const TileCacheStats c = w.cache.stats();
  const StoreStats s = PIXELLM_TRY(w.snapshot->stats());
  return WorldStats{.tile_size = w.tile_size,
                    .tiles_in_memory = c.tiles,
                    .tiles_on_disk = s.tiles,
                    .dirty_tiles = c.dirty_tiles,
                    .pinned_tiles = c.pinned_tiles,
                    .cache_bytes = c.bytes,
                    .cache_budget = c.budget,
                    .hits = c.hits + w.hot_hits,
                    .misses = c.misses,
                    .evictions = c.evictions,
                    .store = s};
}

struct TilePin::Impl {
  Impl(TileCache& owner, CachedTile& pinned, uint64_t size) : cache(owner), tile(pinned), n_bytes(size) {
    cache.pin(tile);
  }
  ~Impl() { cache.unpin(tile); }
  TileCache& cache;
  CachedTile& tile;
  uint64_t n_bytes;
};

TilePin::TilePin(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TilePin::TilePin(TilePin&&) noexcept = default;
TilePin& TilePin::operator=(TilePin&&) noexcept = default;
TilePin::~TilePin() = default;
Bytes TilePin::rgb() const { return {impl_->tile.rgb(), impl_->n_bytes}; }

Result<TilePin> World::pin(TileCoord tile) {
  Impl& w = *impl_;
  const auto use = PIXELLM_TRY(w.begin());
  CachedTile* cached = PIXELLM_TRY(w.cached_tile(tile));
  return TilePin(std::make_unique<TilePin::Impl>(w.cache, *cached, w.tile_bytes));
}

}  // namespace pixellm
