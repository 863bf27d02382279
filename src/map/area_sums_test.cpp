#include "map/area_sums.h"

#include <gtest/gtest.h>

#include <random>

namespace pixellm {
namespace {

// One square at a time, pixel by pixel.
std::vector<uint8_t> brute_force(const std::vector<uint8_t>& rgb, uint64_t w, uint64_t h, uint32_t zoom) {
  const uint64_t side = uint64_t{1} << zoom;
  std::vector<uint8_t> out;
  for (uint64_t y = 0; y < h; y += side)
    for (uint64_t x = 0; x < w; x += side)
      for (uint64_t c = 0; c < 3; c++) {
        uint64_t sum = 0, n = 0;
        for (uint64_t j = y; j < std::min(h, y + side); j++)
          for (uint64_t i = x; i < std::min(w, x + side); i++, n++) sum += rgb[3 * (j * w + i) + c];
        out.push_back(static_cast<uint8_t>(sum / n + (2 * (sum % n) >= n)));
      }
  return out;
}

TEST(AreaSums, AreTheAveragesOfEverySquare) {
  std::mt19937 random(5);
  for (int trial = 0; trial < 60; trial++) {
    const uint64_t w = 1 + random() % 70, h = 1 + random() % 70;
    const uint32_t zoom = static_cast<uint32_t>(random() % 8);
    std::vector<uint8_t> rgb(3 * w * h);
    for (uint8_t& v : rgb) v = static_cast<uint8_t>(random() % 3 == 0 ? 255 : random());
    const PixelRect source{.x = -static_cast<int64_t>(random() % 100), .y = INT64_MAX - 69, .w = w, .h = h};
    AreaSums sums(source, zoom);
    const uint64_t cut = random() % (h + 1);  // in two parts
    const Bytes bytes(rgb);
    sums.add({.x = source.x, .y = source.y, .w = w, .h = cut}, bytes.first(3 * w * cut));
    sums.add({.x = source.x, .y = source.y + static_cast<int64_t>(cut), .w = w, .h = h - cut},
             bytes.subspan(3 * w * cut));
    const uint64_t stride = 3 * sums.width() + 2;
    std::vector<uint8_t> out(stride * sums.height(), 0x77), rows;
    sums.averages(out.data(), stride);
    for (uint64_t y = 0; y < sums.height(); y++) {
      rows.insert(rows.end(), &out[y * stride], &out[y * stride + 3 * sums.width()]);
      EXPECT_EQ(out[y * stride + stride - 1], 0x77);
    }
    ASSERT_EQ(rows, brute_force(rgb, w, h, zoom)) << w << " x " << h << " zoom " << zoom;
  }
}

TEST(AreaSums, RoundsHalfUp) {
  AreaSums sums({.w = 4, .h = 2}, 1);
  const std::vector<uint8_t> rgb = {1, 0, 0, 0, 0, 0, 255, 9, 0, 0, 0, 0,
                                    0, 1, 0, 1, 0, 0, 255, 0, 0, 0, 0, 0};
  sums.add({.w = 4, .h = 2}, rgb);
  std::vector<uint8_t> out(6);
  sums.averages(out.data(), 6);
  EXPECT_EQ(out, (std::vector<uint8_t>{1, 0, 0, 128, 2, 0}));
}

// 4^32 pixels in a square: the sum of a few of them rounds to black, a border of one column does not.
TEST(AreaSums, TheLargestSquares) {
  const PixelRect source{
      .x = INT64_MIN, .y = INT64_MIN, .w = (uint64_t{1} << 32) + 1, .h = uint64_t{1} << 32};
  AreaSums sums(source, 32);
  ASSERT_EQ(sums.width(), 2u);
  ASSERT_EQ(sums.height(), 1u);
  const std::vector<uint8_t> white(3 * 64 * 64, 255);
  sums.add({.x = INT64_MIN, .y = INT64_MIN, .w = 64, .h = 64}, white);
  std::vector<uint8_t> out(6, 1);
  sums.averages(out.data(), 6);
  EXPECT_EQ(out, std::vector<uint8_t>(6));
  AreaSums column({.x = INT64_MIN, .y = 0, .w = (uint64_t{1} << 32) + 1, .h = 2}, 32);
  column.add({.x = INT64_MIN + (int64_t{1} << 32), .y = 1, .w = 1, .h = 1}, Bytes(white).first(3));
  column.averages(out.data(), 6);
  EXPECT_EQ(out, (std::vector<uint8_t>{0, 0, 0, 128, 128, 128}));
}

}  // namespace
}  // namespace pixellm
