#include "convert/thumbnail.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "convert/palette.h"
#include "pixel/flat_png.h"

namespace pixellm {
namespace {

constexpr uint32_t kPartsAcross = 8;  // heads in a row, as in the world
constexpr double kBandGap = 64;       // world pixels, as in the world
constexpr double kColumnGap = 192;
constexpr double kWantedAspect = 1.5;  // width to height
constexpr int kMaxColumns = 16;
constexpr uint64_t kSegment = 4096;  // elements dequantised at a time; a multiple of every block

// ---- where the tensors go

struct Place {
  const TensorInfo* tensor;
  double x, y;  // of its rectangle, in world pixels of the new arrangement
};

struct Arrangement {
  std::vector<Place> places;
  double width = 0, height = 0;
};

struct Band {
  std::vector<const TensorInfo*> tensors;
  double top = 0, width = 0, height = 0;
};

// Tensors at one height of the world form a band.
std::vector<Band> find_bands(const Model& model) {
  std::map<uint32_t, Band> by_top;
  for (const TensorInfo& t : model.tensors()) {
    if (t.world.w == 0 || t.world.h == 0) continue;
    Band& band = by_top[t.world.y];
    band.tensors.push_back(&t);
    band.top = t.world.y;
    band.width = std::max(band.width, double(t.world.x) + t.world.w);
    band.height = std::max(band.height, double(t.world.h));
  }
  std::vector<Band> bands;
  for (auto& [top, band] : by_top) bands.push_back(std::move(band));
  return bands;
}

// Fills columns of at most `height`, from the top, in order.
Arrangement flow(const std::vector<Band>& bands, double height) {
  Arrangement out;
  double x = 0, y = 0, column_width = 0;
  for (const Band& band : bands) {
    if (y > 0 && y + band.height > height) {
      x += column_width + kColumnGap;
      y = column_width = 0;
    }
    for (const TensorInfo* t : band.tensors) out.places.push_back({t, x + t->world.x, y});
    column_width = std::max(column_width, band.width);
    out.width = std::max(out.width, x + column_width);
    out.height = std::max(out.height, y + band.height);
    y += band.height + kBandGap;
  }
  return out;
}

// For every number of columns the lowest arrangement; of those the one nearest to the wanted shape.
Arrangement arrange(const std::vector<Band>& bands) {
  double total = 0, tallest = 0;
  for (const Band& band : bands) {
    total += band.height + kBandGap;
    tallest = std::max(tallest, band.height);
  }
  Arrangement best;
  double best_distance = HUGE_VAL;
  for (int columns = 1; columns <= kMaxColumns; columns++) {
    const Arrangement candidate = flow(bands, std::max(tallest, total / columns * 1.05));
    const double distance = std::abs(std::log(candidate.width / candidate.height / kWantedAspect));
    if (distance >= best_distance) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

// ---- one tensor

struct Box {
  uint32_t x0, y0, x1, y1;  // pixels, x1 and y1 exclusive
  uint32_t w() const { return x1 - x0; }
  uint32_t h() const { return y1 - y0; }
};

// Sums of squares per pixel of one part (an attention head, or the whole tensor).
struct Part {
  Box box;
  std::vector<double> sum;
  std::vector<uint64_t> count;
};

// Elements [first, last) of n that pixel i of `pixels` shows; at least one.
std::pair<uint64_t, uint64_t> share_of(uint64_t i, uint64_t pixels, uint64_t n) {
  const auto at = [&](uint64_t j) {
    return static_cast<uint64_t>(static_cast<double>(j) * static_cast<double>(n) /
                                 static_cast<double>(pixels));
  };
  const uint64_t first = std::min(at(i), n - 1);
  return {first, std::max(first + 1, std::min(at(i + 1), n))};
}

// Takes a tensor's rows one after the other and adds every weight to its pixel.
class PartSums {
 public:
  PartSums(const TensorInfo& t, std::vector<Part>& parts)
      : t_(t), parts_(parts), rows_per_part_(t.n_rows() / parts.size()), values_(kSegment) {
    const uint32_t w = parts.front().box.w();
    for (uint32_t x = 0; x < w; x++) columns_.push_back(share_of(x, w, t.k()));
  }

  Result<void> add(Bytes bytes) {
    const TypeTraits& type = traits(t_.type);
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    size_t used = 0;
    for (;;) {
      const uint64_t n = std::min(kSegment, t_.k() - column_);
      const uint64_t needed = n / type.block_elements * type.block_bytes;
      if (row_ == t_.n_rows() || pending_.size() - used < needed) break;
      dequantize_blocks(t_.type, n, pending_.data() + used, values_.data());
      add_segment(n);
      used += needed;
    }
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(used));
    return {};
  }

 private:
  void add_segment(uint64_t n) {
    Part& part = parts_[row_ / rows_per_part_];
    const uint64_t row = row_ % rows_per_part_;
    const uint32_t w = part.box.w(), h = part.box.h();
    // The first pixel row that can show this row; its share is checked below.
    auto y = static_cast<uint32_t>(row * h / rows_per_part_);
    y = y == 0 ? 0 : y - 1;
    for (; y < h; y++) {
      const auto [first, last] = share_of(y, h, rows_per_part_);
      if (row < first) break;
      if (row < last) add_to_line(part, y * w, n);
    }
    column_ += n;
    if (column_ == t_.k()) {
      column_ = 0;
      row_++;
    }
  }

  void add_to_line(Part& part, size_t line, uint64_t n) {
    const uint64_t begin = column_, end = column_ + n;
    auto x = std::ranges::upper_bound(columns_, begin, {}, [](const auto& c) { return c.second; }) -
             columns_.begin();
    for (; x < std::ssize(columns_) && columns_[x].first < end; x++) {
      const uint64_t first = std::max(begin, columns_[x].first), last = std::min(end, columns_[x].second);
      double sum = 0;
      for (uint64_t c = first; c < last; c++) sum += double(values_[c - begin]) * values_[c - begin];
      part.sum[line + x] += std::isfinite(sum) ? sum : 0;
      part.count[line + x] += last - first;
    }
  }

  const TensorInfo& t_;
  std::vector<Part>& parts_;
  uint64_t rows_per_part_;
  std::vector<float> values_;
  std::vector<std::pair<uint64_t, uint64_t>> columns_;  // shown by each pixel of a line
  std::vector<uint8_t> pending_;
  uint64_t row_ = 0, column_ = 0;
};

// Writes the parts' values between the tensor's own 1 % and 99 % quantiles as colours.
void paint(Thumbnail& image, const TensorInfo& t, const std::vector<Part>& parts) {
  std::vector<double> values;
  for (const Part& part : parts)
    for (size_t i = 0; i < part.sum.size(); i++)
      values.push_back(std::log2(
          std::sqrt(part.sum[i] / std::max<double>(1, static_cast<double>(part.count[i]))) + 1e-20));
  std::vector<double> sorted = values;
  std::ranges::sort(sorted);
  const double low = sorted[sorted.size() / 100], high = sorted[sorted.size() - 1 - sorted.size() / 100];
  size_t next = 0;
  for (const Part& part : parts) {
    for (uint32_t y = part.box.y0; y < part.box.y1; y++) {
      for (uint32_t x = part.box.x0; x < part.box.x1; x++) {
        const double value = values[next++];
        const Rgb color =
            palette_color(t.layer_type, high - low < 1e-9 ? 0.6 : 0.1 + 0.9 * (value - low) / (high - low));
        std::ranges::copy(color, image.rgb.begin() + (size_t{y} * image.width + x) * 3);
      }
    }
  }
}

// The parts of a tensor as boxes of the image, at least one pixel each.
std::vector<Part> make_parts(const Place& place, double scale, uint32_t margin, const Thumbnail& image) {
  const TensorInfo& t = *place.tensor;
  const uint32_t n =
      std::max<uint32_t>(1, t.n_rows() % std::max<uint32_t>(1, t.world_parts) == 0 ? t.world_parts : 1);
  const uint32_t across = std::min(kPartsAcross, n), down = static_cast<uint32_t>(ceil_div(n, kPartsAcross));
  const double w = double(t.world.w) / across, h = double(t.world.h) / down;
  const double inset = n > 1 && w * scale >= 6 ? 1 : 0;  // a dark line between heads where there is room
  const auto box_width =
      static_cast<uint32_t>(std::clamp(std::floor(w * scale - inset), 1.0, double(image.width)));
  const auto box_height =
      static_cast<uint32_t>(std::clamp(std::floor(h * scale - inset), 1.0, double(image.height)));
  const auto pixel = [&](double world, uint32_t size, uint32_t limit) {
    return std::min(limit - size, margin + static_cast<uint32_t>(std::lround(world * scale)));
  };
  std::vector<Part> parts(n);
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t x = pixel(place.x + (i % kPartsAcross) * w, box_width, image.width);
    const uint32_t y = pixel(place.y + (i / kPartsAcross) * h, box_height, image.height);
    parts[i] = {.box = {x, y, x + box_width, y + box_height}, .sum = {}, .count = {}};
    parts[i].sum.resize(size_t{box_width} * box_height);
    parts[i].count.resize(size_t{box_width} * box_height);
  }
  return parts;
}

}  // namespace

Result<Thumbnail> draw_thumbnail(const Model& model, const ThumbnailOptions& options,
                                 const Progress& progress) {
  if (options.width == 0 || options.width > kThumbnailMaxWidth || options.width % kThumbnailUnit != 0)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("thumbnail: width {}, a multiple of {} up to {} is needed", options.width,
                            kThumbnailUnit, kThumbnailMaxWidth));
  const Arrangement arrangement = arrange(find_bands(model));
  if (arrangement.places.empty())
    return fail(ErrorCode::kUnsupported, fmt::format("{}: has no tensors to draw", model.plane().path()));

