#include "pixel/pxif_png.h"

#include "pixel/pxif_test_util.h"

namespace pixellm {
namespace {

using pixel_test::Buffer;
using pixel_test::container;
using pixel_test::mixed;

class PxifPng : public pixel_test::FolderTest {
 protected:
  Result<ExportedPng> export_it(const Buffer& file, bool verify = false) {
    auto in = PIXELLM_TRY(PxifReader::open_bytes(file, "a"));
    return export_png(in, PIXELLM_TRY(AtomicFile::create(path("a.png"))), {.verify = verify, .progress = {}});
  }
};

TEST_F(PxifPng, GivesEveryByteBack) {
  for (const PxifCompression compression : {PxifCompression::kNone, PxifCompression::kZstd})
    for (const uint32_t width : {1u, 64u, 1024u, 21824u, 21888u, 70001u})
      for (const size_t n : {1u, 65535u, 200000u}) {
        const Buffer content = mixed(n);
        const auto made = export_it(container(content, {.width = width, .compression = compression}));
        ASSERT_TRUE(made) << made.error().message;
        EXPECT_EQ(made->width, width);
        EXPECT_EQ(made->is_flat, width % 64 == 0 && width <= 21824);
        const auto plane = PixelPlane::open(path("a.png"));
        ASSERT_TRUE(plane) << plane.error().message;
        EXPECT_EQ(plane->kind(), made->is_flat ? PlaneKind::kFlatPng : PlaneKind::kDecodedPng);
        EXPECT_EQ(plane->rows(), made->height);
        Buffer payload = content;
        payload.resize(3 * width * made->height);
        ASSERT_EQ(pixel_test::payload_of(*plane), payload) << width << " " << n;
      }
}

TEST_F(PxifPng, EmptyContainersHaveNoPixels) {
  const auto made = export_it(container({}, {}));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(count_files(), 0u);
}

TEST_F(PxifPng, DamageLeavesNoFile) {
  for (const uint32_t width : {64u, 50u}) {
    Buffer file = container(mixed(5000), {.width = width});
    file[100] ^= 1;
    EXPECT_TRUE(export_it(file, /*verify=*/false)) << "to look at it";
    std::filesystem::remove(path("a.png"));
    EXPECT_EQ(export_it(file, /*verify=*/true).error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(count_files(), 0u);
    file = container(mixed(5000), {.width = width, .compression = PxifCompression::kLz4});
    file[100] ^= 1;
    EXPECT_EQ(export_it(file).error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(count_files(), 0u);
  }
}

}  // namespace
}  // namespace pixellm
