#include "map/tile_cache.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

namespace pixellm {

size_t TileCache::Hash::operator()(TileCoord t) const noexcept {
  // Two odd multipliers and a fold of the product's upper half, so that tiles in rows and columns spread
  // evenly.
  const uint64_t mixed = static_cast<uint64_t>(t.x) * 0x9e3779b97f4a7c15u ^
                         std::rotl(static_cast<uint64_t>(t.y) * 0xc2b2ae3d27d4eb4fu, 31);
  return static_cast<size_t>(mixed ^ mixed >> 29);
}

TileCache::TileCache(uint64_t tile_bytes, uint64_t budget, WriteBack write_back)
    : tile_bytes_(tile_bytes),
      capacity_(std::max<uint64_t>(budget / tile_bytes, 1)),
      budget_(budget),
      write_back_(std::move(write_back)) {}

TileCache::~TileCache() = default;

void TileCache::link_newest(CachedTile& tile) {
  tile.newer_ = nullptr;
  tile.older_ = newest_;
  (newest_ ? newest_->newer_ : oldest_) = &tile;
  newest_ = &tile;
}

void TileCache::unlink(CachedTile& tile) {
  (tile.newer_ ? tile.newer_->older_ : newest_) = tile.older_;
  (tile.older_ ? tile.older_->newer_ : oldest_) = tile.newer_;
}

CachedTile* TileCache::peek(TileCoord coord) {
  const auto it = tiles_.find(coord);
  return it == tiles_.end() ? nullptr : &it->second;
}

CachedTile* TileCache::find(TileCoord coord) {
  CachedTile* tile = peek(coord);
  if (!tile) return misses_++, nullptr;
  hits_++;
  if (tile->pins_ == 0 && tile != newest_) {
    unlink(*tile);
    link_newest(*tile);
  }
  return tile;
}

void TileCache::evict(CachedTile& tile) {
  const TileCoord coord = tile.coord_;
  unlink(tile);
  spare_ = std::move(tile.rgb_);
  evictions_++;
  tiles_.erase(coord);
}

// Only walked past changed tiles after writing back has failed.
CachedTile* TileCache::oldest_clean() const {
  CachedTile* tile = oldest_;
  while (tile && tile->dirty_) tile = tile->newer_;
  return tile;
}

Result<void> TileCache::make_room() {
  while (tiles_.size() >= capacity_ && oldest_) {
    if (!oldest_->dirty_) {
      evict(*oldest_);
      continue;
    }
    auto written = write_back();
    if (written) continue;
    CachedTile* clean = oldest_clean();
    if (!clean) return written;
    evict(*clean);
  }
  return {};
}

Result<CachedTile*> TileCache::insert(TileCoord coord) {
  PIXELLM_CHECK(make_room());
  const auto [it, is_new] = tiles_.try_emplace(coord);
  PIXELLM_ASSERT(is_new);
  CachedTile& tile = it->second;
  tile.coord_ = coord;
  tile.rgb_ = spare_ ? std::move(spare_) : std::make_unique_for_overwrite<uint8_t[]>(tile_bytes_);
  link_newest(tile);
  return &tile;
}

void TileCache::mark_dirty(CachedTile& tile) {
  PIXELLM_ASSERT(!tile.dropped_);
  if (std::exchange(tile.dirty_, true)) return;
  dirty_.push_back(&tile);
}

Result<void> TileCache::write_back() {
  if (dirty_.empty()) return {};
  std::vector<std::pair<MortonKey, CachedTile*>> order;
  order.reserve(dirty_.size());
  for (CachedTile* tile : dirty_) order.emplace_back(morton_key(tile->coord_), tile);
  std::ranges::sort(order, {}, [](const auto& o) { return o.first; });
  std::vector<TileChange> changes;
  changes.reserve(order.size());
  for (const auto& [key, tile] : order) changes.push_back({tile->coord_, Bytes(tile->rgb(), tile_bytes_)});
  PIXELLM_CHECK(write_back_(changes));
  for (CachedTile* tile : dirty_) tile->dirty_ = false;
  dirty_.clear();
  return {};
}

void TileCache::pin(CachedTile& tile) {
  if (tile.pins_++ > 0) return;
  unlink(tile);
  pinned_++;
}

void TileCache::unpin(CachedTile& tile) {
  PIXELLM_ASSERT(tile.pins_ > 0);
  if (--tile.pins_ > 0) return;
  pinned_--;
  if (tile.dropped_) {
    std::erase_if(dropped_, [&](const auto& d) { return &d.mapped() == &tile; });
  } else {
    link_newest(tile);
  }
}

TileCache::Map::iterator TileCache::forget(Map::iterator it) {
  CachedTile& tile = it->second;
  PIXELLM_ASSERT(!tile.dirty_);
  if (tile.pins_ == 0) {
    unlink(tile);
    return tiles_.erase(it);
  }
  tile.dropped_ = true;
  const auto next = std::next(it);
  dropped_.push_back(tiles_.extract(it));
  return next;
}

void TileCache::drop_all() {
  for (auto it = tiles_.begin(); it != tiles_.end();) it = forget(it);
}

void TileCache::drop_if(const std::function<bool(TileCoord)>& which) {
  for (auto it = tiles_.begin(); it != tiles_.end();) it = which(it->first) ? forget(it) : std::next(it);
}

uint64_t TileCache::room() const {
  uint64_t room = capacity_;
  for (const CachedTile* tile = oldest_; tile && !tile->dirty_; tile = tile->newer_) room++;
  return room > tiles_.size() ? room - tiles_.size() : 0;
}

TileCacheStats TileCache::stats() const {
  const uint64_t tiles = tiles_.size() + dropped_.size();
  return {.tiles = tiles,
          .dirty_tiles = dirty_.size(),
          .pinned_tiles = pinned_,
          .bytes = tiles * tile_bytes_,
          .budget = budget_,
          .hits = hits_,
          .misses = misses_,
          .evictions = evictions_};
}

}  // namespace pixellm
