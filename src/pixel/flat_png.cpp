#include "pixel/flat_png.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/file.h"
#include "pixel/flat_layout.h"

namespace pixellm {
namespace {

constexpr uint64_t kPxlmOffset = 33;  // after signature and IHDR
constexpr uint64_t kHeadBytes = kFlatBase - 126;

Result<void> check_measures(uint64_t row_bytes, uint64_t rows) {
  if (row_bytes == 0 || row_bytes % kFlatRowUnit != 0 || row_bytes > kFlatMaxRowBytes)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("flat png: rows of {} bytes, multiples of {} up to {} are allowed", row_bytes,
                            kFlatRowUnit, kFlatMaxRowBytes));
  if (rows == 0 || rows > kFlatMaxRows)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("flat png: {} rows, 1 to {} are allowed", rows, kFlatMaxRows));
  return {};
}

// A pipe cannot take a flat PNG in one go: the SHA-256 stands before the pixels. So it is spooled.
Result<AtomicFile> create_file(const std::string& path) {
  if (path != "-") return AtomicFile::create(path);
  std::error_code ec;
  auto folder = std::filesystem::temp_directory_path(ec);
  if (ec) folder = "/tmp";
  return AtomicFile::create((folder / "flat.png").string());
}

}  // namespace

struct FlatPngWriter::Impl {
  AtomicFile file;
  FlatLayout layout;
  std::vector<uint8_t> buffer;   // one row with its frame and trailer
  std::vector<uint32_t> adlers;  // of each row written so far, filter byte included
  std::optional<Sha256> sha;     // of the rows written so far, unless some of them change later
  uint32_t last_crc = 0;         // of the last row's chunk without its Adler-32
  bool to_stdout = false, broken = false, finished = false;

  Impl(AtomicFile f, uint64_t row_bytes, uint64_t rows, bool is_stdout)
      : file(std::move(f)),
        layout{.row_bytes = row_bytes, .rows = rows},
        sha(std::in_place),
        to_stdout(is_stdout) {
    adlers.reserve(rows);
  }

  Result<void> check_state() const;
  Result<void> check_row(Bytes row) const;
  Bytes build_row(uint64_t index, Bytes row);
  Result<void> write_head();
  Result<void> write_end();
  Result<void> hash_rows();
  Result<void> copy_to_stdout();
};

Result<void> FlatPngWriter::Impl::check_state() const {
  if (finished) return fail(ErrorCode::kInvalidArgument, "flat png: the picture is finished");
  if (broken) return fail(ErrorCode::kIo, "flat png: an earlier write failed");
  return {};
}

Result<void> FlatPngWriter::Impl::check_row(Bytes row) const {
  PIXELLM_CHECK(check_state());
  if (row.size() == layout.row_bytes) return {};
  return fail(
      ErrorCode::kInvalidArgument,
      fmt::format("flat png: a row of {} bytes, rows of this picture have {}", row.size(), layout.row_bytes));
}

Result<void> FlatPngWriter::Impl::write_head() {
  std::array<uint8_t, kHeadBytes> head;
  std::copy(kPngSignature.begin(), kPngSignature.end(), head.begin());
  std::array<uint8_t, kPngIhdrBytes> ihdr{};
  store_be<uint32_t>(&ihdr[0], static_cast<uint32_t>(layout.row_bytes / 3));
  store_be<uint32_t>(&ihdr[4], static_cast<uint32_t>(layout.rows));
  ihdr[8] = 8;  // bits a sample
  ihdr[9] = 2;  // RGB
  encode_chunk(&head[kPngSignature.size()], kIhdr, ihdr);
  std::array<uint8_t, kPxlmBytes> pxlm;
  layout.encode_pxlm(pxlm.data());
  encode_chunk(&head[kPxlmOffset], kPxlm, pxlm);
  return file.size() == 0 ? file.write(head) : file.write_at(0, head);
}

// The row's chunk, in `buffer`. The last row's trailer stays zero until finish(), when every row is final.
Bytes FlatPngWriter::Impl::build_row(uint64_t index, Bytes row) {
  const RowFrame frame = layout.frame(index);
  const uint64_t covered = frame.size + row.size(), trailer = layout.trailer_size(index);
  buffer.resize(covered + trailer);
  std::copy_n(frame.bytes.begin(), frame.size, buffer.begin());
  std::copy(row.begin(), row.end(), buffer.begin() + static_cast<ptrdiff_t>(frame.size));
  std::fill_n(&buffer[covered], trailer, uint8_t{0});
  const Bytes chunk = buffer;
  const uint32_t crc = crc32(0, chunk.subspan(4, covered - 4));
  const uint32_t adler = adler32(1, chunk.subspan(frame.size - 1, 1 + row.size()));
  if (index == adlers.size()) adlers.push_back(adler);
  adlers[index] = adler;
  if (index + 1 == layout.rows)
    last_crc = crc;
  else
    store_be<uint32_t>(&buffer[covered], crc);
  return chunk;
}

