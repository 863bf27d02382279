// Places in the world: pixels and tiles at signed 64-bit coordinates, and the Morton keys under which tiles are stored.
// Spec: spec/infinite-map.md. x grows to the right, y downward. All arithmetic is checked: a rectangle that leaves the
// int64 range is an error, never a wrapped one.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <optional>

#include "base/error.h"

namespace pixellm {

// Pixels [x, x + w) by [y, y + h). w or h 0: empty.
struct PixelRect {
  int64_t x = 0, y = 0;
  uint64_t w = 0, h = 0;
  bool operator==(const PixelRect&) const = default;
  bool empty() const { return w == 0 || h == 0; }
};

// kInvalidArgument unless every pixel of the rectangle has int64 coordinates.
Result<void> check_rect(const PixelRect& rect);

// Requires two rectangles that pass check_rect(). Empty (w = h = 0) when they do not meet.
PixelRect intersect(const PixelRect& a, const PixelRect& b);

// A tile holds pixels [x * size, (x + 1) * size) by [y * size, (y + 1) * size).
struct TileCoord {
  int64_t x = 0, y = 0;
  auto operator<=>(const TileCoord&) const = default;
};

// Tiles min.x..max.x by min.y..max.y, both ends inclusive.
struct TileRect {
  TileCoord min, max;
  bool operator==(const TileRect&) const = default;
  bool contains(TileCoord t) const { return t.x >= min.x && t.x <= max.x && t.y >= min.y && t.y <= max.y; }
};

// Floor division: the tile of pixel -1 is -1.
TileCoord tile_at(int64_t x, int64_t y, uint32_t tile_size);

// The tiles that the rectangle touches; nullopt for an empty one. Requires check_rect().
std::optional<TileRect> tiles_of(const PixelRect& rect, uint32_t tile_size);

// The bits of both coordinates, each plus 2^63, interleaved from the top, y's before x's: 128 bits. Its order is that of a
// quadtree walked in the order north-west, north-east, south-west, south-east, with negative coordinates first.
struct MortonKey {
  uint64_t high = 0, low = 0;
  auto operator<=>(const MortonKey&) const = default;

  static constexpr size_t kEncodedLength = 16;   // big-endian, so that byte order is key order
  std::array<uint8_t, kEncodedLength> encode() const;
  static MortonKey decode(const uint8_t* bytes);
};

MortonKey morton_key(TileCoord tile);
TileCoord tile_of(MortonKey key);

// The smallest key above `key` whose tile lies in the rectangle (Tropf and Herzog's BIGMIN); nullopt when there is none.
std::optional<MortonKey> next_key_in(MortonKey key, const TileRect& rect);

}  // namespace pixellm
