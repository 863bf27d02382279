// Worlds in temporary folders for the tests of World.
#pragma once
#include <gmock/gmock.h>

#include <algorithm>

#include "base/file.h"
#include "map/store_test_util.h"
#include "map/world.h"

namespace pixellm::world_test {

using store_test::Buffer;

constexpr Rgb kBlack{0, 0, 0}, kRed{255, 0, 0}, kGreen{0, 255, 0}, kBlue{0, 0, 255};

// In memory where the system has such a folder: what these tests ask does not depend on the disk.
class WorldTest : public store_test::StoreTest {
 protected:
  void SetUp() override {
    std::string pattern = "/dev/shm/pixellm-world-XXXXXX";
    if (::mkdtemp(pattern.data()) != nullptr) {
      folder_ = pattern;
    } else {
      StoreTest::SetUp();
    }
  }

  World open_world(const WorldOptions& options = {}) const {
    auto opened = World::open(world(), options);
    if (!opened) ADD_FAILURE() << opened.error().message;
    return std::move(opened).value();
  }

  // Flips a bit of the byte at `offset` in the data file's only copy of `bytes`.
  void damage(Bytes bytes, size_t offset) const {
    Buffer file = *read_file(data_file(), uint64_t{1} << 30);
    const auto at = std::ranges::search(file, bytes);
    ASSERT_FALSE(at.empty());
    at.begin()[static_cast<std::ptrdiff_t>(offset)] ^= 1;
    ASSERT_TRUE(write_file(data_file(), file));
  }
};

inline Buffer random_pixels(uint64_t w, uint64_t h, uint64_t seed) {
  Buffer out(3 * w * h);
  std::mt19937_64 random(seed);
  for (uint8_t& b : out) b = static_cast<uint8_t>(random());
  return out;
}

// What the world has there; empty when it cannot be read.
inline Buffer read(World& world, const PixelRect& rect) {
  Buffer out(*region_bytes(rect), 0xee);
  const auto done = world.read(rect, out);
  if (!done) ADD_FAILURE() << done.error().message;
  return done ? out : Buffer{};
}

inline Rgb get(World& world, int64_t x, int64_t y) {
  const auto rgb = world.get(x, y);
  if (!rgb) ADD_FAILURE() << rgb.error().message;
  return rgb.value_or(Rgb{1, 2, 3});
}

inline Buffer text(std::string_view s) { return Buffer(s.begin(), s.end()); }

}  // namespace pixellm::world_test
