// Pictures out of a world in blocks of output pixels: a block's sums are gathered from what exists inside it,
// then its rows are written. Memory: a block's sums, its rows, and 16 bytes a tile inside it.
#include "map/map_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <variant>

#include "base/memory.h"
#include "map/area_sums.h"
#include "map/world_impl.h"
#include "pixel/flat_png.h"
#include "pixel/plane.h"
#include "pixel/png_encode.h"

namespace pixellm {
namespace {

constexpr uint64_t kMaxPictureBytes = uint64_t{1} << 33;
constexpr uint64_t kBlockPixels = uint64_t{1} << 21;  // output pixels whose sums are held at a time
constexpr uint64_t kReadPixels = uint64_t{1} << 18;   // source pixels read at a time
constexpr uint64_t kEncoderRows = 8;  // at most so many rows does the encoder hold
constexpr uint64_t kReadWidth = uint64_t{1} << 12;

int64_t moved(int64_t at, uint64_t n) { return static_cast<int64_t>(static_cast<uint64_t>(at) + n); }

// ---- what exists

// `from` without `hole`, in at most four rectangles.
void subtract(const PixelRect& from, const PixelRect& hole, std::vector<PixelRect>& out) {
  const PixelRect common = intersect(from, hole);
  if (common.empty()) return out.push_back(from);
  const auto span = [](int64_t a, int64_t b) { return static_cast<uint64_t>(b) - static_cast<uint64_t>(a); };
  const uint64_t above = span(from.y, common.y), left = span(from.x, common.x);
  const uint64_t below = from.h - above - common.h, right = from.w - left - common.w;
  if (above) out.push_back({.x = from.x, .y = from.y, .w = from.w, .h = above});
  if (below) out.push_back({.x = from.x, .y = moved(common.y, common.h), .w = from.w, .h = below});
  if (left) out.push_back({.x = from.x, .y = common.y, .w = left, .h = common.h});
  if (right) out.push_back({.x = moved(common.x, common.w), .y = common.y, .w = right, .h = common.h});
}

// Rectangles, apart from each other, that hold everything inside `rect` that may not be black.
Result<std::vector<PixelRect>> occupied(World& world, const PixelRect& rect) {
  std::vector<PixelRect> found;
  const std::vector<TileCoord> tiles = PIXELLM_TRY(world.tiles(rect));
  std::vector<PixelRect> parts, rest;
  for (const TileCoord& tile : tiles) {
    const TilePart inside = part_of(rect, tile, world.tile_size());
    parts.assign(
        1,
        {.x = moved(rect.x, inside.rect_x), .y = moved(rect.y, inside.rect_y), .w = inside.w, .h = inside.h});
    for (const auto& layer : world.layers()) {
      rest.clear();
      for (const PixelRect& part : parts) subtract(part, layer->rect(), rest);
      parts.swap(rest);
    }
    found.insert(found.end(), parts.begin(), parts.end());
  }
  for (const auto& layer : world.layers()) {
    const PixelRect part = intersect(layer->rect(), rect);
    if (part.empty()) continue;
    const std::vector<PixelRect> inside = PIXELLM_TRY(layer->occupied(part));
    found.insert(found.end(), inside.begin(), inside.end());
  }
  return found;
}

// ---- the picture

// A flat PNG where its measures allow, else an ordinary one.
class PictureWriter {
 public:
  static Result<PictureWriter> create(const std::string& path, uint64_t width, uint64_t height) {
    const uint64_t row_bytes = 3 * width;
    if (row_bytes % kFlatRowUnit == 0 && row_bytes <= kFlatMaxRowBytes && height <= kFlatMaxRows)
      return PictureWriter(PIXELLM_TRY(FlatPngWriter::create(path, row_bytes, height)));
    return PictureWriter(
        PIXELLM_TRY(RgbPngWriter::create(path, static_cast<uint32_t>(width), static_cast<uint32_t>(height))));
  }
  Result<void> write_row(Bytes row) {
    return std::visit([&](auto& png) { return png.write_row(row); }, png_);
  }
  Result<void> finish() {
    if (auto* flat = std::get_if<FlatPngWriter>(&png_)) {
      PIXELLM_CHECK(flat->finish());
      return {};
    }
    return std::get<RgbPngWriter>(png_).finish();
  }

