#include "pixel/plane.h"

#include "pixel/flat_layout.h"
#include "pixel/pixel_test_util.h"

namespace pixellm {
namespace {

using pixel_test::Buffer;
using pixel_test::flat_png;
using pixel_test::join;
using pixel_test::ordinary_png;
using pixel_test::part;
using pixel_test::pattern;
using pixel_test::payload_of;
using pixel_test::png_chunk;
using pixel_test::stored_zlib;

class Plane : public pixel_test::FolderTest {};

std::vector<std::string> damage_of(const PixelPlane& plane, VerifyLevel level = VerifyLevel::kSha256) {
  ThreadPool pool(1);
  auto damage = plane.verify(level, pool);
  EXPECT_TRUE(damage);
  EXPECT_TRUE(damage->rows.empty());
  return damage->other;
}

ErrorCode open_error(const Buffer& file, uint64_t limit = 1 << 30) {
  auto plane = PixelPlane::open_bytes(file, "a", limit);
  EXPECT_FALSE(plane);
  return plane ? ErrorCode::kInternal : plane.error().code;
}

Buffer head_chunk(uint32_t width, uint32_t height, uint8_t depth = 8, uint8_t color = 2,
                  uint8_t interlace = 0) {
  Buffer d(13);
  store_be<uint32_t>(&d[0], width);
  store_be<uint32_t>(&d[4], height);
  d[8] = depth;
  d[9] = color;
  d[12] = interlace;
  return join({Buffer(kPngSignature.begin(), kPngSignature.end()), png_chunk("IHDR", d)});
}

const Buffer kEnd = png_chunk("IEND", {});

TEST_F(Plane, ReadsAcrossRows) {
  const Buffer payload = pattern(192 * 5);
  pixel_test::write_flat(path("a.png"), 192, payload);
  auto opened = PixelPlane::open(path("a.png"));
  ASSERT_TRUE(opened) << opened.error().message;
  const PixelPlane plane = std::move(*opened);
  EXPECT_EQ(plane.path(), path("a.png"));
  for (uint64_t begin : {0u, 1u, 191u, 192u, 500u})
    for (uint64_t size : {0u, 1u, 192u, 193u, 460u}) {
      Buffer out(size);
      ASSERT_TRUE(plane.read(begin, out));
      EXPECT_EQ(out, part(payload, begin, begin + size));
    }
  Buffer out(2);
  EXPECT_EQ(plane.read(payload.size() - 1, out).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(plane.read(~uint64_t{0}, out).error().code, ErrorCode::kCorrupt);
  plane.release_rows(0, ~uint64_t{0});
  plane.release_rows(9, 1);
  EXPECT_EQ(payload_of(plane), payload) << "released pages come back";
}

TEST_F(Plane, DecodesOrdinaryPictures) {
  for (const auto& [width, height] : {std::pair<uint32_t, uint32_t>{1, 1}, {7, 5}, {64, 3}, {306, 305}}) {
    const Buffer samples = pattern(uint64_t{3} * width * height);
    for (int level : {0, 1, 9}) {
      auto plane = PixelPlane::open_bytes(ordinary_png(width, height, samples, {.level = level}), "a");
      ASSERT_TRUE(plane) << plane.error().message;
      EXPECT_EQ(plane->kind(), PlaneKind::kDecodedPng);
      EXPECT_EQ(plane->row_bytes(), 3 * width);
      EXPECT_EQ(plane->row_stride(), 3 * width);
      EXPECT_EQ(plane->rows(), height);
      EXPECT_EQ(plane->base_offset(), 0u);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(plane->base()) % 64, 0u);
      EXPECT_EQ(payload_of(*plane), samples);
      EXPECT_TRUE(damage_of(*plane).empty());
    }
  }
}

// Gamma, transparency and significant bits say how to show samples; the samples themselves stay.
TEST_F(Plane, MetadataDoesNotChangeSamples) {
  const Buffer samples = pattern(3 * 8 * 8), file = ordinary_png(8, 8, samples);
  const Buffer with =
      join({part(file, 0, 33), png_chunk("gAMA", {0, 0, 0, 100}), png_chunk("sBIT", {5, 5, 5}),
            png_chunk("tRNS", {0, 3, 0, 10, 0, 17}), part(file, 33, file.size())});
  auto plane = PixelPlane::open_bytes(with, "a");
  ASSERT_TRUE(plane) << plane.error().message;
  EXPECT_EQ(payload_of(*plane), samples);
}

TEST_F(Plane, DecodesInterlacedPictures) {
  constexpr int kX[] = {0, 4, 0, 2, 0, 1, 0}, kY[] = {0, 0, 4, 0, 2, 0, 1};
  constexpr int kDx[] = {8, 8, 4, 4, 2, 2, 1}, kDy[] = {8, 8, 8, 4, 4, 2, 2};
  const uint32_t width = 13, height = 11;
  const Buffer samples = pattern(3 * width * height);
  Buffer filtered;
  for (int pass = 0; pass < 7; pass++)
    for (uint32_t y = kY[pass]; y < height; y += kDy[pass]) {
      filtered.push_back(0);
      for (uint32_t x = kX[pass]; x < width; x += kDx[pass])
        for (int c = 0; c < 3; c++) filtered.push_back(samples[(y * width + x) * 3 + c]);
    }
  const Buffer file =
      join({head_chunk(width, height, 8, 2, 1), png_chunk("IDAT", stored_zlib(filtered)), kEnd});
  auto plane = PixelPlane::open_bytes(file, "a");
  ASSERT_TRUE(plane) << plane.error().message;
  EXPECT_EQ(payload_of(*plane), samples);
}

TEST_F(Plane, DecodesPicturesAboveTheMetadataLimit) {
  const uint32_t width = 8192, height = 3000;  // 70 MiB in one IDAT
  Buffer filtered(uint64_t{height} * (3 * width + 1));
  for (uint64_t i = 0; i < filtered.size(); i += 4096) filtered[i] = static_cast<uint8_t>(i >> 12);
  for (uint64_t y = 0; y < height; y++) filtered[y * (3 * width + 1)] = 0;
  const Buffer file = join({head_chunk(width, height), png_chunk("IDAT", stored_zlib(filtered)), kEnd});
  auto plane = PixelPlane::open_bytes(file, "a");
  ASSERT_TRUE(plane) << plane.error().message;
  EXPECT_TRUE(std::equal(plane->row(2999).begin(), plane->row(2999).end(), filtered.end() - 3 * width));
}

TEST_F(Plane, RefusesOtherColourTypesWithAHint) {
  const Buffer samples = pattern(64);
  const std::vector<std::pair<Buffer, std::string>> cases = {
      {ordinary_png(4, 4, part(samples, 0, 16), {.color_type = 0}), "8-bit greyscale"},
      {ordinary_png(4, 4, part(samples, 0, 16), {.color_type = 3}), "8-bit palette"},
      {ordinary_png(4, 4, part(samples, 0, 32), {.color_type = 4}), "8-bit greyscale with alpha"},
      {ordinary_png(4, 4, part(samples, 0, 64), {.color_type = 6}), "8-bit RGBA"},
      {ordinary_png(2, 4, part(samples, 0, 48), {.color_type = 2, .depth = 16}), "16-bit RGB"}};
  for (const auto& [file, name] : cases) {
    auto plane = PixelPlane::open_bytes(file, "picture");
    ASSERT_FALSE(plane) << name;
    EXPECT_EQ(plane.error().code, ErrorCode::kUnsupported);
    EXPECT_EQ(plane.error().message.find("picture: png: " + name), 0u) << plane.error().message;
    EXPECT_NE(plane.error().message.find("Hint: "), std::string::npos);
  }
}

TEST_F(Plane, DecodingHasLimits) {
  const Buffer file = ordinary_png(100, 100, pattern(30000));
  EXPECT_EQ(open_error(file, 29999), ErrorCode::kTooLarge);
  EXPECT_TRUE(PixelPlane::open_bytes(file, "a", 30000));
  // A bomb: 12 GB promised by a few bytes. Refused before memory is taken for it.
  const Buffer bomb = join({head_chunk(64000, 64000), png_chunk("IDAT", stored_zlib(Buffer(1000))), kEnd});
  EXPECT_EQ(open_error(bomb, uint64_t{16} << 30), ErrorCode::kCorrupt);
  EXPECT_EQ(open_error(join({head_chunk(0x7fffffff, 0x7fffffff), png_chunk("IDAT", {}), kEnd}), ~uint64_t{0}),
            ErrorCode::kCorrupt);
  // Too few and too many pixels for the measures.
  EXPECT_EQ(open_error(join({head_chunk(8, 8), png_chunk("IDAT", stored_zlib(Buffer(25 * 7))), kEnd})),
            ErrorCode::kCorrupt);
}

TEST_F(Plane, RefusesBrokenStructure) {
  const Buffer idat = png_chunk("IDAT", stored_zlib(Buffer(25 * 8))), head = head_chunk(8, 8);
  ASSERT_TRUE(PixelPlane::open_bytes(join({head, idat, kEnd}), "a"));
  EXPECT_EQ(open_error(join({head, idat})), ErrorCode::kCorrupt) << "no IEND";
  EXPECT_EQ(open_error(join({head, kEnd})), ErrorCode::kCorrupt) << "no IDAT";
  EXPECT_EQ(open_error(join({head, idat, kEnd, {0}})), ErrorCode::kCorrupt) << "a byte after IEND";
  EXPECT_EQ(open_error(join({head, idat, png_chunk("IEND", {1})})), ErrorCode::kCorrupt) << "IEND with data";
  EXPECT_EQ(open_error(join({head, idat, png_chunk("tEXt", {'a', 0, 'b'}), idat, kEnd})), ErrorCode::kCorrupt)
      << "IDATs apart";
  EXPECT_EQ(open_error(join({head, png_chunk("ABCD", {}), idat, kEnd})), ErrorCode::kUnsupported)
      << "an unknown critical chunk";
  EXPECT_EQ(open_error(join({head, part(head, 8, 33), idat, kEnd})), ErrorCode::kCorrupt) << "two IHDR";
  EXPECT_EQ(open_error(join({part(head, 0, 8), idat, part(head, 8, 33), kEnd})), ErrorCode::kCorrupt)
      << "IHDR not first";
  EXPECT_EQ(open_error(join({head, png_chunk("1234", {}), idat, kEnd})), ErrorCode::kCorrupt)
      << "type of no letters";
  EXPECT_EQ(open_error(join({head_chunk(0, 8), idat, kEnd})), ErrorCode::kCorrupt);
  EXPECT_EQ(open_error(join({head_chunk(8, 8, 8, 2, 2), idat, kEnd})), ErrorCode::kCorrupt);
  Buffer long_chunk = join({head, idat, kEnd});
  store_be<uint32_t>(&long_chunk[33], 0xffffffffu);
  EXPECT_EQ(open_error(long_chunk), ErrorCode::kCorrupt);
}

TEST_F(Plane, NamesOtherContent) {
  EXPECT_EQ(PixelPlane::open(path("missing.png")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(open_error({}), ErrorCode::kCorrupt);
  const auto message = [](std::string_view content) {
    const Buffer file(content.begin(), content.end());
    auto plane = PixelPlane::open_bytes(file, "m");
    EXPECT_FALSE(plane);
    EXPECT_EQ(plane.error().code, ErrorCode::kUnsupported);
    return plane.error().message;
  };
  EXPECT_NE(message("GGUF\x03").find("pixellm import"), std::string::npos);
  EXPECT_NE(message("\xff\xd8\xff\xe0").find("JPEG"), std::string::npos);
  EXPECT_NE(message("version https://git-lfs.github.com/spec/v1").find("Git LFS"), std::string::npos);
  EXPECT_NE(message("hello").find("68656c6c6f"), std::string::npos);
  EXPECT_NE(message("\x89PNX").find("89504e58"), std::string::npos);
}

// ---- a flat PNG after other programs had it

TEST_F(Plane, FlatPngWithATextAppendedStaysMapped) {
  const Buffer payload = pattern(192 * 4), file = flat_png(192, payload);
  const Buffer text = png_chunk("tEXt", {'a', 0, 'b'});
  const Buffer edited = join({part(file, 0, file.size() - 12), text, kEnd});
  auto plane = PixelPlane::open_bytes(edited, "a");
  ASSERT_TRUE(plane) << plane.error().message;
  EXPECT_EQ(plane->kind(), PlaneKind::kFlatPng);
  EXPECT_EQ(payload_of(*plane), payload);
  EXPECT_TRUE(damage_of(*plane).empty());
  EXPECT_EQ(open_error(join({file, {0}})), ErrorCode::kCorrupt) << "a byte after IEND";
  EXPECT_EQ(open_error(join({part(file, 0, file.size() - 12), png_chunk("IDAT", {}), kEnd})),
            ErrorCode::kCorrupt)
      << "more pixels than pxLM says";
  EXPECT_EQ(open_error(join({part(file, 0, file.size() - 12), text})), ErrorCode::kCorrupt) << "no IEND";
}

TEST_F(Plane, FlatPngWithAChunkInsertedIsDecoded) {
  const Buffer payload = pattern(192 * 4), file = flat_png(192, payload);
  for (const uint64_t at : {33u, 194u}) {
    const Buffer edited =
        join({part(file, 0, at), png_chunk("tEXt", {'a', 0, 'b'}), part(file, at, file.size())});
    auto plane = PixelPlane::open_bytes(edited, "a");
    ASSERT_TRUE(plane) << plane.error().message;
    EXPECT_EQ(plane->kind(), PlaneKind::kDecodedPng);
    EXPECT_EQ(payload_of(*plane), payload);
    EXPECT_TRUE(damage_of(*plane).empty());
  }
}

// Another writer may place pxLM as it likes, as long as the pixels are aligned and pxLM tells where they are.
TEST_F(Plane, PaddedHeadIsMapped) {
  const Buffer payload = pattern(192 * 4), file = flat_png(192, payload);
  Buffer pxlm = part(file, 41, 190);
  pxlm.resize(149 + 64 - 16);
  store_le<uint64_t>(&pxlm[16], 384);
  const Buffer edited = join({part(file, 0, 33), png_chunk("gAMA", {0, 0, 0, 1}), png_chunk("pxLM", pxlm),
                              part(file, 194, file.size())});
  auto plane = PixelPlane::open_bytes(edited, "a");
  ASSERT_TRUE(plane) << plane.error().message;
  EXPECT_EQ(plane->kind(), PlaneKind::kFlatPng);
  EXPECT_EQ(plane->base_offset(), 384u);
  EXPECT_EQ(payload_of(*plane), payload);
  EXPECT_TRUE(damage_of(*plane).empty());
}

TEST_F(Plane, PxlmThatDoesNotFitIsNotTrusted) {
  const Buffer payload = pattern(192 * 4), file = flat_png(192, payload);
  const auto with_pxlm = [&](const Buffer& chunks) {
    return PixelPlane::open_bytes(join({part(file, 0, 33), chunks, part(file, 194, file.size())}), "a");
  };
  const Buffer good = part(file, 41, 190);
  std::vector<Buffer> variants = {{},
                                  png_chunk("pxLM", {}),
                                  png_chunk("pxLM", part(good, 0, 55)),
                                  join({png_chunk("pxLM", good), png_chunk("pxLM", good)})};
  for (const auto& [at, value] : std::vector<std::pair<size_t, uint32_t>>{{0, 0},
                                                                          {0, 2},
                                                                          {4, 384},
                                                                          {4, 0},
                                                                          {8, 192},
                                                                          {12, 3},
                                                                          {12, 5},
                                                                          {16, 256},
                                                                          {16, 384},
                                                                          {20, 1},
                                                                          {20, ~0u}}) {
    Buffer pxlm = good;
    store_le<uint32_t>(&pxlm[at], value);
    variants.push_back(png_chunk("pxLM", pxlm));
  }
  for (const Buffer& chunks : variants) {
    auto plane = with_pxlm(chunks);
    ASSERT_TRUE(plane) << plane.error().message;
    EXPECT_EQ(plane->kind(), PlaneKind::kDecodedPng);
    EXPECT_EQ(payload_of(*plane), payload);
    EXPECT_TRUE(damage_of(*plane).empty());
  }
}

TEST_F(Plane, RecompressedPictureKeepsItsPromise) {
  const Buffer payload = pattern(192 * 4), file = flat_png(192, payload);
  Buffer changed = payload;
  changed[100] ^= 1;
  const auto recompressed = [&](const Buffer& samples) {
    const Buffer other = ordinary_png(64, 4, samples, {.level = 9});
    return PixelPlane::open_bytes(join({part(file, 0, 194), part(other, 33, other.size())}), "a");
  };
  auto same = recompressed(payload);
  ASSERT_TRUE(same) << same.error().message;
  EXPECT_EQ(same->kind(), PlaneKind::kDecodedPng);
  EXPECT_TRUE(damage_of(*same).empty());
  auto edited = recompressed(changed);
  ASSERT_TRUE(edited);
  EXPECT_TRUE(damage_of(*edited, VerifyLevel::kCrc).empty());
  ASSERT_EQ(damage_of(*edited).size(), 1u) << "pxLM was copied by a program that changed pixels";
}

TEST_F(Plane, EveryTruncationIsCorrupt) {
  const Buffer flat = flat_png(192, pattern(192 * 2)), other = ordinary_png(20, 20, pattern(1200));
  for (const Buffer* file : {&flat, &other})
    for (size_t n = 0; n < file->size(); n++)
      EXPECT_EQ(open_error(part(*file, 0, n)), ErrorCode::kCorrupt) << n;
  auto truncated = PixelPlane::open_bytes(Bytes(flat).first(600), "model.png");
  EXPECT_EQ(truncated.error().message,
            "model.png: flat png: the file has 600 bytes, 2 rows of 192 bytes need 852: it is truncated");
}

}  // namespace
}  // namespace pixellm
