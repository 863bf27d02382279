// Questions about tiles, erasing and restoring, and layers.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "map/world.h"
#include "map/world_impl.h"

namespace pixellm {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min(), kMax = std::numeric_limits<int64_t>::max();

// `v` moved by `radius`, which is positive or negative, no further than `end`.
int64_t moved(int64_t v, int64_t radius, int64_t end) {
  return radius > 0 ? (v > end - radius ? end : v + radius) : (v < end - radius ? end : v + radius);
}

bool is_black(const uint8_t* tile_rgb, const TilePart& part, uint32_t tile_size) {
  for (uint32_t i = 0; i < part.h; i++) {
    const uint8_t* row = tile_rgb + 3 * (uint64_t{part.y + i} * tile_size + part.x);
    if (std::any_of(row, row + 3 * uint64_t{part.w}, [](uint8_t v) { return v != 0; })) return false;
  }
  return true;
}

}  // namespace

Result<std::vector<TileCoord>> World::tiles(const PixelRect& rect) {
  PIXELLM_CHECK(check_rect(rect));
  const auto use = PIXELLM_TRY(impl_->begin());
  std::vector<TileCoord> found;
  const auto range = tiles_of(rect, impl_->tile_size);
  if (!range) return found;
  PIXELLM_CHECK(impl_->visit_existing(*range, [&](TileCoord t) { return found.push_back(t), true; }));
  const bool sorted = std::ranges::is_sorted(found, {}, morton_key);
  if (!sorted) std::ranges::sort(found, {}, morton_key);
  return found;
}

Result<uint64_t> World::count(const PixelRect& rect) {
  PIXELLM_CHECK(check_rect(rect));
  const auto use = PIXELLM_TRY(impl_->begin());
  const auto range = tiles_of(rect, impl_->tile_size);
  if (!range) return 0;
  const auto keys = PIXELLM_TRY(impl_->snapshot->keys());
  return PIXELLM_TRY(count_tiles(*keys, *range)) + PIXELLM_TRY(impl_->new_tiles(*range)).size();
}

Result<std::vector<TileCoord>> World::neighbor_tiles(int64_t x, int64_t y, uint32_t radius) {
  const auto use = PIXELLM_TRY(impl_->begin());
  const TileCoord centre = tile_at(x, y, impl_->tile_size);
  const TileCoord first = tile_at(kMin, kMin, impl_->tile_size), last = tile_at(kMax, kMax, impl_->tile_size);
  const int64_t r = radius;
  const TileRect range{{moved(centre.x, -r, first.x), moved(centre.y, -r, first.y)},
                       {moved(centre.x, r, last.x), moved(centre.y, r, last.y)}};
  std::vector<TileCoord> found;
  PIXELLM_CHECK(impl_->visit_existing(range, [&](TileCoord t) {
    if (t != centre) found.push_back(t);
    return true;
  }));
  std::ranges::sort(found, {}, [](TileCoord t) { return std::pair(t.y, t.x); });
  return found;
}

Result<std::optional<TileRect>> World::bounds() {
  const auto use = PIXELLM_TRY(impl_->begin());
  const auto keys = PIXELLM_TRY(impl_->snapshot->keys());
  std::optional<TileRect> box = PIXELLM_TRY(bounds_of_tiles(*keys));
  for (const CachedTile* tile : impl_->cache.dirty()) {  // those that are stored too change nothing
    const TileCoord t = tile->coord();
    if (!box) box = TileRect{t, t};
    box->min = {std::min(box->min.x, t.x), std::min(box->min.y, t.y)};
    box->max = {std::max(box->max.x, t.x), std::max(box->max.y, t.y)};
  }
  return box;
}

Result<uint64_t> World::erase(const PixelRect& rect) {
  Impl& w = *impl_;
  const auto use = PIXELLM_TRY(w.begin_change(rect, "erase"));
  PIXELLM_CHECK(w.flush());
  const auto range = tiles_of(rect, w.tile_size);
  if (!range) return 0;
  const uint64_t n = PIXELLM_TRY(w.change_store([&](TileStore& s) { return s.erase(rect); }));
  w.cache.drop_if([&](TileCoord t) { return range->contains(t); });
  return n;
}

Result<uint64_t> World::restore(const PixelRect& rect) {
  Impl& w = *impl_;
  const auto use = PIXELLM_TRY(w.begin_change(rect, "restore"));
  PIXELLM_CHECK(w.flush());
  const auto range = tiles_of(rect, w.tile_size);
  if (!range) return 0;
  const uint64_t n = PIXELLM_TRY(w.change_store([&](TileStore& s) { return s.restore(rect); }));
  w.cache.drop_if([&](TileCoord t) { return range->contains(t); });
  return n;
}

Result<uint64_t> World::prefetch(const PixelRect& rect) {
  Impl& w = *impl_;
  PIXELLM_CHECK(check_rect(rect));
  const auto use = PIXELLM_TRY(w.begin());
  const auto range = tiles_of(rect, w.tile_size);
  const uint64_t room = w.cache.room();
  if (!range || room == 0) return 0;
  std::vector<TileCoord> wanted;
  PIXELLM_CHECK(w.visit_existing(*range, [&](TileCoord t) {
    if (!w.cache.peek(t)) wanted.push_back(t);
    return wanted.size() < room;
  }));
  uint64_t n = 0;
  for (const TileCoord tile : wanted) {
    const auto loaded = w.load_pixels(tile);
    if (!loaded && loaded.error().code != ErrorCode::kCorrupt) return std::unexpected(loaded.error());
    n += loaded.has_value();  // a damaged tile is named by whoever reads it
  }
  return n;
}

Result<void> World::add_layer(std::unique_ptr<PixelLayer> layer, bool is_kept) {
  Impl& w = *impl_;
  const PixelRect& rect = layer->rect();
  PIXELLM_CHECK(check_rect(rect));
  const std::string at = fmt::format("{} at {}", layer->name(), to_text(rect));
  if (rect.empty()) return fail(ErrorCode::kInvalidArgument, fmt::format("map: {} is empty", at));
  if (const PixelLayer* other = w.layer_at(rect))
    return fail(ErrorCode::kInvalidArgument, fmt::format("map: {} meets {}, which is mounted at {}", at,
                                                         other->name(), to_text(other->rect())));
  const auto use = PIXELLM_TRY(w.begin());
  std::optional<TileCoord> met;
  const auto look = [&](TileCoord t) {
    const TilePart part = part_of(rect, t, w.tile_size);
    if (!part.is_whole(w.tile_size)) {
      // A tile that the border crosses may have been painted outside. What cannot be read hides nothing that
      // could be.
      const auto pixels = w.find_pixels(t);
      if (!pixels || !pixels->rgb || is_black(pixels->rgb, part, w.tile_size)) return true;
    }
    met = t;
    return false;
  };
  if (!is_kept) PIXELLM_CHECK(w.visit_existing(*tiles_of(rect, w.tile_size), look));
  if (met)
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("map: {} meets pixels that are painted in tile {},{} (tiles have {} pixels a side)", at,
                    met->x, met->y, w.tile_size));
  w.hot = {};
  w.layers.push_back(std::move(layer));
  return {};
}

Result<void> World::remove_layer(const std::string& name) {
  const auto removed = std::erase_if(impl_->layers, [&](const auto& l) { return l->name() == name; });
  if (removed == 0) return fail(ErrorCode::kNotFound, fmt::format("map: {} is not mounted", name));
  return {};
}

std::span<const std::unique_ptr<PixelLayer>> World::layers() const { return impl_->layers; }

}  // namespace pixellm
