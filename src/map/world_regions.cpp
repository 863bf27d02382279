// Rectangles of pixels, byte regions, and the pixels around one.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/memory.h"
#include "map/world.h"
#include "map/world_impl.h"

namespace pixellm {
namespace {

constexpr uint64_t kPixelBytes = 3;
constexpr uint32_t kMaxNeighborRadius = 1024;

// A region that takes less than this part of the cache is read through it; a larger one would push out what
// is in use.
constexpr uint64_t kCacheShare = 4;

Result<void> check_size(const PixelRect& rect, uint64_t size) {
  const uint64_t wanted = PIXELLM_TRY(region_bytes(rect));
  if (size == wanted) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("map: {} by {} pixels are {} bytes, found {}", rect.w, rect.h, wanted, size));
}

void copy_rows(const uint8_t* from, uint64_t from_stride, uint8_t* to, uint64_t to_stride, uint64_t row_bytes,
               uint64_t rows) {
  for (uint64_t i = 0; i < rows; i++) std::memcpy(to + i * to_stride, from + i * from_stride, row_bytes);
}

// Where bytes lie from a pixel on: min(tile_size, pixels) wide, as high as they need.
PixelRect byte_rect(int64_t x, int64_t y, uint64_t length, uint32_t tile_size) {
  const uint64_t pixels = ceil_div(length, kPixelBytes);
  const uint64_t w = std::min<uint64_t>(tile_size, pixels);
  return {x, y, w, w ? ceil_div(pixels, w) : 0};
}

// From v - radius to v + radius, as far as there are coordinates.
std::pair<int64_t, uint64_t> span_around(int64_t v, uint32_t radius) {
  using Limits = std::numeric_limits<int64_t>;
  const int64_t first = v < Limits::min() + radius ? Limits::min() : v - radius;
  const int64_t last = v > Limits::max() - radius ? Limits::max() : v + radius;
  return {first, static_cast<uint64_t>(last) - static_cast<uint64_t>(first) + 1};
}

}  // namespace

Result<uint64_t> region_bytes(const PixelRect& rect) {
  PIXELLM_CHECK(check_rect(rect));
  const auto pixels = checked_mul(rect.w, rect.h);
  if (!pixels || *pixels > kMaxRegionBytes / kPixelBytes)
    return fail(ErrorCode::kTooLarge,
                fmt::format("map: a region of {} by {} pixels, at most {} bytes at a time", rect.w, rect.h,
                            kMaxRegionBytes));
  return *pixels * kPixelBytes;
}

Result<void> World::Impl::read(const PixelRect& rect, MutableBytes out) {
  const uint64_t row_bytes = rect.w * kPixelBytes, tile_row_bytes = tile_size * kPixelBytes;
  if (const PixelLayer* layer = layer_at(rect); layer && intersect(layer->rect(), rect) == rect)
    return layer->read(rect, out.data(), row_bytes);
  const bool through_cache = out.size() <= cache.stats().budget / kCacheShare;
  const auto copy_part = [&](const TilePart& part) -> Result<void> {
    const TilePixels tile = PIXELLM_TRY(through_cache ? load_pixels(part.tile) : find_pixels(part.tile));
    uint8_t* to = out.data() + part.rect_y * row_bytes + part.rect_x * kPixelBytes;
    if (tile.rgb) {
      copy_rows(tile.rgb + part.y * tile_row_bytes + part.x * kPixelBytes, tile_row_bytes, to, row_bytes,
                part.w * kPixelBytes, part.h);
    } else {
      for (uint32_t i = 0; i < part.h; i++) std::memset(to + i * row_bytes, 0, part.w * kPixelBytes);
    }
    return {};
  };
  PIXELLM_CHECK(for_each_part(rect, tile_size, copy_part));
  for (const auto& layer : layers) {
    const PixelRect part = intersect(layer->rect(), rect);
    if (part.empty()) continue;
    const uint64_t dx = static_cast<uint64_t>(part.x) - static_cast<uint64_t>(rect.x);
    const uint64_t dy = static_cast<uint64_t>(part.y) - static_cast<uint64_t>(rect.y);
    PIXELLM_CHECK(layer->read(part, out.data() + dy * row_bytes + dx * kPixelBytes, row_bytes));
  }
  return {};
}

Result<void> World::read(const PixelRect& rect, MutableBytes out) {
  PIXELLM_CHECK(check_size(rect, out.size()));
  if (out.empty()) return {};
  const auto use = PIXELLM_TRY(impl_->begin());
  return impl_->read(rect, out);
}