 private:
  template <class Png>
  explicit PictureWriter(Png png) : png_(std::move(png)) {}
  std::variant<FlatPngWriter, RgbPngWriter> png_;
};

struct Measures {
  uint64_t width, height;  // of the picture
};

Result<Measures> measure(const PixelRect& rect, uint32_t zoom) {
  if (auto lawful = check_rect(rect); !lawful) return std::unexpected(std::move(lawful).error());
  if (zoom > kMaxZoom)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("map: zoom {}, 0 to {} are allowed", zoom, kMaxZoom));
  if (rect.empty())
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("map: a picture of {} x {} pixels of the world would be empty", rect.w, rect.h));
  const uint64_t mask = (uint64_t{1} << zoom) - 1;
  const auto pixels = [&](uint64_t n) { return (n >> zoom) + ((n & mask) != 0); };
  const Measures m{pixels(rect.w), pixels(rect.h)};
  const auto area = checked_mul(m.width, m.height);
  if (m.width > kPngMaxSide || m.height > kPngMaxSide || !area || *area > kMaxPictureBytes / 3)
    return fail(
        ErrorCode::kTooLarge,
        fmt::format("map: {} x {} pixels of the world at zoom {} make a picture of {} x {}; {} a side and "
                    "{} bytes are allowed. Hint: a larger --zoom",
                    rect.w, rect.h, zoom, m.width, m.height, kPngMaxSide, kMaxPictureBytes));
  return m;
}

// Adds what exists inside the block to its sums.
Result<void> gather(World& world, AreaSums& sums, std::vector<uint8_t>& buffer) {
  const std::vector<PixelRect> sources = PIXELLM_TRY(occupied(world, sums.source()));
  for (const PixelRect& source : sources) {
    const uint64_t w = std::min(source.w, kReadWidth), h = std::min(source.h, kReadPixels / w);
    for (uint64_t y = 0; y < source.h; y += h)
      for (uint64_t x = 0; x < source.w; x += w) {
        const PixelRect part{.x = moved(source.x, x),
                             .y = moved(source.y, y),
                             .w = std::min(w, source.w - x),
                             .h = std::min(h, source.h - y)};
        buffer.resize(3 * part.w * part.h);
        PIXELLM_CHECK(world.read(part, buffer));
        sums.add(part, buffer);
      }
  }
  return {};
}

// The lower bound of an output pixel's source, or the rectangle's end.
uint64_t source_offset(uint64_t pixel, uint32_t zoom, uint64_t end) {
  return pixel > end >> zoom ? end : std::min(end, pixel << zoom);
}

}  // namespace

Result<void> export_picture(World& world, const PixelRect& rect, uint32_t zoom, const std::string& path) {
  const Measures m = PIXELLM_TRY(measure(rect, zoom));
  const uint64_t block_width = std::min(m.width, kBlockPixels);
  const uint64_t block_height = std::min(m.height, std::max<uint64_t>(1, kBlockPixels / m.width));
  const uint64_t row_bytes = 3 * m.width;
  PIXELLM_CHECK(check_memory(row_bytes * (block_height + kEncoderRows),
                             fmt::format("map: a picture {} pixels wide", m.width)));
  const std::unique_ptr<uint8_t[]> rows(new (std::nothrow) uint8_t[row_bytes * block_height]);
  if (!rows) return fail(ErrorCode::kTooLarge, fmt::format("map: no memory for a row of {} pixels", m.width));
  PictureWriter png = PIXELLM_TRY(PictureWriter::create(path, m.width, m.height));
  std::vector<uint8_t> buffer;
  for (uint64_t y = 0; y < m.height; y += block_height) {
    const uint64_t n_rows = std::min(block_height, m.height - y);
    for (uint64_t x = 0; x < m.width; x += block_width) {
      const uint64_t n_columns = std::min(block_width, m.width - x);
      const uint64_t left = source_offset(x, zoom, rect.w), top = source_offset(y, zoom, rect.h);
      AreaSums sums({.x = moved(rect.x, left),
                     .y = moved(rect.y, top),
                     .w = source_offset(x + n_columns, zoom, rect.w) - left,
                     .h = source_offset(y + n_rows, zoom, rect.h) - top},
                    zoom);
      PIXELLM_CHECK(gather(world, sums, buffer));
      sums.averages(rows.get() + 3 * x, row_bytes);
    }
    for (uint64_t i = 0; i < n_rows; i++)
      PIXELLM_CHECK(png.write_row({rows.get() + i * row_bytes, row_bytes}));
  }
  return png.finish();
}

