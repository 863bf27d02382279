// Queries over a sorted set of Morton keys, which is a linear quadtree: no nodes are stored, the order of the keys is the
// tree. Time grows with the tiles found and the length of the rectangle's border in occupied quadrants, never with the
// number of tiles in the world.
//
//   auto keys = PIXELLM_TRY(snapshot->keys());
//   PIXELLM_CHECK(visit_tiles(*keys, rect, [&](TileCoord t) { found.push_back(t); return true; }));
#pragma once
#include <cstdint>
#include <functional>
#include <optional>

#include "base/error.h"
#include "map/geometry.h"

namespace pixellm {

// A position in a sorted set of keys. One thread at a time.
class KeyCursor {
 public:
  virtual ~KeyCursor() = default;
  virtual Result<std::optional<MortonKey>> seek(MortonKey at_least) = 0;   // the first key >= at_least
  virtual Result<std::optional<MortonKey>> next() = 0;                     // after a seek() or next() that found one
};

// Calls `visit` for each tile in the rectangle, in key order; it stops the walk by returning false.
Result<void> visit_tiles(KeyCursor& keys, const TileRect& rect, const std::function<bool(TileCoord)>& visit);

Result<uint64_t> count_tiles(KeyCursor& keys, const TileRect& rect);

// The smallest rectangle with every tile of the set; nullopt when there is none.
Result<std::optional<TileRect>> bounds_of_tiles(KeyCursor& keys);

}  // namespace pixellm
