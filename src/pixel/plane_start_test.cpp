// Planes of which only the beginning is at hand, and rows checked one by one.
#include <gmock/gmock.h>

#include "pixel/pixel_test_util.h"
#include "pixel/plane.h"

namespace pixellm {
namespace {

using pixel_test::Buffer;
using pixel_test::flat_png;
using pixel_test::ordinary_png;
using pixel_test::part;
using pixel_test::pattern;
using ::testing::HasSubstr;

constexpr uint64_t kRow = 192, kRows = 5;

struct StartedPlane : ::testing::Test {
  const Buffer payload = pattern(kRow * kRows);
  const Buffer file = flat_png(kRow, payload);

  Result<PixelPlane> open(uint64_t held_bytes, uint64_t file_bytes) {
    return PixelPlane::open_start(Bytes(file).first(held_bytes), file_bytes, "a");
  }
};

TEST_F(StartedPlane, HoldsTheRowsWhosePixelsAreThere) {
  const uint64_t stride = kRow + 128;
  for (uint64_t rows = 1; rows < kRows; rows++) {
    for (const uint64_t more : {uint64_t{4}, stride - 1}) {  // the row's CRC-32; nearly the next row
      const auto plane = open(320 + (rows - 1) * stride + kRow + more, file.size());
      ASSERT_TRUE(plane) << plane.error().message;
      EXPECT_EQ(plane->rows(), kRows);
      EXPECT_EQ(plane->held_rows(), rows);
      EXPECT_EQ(plane->file_bytes(), file.size());
      Buffer out(rows * kRow);
      ASSERT_TRUE(plane->read(0, out));
      EXPECT_EQ(out, part(payload, 0, out.size()));
      Buffer over(1);
      EXPECT_THAT(plane->read(out.size(), over).error().message, HasSubstr("at hand"));
      ThreadPool pool(1);
      EXPECT_FALSE(plane->verify(VerifyLevel::kCrc, pool));
    }
  }
  const auto whole = open(file.size(), file.size());
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->held_rows(), kRows);
}

TEST_F(StartedPlane, NeedsRowZeroAndAFileThatIsLongEnough) {
  for (uint64_t held = 0; held < 320 + kRow; held++) EXPECT_FALSE(open(held, file.size())) << held;
  EXPECT_THAT(open(600, file.size() - 1).error().message, HasSubstr("truncated"));
  EXPECT_TRUE(open(600, file.size() + 100));  // nobody has looked at what follows the last row
  EXPECT_FALSE(open(600, 599));
}

TEST_F(StartedPlane, RefusesWhatIsNotFlat) {
  const Buffer ordinary = ordinary_png(64, 5, payload);
  const auto plane = PixelPlane::open_start(ordinary, ordinary.size(), "a");
  ASSERT_FALSE(plane);
  EXPECT_EQ(plane.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(plane.error().message, HasSubstr("not flat"));
  const Buffer other = pattern(1000);
  EXPECT_FALSE(PixelPlane::open_start(other, other.size(), "a"));
}

TEST_F(StartedPlane, EveryFlippedBitOfARowIsFound) {
  const auto plane = open(320 + kRow + 8, file.size());
  ASSERT_TRUE(plane);
  for (const auto& [first, count] :
       {std::pair<uint64_t, uint64_t>{0, 1}, {2, 1}, {1, 3}, {4, 1}, {0, kRows}}) {
    const auto [begin, end] = plane->chunk_range(first, count);
    Buffer chunks = part(file, begin, end);
    const auto intact = plane->check_chunks(first, count, chunks);
    ASSERT_TRUE(intact);
    EXPECT_TRUE(intact->empty());
    for (size_t byte = 0; byte < chunks.size(); byte += 3) {
      const auto bit = static_cast<uint8_t>(1 << byte % 8);
      chunks[byte] ^= bit;
      const auto found = plane->check_chunks(first, count, chunks);
      ASSERT_TRUE(found);
      ASSERT_EQ(found->size(), 1u) << "byte " << byte;
      EXPECT_EQ(found->front().first, found->front().second);
      const auto [row_begin, row_end] = plane->chunk_range(found->front().first, 1);
      EXPECT_TRUE(begin + byte >= row_begin && begin + byte < row_end);
      chunks[byte] ^= bit;
    }
  }
}

TEST_F(StartedPlane, ChecksItsArguments) {
  const auto plane = open(file.size(), file.size());
  ASSERT_TRUE(plane);
  const auto [begin, end] = plane->chunk_range(1, 2);
  EXPECT_FALSE(plane->check_chunks(1, 2, part(file, begin, end - 1)));
  EXPECT_FALSE(plane->check_chunks(1, 3, part(file, begin, end)));
  EXPECT_FALSE(plane->check_chunks(1, 0, {}));
  EXPECT_FALSE(plane->check_chunks(kRows, 1, part(file, begin, end)));
  EXPECT_FALSE(plane->check_chunks(1, ~uint64_t{0}, part(file, begin, end)));
}

}  // namespace
}  // namespace pixellm
