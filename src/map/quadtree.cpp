#include "map/quadtree.h"

#include <algorithm>
#include <vector>

namespace pixellm {
namespace {

enum class Side { kNorth, kWest, kSouth, kEast };

// Tiles [min, min + 2^level) each way, an aligned square: its keys are consecutive.
struct Quadrant {
  TileCoord min;
  unsigned level;  // 64: the world

  // Also right for level 64, where it is all ones.
  uint64_t mask() const { return level == 0 ? 0 : ~uint64_t{0} >> (64 - level); }
  TileCoord max() const {
    return {static_cast<int64_t>(min.x + mask()), static_cast<int64_t>(min.y + mask())};
  }
  MortonKey first_key() const { return morton_key(min); }
  MortonKey last_key() const { return morton_key(max()); }

  // The four parts, south-east (3) to north-west (0). level at least 1.
  Quadrant child(unsigned index) const {
    const uint64_t half = uint64_t{1} << (level - 1);
    return {{static_cast<int64_t>(min.x + (index & 1 ? half : 0)),
             static_cast<int64_t>(min.y + (index & 2 ? half : 0))},
            level - 1};
  }
};

constexpr Quadrant kWorld{{INT64_MIN, INT64_MIN}, 64};

// Quadrants of at most 64 tiles are walked: a step to the next key costs a fraction of a seek.
constexpr unsigned kWalkedLevel = 3;

void include(TileRect& box, TileCoord t) {
  box.min = {std::min(box.min.x, t.x), std::min(box.min.y, t.y)};
  box.max = {std::max(box.max.x, t.x), std::max(box.max.y, t.y)};
}

bool reaches_beyond(const Quadrant& q, const TileRect& box, Side side) {
  switch (side) {
    case Side::kNorth:
      return q.min.y < box.min.y;
    case Side::kWest:
      return q.min.x < box.min.x;
    case Side::kSouth:
      return q.max().y > box.max.y;
    case Side::kEast:
      return q.max().x > box.max.x;
  }
  return false;
}

// Order in which a quadrant's parts are pushed: those nearer to the side come last, so that they are looked
// at first.
std::array<unsigned, 4> push_order(Side side) {
  switch (side) {
    case Side::kNorth:
      return {3, 2, 1, 0};
    case Side::kWest:
      return {3, 1, 2, 0};
    case Side::kSouth:
      return {0, 1, 2, 3};
    case Side::kEast:
      return {0, 2, 1, 3};
  }
  return {};
}

// Branch and bound: looks only into quadrants that hold tiles and could hold one outside the box on that
// side.
Result<void> extend(KeyCursor& keys, TileRect& box, Side side) {
  const std::array<unsigned, 4> order = push_order(side);
  std::vector<Quadrant> open = {kWorld};
  while (!open.empty()) {
    const Quadrant q = open.back();
    open.pop_back();
    if (!reaches_beyond(q, box, side)) continue;
    const MortonKey last = q.last_key();
    auto key = PIXELLM_TRY(keys.seek(q.first_key()));
    if (!key || *key > last) continue;
    const MortonKey first = *key;
    include(box, tile_of(first));
    key = PIXELLM_TRY(keys.next());  // a lone tile ends the descent at once
    if (q.level <= kWalkedLevel) {
      for (; key && *key <= last; key = PIXELLM_TRY(keys.next())) include(box, tile_of(*key));
      continue;
    }
    if (!key || *key > last) continue;
    for (unsigned index : order)
      if (const Quadrant part = q.child(index); part.last_key() >= first) open.push_back(part);
  }
  return {};
}

}  // namespace

Result<void> visit_tiles(KeyCursor& keys, const TileRect& rect, const std::function<bool(TileCoord)>& visit) {
  if (rect.min.x > rect.max.x || rect.min.y > rect.max.y) return {};
  const MortonKey last = morton_key(rect.max);
  auto key = PIXELLM_TRY(keys.seek(morton_key(rect.min)));
  while (key && *key <= last) {
    const TileCoord tile = tile_of(*key);
    if (rect.contains(tile)) {
      if (!visit(tile)) return {};
      key = PIXELLM_TRY(keys.next());
      continue;
    }
    const auto inside = next_key_in(*key, rect);
    if (!inside) return {};
    key = PIXELLM_TRY(keys.seek(*inside));
  }
  return {};
}

Result<uint64_t> count_tiles(KeyCursor& keys, const TileRect& rect) {
  uint64_t count = 0;
  PIXELLM_CHECK(visit_tiles(keys, rect, [&](TileCoord) { return ++count, true; }));
  return count;
}

Result<std::optional<TileRect>> bounds_of_tiles(KeyCursor& keys) {
  const auto first = PIXELLM_TRY(keys.seek(kWorld.first_key()));
  if (!first) return std::nullopt;
  TileRect box{tile_of(*first), tile_of(*first)};
  for (Side side : {Side::kNorth, Side::kWest, Side::kSouth, Side::kEast})
    PIXELLM_CHECK(extend(keys, box, side));
  return box;
}

}  // namespace pixellm
