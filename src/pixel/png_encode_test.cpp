#include "pixel/png_encode.h"

#include <sys/resource.h>

#include <csignal>

#include "pixel/pixel_test_util.h"

namespace pixellm {
namespace {

using pixel_test::Buffer;

class PngEncode : public pixel_test::FolderTest {};

TEST_F(PngEncode, AnyMeasuresComeBackThroughThePlane) {
  for (const auto& [width, height] :
       {std::pair{1u, 1u}, {5u, 1u}, {1u, 7u}, {33u, 9u}, {1000u, 40u}, {21845u, 2u}}) {
    const Buffer pixels = pixel_test::pattern(uint64_t{3} * width * height);
    ASSERT_TRUE(write_rgb_png(path("a.png"), width, height, pixels));
    auto plane = PixelPlane::open(path("a.png"));
    ASSERT_TRUE(plane) << plane.error().message;
    EXPECT_EQ(plane->kind(), PlaneKind::kDecodedPng);
    EXPECT_EQ(plane->width(), width);
    EXPECT_EQ(plane->rows(), height);
    EXPECT_EQ(pixel_test::payload_of(*plane), pixels) << width << " x " << height;
  }
}

TEST_F(PngEncode, EveryLevelIsReadAndStoredIsTheLargest) {
  const Buffer pixels = pixel_test::pattern(300 * 100);
  uint64_t stored = 0;
  for (int level = 0; level <= 9; level++) {
    auto png = RgbPngWriter::create(path("a.png"), 100, 100, level);
    ASSERT_TRUE(png);
    for (uint64_t y = 0; y < 100; y++) ASSERT_TRUE(png->write_row(Bytes(pixels).subspan(y * 300, 300)));
    ASSERT_TRUE(png->finish());
    auto plane = PixelPlane::open(path("a.png"));
    ASSERT_TRUE(plane) << level << plane.error().message;
    EXPECT_EQ(pixel_test::payload_of(*plane), pixels);
    if (level == 0) stored = plane->file_bytes();
    EXPECT_LE(plane->file_bytes(), stored);
  }
  EXPECT_GT(stored, pixels.size());
}

TEST_F(PngEncode, OtherProgramsReadIt) {
  const Buffer pixels = pixel_test::pattern(uint64_t{3} * 123 * 45);
  ASSERT_TRUE(write_rgb_png(path("a.png"), 123, 45, pixels));
  const std::string digest = to_hex(sha256(pixels)) + "\n", out = path("out");
  const std::string command = std::string("/usr/bin/python3 '") + PIXELLM_SOURCE_DIR +
                              "/src/pixel/foreign_readers.py' '" + path("a.png") + "' > '" + out +
                              "' 2>&1 && pngcheck -q '" + path("a.png") + "' >> '" + out + "' 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0);
  const Buffer text = *read_file(out, 1 << 20);
  EXPECT_EQ(std::string(text.begin(), text.end()), digest + digest);
}

TEST_F(PngEncode, NothingAppearsBeforeFinish) {
  const Buffer old = {1, 2, 3}, row(30);
  ASSERT_TRUE(write_file(path("a.png"), old));
  {
    auto png = RgbPngWriter::create(path("a.png"), 10, 2);
    ASSERT_TRUE(png);
    ASSERT_TRUE(png->write_row(row));
    EXPECT_EQ(png->finish().error().code, ErrorCode::kInvalidArgument) << "a row is missing";
  }
  EXPECT_EQ(*read_file(path("a.png"), 100), old);
  EXPECT_EQ(count_files(), 1u);
}

TEST_F(PngEncode, RefusesWrongUse) {
  EXPECT_EQ(RgbPngWriter::create(path("a"), 0, 1).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(RgbPngWriter::create(path("a"), 1, 0).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(RgbPngWriter::create(path("a"), 1, 0x80000000).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(RgbPngWriter::create(path("a"), 1, 1, 10).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(RgbPngWriter::create(path("none/a"), 1, 1).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(write_rgb_png(path("a"), 2, 2, Buffer(11)).error().code, ErrorCode::kInvalidArgument);
  auto png = RgbPngWriter::create(path("a"), 2, 1);
  ASSERT_TRUE(png);
  const Buffer row(6);
  EXPECT_FALSE(png->write_row(Bytes(row).first(5)));
  EXPECT_TRUE(png->write_row(row));
  EXPECT_FALSE(png->write_row(row)) << "a row too many";
  EXPECT_TRUE(png->finish());
  EXPECT_FALSE(png->finish()) << "twice";
  EXPECT_FALSE(png->write_row(row));
}

TEST_F(PngEncode, AFullDiskIsAnErrorAndLeavesNothing) {
  struct rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small{5000, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const Buffer pixels = pixel_test::pattern(3 * 200 * 200);
  Result<void> written;
  {
    auto png = RgbPngWriter::create(path("a.png"), 200, 200, 0);
    for (uint64_t y = 0; png && y < 200 && written; y++)
      written = png->write_row(Bytes(pixels).subspan(y * 600, 600));
    if (!written) {
      EXPECT_FALSE(png->write_row(Bytes(pixels).first(600))) << "it stays failed";
    }
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kIo);
  EXPECT_EQ(count_files(), 0u);
}

}  // namespace
}  // namespace pixellm
