#include <unistd.h>

#include <random>

#include "pixel/flat_layout.h"
#include "pixel/pixel_test_util.h"
#include "pixel/plane.h"

namespace pixellm {
namespace {

using pixel_test::Buffer;
using pixel_test::flat_png;
using pixel_test::pattern;
using Rows = std::vector<std::pair<uint64_t, uint64_t>>;

constexpr VerifyLevel kLevels[] = {VerifyLevel::kCrc, VerifyLevel::kSha256};

class PlaneVerify : public pixel_test::FolderTest {};

PlaneDamage verify(const PixelPlane& plane, VerifyLevel level, ThreadPool& pool, bool release = false) {
  auto damage = plane.verify(level, pool, release);
  EXPECT_TRUE(damage);
  return std::move(*damage);
}

// Opening fails, or verification finds something.
bool is_found(const Buffer& file, VerifyLevel level, ThreadPool& pool) {
  auto plane = PixelPlane::open_bytes(file, "a");
  return !plane || !verify(*plane, level, pool).empty();
}

TEST_F(PlaneVerify, EveryFlippedBitIsFound) {
  ThreadPool pool(1);
  for (const uint64_t rows : {1, 3}) {
    Buffer file = flat_png(192, pattern(192 * rows));
    for (const VerifyLevel level : kLevels) {
      ASSERT_FALSE(is_found(file, level, pool));
      for (size_t bit = 0; bit < file.size() * 8; bit++) {
        const auto mask = static_cast<uint8_t>(1 << bit % 8);
        file[bit / 8] ^= mask;
        EXPECT_TRUE(is_found(file, level, pool)) << "byte " << bit / 8 << " bit " << bit % 8;
        file[bit / 8] ^= mask;
      }
    }
  }
}

TEST_F(PlaneVerify, SampledBitsOfALargePictureAreFoundInTheirRow) {
  const uint64_t row_bytes = 57792, rows = 120;
  Buffer file = flat_png(row_bytes, pattern(row_bytes * rows));
  ThreadPool pool(2);
  std::mt19937_64 random(1);
  for (int i = 0; i < 40; i++) {
    const uint64_t row = random() % rows, byte = 320 + row * (row_bytes + 128) + random() % row_bytes;
    const auto mask = static_cast<uint8_t>(1 << random() % 8);
    file[byte] ^= mask;
    auto plane = PixelPlane::open_bytes(file, "a");
    ASSERT_TRUE(plane);
    EXPECT_EQ(verify(*plane, kLevels[i % 2], pool).rows, (Rows{{row, row}}));
    file[byte] ^= mask;
  }
}

TEST_F(PlaneVerify, NamesRangesWithAnyThreadCount) {
  const uint64_t row_bytes = 65472, rows = 200, stride = row_bytes + 128;
  Buffer file = flat_png(row_bytes, pattern(row_bytes * rows));
  for (uint64_t row : {0, 1, 2, 31, 32, 33, 77, 198, 199}) file[320 + row * stride + row] ^= 0x10;
  ASSERT_TRUE(write_file(path("a.png"), file));
  auto mapped = PixelPlane::open(path("a.png"));
  ASSERT_TRUE(mapped) << mapped.error().message;
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    for (const bool release : {false, true})
      for (const VerifyLevel level : kLevels) {
        const PlaneDamage damage = verify(*mapped, level, pool, release);
        EXPECT_EQ(damage.rows, (Rows{{0, 2}, {31, 33}, {77, 77}, {198, 199}}));
        EXPECT_EQ(damage.other.size(), level == VerifyLevel::kCrc ? 0u : 2u);
      }
    EXPECT_TRUE(verify(*mapped, VerifyLevel::kNone, pool).empty());
  }
}

void repair_crc(Buffer& file, uint64_t chunk) {
  const uint64_t length = load_be<uint32_t>(&file[chunk]);
  store_be<uint32_t>(&file[chunk + 8 + length], crc32(0, Bytes(file).subspan(chunk + 4, 4 + length)));
}

// A change whose CRC-32 was made right again: that is what the sums over the whole are for.
TEST_F(PlaneVerify, WholeSumsSeeWhatRowsCannot) {
  const Buffer good = flat_png(192, pattern(192 * 4));
  ThreadPool pool(2);
  const auto damage = [&](const Buffer& file, VerifyLevel level) {
    auto plane = PixelPlane::open_bytes(file, "a");
    EXPECT_TRUE(plane);
    return verify(*plane, level, pool);
  };
  const FlatLayout layout{.row_bytes = 192, .rows = 4};

  Buffer pixel = good;
  pixel[layout.pixels(2) + 5] ^= 1;
  repair_crc(pixel, layout.row_begin(2));
  EXPECT_TRUE(damage(pixel, VerifyLevel::kCrc).empty());
  const PlaneDamage whole = damage(pixel, VerifyLevel::kSha256);
  EXPECT_TRUE(whole.rows.empty());
  ASSERT_EQ(whole.other.size(), 2u);
  EXPECT_NE(whole.other[0].find("Adler-32"), std::string::npos);
  EXPECT_NE(whole.other[1].find("SHA-256"), std::string::npos);

  Buffer adler = good;
  adler[layout.row_end(3) - 8] ^= 1;
  repair_crc(adler, layout.row_begin(3));
  EXPECT_EQ(damage(adler, VerifyLevel::kSha256).other.size(), 1u);

  Buffer digest = good;
  digest[65] ^= 1;
  repair_crc(digest, 33);
  EXPECT_EQ(damage(digest, VerifyLevel::kSha256).other.size(), 1u);

  // What a decoder would take but the layout forbids: another filter type, a final block too early.
  Buffer filter = good;
  filter[layout.pixels(1) - 1] = 2;
  repair_crc(filter, layout.row_begin(1));
  EXPECT_EQ(damage(filter, VerifyLevel::kCrc).rows, (Rows{{1, 1}}));
  Buffer block = good;
  block[layout.pixels(0) - 6] = 1;
  repair_crc(block, layout.row_begin(0));
  EXPECT_EQ(damage(block, VerifyLevel::kCrc).rows, (Rows{{0, 0}}));
}

TEST_F(PlaneVerify, SeesChangesAfterOpening) {
  Buffer file = flat_png(192, pattern(192 * 4));
  auto plane = PixelPlane::open_bytes(file, "a");
  ASSERT_TRUE(plane);
  ThreadPool pool(1);
  for (const size_t byte :
       {size_t{0}, size_t{20}, size_t{50}, size_t{100}, file.size() - 1, file.size() - 9}) {
    file[byte] ^= 1;
    const PlaneDamage damage = verify(*plane, VerifyLevel::kCrc, pool);
    EXPECT_TRUE(damage.rows.empty()) << byte;
    EXPECT_EQ(damage.other.size(), 1u) << byte;
    file[byte] ^= 1;
  }
  EXPECT_TRUE(verify(*plane, VerifyLevel::kSha256, pool).empty());
}

// Reading a mapping behind the end of its file would be a SIGBUS.
TEST_F(PlaneVerify, FileThatShrankIsAnError) {
  pixel_test::write_flat(path("a.png"), 57792, pattern(57792 * 100));
  auto plane = PixelPlane::open(path("a.png"));
  ASSERT_TRUE(plane);
  ASSERT_EQ(::truncate(path("a.png").c_str(), 57792 * 3), 0);
  ThreadPool pool(2);
  for (const VerifyLevel level : kLevels) {
    auto damage = plane->verify(level, pool);
    ASSERT_FALSE(damage);
    EXPECT_EQ(damage.error().code, ErrorCode::kIo);
    EXPECT_NE(damage.error().message.find("a.png"), std::string::npos);
  }
}

}  // namespace
}  // namespace pixellm
