#include "map/geometry.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "base/bytes.h"

namespace pixellm {
namespace {

constexpr int64_t kMinCoordinate = std::numeric_limits<int64_t>::min();
constexpr int64_t kMaxCoordinate = std::numeric_limits<int64_t>::max();

// Coordinates in keys: order kept, the smallest is 0.
constexpr uint64_t kBias = uint64_t{1} << 63;
uint64_t biased(int64_t v) { return static_cast<uint64_t>(v) ^ kBias; }
int64_t unbiased(uint64_t v) { return static_cast<int64_t>(v ^ kBias); }

// Whether start + (length - 1) is a coordinate. length at least 1.
bool span_fits(int64_t start, uint64_t length) {
  const uint64_t room =
      static_cast<uint64_t>(kMaxCoordinate) - static_cast<uint64_t>(start);  // exact modulo 2^64
  return length - 1 <= room;
}

// The last coordinate of a span that fits. length at least 1.
int64_t span_last(int64_t start, uint64_t length) {
  return static_cast<int64_t>(static_cast<uint64_t>(start) + (length - 1));
}

int64_t floor_div(int64_t v, int64_t divisor) { return v / divisor - (v % divisor < 0 ? 1 : 0); }

// Bit i of the lower half to bit 2i.
uint64_t spread(uint64_t v) {
  v &= 0xffffffff;
  v = (v | v << 16) & 0x0000ffff0000ffff;
  v = (v | v << 8) & 0x00ff00ff00ff00ff;
  v = (v | v << 4) & 0x0f0f0f0f0f0f0f0f;
  v = (v | v << 2) & 0x3333333333333333;
  return (v | v << 1) & 0x5555555555555555;
}

// The inverse; odd bits are ignored.
uint64_t gather(uint64_t v) {
  v &= 0x5555555555555555;
  v = (v | v >> 1) & 0x3333333333333333;
  v = (v | v >> 2) & 0x0f0f0f0f0f0f0f0f;
  v = (v | v >> 4) & 0x00ff00ff00ff00ff;
  v = (v | v >> 8) & 0x0000ffff0000ffff;
  return (v | v >> 16) & 0xffffffff;
}

struct BiasedTile {
  uint64_t x, y;
};

BiasedTile biased(TileCoord tile) { return {biased(tile.x), biased(tile.y)}; }

MortonKey interleave(BiasedTile t) {
  return {spread(t.y >> 32) << 1 | spread(t.x >> 32), spread(t.y) << 1 | spread(t.x)};
}

}  // namespace

Result<void> check_rect(const PixelRect& rect) {
  if (rect.empty()) return {};
  if (span_fits(rect.x, rect.w) && span_fits(rect.y, rect.h)) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("map: rectangle {},{},{},{} leaves the world, which ends at {}", rect.x, rect.y,
                          rect.w, rect.h, kMaxCoordinate));
}

PixelRect intersect(const PixelRect& a, const PixelRect& b) {
  if (a.empty() || b.empty()) return {};
  const int64_t x0 = std::max(a.x, b.x), x1 = std::min(span_last(a.x, a.w), span_last(b.x, b.w));
  const int64_t y0 = std::max(a.y, b.y), y1 = std::min(span_last(a.y, a.h), span_last(b.y, b.h));
  if (x0 > x1 || y0 > y1) return {};
  // Neither length can wrap to 0: each is at most the shorter of two that were 64-bit numbers.
  return {x0, y0, static_cast<uint64_t>(x1) - static_cast<uint64_t>(x0) + 1,
          static_cast<uint64_t>(y1) - static_cast<uint64_t>(y0) + 1};
}

TileCoord tile_at(int64_t x, int64_t y, uint32_t tile_size) {
  return {floor_div(x, tile_size), floor_div(y, tile_size)};
}

std::optional<TileRect> tiles_of(const PixelRect& rect, uint32_t tile_size) {
  if (rect.empty()) return std::nullopt;
  return TileRect{tile_at(rect.x, rect.y, tile_size),
                  tile_at(span_last(rect.x, rect.w), span_last(rect.y, rect.h), tile_size)};
}

std::array<uint8_t, MortonKey::kEncodedLength> MortonKey::encode() const {
  std::array<uint8_t, kEncodedLength> out;
  store_be<uint64_t>(out.data(), high);
  store_be<uint64_t>(out.data() + 8, low);
  return out;
}

MortonKey MortonKey::decode(const uint8_t* bytes) {
  return {load_be<uint64_t>(bytes), load_be<uint64_t>(bytes + 8)};
}

MortonKey morton_key(TileCoord tile) { return interleave(biased(tile)); }

TileCoord tile_of(MortonKey key) {
  return {unbiased(gather(key.high) << 32 | gather(key.low)),
          unbiased(gather(key.high >> 1) << 32 | gather(key.low >> 1))};
}

// Follows the bits of the smallest wanted key from the top, with the rectangle narrowed to the quadrants that
// are still possible. A bit in which the key and both corners agree narrows nothing, so the loop goes to the
// first that differs.
std::optional<MortonKey> next_key_in(MortonKey key, const TileRect& rect) {
  if (rect.min.x > rect.max.x || rect.min.y > rect.max.y) return std::nullopt;
  if (++key.low == 0 && ++key.high == 0) return std::nullopt;  // it was the last of all keys
  const BiasedTile at = biased(tile_of(key));
  BiasedTile min = biased(rect.min), max = biased(rect.max);
  std::optional<BiasedTile> later;  // where the wanted key is when the narrowed rectangle has none
  while (true) {
    const uint64_t differ_x = (at.x ^ min.x) | (at.x ^ max.x), differ_y = (at.y ^ min.y) | (at.y ^ max.y);
    if (differ_x == 0 && differ_y == 0) return key;
    const bool in_y = std::bit_width(differ_y) >= std::bit_width(differ_x);  // y's bit stands above x's
    const uint64_t bit = std::bit_floor(in_y ? differ_y : differ_x);
    const uint64_t position = in_y ? at.y : at.x;
    uint64_t& low = in_y ? min.y : min.x;
    uint64_t& high = in_y ? max.y : max.x;
    if ((low & bit) ==
        (high & bit)) {  // the key's bit is the other one: it lies before or after all that is left
      if (low & bit) return interleave(min);
      return later ? std::optional(interleave(*later)) : std::nullopt;
    }
    const uint64_t upper_half = high & ~(bit - 1);
    if (position & bit) {
      low = upper_half;
    } else {
      later = min;
      (in_y ? later->y : later->x) = upper_half;
      high = upper_half - 1;
    }
  }
}

}  // namespace pixellm
