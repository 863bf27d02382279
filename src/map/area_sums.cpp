#include "map/area_sums.h"

#include <algorithm>

namespace pixellm {
namespace {

__extension__ using Wide = unsigned __int128;  // 4^32 pixels of 255 need 72 bits

uint64_t offset_of(int64_t at, int64_t origin) {
  return static_cast<uint64_t>(at) - static_cast<uint64_t>(origin);
}

uint64_t squares(uint64_t pixels, uint32_t zoom) {
  return (pixels >> zoom) + ((pixels & ((uint64_t{1} << zoom) - 1)) != 0);
}

// Both round half up.
uint8_t rounded_shift(uint64_t sum, uint32_t bits) {
  return static_cast<uint8_t>((sum + ((uint64_t{1} << bits) >> 1)) >> bits);
}
uint8_t rounded_quotient(uint64_t sum, Wide n) {
  return sum == 0 ? uint8_t{0} : static_cast<uint8_t>((2 * Wide{sum} + n) / (2 * n));
}

}  // namespace

// The pixels that a world can hold, 2^56 bytes at most, keep every sum within 64 bits.
AreaSums::AreaSums(const PixelRect& source, uint32_t zoom)
    : source_(source),
      zoom_(zoom),
      width_(squares(source.w, zoom)),
      height_(squares(source.h, zoom)),
      sums_(3 * width_ * height_) {}

void AreaSums::add(const PixelRect& part, Bytes rgb) {
  const uint64_t left = offset_of(part.x, source_.x), top = offset_of(part.y, source_.y);
  const uint8_t* p = rgb.data();
  for (uint64_t y = top; y < top + part.h; y++) {
    uint64_t* line = &sums_[3 * ((y >> zoom_) * width_)];
    for (uint64_t x = left; x < left + part.w;) {
      const uint64_t square = x >> zoom_;
      const uint64_t n = std::min(left + part.w - x, ((square + 1) << zoom_) - x);
      uint64_t r = 0, g = 0, b = 0;
      for (const uint8_t* end = p + 3 * n; p != end; p += 3) r += p[0], g += p[1], b += p[2];
      line[3 * square] += r;
      line[3 * square + 1] += g;
      line[3 * square + 2] += b;
      x += n;
    }
  }
}

void AreaSums::averages(uint8_t* out, uint64_t out_stride) const {
  const uint64_t side = uint64_t{1} << zoom_;
  const uint64_t* sum = sums_.data();
  for (uint64_t y = 0; y < height_; y++, out += out_stride) {
    const uint64_t down = std::min(side, source_.h - (y << zoom_));
    uint8_t* p = out;
    for (uint64_t x = 0; x < width_; x++) {
      const uint64_t across = std::min(side, source_.w - (x << zoom_));
      const bool is_whole = across == side && down == side && zoom_ < kMaxZoom;
      for (int channel = 0; channel < 3; channel++, sum++)
        *p++ = is_whole ? rounded_shift(*sum, 2 * zoom_) : rounded_quotient(*sum, Wide{across} * down);
    }
  }
}

}  // namespace pixellm