Result<void> World::read_pieces(const PixelRect& rect, uint64_t piece_bytes,
                                const std::function<Result<void>(Bytes)>& take) {
  if (PIXELLM_TRY(region_bytes(rect)) == 0) return {};
  const auto use = PIXELLM_TRY(impl_->begin());
  const uint64_t piece_pixels = std::max<uint64_t>(1, piece_bytes / kPixelBytes);
  const uint64_t width = std::min(rect.w, piece_pixels), height = std::min(rect.h, piece_pixels / width);
  const auto moved = [](int64_t at, uint64_t n) { return static_cast<int64_t>(static_cast<uint64_t>(at) + n); };
  std::vector<uint8_t> rgb;
  for (uint64_t y = 0; y < rect.h; y += height)
    for (uint64_t x = 0; x < rect.w; x += width) {
      const PixelRect piece{moved(rect.x, x), moved(rect.y, y), std::min(width, rect.w - x),
                            std::min(height, rect.h - y)};
      rgb.resize(kPixelBytes * piece.w * piece.h);
      PIXELLM_CHECK(impl_->read(piece, rgb));
      PIXELLM_CHECK(take(rgb));
    }
  return {};
}

Result<void> World::write(const PixelRect& rect, Bytes rgb) {
  Impl& w = *impl_;
  PIXELLM_CHECK(check_size(rect, rgb.size()));
  const auto use = PIXELLM_TRY(w.begin_change(rect, "paint"));
  if (rgb.empty()) return {};
  // A tile that cannot be read refuses the whole region, not what comes after it.
  const auto check_part = [&](const TilePart& part) -> Result<void> {
    if (!part.is_whole(w.tile_size)) PIXELLM_TRY(w.find_pixels(part.tile));
    return {};
  };
  const auto tiles = *tiles_of(rect, w.tile_size);
  if (tiles.min != tiles.max) PIXELLM_CHECK(for_each_part(rect, w.tile_size, check_part));
  const uint64_t row_bytes = rect.w * kPixelBytes, tile_row_bytes = w.tile_size * kPixelBytes;
  return for_each_part(rect, w.tile_size, [&](const TilePart& part) -> Result<void> {
    CachedTile* tile = PIXELLM_TRY(w.tile_to_paint(part.tile, part.is_whole(w.tile_size)));
    copy_rows(rgb.data() + part.rect_y * row_bytes + part.rect_x * kPixelBytes, row_bytes,
              tile->rgb() + part.y * tile_row_bytes + part.x * kPixelBytes, tile_row_bytes,
              part.w * kPixelBytes, part.h);
    return {};
  });
}

Result<void> World::write_bytes(int64_t x, int64_t y, Bytes data) {
  const PixelRect rect = byte_rect(x, y, data.size(), impl_->tile_size);
  const uint64_t padded_size = PIXELLM_TRY(region_bytes(rect));
  // Also an empty region begins at a pixel, which must not be a layer's.
  PIXELLM_TRY(impl_->begin_change({x, y, 1, 1}, "paint"));
  if (padded_size == data.size()) {
    PIXELLM_CHECK(write(rect, data));
  } else {
    std::vector<uint8_t> padded(padded_size);
    std::ranges::copy(data, padded.begin());
    PIXELLM_CHECK(write(rect, padded));
  }
  impl_->new_lengths[{x, y}] = data.size();
  return {};
}

Result<std::vector<uint8_t>> World::read_bytes(int64_t x, int64_t y) {
  Impl& w = *impl_;
  std::optional<uint64_t> length;
  if (const auto it = w.new_lengths.find({x, y}); it != w.new_lengths.end()) {
    length = it->second;
  } else {
    const auto use = PIXELLM_TRY(w.begin());
    length = PIXELLM_TRY(w.snapshot->byte_length(x, y));
  }
  if (!length) return fail(ErrorCode::kNotFound, fmt::format("map: no byte region begins at {},{}", x, y));
  const PixelRect rect = byte_rect(x, y, *length, w.tile_size);
  PIXELLM_CHECK(check_memory(*length, fmt::format("map: the byte region at {},{}", x, y)));
  std::vector<uint8_t> bytes(PIXELLM_TRY(region_bytes(rect)));
  PIXELLM_CHECK(read(rect, bytes));
  bytes.resize(*length);
  return bytes;
}

Result<std::vector<PixelAt>> World::neighbors(int64_t x, int64_t y, uint32_t radius) {
  if (radius > kMaxNeighborRadius)
    return fail(ErrorCode::kTooLarge, fmt::format("map: radius {}, at most {}", radius, kMaxNeighborRadius));
  const auto [left, w] = span_around(x, radius);
  const auto [top, h] = span_around(y, radius);
  std::vector<uint8_t> rgb(kPixelBytes * w * h);
  PIXELLM_CHECK(read({left, top, w, h}, rgb));
  std::vector<PixelAt> around;
  around.reserve(w * h - 1);
  const uint8_t* p = rgb.data();
  for (uint64_t j = 0; j < h; j++)
    for (uint64_t i = 0; i < w; i++, p += kPixelBytes) {
      const PixelAt pixel{left + static_cast<int64_t>(i), top + static_cast<int64_t>(j), {p[0], p[1], p[2]}};
      if (pixel.x != x || pixel.y != y) around.push_back(pixel);
    }
  return around;
}

}  // namespace pixellm
