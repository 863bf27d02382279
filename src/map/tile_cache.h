// The tiles that a world keeps in memory: least recently used ones leave first, changed ones are written back
// before they leave, pinned ones stay. Every operation takes constant time, apart from write_back() and
// drop*(), which take time in the tiles they touch. Knows nothing of the disk: it hands changed tiles to a
// function.
//
//   TileCache cache(tile_bytes, 64 << 20, [&](std::span<const TileChange> tiles) { return
//   store->commit({...}); }); CachedTile* tile = cache.find({2, 3}); if (!tile) tile =
//   PIXELLM_TRY(cache.insert({2, 3}));    // room was made; its pixels are whatever memory held
//   cache.mark_dirty(*tile);
// One thread at a time. A CachedTile is valid until the next insert() or drop*(), a pinned one until unpin().
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <memory_resource>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "map/geometry.h"
#include "map/tile_store.h"

namespace pixellm {

class CachedTile {
 public:
  TileCoord coord() const { return coord_; }
  uint8_t* rgb() { return rgb_.get(); }
  const uint8_t* rgb() const { return rgb_.get(); }
  bool dirty() const { return dirty_; }

 private:
  friend class TileCache;
  TileCoord coord_;
  std::unique_ptr<uint8_t[]> rgb_;
  CachedTile *newer_ = nullptr, *older_ = nullptr;  // neighbours by last use; unpinned tiles only
  uint32_t pins_ = 0;
  bool dirty_ = false, dropped_ = false;
};

struct TileCacheStats {
  uint64_t tiles = 0, dirty_tiles = 0, pinned_tiles = 0, bytes = 0, budget = 0;
  uint64_t hits = 0, misses = 0, evictions = 0;
};

class TileCache {
 public:
  // Makes all of these tiles durable, or none: they are all the changed ones, in key order.
  using WriteBack = std::function<Result<void>(std::span<const TileChange>)>;

  // `budget` counts pixel bytes; one tile is always kept.
  TileCache(uint64_t tile_bytes, uint64_t budget, WriteBack write_back);
  ~TileCache();
  TileCache(const TileCache&) = delete;
  TileCache& operator=(const TileCache&) = delete;

  // The tile, as the most recently used one; nullptr when it is not here. Counts a hit or a miss.
  CachedTile* find(TileCoord coord);

  // The same without a trace.
  CachedTile* peek(TileCoord coord);

  // Makes room for one tile: drops the least recently used tiles that are not pinned, after writing back
  // every changed one when one of those is due. Fails when writing back fails and no unchanged tile can leave
  // instead. Pinned tiles may hold more than the budget.
  Result<void> make_room();

  // make_room(), then a new unchanged tile with undefined pixels. Requires that it is not here.
  Result<CachedTile*> insert(TileCoord coord);

  void mark_dirty(CachedTile& tile);

  // Every changed tile in one call of the function. When it fails they stay changed. Not called when there is
  // none.
  Result<void> write_back();

  // What is pinned stays and counts as used. A tile may be pinned several times.
  void pin(CachedTile& tile);
  void unpin(CachedTile& tile);

  // Forgets unchanged tiles: all, or those that `which` picks. Pinned ones live on for their pins only, and
  // are not found any more. Requires that none of them is dirty.
  void drop_all();
  void drop_if(const std::function<bool(TileCoord)>& which);

  std::span<CachedTile* const> dirty() const { return dirty_; }  // in the order in which they were changed
  void count_hits(uint64_t n) { hits_ += n; }                    // found without asking the cache

  // Tiles that may enter before make_room() writes back.
  uint64_t room() const;
  TileCacheStats stats() const;

 private:
  struct Hash {
    size_t operator()(TileCoord t) const noexcept;
  };
  using Map = std::pmr::unordered_map<TileCoord, CachedTile, Hash>;

  void link_newest(CachedTile& tile);
  void unlink(CachedTile& tile);
  void evict(CachedTile& tile);
  Map::iterator forget(Map::iterator it);  // the next one
  CachedTile* oldest_clean() const;

  const uint64_t tile_bytes_, capacity_, budget_;  // capacity_: tiles
  const WriteBack write_back_;
  std::pmr::unsynchronized_pool_resource
      pool_;  // entries lie side by side, not between the pixels: a look-up stays in L2
  Map tiles_{&pool_};
  CachedTile *newest_ = nullptr, *oldest_ = nullptr;
  std::vector<CachedTile*> dirty_;
  std::vector<Map::node_type> dropped_;  // still pinned
  std::unique_ptr<uint8_t[]> spare_;     // pixels of the tile that left last
  uint64_t pinned_ = 0, hits_ = 0, misses_ = 0, evictions_ = 0;
};

}  // namespace pixellm
