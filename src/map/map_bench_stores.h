// The two stores that map_bench.h compares, and what is put into them. Internal to src/map.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "map/geometry.h"
#include "map/tile_store.h"

namespace pixellm {

inline constexpr uint64_t kBenchTileBytes = 3 * kDefaultTileSize * kDefaultTileSize;

// A square of tiles in random order, and their pixels, random too.
struct BenchTiles {
  std::vector<TileCoord> places;
  std::vector<uint8_t> pixels;
  Bytes rgb(size_t i) const { return {pixels.data() + i * kBenchTileBytes, kBenchTileBytes}; }
};
BenchTiles make_bench_tiles(uint64_t count);

class BenchStore {
 public:
  virtual ~BenchStore() = default;
  virtual Result<void> put(const BenchTiles& tiles, size_t first, size_t last) = 0;  // one durable commit
  virtual Result<void> begin_gets() = 0;                                             // after the puts
  virtual Result<void> get(TileCoord tile, uint8_t* out) = 0;
};

Result<std::unique_ptr<BenchStore>> open_world_store(const std::string& folder);

// The loop that one would write with LMDB alone: a tile's bytes under its Morton key.
Result<std::unique_ptr<BenchStore>> open_plain_lmdb(const std::string& folder);

}  // namespace pixellm