  Thumbnail image;
  image.width = options.width;
  const uint32_t margin = options.width / 40;
  const double scale = (image.width - 2.0 * margin) / arrangement.width;
  const double height = std::ceil(arrangement.height * scale) + 2.0 * margin;
  if (height > 4.0 * kThumbnailMaxWidth)
    return fail(ErrorCode::kTooLarge, fmt::format("thumbnail: would be {} pixels high", height));
  image.height = static_cast<uint32_t>(height);
  image.rgb.resize(size_t{image.height} * image.width * 3);
  for (size_t i = 0; i < image.rgb.size(); i++) image.rgb[i] = kBackground[i % 3];

  uint64_t total = 0, done = 0;
  for (const Place& place : arrangement.places) total += place.tensor->source_bytes();
  for (const Place& place : arrangement.places) {
    auto parts = make_parts(place, scale, margin, image);
    PartSums sums(*place.tensor, parts);
    const auto sink = [&](Bytes bytes) -> Result<void> {
      done += bytes.size();
      if (progress) progress(std::min(done, total - 1), total);
      return sums.add(bytes);
    };
    PIXELLM_CHECK(model.read_source_bytes(*place.tensor, sink, /*release_pages=*/true));
    paint(image, *place.tensor, parts);
  }
  if (progress) progress(total, total);
  return image;
}

Result<void> write_thumbnail(const Model& model, const std::string& path, const ThumbnailOptions& options,
                             const Progress& progress) {
  const Thumbnail image = PIXELLM_TRY(draw_thumbnail(model, options, progress));
  const uint64_t row_bytes = uint64_t{image.width} * 3;
  auto png = PIXELLM_TRY(FlatPngWriter::create(path, row_bytes, image.height));
  for (uint32_t y = 0; y < image.height; y++)
    PIXELLM_CHECK(png.write_row(Bytes(image.rgb).subspan(y * row_bytes, row_bytes)));
  PIXELLM_CHECK(png.finish());
  return {};
}

}  // namespace pixellm
