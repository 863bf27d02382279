// The way of a tile between store and cache.
#include "map/world_impl.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace pixellm {

TilePart part_of(const PixelRect& rect, TileCoord tile, uint32_t tile_size) {
  using Wide = __int128;  // a tile at the end of the coordinates reaches beyond int64
  const Wide tile_x = Wide{tile.x} * tile_size, tile_y = Wide{tile.y} * tile_size;
  const Wide left = std::max<Wide>(tile_x, rect.x),
             right = std::min<Wide>(tile_x + tile_size, Wide{rect.x} + rect.w);
  const Wide top = std::max<Wide>(tile_y, rect.y),
             bottom = std::min<Wide>(tile_y + tile_size, Wide{rect.y} + rect.h);
  return {.tile = tile,
          .x = static_cast<uint32_t>(left - tile_x),
          .y = static_cast<uint32_t>(top - tile_y),
          .w = static_cast<uint32_t>(right - left),
          .h = static_cast<uint32_t>(bottom - top),
          .rect_x = static_cast<uint64_t>(left - rect.x),
          .rect_y = static_cast<uint64_t>(top - rect.y)};
}

namespace {

// All but the outermost tiles, which reach beyond int64 unless their size is a power of two.
TileRect tiles_inside(uint32_t tile_size) {
  using Limits = std::numeric_limits<int64_t>;
  const TileCoord first = tile_at(Limits::min(), Limits::min(), tile_size);
  const TileCoord last = tile_at(Limits::max(), Limits::max(), tile_size);
  return {{first.x + 1, first.y + 1}, {last.x - 1, last.y - 1}};
}

}  // namespace

World::Impl::Impl(std::unique_ptr<TileStore> opened, std::unique_ptr<StoreSnapshot> state,
                  uint64_t cache_budget)
    : store(std::move(opened)),
      tile_size(store->tile_size()),
      tile_bytes(store->tile_bytes()),
      read_only(store->read_only()),
      inner_tiles(tiles_inside(tile_size)),
      snapshot(std::move(state)),
      version(snapshot->version()),
      cache(tile_bytes, cache_budget, [this](std::span<const TileChange> tiles) { return commit(tiles); }),
      black(tile_bytes) {
  if (read_only) release_snapshot();
}

Error World::Impl::read_only_error(std::string_view verb) const {
  return {ErrorCode::kInvalidArgument,
          fmt::format("world {}: opened for reading only, cannot {}", store->folder(), verb)};
}

void World::Impl::release_snapshot() {
  snapshot->release();
  snapshot_is_live = false;
}

Result<void> World::Impl::refresh_snapshot() {
  if (snapshot_is_live) return {};
  PIXELLM_TRY(snapshot->refresh());
  snapshot_is_live = true;
  snapshot_moves++;
  if (read_only && snapshot->version() != version) {
    hot = {};
    cache.drop_all();
  }
  version = snapshot->version();
  return {};
}

Result<World::Impl::Use> World::Impl::begin() {
  PIXELLM_CHECK(refresh_snapshot());
  return Use(this);
}

Result<World::Impl::Use> World::Impl::begin_change(const PixelRect& rect, std::string_view verb) {
  if (read_only) return std::unexpected(read_only_error(verb));
  PIXELLM_CHECK(check_rect(rect));
  if (const PixelLayer* layer = layer_at(rect))
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("cannot {} {}: {} is mounted at {}", verb, to_text(rect), layer->name(),
                            to_text(layer->rect())));
  return begin();
}

const PixelLayer* World::Impl::layer_at(const PixelRect& rect) const {
  const auto it =
      std::ranges::find_if(layers, [&](const auto& l) { return !intersect(l->rect(), rect).empty(); });
  return it == layers.end() ? nullptr : it->get();
}

void World::Impl::make_hot(TileCoord tile, const uint8_t* rgb, uint8_t* writable) {
  for (const auto& layer : layers)
    if (tiles_of(layer->rect(), tile_size)->contains(tile)) return;
  if (!inner_tiles.contains(tile)) return;
  hot = {.x = static_cast<uint64_t>(tile.x) * tile_size,
         .y = static_cast<uint64_t>(tile.y) * tile_size,
         .size = tile_size,
         .rgb = rgb,
         .writable = writable};
}

