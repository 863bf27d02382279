// Containers for the tests of PixelFS.
#pragma once
#include <random>
#include <string>

#include "pixel/pixel_test_util.h"
#include "pixel/pxif_reader.h"
#include "pixel/pxif_writer.h"

namespace pixellm::pixel_test {

inline constexpr PxifCompression kEveryCompression[] = {PxifCompression::kNone, PxifCompression::kRle,
                                                        PxifCompression::kLz4, PxifCompression::kZstd};

inline Buffer text(std::string_view s) { return Buffer(s.begin(), s.end()); }

inline Buffer noise(size_t n, uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  Buffer out(n);
  for (uint8_t& b : out) b = static_cast<uint8_t>(random());
  return out;
}

// Runs, pixels, text and noise in turn: something for every operation of every compression.
inline Buffer mixed(size_t n) {
  Buffer out = noise(n, n);
  for (size_t i = 0; i < n; i++) {
    if (i / 500 % 4 == 0) out[i] = static_cast<uint8_t>(i / 2000);
    if (i / 500 % 4 == 1) out[i] = static_cast<uint8_t>("RGB"[i % 3]);
    if (i / 500 % 4 == 2) out[i] = static_cast<uint8_t>("the quick brown fox "[i % 20]);
  }
  return out;
}

inline Buffer fixture(const std::string& name) {
  return *read_file(std::string(PIXELLM_SOURCE_DIR) + "/spec/fixtures/" + name, 1 << 20);
}

// The bytes of a container, through a file that does not stay.
inline Buffer container(const Buffer& content, const PxifOptions& options) {
  std::string path = (std::filesystem::temp_directory_path() / "pixellm-pxif-XXXXXX").string();
  const int fd = ::mkstemp(path.data());
  EXPECT_GE(fd, 0);
  ::close(fd);
  auto writer = PxifWriter::create(path, options);
  EXPECT_TRUE(writer && writer->write(content));
  auto header = writer->finish();
  EXPECT_TRUE(header) << (header ? "" : header.error().message);
  Buffer out = *read_file(path, uint64_t{1} << 32);
  ::unlink(path.c_str());
  EXPECT_EQ(header->file_bytes(), out.size());
  return out;
}

// What a reader of these bytes gives for its content, or its error.
inline Result<Buffer> content_of(const Buffer& file) {
  auto reader = PIXELLM_TRY(PxifReader::open_bytes(file, "a"));
  PIXELLM_CHECK(reader.verify());
  Buffer out(reader.size());
  PIXELLM_CHECK(reader.read(0, out));
  return out;
}

}  // namespace pixellm::pixel_test
