// The InfiniteMap: a sparse, endless plane of RGB pixels with signed 64-bit coordinates. Pixels never written are black and
// take no room. Tiles are kept in a cache and go to disk by flush(). Spec: spec/infinite-map.md.
//
//   World world = PIXELLM_TRY(World::open("world", {}));
//   PIXELLM_CHECK(world.set(10000, 20000, {255, 0, 0}));
//   PIXELLM_CHECK(world.flush());                             // durable from here on
//   Rgb c = PIXELLM_TRY(world.get(10000, 20000));
// What flush() returned for survives a crash. Until then a change is seen by this object only, unless the cache had to make
// room (then it is committed early). Readers in other processes see committed states. One thread at a time.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "map/geometry.h"
#include "map/layer.h"
#include "map/tile_store.h"

namespace pixellm {

using Rgb = std::array<uint8_t, 3>;

struct WorldOptions {
  bool read_only = false;
  bool create = true;
  std::optional<uint32_t> tile_size = std::nullopt;
  uint64_t cache_bytes = uint64_t{64} << 20;     // budget of tile memory; at least one tile is always kept
};

struct PixelAt {
  int64_t x = 0, y = 0;
  Rgb rgb{};
};

struct WorldStats {
  uint32_t tile_size = 0;
  uint64_t tiles_in_memory = 0, tiles_on_disk = 0, dirty_tiles = 0, pinned_tiles = 0;
  uint64_t cache_bytes = 0, cache_budget = 0, hits = 0, misses = 0, evictions = 0;
  StoreStats store;
};

// 3 * w * h. kInvalidArgument as check_rect(), kTooLarge over kMaxRegionBytes: for callers that take memory for a region.
inline constexpr uint64_t kMaxRegionBytes = uint64_t{1} << 33;
Result<uint64_t> region_bytes(const PixelRect& rect);

// Keeps a tile in the cache and gives its pixels, without layers: what is painted later shows, until the tile is erased or
// restored or another process's commit is seen; then the pin keeps what it had. Ends before its World does.
class TilePin {
 public:
  TilePin(TilePin&&) noexcept;
  TilePin& operator=(TilePin&&) noexcept;
  ~TilePin();
  Bytes rgb() const;      // tile_bytes(); black when the tile does not exist

 private:
  friend class World;
  struct Impl;
  explicit TilePin(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class World {
 public:
  // Errors as TileStore::open. Layers of mounted models are not there until open_mounts() (map/mounts.h) adds them.
  static Result<World> open(const std::string& folder, const WorldOptions& options);
  World(World&&) noexcept;
  World& operator=(World&&) noexcept;
  ~World();                                       // drops what was not flushed

  uint32_t tile_size() const;
  bool read_only() const;
  TileStore& store();

  Result<Rgb> get(int64_t x, int64_t y);
  Result<void> set(int64_t x, int64_t y, Rgb rgb);

  // `out`, `rgb`: 3 * w * h bytes, rows without gaps. An empty rectangle is lawful and does nothing.
  Result<void> read(const PixelRect& rect, MutableBytes out);
  Result<void> write(const PixelRect& rect, Bytes rgb);

  // What read() gives, in pieces of at most `piece_bytes` (but a pixel), in order, all from one state: for regions that one does
  // not want in memory. Ends with the first error of `take`.
  Result<void> read_pieces(const PixelRect& rect, uint64_t piece_bytes, const std::function<Result<void>(Bytes)>& take);

  // Any bytes from a pixel on, min(tile_size, pixels needed) wide, the rest of the last row zero. The length is kept.
  // read_bytes: kNotFound where no byte region begins.
  Result<void> write_bytes(int64_t x, int64_t y, Bytes data);
  Result<std::vector<uint8_t>> read_bytes(int64_t x, int64_t y);

  // The (2r+1)^2 - 1 pixels around, row by row, black ones too; those outside int64 are left out. r at most 1024.
  Result<std::vector<PixelAt>> neighbors(int64_t x, int64_t y, uint32_t radius);
  Result<std::vector<TileCoord>> tiles(const PixelRect& rect);                       // that exist, in key order
  Result<uint64_t> count(const PixelRect& rect);                                     // how many those are
  Result<std::vector<TileCoord>> neighbor_tiles(int64_t x, int64_t y, uint32_t radius);   // existing ones around, centre left out
  Result<std::optional<TileRect>> bounds();                                          // of all tiles

  Result<uint64_t> erase(const PixelRect& rect);      // flushes first; durable when it returns. See TileStore::erase
  Result<uint64_t> restore(const PixelRect& rect);
  Result<uint64_t> prefetch(const PixelRect& rect);   // a hint: reads tiles into the cache as far as it has room; how many
  Result<TilePin> pin(TileCoord tile);
  Result<void> flush();
  Result<WorldStats> stats();

  // Lays a layer over the world. kInvalidArgument when it meets another layer or painted pixels (names them). Reads in its
  // rectangle come from it; painting and erasing there is refused and names it. `is_kept`: it lay there before, so that it
  // covers pixels which came back under it (a repaired tile).
  Result<void> add_layer(std::unique_ptr<PixelLayer> layer, bool is_kept = false);
  Result<void> remove_layer(const std::string& name);  // kNotFound
  std::span<const std::unique_ptr<PixelLayer>> layers() const;

 private:
  struct Impl;
  explicit World(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pixellm
