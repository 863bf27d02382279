#include "pixel/pxif_png.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "pixel/flat_png.h"
#include "pixel/png_chunks.h"

namespace pixellm {
namespace {

// Cuts a stream into rows.
class RowSink {
 public:
  explicit RowSink(FlatPngWriter& png, uint64_t row_bytes) : png_(png), row_(row_bytes) {}

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
  FlatPngWriter& png_;
  std::vector<uint8_t> row_;
  uint64_t filled_ = 0;
};

// An ordinary PNG of any measures, written as its pixels come: stored deflate blocks, one an IDAT.
class StoredPngWriter {
 public:
  StoredPngWriter(AtomicFile& out, uint64_t row_bytes)
      : out_(out), row_bytes_(row_bytes), row_left_(row_bytes) {
    data_.reserve(kZlibHead + kBlockHead + kMaxBlock + kAdlerBytes);
    data_ = {0x78, 0x01};
    begin_block();
  }

  Result<void> write_head(uint32_t width, uint32_t height) {
    std::array<uint8_t, kPngIhdrBytes> ihdr{};
    store_be<uint32_t>(&ihdr[0], width);
    store_be<uint32_t>(&ihdr[4], height);
    ihdr[8] = 8;  // bits a sample
    ihdr[9] = 2;  // RGB
    PIXELLM_CHECK(out_.write(kPngSignature));
    PIXELLM_CHECK(write_chunk(kIhdr, ihdr));
    constexpr std::array<uint8_t, 1> kFilter = {0};
    return put(kFilter);
  }

  Result<void> take(Bytes pixels) {
    constexpr std::array<uint8_t, 1> kFilter = {0};
    while (!pixels.empty()) {
      if (row_left_ == 0) {
        PIXELLM_CHECK(put(kFilter));
        row_left_ = row_bytes_;
      }
      const uint64_t n = std::min<uint64_t>(pixels.size(), row_left_);
      PIXELLM_CHECK(put(pixels.first(n)));
      pixels = pixels.subspan(n);
      row_left_ -= n;
    }
    return {};
  }

  Result<void> finish() {
    end_block(/*last=*/true);
    std::array<uint8_t, kAdlerBytes> trailer;
    store_be<uint32_t>(trailer.data(), adler_);
    data_.insert(data_.end(), trailer.begin(), trailer.end());
    PIXELLM_CHECK(write_chunk(kIdat, data_));
    return write_chunk(kIend, {});
  }

 private:
  static constexpr size_t kZlibHead = 2, kBlockHead = 5, kMaxBlock = 65535, kAdlerBytes = 4;

  Result<void> put(Bytes bytes) {
    adler_ = adler32(adler_, bytes);
    while (!bytes.empty()) {
      const size_t held = data_.size() - block_begin_ - kBlockHead;
      if (held == kMaxBlock) {
        end_block(/*last=*/false);
        PIXELLM_CHECK(write_chunk(kIdat, data_));
        data_.clear();
        begin_block();
        continue;
      }
      const size_t n = std::min(bytes.size(), kMaxBlock - held);
      data_.insert(data_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n));
      bytes = bytes.subspan(n);
    }
    return {};
  }

  void begin_block() {
    block_begin_ = data_.size();
    data_.resize(data_.size() + kBlockHead);
  }

  void end_block(bool last) {
    const auto length = static_cast<uint16_t>(data_.size() - block_begin_ - kBlockHead);
    uint8_t* head = &data_[block_begin_];
    head[0] = last ? 1 : 0;
    store_le<uint16_t>(head + 1, length);
    store_le<uint16_t>(head + 3, static_cast<uint16_t>(~length));
  }

  Result<void> write_chunk(uint32_t type, Bytes data) {
    chunk_.resize(data.size() + kPngChunkOverhead);
    encode_chunk(chunk_.data(), type, data);
    return out_.write(chunk_);
  }

  AtomicFile& out_;
  const uint64_t row_bytes_;
  uint64_t row_left_;
  std::vector<uint8_t> data_, chunk_;  // of the IDAT that is open; a chunk on its way out
  size_t block_begin_ = 0;             // in data_
  uint32_t adler_ = 1;
};

// The content, then the zeros that fill its last row.
Result<void> send_picture(PxifReader& in, const ExportOptions& options, const PxifReader::Sink& sink) {
  PIXELLM_CHECK(in.copy({.verify = options.verify, .progress = options.progress}, sink));
  const std::vector<uint8_t> zeros(1 << 16);
  for (uint64_t left = in.header().row_bytes() * in.header().content_rows() - in.size(); left > 0;) {
    const uint64_t n = std::min<uint64_t>(left, zeros.size());
    PIXELLM_CHECK(sink(Bytes(zeros).first(n)));
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
  if (std::max(made.width, made.height) > kPngMaxLength)
    return fail(ErrorCode::kTooLarge, fmt::format("{}: {} x {} pixels, a PNG has at most {} a side",
                                                  in.path(), made.width, made.height, kPngMaxLength));
  made.is_flat = flat_png_allows(row_bytes, made.height);
  if (made.is_flat) {
    auto png = PIXELLM_TRY(out.is_stdout() ? FlatPngWriter::create("-", row_bytes, made.height)
                                           : FlatPngWriter::create(std::move(out), row_bytes, made.height));
    RowSink rows(png, row_bytes);
    PIXELLM_CHECK(send_picture(in, options, [&](Bytes piece) { return rows.take(piece); }));
    PIXELLM_CHECK(png.finish());
    return made;
  }
  StoredPngWriter png(out, row_bytes);
  PIXELLM_CHECK(png.write_head(static_cast<uint32_t>(made.width), static_cast<uint32_t>(made.height)));
  PIXELLM_CHECK(send_picture(in, options, [&](Bytes piece) { return png.take(piece); }));
  PIXELLM_CHECK(png.finish());
  PIXELLM_CHECK(out.commit());
  return made;
}

}  // namespace pixellm
