// Pictures and files for the tests of src/pixel.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "pixel/flat_png.h"
#include "pixel/plane.h"

namespace pixellm::pixel_test {

using Buffer = std::vector<uint8_t>;

// A new folder for each test, gone afterwards.
class FolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "pixellm-pixel-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  size_t count_files() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }
  std::filesystem::path folder_;
};

// A fixed pattern in which every byte value occurs and neighbouring rows differ.
Buffer pattern(uint64_t size);

// Writes `payload` row by row with FlatPngWriter; the file's bytes.
Buffer write_flat(const std::string& path, uint64_t row_bytes, const Buffer& payload);

// The same without a file that stays.
Buffer flat_png(uint64_t row_bytes, const Buffer& payload);

// An ordinary PNG, compressed by libspng.
struct PngOptions {
  uint8_t color_type = 2, depth = 8;
  int level = 6;
};
Buffer ordinary_png(uint32_t width, uint32_t height, const Buffer& samples, PngOptions options = {});

// One chunk with length and CRC-32.
Buffer png_chunk(const std::string& type, const Buffer& data);

// zlib data of stored blocks.
Buffer stored_zlib(const Buffer& data);

Buffer join(const std::vector<Buffer>& parts);
Buffer part(const Buffer& bytes, uint64_t begin, uint64_t end);

// The rows joined.
Buffer payload_of(const PixelPlane& plane);

}  // namespace pixellm::pixel_test