Result<void> FlatPngWriter::Impl::write_end() {
  uint32_t adler = adlers[0];
  for (uint64_t i = 1; i < layout.rows; i++) adler = adler32_combine(adler, adlers[i], layout.row_bytes + 1);
  std::array<uint8_t, 8> trailer;
  store_be<uint32_t>(&trailer[0], adler);
  store_be<uint32_t>(&trailer[4], crc32(last_crc, Bytes(trailer).first(4)));
  PIXELLM_CHECK(file.write_at(layout.row_end(layout.rows - 1) - trailer.size(), trailer));
  if (!sha) PIXELLM_CHECK(hash_rows());
  layout.digest = sha->finish();
  PIXELLM_CHECK(write_head());
  std::array<uint8_t, kPngChunkOverhead> iend;
  encode_chunk(iend.data(), kIend, {});
  PIXELLM_CHECK(file.write(iend));
  PIXELLM_ASSERT(file.size() == layout.file_bytes());
  return to_stdout ? copy_to_stdout() : file.commit();
}

Result<void> FlatPngWriter::Impl::hash_rows() {
  sha.emplace();
  buffer.resize(layout.row_bytes);
  for (uint64_t i = 0; i < layout.rows; i++) {
    PIXELLM_CHECK(file.read_at(layout.pixels(i), buffer));
    sha->update(buffer);
  }
  return {};
}

Result<void> FlatPngWriter::Impl::copy_to_stdout() {
  auto out = PIXELLM_TRY(AtomicFile::create("-"));
  for (uint64_t offset = 0; offset < file.size(); offset += buffer.size()) {
    buffer.resize(std::min<uint64_t>(layout.stride(), file.size() - offset));
    PIXELLM_CHECK(file.read_at(offset, buffer));
    PIXELLM_CHECK(out.write(buffer));
  }
  return out.commit();
}

FlatPngWriter::FlatPngWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FlatPngWriter::FlatPngWriter(FlatPngWriter&&) noexcept = default;
FlatPngWriter::~FlatPngWriter() = default;

Result<FlatPngWriter> FlatPngWriter::create(const std::string& path, uint64_t row_bytes, uint64_t rows) {
  PIXELLM_CHECK(check_measures(row_bytes, rows));
  auto impl = std::make_unique<Impl>(PIXELLM_TRY(create_file(path)), row_bytes, rows, path == "-");
  PIXELLM_CHECK(impl->write_head());
  return FlatPngWriter(std::move(impl));
}

Result<FlatPngWriter> FlatPngWriter::create(AtomicFile file, uint64_t row_bytes, uint64_t rows) {
  PIXELLM_CHECK(check_measures(row_bytes, rows));
  auto impl = std::make_unique<Impl>(std::move(file), row_bytes, rows, /*is_stdout=*/false);
  PIXELLM_CHECK(impl->write_head());
  return FlatPngWriter(std::move(impl));
}

bool flat_png_allows(uint64_t row_bytes, uint64_t rows) { return check_measures(row_bytes, rows).has_value(); }

Result<void> FlatPngWriter::write_row(Bytes row) {
  Impl& s = *impl_;
  PIXELLM_CHECK(s.check_row(row));
  const uint64_t index = s.adlers.size();
  if (index == s.layout.rows)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("flat png: all {} rows of the picture are written", s.layout.rows));
  auto written = s.file.write(s.build_row(index, row));
  s.broken = !written;
  if (written && s.sha) s.sha->update(row);
  return written;
}

Result<void> FlatPngWriter::rewrite_row(uint64_t index, Bytes row) {
  Impl& s = *impl_;
  PIXELLM_CHECK(s.check_row(row));
  if (index >= s.adlers.size())
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("flat png: row {} cannot be replaced, {} rows are written", index, s.adlers.size()));
  s.sha.reset();
  auto written = s.file.write_at(s.layout.row_begin(index), s.build_row(index, row));
  s.broken = !written;
  return written;
}

void FlatPngWriter::expect_rewrites() { impl_->sha.reset(); }

Result<Digest> FlatPngWriter::finish() {
  Impl& s = *impl_;
  PIXELLM_CHECK(s.check_state());
  if (s.adlers.size() != s.layout.rows)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("flat png: {} of {} rows are written", s.adlers.size(), s.layout.rows));
  auto ended = s.write_end();
  (ended ? s.finished : s.broken) = true;
  if (!ended) return std::unexpected(std::move(ended).error());
  return s.layout.digest;
}

}  // namespace pixellm