Result<uint64_t> World::Impl::change_store(const std::function<Result<uint64_t>(TileStore&)>& change) {
  hot = {};  // its tile is not dirty afterwards
  release_snapshot();
  auto result = change(*store);
  // When the snapshot cannot be had again, that is the next operation's error: this one is decided.
  (void)refresh_snapshot();
  return result;
}

Result<void> World::Impl::commit(std::span<const TileChange> tiles) {
  StoreChanges changes{.tiles = {tiles.begin(), tiles.end()}, .lengths = {}};
  for (const auto& [place, length] : new_lengths)
    changes.lengths.push_back({place.first, place.second, length});
  const auto write = [&](TileStore& s) -> Result<uint64_t> {
    PIXELLM_CHECK(s.commit(changes));
    return changes.tiles.size();
  };
  PIXELLM_TRY(change_store(write));
  new_lengths.clear();
  return {};
}

Result<void> World::Impl::flush() {
  if (cache.dirty().empty() && !new_lengths.empty()) return commit({});
  return cache.write_back();
}

Result<std::optional<Bytes>> World::Impl::stored(TileCoord tile) {
  PIXELLM_CHECK(refresh_snapshot());
  return snapshot->tile(tile);
}

Result<TilePixels> World::Impl::find_pixels(TileCoord tile) {
  if (CachedTile* cached = cache.peek(tile)) return TilePixels{cached->rgb(), cached};
  const auto view = PIXELLM_TRY(stored(tile));
  return TilePixels{view ? view->data() : nullptr, nullptr};
}

Result<TilePixels> World::Impl::load_pixels(TileCoord tile) {
  hot = {};  // the hot tile stays the most recently used one, so that it cannot leave
  if (CachedTile* cached = cache.find(tile)) return TilePixels{cached->rgb(), cached};
  auto view = PIXELLM_TRY(stored(tile));
  if (!view) return TilePixels{};
  const uint64_t moves = snapshot_moves;
  const bool has_room =
      cache.make_room().has_value();  // else a disk is full: reading goes on without the cache
  if (moves != snapshot_moves || !snapshot_is_live) view = PIXELLM_TRY(stored(tile));
  if (!has_room) return TilePixels{view->data(), nullptr};
  CachedTile* cached = PIXELLM_TRY(cache.insert(tile));
  std::memcpy(cached->rgb(), view->data(), tile_bytes);
  return TilePixels{cached->rgb(), cached};
}

Result<CachedTile*> World::Impl::cached_tile(TileCoord tile) {
  hot = {};
  if (CachedTile* cached = cache.find(tile)) return cached;
  return insert_from_store(tile);
}

Result<CachedTile*> World::Impl::insert_from_store(TileCoord tile) {
  PIXELLM_CHECK(cache.make_room());
  const auto view = PIXELLM_TRY(stored(tile));
  CachedTile* cached = PIXELLM_TRY(cache.insert(tile));
  std::memcpy(cached->rgb(), view ? view->data() : black.data(), tile_bytes);
  return cached;
}

Result<CachedTile*> World::Impl::tile_to_paint(TileCoord coord, bool whole) {
  hot = {};
  CachedTile* tile = cache.find(coord);
  if (!tile) tile = whole ? PIXELLM_TRY(cache.insert(coord)) : PIXELLM_TRY(insert_from_store(coord));
  cache.mark_dirty(*tile);
  return tile;
}

Result<std::vector<TileCoord>> World::Impl::new_tiles(const TileRect& rect) const {
  std::vector<TileCoord> found;
  for (const CachedTile* tile : cache.dirty())
    if (rect.contains(tile->coord()) && !PIXELLM_TRY(snapshot->has_tile(tile->coord())))
      found.push_back(tile->coord());
  return found;
}

Result<void> World::Impl::visit_existing(const TileRect& rect, const std::function<bool(TileCoord)>& visit) {
  const auto keys = PIXELLM_TRY(snapshot->keys());
  bool goes_on = true;
  PIXELLM_CHECK(visit_tiles(*keys, rect, [&](TileCoord t) { return goes_on = visit(t); }));
  if (!goes_on) return {};
  for (const TileCoord tile : PIXELLM_TRY(new_tiles(rect)))
    if (!visit(tile)) break;
  return {};
}

}  // namespace pixellm
