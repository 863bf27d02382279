// An ordinary, compressed 8-bit RGB PNG of any measures, row by row, for pictures that are looked at or
// small. Models and whatever is mapped use FlatPngWriter. Any PNG reader, PixelPlane included, reads it back
// losslessly.
//
//   auto png = PIXELLM_TRY(RgbPngWriter::create("out.png", width, height));
//   for (...) PIXELLM_CHECK(png.write_row(row));      // exactly `height` times, each 3 * width bytes
//   PIXELLM_CHECK(png.finish());                      // the file appears now
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"

namespace pixellm {

inline constexpr uint32_t kPngMaxSide = 0x7fffffff;

// Memory use: a few rows. One thread at a time. Destroyed before finish(), it leaves no file. After a call
// failed, every further one fails. Path "-" is standard output, written as the rows come.
class RgbPngWriter {
 public:
  // `level`: 0 stored to 9 smallest. kInvalidArgument: a side of 0 or above kPngMaxSide, another level. kIo:
  // the file cannot be created.
  static Result<RgbPngWriter> create(const std::string& path, uint32_t width, uint32_t height, int level = 6);
  static Result<RgbPngWriter> create(AtomicFile file, uint32_t width, uint32_t height, int level = 6);
  RgbPngWriter(RgbPngWriter&&) noexcept;
  ~RgbPngWriter();

  Result<void> write_row(
      Bytes row);         // kInvalidArgument: another length, a row too many. kIo: the write failed
  Result<void> finish();  // kInvalidArgument: rows are missing. kIo: the write failed

 private:
  struct Impl;
  explicit RgbPngWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// create + write_row + finish; `rgb` holds the rows without gaps.
Result<void> write_rgb_png(const std::string& path, uint32_t width, uint32_t height, Bytes rgb);

}  // namespace pixellm
