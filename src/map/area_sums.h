// Averages of squares of 2^zoom by 2^zoom pixels: sums over what is added, everything else counting as black.
//
//   AreaSums sums({.x = -5, .y = 0, .w = 100, .h = 64}, 3);      // 13 by 8 squares; the last column has 4
//   pixels across sums.add({.x = 0, .y = 8, .w = 2, .h = 1}, six_bytes); sums.averages(out, 3 *
//   sums.width());
#pragma once
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "map/geometry.h"

namespace pixellm {

inline constexpr uint32_t kMaxZoom = 32;

// One thread at a time.
class AreaSums {
 public:
  // Requires a rectangle that passes check_rect() and is not empty, zoom at most kMaxZoom, and room for the
  // squares.
  AreaSums(const PixelRect& source, uint32_t zoom);

  const PixelRect& source() const { return source_; }
  uint64_t width() const { return width_; }
  uint64_t height() const { return height_; }

  // Adds the pixels of a part of the source; each pixel at most once. `rgb`: rows without gaps.
  void add(const PixelRect& part, Bytes rgb);

  // sum / (pixels of the square inside the source), rounded half up; row i at out + i * out_stride.
  void averages(uint8_t* out, uint64_t out_stride) const;

 private:
  PixelRect source_;
  uint32_t zoom_;
  uint64_t width_, height_;     // squares
  std::vector<uint64_t> sums_;  // R G B of each
};

}  // namespace pixellm
