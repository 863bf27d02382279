#include "pixel/pxif.h"

#include <numeric>

#include "pixel/pixel_test_util.h"

namespace pixellm {
namespace {

using pixel_test::Buffer;
using pixel_test::part;

constexpr char kGoldenHeader[] =
    "50584946"
    "01"
    "00"
    "000000000000000d"
    "00000400"
    "00000001"
    "00"
    "6c06e7970b00a815e9aa201e82d22c1f98cfa72ea64e6d6b740f611dd1d65e54"
    "000000000000000000";

Buffer pxif(const Buffer& payload, uint32_t width) {
  PxifHeader h;
  const uint64_t pixels = ceil_div(payload.size(), 3);
  h.original_size = payload.size();
  h.width = width;
  h.height = width ? static_cast<uint32_t>(ceil_div(pixels, width)) : 0;
  h.checksum = sha256(payload);
  std::array<uint8_t, PxifHeader::kEncodedLength> head;
  h.encode(head);
  Buffer out(head.size() + uint64_t{3} * h.width * h.height);
  std::copy(head.begin(), head.end(), out.begin());
  std::copy(payload.begin(), payload.end(), out.begin() + head.size());
  return out;
}

Buffer text(std::string_view s) { return Buffer(s.begin(), s.end()); }

bool intact(const PixelPlane& plane, VerifyLevel level) {
  ThreadPool pool(1);
  auto damage = plane.verify(level, pool);
  EXPECT_TRUE(damage);
  return damage->empty();
}

TEST(Pxif, GoldenHeader) {
  const Buffer file = pxif(text("Metadata test"), 1024);
  EXPECT_EQ(file.size(), 3136u);
  EXPECT_EQ(to_hex(Bytes(file).first(64)), kGoldenHeader);
  EXPECT_EQ(file, *read_file(std::string(PIXELLM_SOURCE_DIR) + "/spec/fixtures/metadata-test.pxif", 1 << 20));
  auto header = PxifHeader::decode(file);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->original_size, 13u);
  EXPECT_EQ(header->width, 1024u);
  EXPECT_EQ(header->height, 1u);
}

TEST(Pxif, IsAPlane) {
  const Buffer payload = pixel_test::pattern(3600), file = pxif(payload, 100);
  auto plane = PixelPlane::open_bytes(file, "a");
  ASSERT_TRUE(plane) << plane.error().message;
  EXPECT_EQ(plane->kind(), PlaneKind::kPxif);
  EXPECT_EQ(plane->base_offset(), 64u);
  EXPECT_EQ(plane->base(), file.data() + 64);
  EXPECT_EQ(plane->row_bytes(), 300u);
  EXPECT_EQ(plane->row_stride(), 300u);
  EXPECT_EQ(plane->rows(), 12u);
  Buffer middle(1000);
  ASSERT_TRUE(plane->read(250, middle));
  EXPECT_EQ(middle, part(payload, 250, 1250));
  EXPECT_TRUE(intact(*plane, VerifyLevel::kSha256));
}

TEST(Pxif, EmptyPlanes) {
  for (const uint32_t width : {0u, 1u, 1024u, ~0u}) {
    const Buffer file = pxif({}, width);
    EXPECT_EQ(file.size(), 64u);
    auto plane = PixelPlane::open_bytes(file, "a");
    ASSERT_TRUE(plane) << width << plane.error().message;
    EXPECT_EQ(plane->payload_bytes(), 0u);
    EXPECT_TRUE(plane->read(0, {}));
    uint8_t byte;
    EXPECT_EQ(plane->read(0, {&byte, 1}).error().code, ErrorCode::kCorrupt);
    EXPECT_TRUE(intact(*plane, VerifyLevel::kSha256));
  }
}

TEST(Pxif, EveryTruncationAndEveryExtraByteIsAnError) {
  Buffer file = pxif(text("Metadata test"), 8);
  for (size_t n = 0; n < file.size(); n++) {
    auto plane = PixelPlane::open_bytes(Bytes(file).first(n), "a");
    ASSERT_FALSE(plane) << n;
    EXPECT_EQ(plane.error().code, ErrorCode::kCorrupt) << n;
  }
  file.push_back(0);
  EXPECT_EQ(PixelPlane::open_bytes(file, "a").error().code, ErrorCode::kCorrupt);
}

TEST(Pxif, EveryFlippedBitIsFound) {
  const Buffer good = pxif(text("Metadata test"), 8);
  for (size_t bit = 0; bit < good.size() * 8; bit++) {
    Buffer file = good;
    file[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    auto plane = PixelPlane::open_bytes(file, "a");
    EXPECT_FALSE(plane && intact(*plane, VerifyLevel::kSha256)) << "byte " << bit / 8;
    EXPECT_TRUE(plane || !plane.error().message.empty());
  }
}

TEST(Pxif, RefusesWhatItDoesNotRead) {
  const auto decode = [](size_t at, Buffer bytes) {
    Buffer file = pxif(text("Metadata test"), 8);
    std::copy(bytes.begin(), bytes.end(), file.begin() + static_cast<ptrdiff_t>(at));
    return PxifHeader::decode(file).error();
  };
  EXPECT_EQ(decode(4, {2}).code, ErrorCode::kUnsupported);
  EXPECT_EQ(decode(5, {1}).code, ErrorCode::kUnsupported);
  EXPECT_EQ(decode(22, {4}).code, ErrorCode::kUnsupported);
  EXPECT_NE(decode(22, {255}).message.find("compression 255"), std::string::npos);
  EXPECT_EQ(decode(63, {1}).code, ErrorCode::kUnsupported);
  EXPECT_EQ(decode(14, Buffer(8, 0xff)).code, ErrorCode::kTooLarge) << "width x height x 3 overflows";
  EXPECT_EQ(decode(6, Buffer(8, 0xff)).code, ErrorCode::kCorrupt);
  EXPECT_EQ(decode(14, Buffer(4, 0)).code, ErrorCode::kCorrupt) << "width 0 holds nothing";
  EXPECT_EQ(decode(18, {0, 0, 0, 2}).code, ErrorCode::kCorrupt) << "a whole row of padding";
}

TEST(Pxif, PaddingIsCheckedAtEveryLevel) {
  Buffer file = pxif(text("Metadata test"), 8);
  file.back() = 1;
  auto plane = PixelPlane::open_bytes(file, "a");
  ASSERT_TRUE(plane);
  EXPECT_TRUE(intact(*plane, VerifyLevel::kNone));
  EXPECT_FALSE(intact(*plane, VerifyLevel::kCrc));
  EXPECT_FALSE(intact(*plane, VerifyLevel::kSha256));
}

}  // namespace
}  // namespace pixellm