// ---- into the world

namespace {

// Damage is looked for before anything is painted.
Result<void> check_intact(const PixelPlane& plane) {
  ThreadPool pool;
  const PlaneDamage damage = PIXELLM_TRY(plane.verify(VerifyLevel::kSha256, pool));
  if (damage.empty()) return {};
  if (damage.rows.empty())
    return fail(ErrorCode::kCorrupt, fmt::format("{}: damaged: {}", plane.path(), damage.other.front()));
  return fail(ErrorCode::kCorrupt,
              fmt::format("{}: damaged: rows {} to {}{}", plane.path(), damage.rows.front().first,
                          damage.rows.front().second, damage.rows.size() > 1 ? " and more" : ""));
}

Result<void> check_paintable(const World& world, const PixelRect& rect, const std::string& path) {
  if (auto lawful = check_rect(rect); !lawful) return fail_in(path, std::move(lawful).error());
  if (world.read_only())
    return fail(ErrorCode::kInvalidArgument,
                "map: the world is open for reading only, nothing can be painted");
  for (const auto& layer : world.layers())
    if (!intersect(layer->rect(), rect).empty())
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("map: {} would cover {},{},{},{}, where {} is mounted", path, rect.x, rect.y,
                              rect.w, rect.h, layer->name()));
  return {};
}

// The first multiple of the tile's size above a coordinate, counted from there: where the next tile begins.
uint64_t to_next_tile(int64_t at, uint32_t tile_size) {
  const int64_t size = tile_size, remainder = at % size;
  return static_cast<uint64_t>(size - (remainder < 0 ? remainder + size : remainder));
}

}  // namespace

Result<PixelRect> import_picture(World& world, const std::string& path, int64_t x, int64_t y) {
  const PixelPlane plane = PIXELLM_TRY(PixelPlane::open(path));
  return import_picture(world, plane, x, y);
}

Result<PixelRect> import_picture(World& world, const PixelPlane& plane, int64_t x, int64_t y) {
  const PixelRect rect{.x = x, .y = y, .w = plane.width(), .h = plane.rows()};
  PIXELLM_CHECK(check_paintable(world, rect, plane.path()));
  PIXELLM_CHECK(check_intact(plane));
  // A row of tiles at a time, each tile written once.
  const uint64_t across = ceil_div(kReadWidth, world.tile_size()) * world.tile_size();
  std::vector<uint8_t> rgb;
  for (uint64_t top = 0, h; top < rect.h; top += h) {
    const int64_t at_y = moved(y, top);
    h = std::min(rect.h - top, to_next_tile(at_y, world.tile_size()));
    for (uint64_t left = 0, w; left < rect.w; left += w) {
      const int64_t at_x = moved(x, left);
      w = std::min(rect.w - left, across - world.tile_size() + to_next_tile(at_x, world.tile_size()));
      rgb.resize(3 * w * h);
      for (uint64_t i = 0; i < h; i++)
        std::copy_n(plane.row(top + i).data() + 3 * left, 3 * w, &rgb[3 * w * i]);
      PIXELLM_CHECK(world.write({.x = at_x, .y = at_y, .w = w, .h = h}, rgb));
    }
  }
  return rect;
}

}  // namespace pixellm
