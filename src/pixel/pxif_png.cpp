#include "pixel/pxif_png.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "pixel/flat_png.h"
#include "pixel/png_encode.h"

namespace pixellm {
namespace {

constexpr int kStored = 0;  // no compression

// Cuts a stream into rows for a writer of PNGs.
template <class Writer>
class RowSink {
 public:
  RowSink(Writer& png, uint64_t row_bytes) : png_(png), row_(row_bytes) {}

  Result<void> take(Bytes piece) {
    while (!piece.empty()) {
      const uint64_t n = std::min<uint64_t>(piece.size(), row_.size() - filled_);
      std::copy_n(piece.begin(), n, row_.begin() + static_cast<ptrdiff_t>(filled_));
      filled_ += n;
      piece = piece.subspan(n);
      if (filled_ < row_.size()) break;
      PIXELLM_CHECK(png_.write_row(row_));
      filled_ = 0;
    }
    return {};
  }

 private:
  Writer& png_;
  std::vector<uint8_t> row_;
  uint64_t filled_ = 0;
};

// The content, then the zeros that fill its last row.
template <class Writer>
Result<void> send_picture(PxifReader& in, const ExportOptions& options, Writer& png) {
  RowSink<Writer> rows(png, in.header().row_bytes());
  PIXELLM_CHECK(in.copy({.verify = options.verify, .progress = options.progress},
                        [&](Bytes piece) { return rows.take(piece); }));
  const std::vector<uint8_t> zeros(1 << 16);
  for (uint64_t left = in.header().row_bytes() * in.header().content_rows() - in.size(); left > 0;) {
    const uint64_t n = std::min<uint64_t>(left, zeros.size());
    PIXELLM_CHECK(rows.take(Bytes(zeros).first(n)));
    left -= n;
  }
  return {};
}

}  // namespace

Result<ExportedPng> export_png(PxifReader& in, AtomicFile out, const ExportOptions& options) {
  const uint64_t row_bytes = in.header().row_bytes();
  ExportedPng made{.width = in.header().width, .height = in.header().content_rows()};
  if (made.height == 0)
    return fail(ErrorCode::kInvalidArgument, in.path() + ": is empty; a PNG has at least one pixel");
  if (std::max(made.width, made.height) > kPngMaxSide)
    return fail(ErrorCode::kTooLarge, fmt::format("{}: {} x {} pixels, a PNG has at most {} a side",
                                                  in.path(), made.width, made.height, kPngMaxSide));
  made.is_flat = flat_png_allows(row_bytes, made.height);
  if (made.is_flat) {
    auto png = PIXELLM_TRY(out.is_stream() ? FlatPngWriter::create("-", row_bytes, made.height)
                                           : FlatPngWriter::create(std::move(out), row_bytes, made.height));
    PIXELLM_CHECK(send_picture(in, options, png));
    PIXELLM_CHECK(png.finish());
    return made;
  }
  auto png = PIXELLM_TRY(RgbPngWriter::create(std::move(out), static_cast<uint32_t>(made.width),
                                              static_cast<uint32_t>(made.height), kStored));
  PIXELLM_CHECK(send_picture(in, options, png));
  PIXELLM_CHECK(png.finish());
  return made;
}

}  // namespace pixellm
