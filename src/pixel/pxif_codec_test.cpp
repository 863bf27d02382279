#include <gmock/gmock.h>

#include "pixel/pxif_block.h"
#include "pixel/pxif_seek_table.h"
#include "pixel/pxif_test_util.h"

namespace pixellm {
namespace {

using pixel_test::Buffer;
using pixel_test::container;
using pixel_test::content_of;
using pixel_test::fixture;
using pixel_test::kEveryCompression;
using pixel_test::mixed;
using pixel_test::noise;
using pixel_test::part;
using pixel_test::text;
using ::testing::HasSubstr;

Buffer range(size_t first, size_t count) {
  Buffer out;
  for (size_t i = 0; i < count; i++) out.push_back(static_cast<uint8_t>(first + i));
  return out;
}

Buffer repeated(std::string_view s, int count) {
  Buffer out;
  for (int i = 0; i < count; i++) out.insert(out.end(), s.begin(), s.end());
  return out;
}

Buffer rle_content() {
  return pixel_test::join({text("PixelFS: "), repeated("-", 70), repeated("RGB", 5), text("!")});
}

TEST(PxifCodec, GoldenContainers) {
  const auto zstd = content_of(fixture("pixelfs-zstd.pxif")), lz4 = content_of(fixture("pixelfs-lz4.pxif"));
  ASSERT_TRUE(zstd) << zstd.error().message;
  ASSERT_TRUE(lz4) << lz4.error().message;
  EXPECT_EQ(*zstd, pixel_test::join({Buffer(100, 7), range(0, 100), repeated("z", 50), text("0123456789")}));
  EXPECT_EQ(*lz4, pixel_test::join({repeated("0123456789", 9), text("abcdefghij"), range(0, 100),
                                    repeated("xy", 20), range(0, 20)}));
  EXPECT_EQ(*content_of(fixture("pixelfs-rle.pxif")), rle_content());
  EXPECT_EQ(*content_of(fixture("pixelfs-empty.pxif")), Buffer());
}

TEST(PxifCodec, WritesTheGoldenBytes) {
  EXPECT_EQ(container(rle_content(), {.width = 8, .compression = PxifCompression::kRle}),
            fixture("pixelfs-rle.pxif"));
  EXPECT_EQ(container(text("Metadata test"), {}), fixture("metadata-test.pxif"));
  EXPECT_EQ(container({}, {}), fixture("pixelfs-empty.pxif"));
}

TEST(PxifCodec, EveryContentComesBack) {
  for (const PxifCompression compression : kEveryCompression)
    for (const Buffer& content : {Buffer{}, Buffer{7}, range(0, 2), Buffer(3, 0), pixel_test::pattern(1900),
                                  pixel_test::pattern(50000), Buffer(300000, 9), mixed(kPxifBlockBytes),
                                  mixed(kPxifBlockBytes + 1), mixed(3 * kPxifBlockBytes - 1), noise(700000)})
      for (const uint32_t width : {content.size() % 2 ? 7u : 1024u}) {
        const Buffer file = container(content, {.width = width, .compression = compression});
        const auto back = content_of(file);
        ASSERT_TRUE(back) << back.error().message;
        ASSERT_EQ(*back, content) << static_cast<int>(compression) << " " << content.size() << " " << width;
        const auto header = *PxifHeader::decode(file);
        EXPECT_EQ(header.original_size, content.size());
        EXPECT_EQ(header.width, width);
        EXPECT_EQ(header.checksum, sha256(content));
        EXPECT_EQ(header.height == 0, content.empty());
      }
}

TEST(PxifCodec, AllByteValues) {
  Buffer content;
  for (int i = 0; i < 10; i++)
    for (int b = 0; b < 256; b++) content.push_back(static_cast<uint8_t>(b));
  for (const PxifCompression compression : kEveryCompression)
    EXPECT_EQ(*content_of(container(content, {.compression = compression})), content);
}

TEST(PxifCodec, CompressionSavesSpace) {
  const Buffer zeros(10'000'000);
  for (const PxifCompression compression :
       {PxifCompression::kRle, PxifCompression::kLz4, PxifCompression::kZstd}) {
    EXPECT_LT(container(zeros, {.compression = compression}).size(), 60000u);
    EXPECT_LT(container(noise(1'000'000), {.compression = compression}).size(), 1'005'000u);
  }
}

TEST(PxifCodec, RleRunsOfEveryLength) {
  std::vector<size_t> lengths = {65598, 65599, 65600, 65601, 131198, 131199};
  for (size_t n = 1; n <= 140; n++) lengths.push_back(n);
  for (const size_t n : lengths)
    for (const Buffer& unit : {Buffer{5}, Buffer{1, 2, 3}, Buffer{1, 1, 2}, Buffer{1, 2, 3, 4}}) {
      Buffer in = {200, 201};
      for (size_t i = 0; i < n; i++) in.insert(in.end(), unit.begin(), unit.end());
      in.push_back(202);
      Buffer stored(pxif_max_stored(in.size())), out(in.size());
      stored.resize(rle_encode(in, stored));
      ASSERT_TRUE(rle_decode(stored, out));
      ASSERT_EQ(out, in) << n << " of " << unit.size();
      if (unit.size() < 4 && n > 10) {
        EXPECT_LT(stored.size(), 40u);
      }
    }
}

TEST(PxifCodec, RleNeverGrowsBeyondItsLimit) {
  // What costs most: literals that just need a long head, then the shortest runs.
  for (const size_t literal : {1u, 62u, 63u, 64u, 65u})
    for (const size_t run : {4u, 9u}) {
      Buffer in;
      for (int i = 0; in.size() < 100000; i++) {
        for (size_t j = 0; j < literal; j++) in.push_back(static_cast<uint8_t>(j * 37 + j / 3));
        for (size_t j = 0; j < run; j++) in.push_back(static_cast<uint8_t>(run == 4 ? 255 : 250 + j % 3));
      }
      Buffer stored(pxif_max_stored(in.size()) - 4), out(in.size());
      stored.resize(rle_encode(in, stored));
      ASSERT_TRUE(rle_decode(stored, out));
      EXPECT_EQ(out, in);
    }
}

TEST(PxifCodec, RleRefusesWrongOperations) {
  const auto error = [](const Buffer& stored, size_t size) {
    Buffer out(size);
    auto made = rle_decode(stored, out);
    EXPECT_FALSE(made);
    return made ? std::string() : made.error().message;
  };
  EXPECT_THAT(error({0xc0, 1}, 1), HasSubstr("kind 3"));
  EXPECT_THAT(error({0x02, 1, 2}, 3), HasSubstr("cut off"));
  EXPECT_THAT(error({0x7f, 1}, 64), HasSubstr("cut off"));
  EXPECT_THAT(error({0x7f, 0, 0}, 64), HasSubstr("cut off"));
  EXPECT_THAT(error({0x80, 1, 2}, 3), HasSubstr("cut off"));
  EXPECT_THAT(error({0x40}, 1), HasSubstr("cut off"));
  EXPECT_THAT(error({0x43, 1}, 3), HasSubstr("more than"));
  EXPECT_THAT(error({0x81, 1, 2, 3}, 5), HasSubstr("more than"));
  EXPECT_THAT(error({0x43, 1}, 5), HasSubstr("makes 4 bytes, 5"));
  EXPECT_THAT(error({}, 1), HasSubstr("makes 0 bytes"));
}

TEST(PxifCodec, FramesMustCarryTheirChecksums) {
  const auto decode = [](PxifCompression compression, const Buffer& stored, size_t size) {
    Buffer out(size);
    auto made = PxifBlockCodec::create(compression)->decompress(stored, out);
    return made ? std::string() : made.error().message;
  };
  const auto block = [](PxifCompression compression, const Buffer& content) {
    const auto codec = PxifBlockCodec::create(compression);
    const Bytes made = *codec->compress(content);
    return Buffer(made.begin(), made.end());
  };
  const Buffer content = mixed(5000);
  for (const PxifCompression compression :
       {PxifCompression::kRle, PxifCompression::kLz4, PxifCompression::kZstd}) {
    const Buffer good = block(compression, content);
    EXPECT_EQ(decode(compression, good, content.size()), "");
    EXPECT_NE(decode(compression, good, content.size() - 1), "");
    EXPECT_NE(decode(compression, good, content.size() + 1), "");
    EXPECT_NE(decode(compression, pixel_test::join({good, good}), content.size()), "");
    EXPECT_NE(decode(compression, pixel_test::join({good, {0}}), content.size()), "");
    for (size_t n = 0; n < good.size(); n += n < 30 ? 1 : 97)
      EXPECT_NE(decode(compression, part(good, 0, n), content.size()), "") << n;
  }
  Buffer lz4 = block(PxifCompression::kLz4, content), zstd = block(PxifCompression::kZstd, content);
  lz4[4] &= static_cast<uint8_t>(~0x04);
  zstd[4] &= static_cast<uint8_t>(~0x04);
  EXPECT_THAT(decode(PxifCompression::kLz4, lz4, content.size()), HasSubstr("flags are 78"));
  EXPECT_THAT(decode(PxifCompression::kZstd, zstd, content.size()), HasSubstr("a checksum"));
}

TEST(PxifCodec, RangesTouchOnlyTheirBlocks) {
  const Buffer content = mixed(5 * kPxifBlockBytes - 1000);
  for (const PxifCompression compression :
       {PxifCompression::kRle, PxifCompression::kLz4, PxifCompression::kZstd}) {
    Buffer file = container(content, {.compression = compression});
    const auto header = *PxifHeader::decode(file);
    const auto table = *PxifSeekTable::read(header, [&](uint64_t offset, MutableBytes out) -> Result<void> {
      std::copy_n(file.begin() + static_cast<ptrdiff_t>(64 + offset), out.size(), out.begin());
      return {};
    });
    ASSERT_EQ(table.block_count(), 5u);
    for (const uint64_t i : {0u, 1u, 3u, 4u}) {  // all but block 2 is destroyed
      const auto block = table.block(i);
      std::fill_n(file.begin() + static_cast<ptrdiff_t>(64 + block.offset), block.stored_bytes,
                  uint8_t{0xee});
    }
    auto reader = PxifReader::open_bytes(file, "a");
    ASSERT_TRUE(reader) << reader.error().message;
    const uint64_t begin = 2 * kPxifBlockBytes, end = 3 * kPxifBlockBytes;
    for (const auto& [from, to] : std::vector<std::pair<uint64_t, uint64_t>>{{begin, end},
                                                                             {begin, begin + 1},
                                                                             {end - 1, end},
                                                                             {begin + 777, end - 333},
                                                                             {begin + 5, begin + 5}}) {
      Buffer out(to - from);
      const auto read = reader->read(from, out);
      ASSERT_TRUE(read) << read.error().message;
      EXPECT_EQ(out, part(content, from, to));
    }
    Buffer out(2);
    EXPECT_THAT(reader->read(end - 1, out).error().message, HasSubstr("block 3"));
    EXPECT_THAT(reader->read(begin - 1, out).error().message,
                HasSubstr("a: pxif: block 1 (content from byte 262144 on)"));
    EXPECT_EQ(reader->verify().error().code, ErrorCode::kCorrupt);
  }
}

TEST(PxifCodec, AnyRangeOfAnyContainer) {
  const Buffer content = mixed(kPxifBlockBytes + 5000);
  for (const PxifCompression compression : kEveryCompression) {
    const Buffer file = container(content, {.compression = compression});
    auto reader = PxifReader::open_bytes(file, "a");
    std::mt19937 random(5);
    for (int i = 0; i < 200; i++) {
      const uint64_t from = random() % (content.size() + 1), n = random() % (content.size() - from + 1);
      Buffer out(n), copied;
      ASSERT_TRUE(reader->read(from, out));
      ASSERT_EQ(out, part(content, from, from + n));
      ASSERT_TRUE(reader->copy({.offset = from, .length = n, .verify = i % 10 == 0, .progress = {}},
                               [&](Bytes piece) -> Result<void> {
                                 copied.insert(copied.end(), piece.begin(), piece.end());
                                 return {};
                               }));
      ASSERT_EQ(copied, out);
    }
    Buffer one(1);
    EXPECT_EQ(reader->read(content.size(), one).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(reader->read(~uint64_t{0}, one).error().code, ErrorCode::kInvalidArgument);
    EXPECT_TRUE(reader->read(content.size(), {}));
    const auto nothing = [](Bytes) -> Result<void> { return fail(ErrorCode::kInternal, "called"); };
    EXPECT_TRUE(reader->copy({.offset = content.size(), .progress = {}}, nothing))
        << "at the end there is nothing, which is no error";
    EXPECT_EQ(reader->copy({.offset = content.size() + 1, .progress = {}}, nothing).error().code,
              ErrorCode::kInvalidArgument);
    // Progress counts what is read: the range, cut at the end, or everything.
    for (const bool verify : {false, true}) {
      uint64_t done = 0, total = 0;
      const auto progress = [&](uint64_t d, uint64_t t) { done = d, total = t; };
      EXPECT_TRUE(
          reader->copy({.offset = content.size() - 9, .length = 50, .verify = verify, .progress = progress},
                       [](Bytes) -> Result<void> { return {}; }));
      EXPECT_EQ(total, verify ? content.size() : 9u);
      EXPECT_EQ(done, total);
    }
    EXPECT_EQ(reader->copy({}, nothing).error().message, "called") << "the sink's error comes back as it is";
  }
}

TEST(PxifCodec, SeekTablesOfEveryRowWidth) {
  // The padding is 0 or at least a frame's head, and never a row longer than needed.
  for (uint32_t width = 1; width < 60; width++)
    for (uint64_t stored = 1; stored < 60; stored++) {
      PxifSeekTable table;
      table.add(stored, 9);
      const PxifSeekTable::Tail tail = table.encode(3 * width);
      Buffer body(stored);
      body.insert(body.end(), tail.padding_head.begin(), tail.padding_head.end());
      body.resize(body.size() + tail.padding_zeros);
      body.insert(body.end(), tail.table.begin(), tail.table.end());
      ASSERT_EQ(body.size(), stored + tail.bytes());
      ASSERT_EQ(body.size() % (3 * width), 0u);
      ASSERT_LT(body.size(), stored + 25 + 8 + 3 * width);
      PxifHeader header{.original_size = 9, .width = width, .compression = PxifCompression::kRle};
      header.height = static_cast<uint32_t>(body.size() / (3 * width));
      const auto back = PxifSeekTable::read(header, [&](uint64_t offset, MutableBytes out) -> Result<void> {
        std::copy_n(body.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
        return {};
      });
      ASSERT_TRUE(back) << width << " " << stored << ": " << back.error().message;
      EXPECT_EQ(back->block(0).stored_bytes, stored);
      EXPECT_EQ(back->padding().end - back->padding().begin, tail.padding_zeros);
    }
}

TEST(PxifCodec, CompressedContainersAreDecodedPlanes) {
  const Buffer content = mixed(400000);
  ThreadPool pool(1);
  for (const PxifCompression compression : kEveryCompression) {
    Buffer file = container(content, {.width = 100, .compression = compression});
    auto plane = PixelPlane::open_bytes(file, "a");
    ASSERT_TRUE(plane) << plane.error().message;
    const bool none = compression == PxifCompression::kNone;
    EXPECT_EQ(plane->kind(), none ? PlaneKind::kPxif : PlaneKind::kDecodedPxif);
    EXPECT_EQ(plane->base_offset(), none ? 64u : 0u);
    EXPECT_EQ(plane->row_bytes(), 300u);
    EXPECT_EQ(plane->rows(), 1334u);
    Buffer picture = content;
    picture.resize(300 * 1334);
    EXPECT_EQ(pixel_test::payload_of(*plane), picture);
    EXPECT_TRUE(plane->verify(VerifyLevel::kSha256, pool)->empty());
    file[30] ^= 1;  // of the SHA-256
    plane = PixelPlane::open_bytes(file, "a");
    ASSERT_TRUE(plane);
    EXPECT_TRUE(plane->verify(VerifyLevel::kCrc, pool)->empty());
    EXPECT_EQ(plane->verify(VerifyLevel::kSha256, pool)->other.size(), 1u);
    if (none) continue;
    const auto limited = PixelPlane::open_bytes(file, "a", 400199);
    EXPECT_EQ(limited.error().code, ErrorCode::kTooLarge);
    file[70] ^= 1;
    EXPECT_EQ(PixelPlane::open_bytes(file, "a").error().code, ErrorCode::kCorrupt);
  }
  auto empty = PixelPlane::open_bytes(container({}, {.compression = PxifCompression::kZstd}), "a");
  ASSERT_TRUE(empty);
  EXPECT_EQ(empty->payload_bytes(), 0u);
}

class PxifFiles : public pixel_test::FolderTest {};

TEST_F(PxifFiles, WriterRefusesWrongMeasures) {
  for (const PxifCompression compression : kEveryCompression) {
    EXPECT_EQ(PxifWriter::create(path("a"), {.width = 0, .compression = compression}).error().code,
              ErrorCode::kInvalidArgument);
    EXPECT_EQ(PxifWriter::create(path("a"), {.width = ~0u, .compression = compression}).has_value(),
              compression == PxifCompression::kNone);
  }
  EXPECT_EQ(PxifWriter::create("-", {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(PxifWriter::create(path("no/a"), {}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(count_files(), 0u);
}

TEST_F(PxifFiles, TheWidestPictures) {
  // Files of gigabytes that take a page or two: rows are padded by holes.
  for (const PxifCompression compression : kEveryCompression) {
    const bool none = compression == PxifCompression::kNone;
    const uint32_t width = none ? ~0u : 1u << 30;
    auto writer = PxifWriter::create(path("wide"), {.width = width, .compression = compression});
    ASSERT_TRUE(writer && writer->write(text("wide")));
    const auto header = writer->finish();
    if (!header && header.error().message.find("File too large") != std::string::npos)
      continue;  // this file system
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(std::filesystem::file_size(path("wide")), 64 + uint64_t{3} * width);
    auto reader = PxifReader::open(path("wide"));
    ASSERT_TRUE(reader) << reader.error().message;
    Buffer back(4);
    ASSERT_TRUE(reader->read(0, back));
    EXPECT_EQ(back, text("wide"));
  }
}

TEST_F(PxifFiles, NothingStaysWithoutFinish) {
  {
    auto writer = PxifWriter::create(path("a"), {});
    ASSERT_TRUE(writer && writer->write(noise(600000)));
    EXPECT_EQ(count_files(), 0u);
  }
  EXPECT_EQ(count_files(), 0u);
  auto writer = PxifWriter::create(path("a"), {});
  ASSERT_TRUE(writer && writer->write(text("x")) && writer->finish());
  EXPECT_FALSE(writer->write(noise(600000)));
  EXPECT_FALSE(writer->finish());
  EXPECT_EQ(count_files(), 1u);
}

TEST_F(PxifFiles, WritesWhatAStreamGives) {
  ASSERT_TRUE(write_file(path("in"), mixed(1'000'001)));
  for (const PxifCompression compression : kEveryCompression) {
    auto in = InputStream::open(path("in"));
    ASSERT_TRUE(in);
    EXPECT_EQ(in->expected_bytes(), 1'000'001u);
    auto writer = PxifWriter::create(path("a"), {.compression = compression});
    uint64_t last = 0;
    ASSERT_TRUE(writer->write_from(*in, [&](uint64_t done, uint64_t total) {
      EXPECT_GT(done, last);
      EXPECT_EQ(total, 1'000'001u);
      last = done;
    }));
    EXPECT_EQ(last, 1'000'001u);
    ASSERT_TRUE(writer->finish());
    EXPECT_EQ(*content_of(*read_file(path("a"), 1 << 24)), mixed(1'000'001));
  }
  EXPECT_EQ(InputStream::open(path("none")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(InputStream::open(folder_.string()).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(InputStream::open("/dev/zero").error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace pixellm
