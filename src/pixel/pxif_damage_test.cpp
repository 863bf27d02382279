#include <gmock/gmock.h>

#include "pixel/pxif_block.h"
#include "pixel/pxif_test_util.h"

namespace pixellm {
namespace {

using pixel_test::Buffer;
using pixel_test::content_of;
using pixel_test::fixture;
using pixel_test::part;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class PxifDamage : public ::testing::TestWithParam<const char*> {};

TEST_P(PxifDamage, EveryTruncationAndEveryExtraByteIsFoundAtOpen) {
  Buffer file = fixture(GetParam());
  for (size_t n = 0; n < file.size(); n++) {
    const Buffer cut = part(file, 0, n);
    const auto reader = PxifReader::open_bytes(cut, "a");
    ASSERT_FALSE(reader) << n;
    EXPECT_EQ(reader.error().code, ErrorCode::kCorrupt) << n;
    EXPECT_TRUE(reader.error().message.starts_with("a: pxif: ")) << reader.error().message;
    EXPECT_FALSE(PixelPlane::open_bytes(cut, "a")) << n;
  }
  file.push_back(0);
  EXPECT_EQ(PxifReader::open_bytes(file, "a").error().code, ErrorCode::kCorrupt);
}

TEST_P(PxifDamage, EveryFlippedBitIsFound) {
  const Buffer good = fixture(GetParam());
  const Buffer content = *content_of(good);
  ThreadPool pool(1);
  for (size_t bit = 0; bit < good.size() * 8; bit++) {
    Buffer file = good;
    file[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const auto back = content_of(file);
    EXPECT_FALSE(back) << "byte " << bit / 8;
    // Without verification a wrong content may come, but only from a container without checksums of its
    // blocks, or with a wrong SHA-256.
    if (auto reader = PxifReader::open_bytes(file, "a");
        reader && reader->header().compression != PxifCompression::kNone) {
      Buffer out(reader->size());
      EXPECT_TRUE(!reader->read(0, out) || out == content) << "byte " << bit / 8;
    }
    const auto plane = PixelPlane::open_bytes(file, "a");
    EXPECT_FALSE(plane && plane->verify(VerifyLevel::kSha256, pool)->empty()) << "byte " << bit / 8;
  }
}

TEST_P(PxifDamage, EveryByteReplacedIsFound) {
  const Buffer good = fixture(GetParam());
  for (size_t at = 0; at < good.size(); at++)
    for (const uint8_t value : {uint8_t{0}, uint8_t{1}, uint8_t{0x7f}, uint8_t{0xff}}) {
      if (good[at] == value) continue;
      Buffer file = good;
      file[at] = value;
      EXPECT_FALSE(content_of(file)) << "byte " << at;
    }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, PxifDamage,
                         ::testing::Values("pixelfs-rle.pxif", "pixelfs-lz4.pxif", "pixelfs-zstd.pxif",
                                           "metadata-test.pxif"));

// A container whose seek table says what a test wants.
class Forged {
 public:
  explicit Forged(uint64_t content = 260) {
    header_.width = 16;
    header_.compression = PxifCompression::kZstd;
    header_.original_size = content;
    body_ = fixture("pixelfs-zstd.pxif");
    header_.checksum = PxifHeader::decode(body_)->checksum;
    body_.erase(body_.begin(), body_.begin() + 64);
  }
  // Little-endian, counted from the body's end.
  Forged& at_end(size_t from_end, uint32_t value) {
    store_le<uint32_t>(&body_[body_.size() - from_end], value);
    return *this;
  }
  Forged& at(size_t offset, uint32_t value) {
    store_le<uint32_t>(&body_[offset], value);
    return *this;
  }
  std::string error() {
    header_.height = static_cast<uint32_t>(body_.size() / header_.row_bytes());
    std::array<uint8_t, 64> head;
    header_.encode(head);
    Buffer file(head.begin(), head.end());
    file.insert(file.end(), body_.begin(), body_.end());
    const auto content = content_of(file);
    return content ? "" : content.error().message;
  }

 private:
  PxifHeader header_;
  Buffer body_;
};

TEST(PxifSeekTables, ContradictionsAreNamed) {
  EXPECT_EQ(Forged().error(), "");
  EXPECT_THAT(Forged().at_end(4, 1).error(), HasSubstr("the body ends with"));
  EXPECT_THAT(Forged().at_end(9, 0).error(), HasSubstr("0 blocks"));
  EXPECT_THAT(Forged().at_end(9, 4).error(), HasSubstr("seek table begins with"));
  EXPECT_THAT(Forged().at_end(9, 31).error(), HasSubstr("31 blocks in a body of 240 bytes"));
  EXPECT_THAT(Forged().at_end(9, ~0u).error(), HasSubstr("4294967295 blocks, 67108864 are allowed"));
  EXPECT_THAT(Forged().at_end(37, 1).error(), HasSubstr("length 1"));
  EXPECT_THAT(Forged().at_end(13, 61).error(), HasSubstr("block 2 holds 61 bytes of content, 60"));
  EXPECT_THAT(Forged().at_end(21, 99).error(), HasSubstr("block 1 holds 99 bytes of content, 100"));
  EXPECT_THAT(Forged().at_end(29, 0).error(), HasSubstr("3 blocks of 0 bytes"));
  EXPECT_THAT(Forged().at_end(29, ~0u).error(), HasSubstr("3 blocks of 4294967295 bytes"));
  EXPECT_THAT(Forged().at_end(33, 0).error(), HasSubstr("block 0 takes 0 bytes"));
  EXPECT_THAT(Forged().at_end(33, 166).error(), HasSubstr("block 0 takes 166 bytes, 1 to 165"));
  EXPECT_THAT(Forged().at_end(17, 124).error(), HasSubstr("the seek table begins at"));
  EXPECT_THAT(Forged().at_end(17, 26).error(), AnyOf(HasSubstr("padding"), HasSubstr("between the blocks")));
  EXPECT_THAT(Forged(261).error(), HasSubstr("block 2 holds 60 bytes of content, 61"));
  EXPECT_THAT(Forged(300).error(), HasSubstr("block 2 holds 60 bytes of content, 100"));
  EXPECT_THAT(Forged(301).error(), HasSubstr("cannot hold 301 bytes"));
  EXPECT_THAT(Forged(~uint64_t{0}).error(), HasSubstr("cannot hold"));
  EXPECT_THAT(Forged(0).error(), HasSubstr("0 bytes of content in a picture"));
}

TEST(PxifSeekTables, BlocksCannotChangePlaces) {
  // Frames of equal content size, swapped with their table entries: every block is intact, the whole is not.
  Buffer content = pixel_test::mixed(2 * kPxifBlockBytes);
  std::fill_n(content.begin(), kPxifBlockBytes, uint8_t{1});
  std::fill_n(content.begin() + kPxifBlockBytes, kPxifBlockBytes, uint8_t{2});
  Buffer file = pixel_test::container(content, {.width = 1, .compression = PxifCompression::kRle});
  std::swap_ranges(file.begin() + 64, file.begin() + 64 + 20, file.begin() + 64 + 20);
  const auto reader = PxifReader::open_bytes(file, "a");
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_THAT(content_of(file).error().message, HasSubstr("SHA-256"));
}

TEST(PxifHeaders, EveryHeaderBitFlipped) {
  const Buffer good = pixel_test::container(pixel_test::mixed(5000), {.width = 20});
  for (size_t bit = 0; bit < 64 * 8; bit++) {
    Buffer file = good;
    file[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const auto reader = PxifReader::open_bytes(file, "a");
    const bool in_hash = bit / 8 >= 23 && bit / 8 < 55;
    if (in_hash) {
      EXPECT_TRUE(reader) << "the SHA-256 is only checked on request";
    } else if (bit / 8 != 13) {  // a size that fills the same rows is lawful, too
      EXPECT_FALSE(reader) << "byte " << bit / 8;
    }
    EXPECT_FALSE(content_of(file)) << "byte " << bit / 8;
  }
}

TEST(PxifHeaders, ErrorsOfTheOriginal) {
  Buffer file = pixel_test::container(pixel_test::text("x"), {});
  EXPECT_THAT(PxifReader::open_bytes(Bytes(file).first(54), "a").error().message,
              HasSubstr("54 bytes are too short"));
  file[0] = 'Q';
  EXPECT_THAT(PxifReader::open_bytes(file, "a").error().message,
              HasSubstr("\"PXIF\" (50584946) is expected"));
}

}  // namespace
}  // namespace pixellm
