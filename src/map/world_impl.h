// What the parts of World share: the store, its snapshot, the cache, and the tile that is being painted or
// looked at.
#pragma once
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "map/tile_cache.h"
#include "map/world.h"

namespace pixellm {

// The pixels that a rectangle and a tile have in common.
struct TilePart {
  TileCoord tile;
  uint32_t x = 0, y = 0, w = 0, h = 0;  // inside the tile
  uint64_t rect_x = 0, rect_y = 0;      // of its first pixel inside the rectangle

  bool is_whole(uint32_t tile_size) const { return w == tile_size && h == tile_size; }
};

// Requires that they meet, and check_rect().
TilePart part_of(const PixelRect& rect, TileCoord tile, uint32_t tile_size);

// The tile that get() and set() used last, so that its other pixels need no look-up. Offsets are computed
// modulo 2^64: the origin of a tile at the end of the coordinates may lie outside int64.
struct HotTile {
  uint64_t x = 0, y = 0;  // the first pixel
  uint32_t size = 0;      // 0: none
  const uint8_t* rgb = nullptr;
  uint8_t* writable = nullptr;  // the same pixels when they are marked dirty already

  static constexpr uint64_t kOutside = ~uint64_t{0};

  // Byte offset of a pixel inside the tile, or kOutside.
  uint64_t offset(int64_t px, int64_t py) const {
    const uint64_t dx = static_cast<uint64_t>(px) - x, dy = static_cast<uint64_t>(py) - y;
    return dx < size && dy < size ? 3 * (dy * size + dx) : kOutside;
  }
};

// Pixels of a tile, for use until the next access to another one.
struct TilePixels {
  const uint8_t* rgb = nullptr;  // nullptr: the tile does not exist
  CachedTile* cached = nullptr;  // nullptr: they lie in the store's mapping, or nowhere
};

struct World::Impl {
  // Lets the snapshot of a world opened for reading go at the end of an operation, so that a reader that
  // waits does not keep a writer from using pages again.
  class Use {
   public:
    explicit Use(Impl* world) : world_(world) {}
    Use(Use&& other) noexcept : world_(std::exchange(other.world_, nullptr)) {}
    Use& operator=(Use&&) = delete;
    ~Use() {
      if (world_ && world_->read_only) world_->release_snapshot();
    }

   private:
    Impl* world_;
  };

  Impl(std::unique_ptr<TileStore> opened, std::unique_ptr<StoreSnapshot> state, uint64_t cache_budget);

  // Every operation begins with one of these. A world opened for reading moves to the newest committed state.
  Result<Use> begin();
  Result<Use> begin_change(const PixelRect& rect, std::string_view verb);

  Result<void> refresh_snapshot();
  void release_snapshot();

  Result<std::optional<Bytes>> stored(TileCoord tile);  // in the mapping, until the snapshot moves
  Result<TilePixels> find_pixels(TileCoord tile);       // leaves the cache as it is
  Result<TilePixels> load_pixels(TileCoord tile);   // puts an existing tile into the cache where it has room
  Result<CachedTile*> cached_tile(TileCoord tile);  // puts it into the cache, black when it does not exist
  Result<CachedTile*> insert_from_store(TileCoord tile);  // the same for one that is not there

  // The tile in the cache, marked dirty. `whole`: all of its pixels will be painted, they are undefined now.
  Result<CachedTile*> tile_to_paint(TileCoord tile, bool whole);

  // RGB of the rectangle, which is lawful and not empty, in the state of the operation under way.
  Result<void> read(const PixelRect& rect, MutableBytes out);

  // Everything that is not on disk yet, as one commit.
  Result<void> flush();
  Result<void> commit(std::span<const TileChange> tiles);

  // Runs a change of the store while the snapshot is let go, so that its pages can be used again.
  Result<uint64_t> change_store(const std::function<Result<uint64_t>(TileStore&)>& change);

  void make_hot(TileCoord tile, const uint8_t* rgb, uint8_t* writable);
  const PixelLayer* layer_at(const PixelRect& rect) const;  // the first one that meets it

  // Existing tiles, stored ones in key order and then those that are not on disk yet.
  Result<void> visit_existing(const TileRect& rect, const std::function<bool(TileCoord)>& visit);
  Result<std::vector<TileCoord>> new_tiles(const TileRect& rect) const;

  Error read_only_error(std::string_view verb) const;

  const std::unique_ptr<TileStore> store;
  const uint32_t tile_size;
  const uint64_t tile_bytes;
  const bool read_only;
  const TileRect inner_tiles;
  std::unique_ptr<StoreSnapshot> snapshot;
  bool snapshot_is_live = true;
  uint64_t snapshot_moves = 0;
  uint64_t version;  // of the state that the cache's clean tiles are from
  std::map<std::pair<int64_t, int64_t>, uint64_t> new_lengths;  // of byte regions, not on disk yet
  TileCache cache;
  HotTile hot;
  uint64_t hot_hits = 0;
  const std::vector<uint8_t> black;  // a tile's worth
  std::vector<std::unique_ptr<PixelLayer>> layers;
};

// Calls visit(TilePart) for each tile that the rectangle touches, row by row, until one fails.
template <class Visit>
Result<void> for_each_part(const PixelRect& rect, uint32_t tile_size, Visit visit) {
  const auto tiles = tiles_of(rect, tile_size);
  if (!tiles) return {};
  for (int64_t y = tiles->min.y; y <= tiles->max.y; y++)
    for (int64_t x = tiles->min.x; x <= tiles->max.x; x++)
      PIXELLM_CHECK(visit(part_of(rect, {x, y}, tile_size)));
  return {};
}

std::string to_text(const PixelRect& rect);  // "x,y,w,h", as the command line takes it

}  // namespace pixellm
