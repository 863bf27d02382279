// A flat PNG must be an ordinary PNG to everybody else: pngcheck, Pillow, libpng and libspng, without a
// warning.
#include <spng.h>

#include <cstdio>

#include "pixel/pixel_test_util.h"

namespace pixellm {
namespace {

using pixel_test::Buffer;

class ForeignReaders : public pixel_test::FolderTest,
                       public ::testing::WithParamInterface<std::pair<uint64_t, uint64_t>> {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    payload_ = pixel_test::pattern(GetParam().first * GetParam().second);
    file_ = pixel_test::write_flat(path("a.png"), GetParam().first, payload_);
  }
  Buffer payload_, file_;
};

struct Outcome {
  int status;
  std::string output;
};

Outcome run(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  Outcome r{-1, {}};
  char buffer[4096];
  for (size_t n; pipe && (n = ::fread(buffer, 1, sizeof buffer, pipe)) > 0;) r.output.append(buffer, n);
  if (pipe) r.status = ::pclose(pipe);
  return r;
}

TEST_P(ForeignReaders, Pngcheck) {
  const Outcome quiet = run("pngcheck -q '" + path("a.png") + "'");
  EXPECT_EQ(quiet.status, 0) << quiet.output;
  EXPECT_EQ(quiet.output, "") << "-q prints errors and warnings only";
  const Outcome verbose = run("pngcheck -v '" + path("a.png") + "'");
  EXPECT_EQ(verbose.status, 0) << verbose.output;
  EXPECT_NE(verbose.output.find("No errors detected"), std::string::npos) << verbose.output;
  EXPECT_EQ(verbose.output.find("warning"), std::string::npos) << verbose.output;
}

TEST_P(ForeignReaders, PillowAndLibpng) {
  const std::string digest = to_hex(sha256(payload_)) + "\n";
  const Outcome r = run(std::string("/usr/bin/python3 '") + PIXELLM_SOURCE_DIR +
                        "/src/pixel/foreign_readers.py' '" + path("a.png") + "'");
  EXPECT_EQ(r.status, 0);
  EXPECT_EQ(r.output, digest + digest);
}

TEST_P(ForeignReaders, Libspng) {
  spng_ctx* ctx = spng_ctx_new(0);
  spng_set_crc_action(ctx, SPNG_CRC_ERROR, SPNG_CRC_ERROR);
  EXPECT_EQ(spng_set_png_buffer(ctx, file_.data(), file_.size()), 0);
  Buffer pixels(payload_.size());
  EXPECT_EQ(spng_decode_image(ctx, pixels.data(), pixels.size(), SPNG_FMT_RGB8, 0), 0);
  EXPECT_EQ(spng_decode_chunks(ctx), 0) << "to the end of the file";
  spng_ctx_free(ctx);
  EXPECT_EQ(pixels, payload_);
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, ForeignReaders,
    ::testing::Values(std::pair<uint64_t, uint64_t>{192, 1}, std::pair<uint64_t, uint64_t>{192, 50},
                      std::pair<uint64_t, uint64_t>{57792, 7}, std::pair<uint64_t, uint64_t>{65472, 1},
                      std::pair<uint64_t, uint64_t>{65472, 3}),
    [](const auto& measures) {
      return std::to_string(measures.param.first) + "x" + std::to_string(measures.param.second);
    });

}  // namespace
}  // namespace pixellm
