#include "pixel/pxif_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/hash_pipe.h"
#include "pixel/pxif_block.h"
#include "pixel/pxif_seek_table.h"

namespace pixellm {
namespace {

// The pipe's chunk is a block, so that a block is compressed from where it was read into.
static_assert(HashPipe::kChunkBytes == kPxifBlockBytes);

// The disk works while we read and hash on; much less at a time costs more calls than it saves.
constexpr uint64_t kWritebackBytes = uint64_t{16} << 20;

}  // namespace

struct PxifWriter::Impl {
  AtomicFile file;
  PxifHeader header;
  std::unique_ptr<PxifBlockCodec> codec;  // none for compression 0
  PxifSeekTable table;
  HashPipe pipe;
  size_t filled = 0;  // of the pipe's chunk
  uint64_t unwritten = 0;
  bool broken = false, finished = false;

  explicit Impl(AtomicFile f) : file(std::move(f)) {}

  Result<void> flush();
  Result<void> write_tail();
  Result<void> complete();
};

// Writes what was gathered: the next piece of the body, or the next block.
Result<void> PxifWriter::Impl::flush() {
  if (filled == 0) return {};
  const Bytes chunk = pipe.next().first(filled);
  header.original_size += filled;
  if (!codec &&
      PxifHeader::rows_for(header.original_size, header.width) > std::numeric_limits<uint32_t>::max())
    return fail(ErrorCode::kTooLarge,
                fmt::format("pxif: over {} bytes of content at width {} need more than 2^32 - 1 rows; "
                            "choose a larger width",
                            header.original_size, header.width));
  if (codec && table.block_count() == kPxifMaxBlocks)
    return fail(ErrorCode::kTooLarge, fmt::format("pxif: more than {} blocks", kPxifMaxBlocks));
  pipe.push(filled);
  filled = 0;
  const uint64_t before = file.size();
  if (!codec) {
    PIXELLM_CHECK(file.write(chunk));
  } else {
    const Bytes block = PIXELLM_TRY(codec->compress(chunk));
    PIXELLM_ASSERT(block.size() <= pxif_max_stored(chunk.size()));
    PIXELLM_CHECK(file.write(block));
    table.add(block.size(), chunk.size());
  }
  unwritten += file.size() - before;
  if (unwritten < kWritebackBytes) return {};
  unwritten = 0;
  file.start_writeback();
  return {};
}

// Fills the last row and sets the height.
Result<void> PxifWriter::Impl::write_tail() {
  if (!codec) {
    header.height = static_cast<uint32_t>(header.content_rows());
    return file.extend(header.file_bytes());
  }
  if (header.original_size == 0) return {};
  const PxifSeekTable::Tail tail = table.encode(header.row_bytes());
  const uint64_t rows = (table.blocks_end() + tail.bytes()) / header.row_bytes();
  if (rows > std::numeric_limits<uint32_t>::max())
    return fail(ErrorCode::kTooLarge,
                fmt::format("pxif: {} rows at width {}, at most 2^32 - 1 are allowed; choose a larger "
                            "width",
                            rows, header.width));
  header.height = static_cast<uint32_t>(rows);
  PIXELLM_CHECK(file.write(tail.padding_head));
  PIXELLM_CHECK(file.extend(file.size() + tail.padding_zeros));
  PIXELLM_CHECK(file.write(tail.table));
  PIXELLM_ASSERT(file.size() == header.file_bytes());
  return {};
}

Result<void> PxifWriter::Impl::complete() {
  PIXELLM_CHECK(flush());
  PIXELLM_CHECK(write_tail());
  header.checksum = pipe.finish();
  std::array<uint8_t, PxifHeader::kEncodedLength> encoded;
  header.encode(encoded);
  PIXELLM_CHECK(file.write_at(0, encoded));
  return file.commit();
}

PxifWriter::PxifWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PxifWriter::PxifWriter(PxifWriter&&) noexcept = default;
PxifWriter::~PxifWriter() = default;

Result<PxifWriter> PxifWriter::create(const std::string& path, const PxifOptions& options) {
  if (path == "-")
    return fail(ErrorCode::kInvalidArgument, "pxif: a container cannot be written to standard output");
  return create(PIXELLM_TRY(AtomicFile::create(path)), options);
}

Result<PxifWriter> PxifWriter::create(AtomicFile file, const PxifOptions& options) {
  const bool compressed = options.compression != PxifCompression::kNone;
  const uint32_t widest = compressed ? kPxifMaxCompressedWidth : std::numeric_limits<uint32_t>::max();
  if (options.width == 0 || options.width > widest)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("pxif: width {}, 1 to {} are allowed{}", options.width, widest,
                            compressed ? " in a compressed container" : ""));
  auto impl = std::make_unique<Impl>(std::move(file));
  impl->header.width = options.width;
  impl->header.compression = options.compression;
  impl->codec = PxifBlockCodec::create(options.compression);
  PIXELLM_CHECK(impl->file.write(std::array<uint8_t, PxifHeader::kEncodedLength>{}));  // the header's place
  return PxifWriter(std::move(impl));
}

MutableBytes PxifWriter::buffer() { return impl_->pipe.next().subspan(impl_->filled); }

Result<void> PxifWriter::advance(size_t n) {
  Impl& s = *impl_;
  PIXELLM_ASSERT(n <= HashPipe::kChunkBytes - s.filled);
  if (s.finished || s.broken)
    return fail(ErrorCode::kInvalidArgument,
                s.finished ? "pxif: the container is finished" : "pxif: an earlier write failed");
  s.filled += n;
  if (s.filled < HashPipe::kChunkBytes) return {};
  auto flushed = s.flush();
  s.broken = !flushed;
  return flushed;
}

Result<void> PxifWriter::write(Bytes content) {
  while (!content.empty()) {
    const MutableBytes free = buffer();
    const size_t n = std::min(free.size(), content.size());
    std::copy_n(content.begin(), n, free.begin());
    PIXELLM_CHECK(advance(n));
    content = content.subspan(n);
  }
  return {};
}

Result<void> PxifWriter::write_from(InputStream& in, const Progress& progress) {
  uint64_t done = 0;
  for (;;) {
    auto n = in.read(buffer());
    if (!n) {
      impl_->broken = true;
      return std::unexpected(std::move(n).error());
    }
    if (*n == 0) return {};
    PIXELLM_CHECK(advance(*n));
    done += *n;
    if (progress) progress(done, in.expected_bytes());
  }
}

Result<PxifHeader> PxifWriter::finish() {
  Impl& s = *impl_;
  PIXELLM_CHECK(advance(0));
  auto completed = s.complete();
  (completed ? s.finished : s.broken) = true;
  if (!completed) return std::unexpected(std::move(completed).error());
  return s.header;
}

}  // namespace pixellm
