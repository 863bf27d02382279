#include "pixel/pxif_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "base/hash_pipe.h"
#include "pixel/pxif_block.h"
#include "pixel/pxif_seek_table.h"

namespace pixellm {
namespace {

// The system's errors name the file themselves.
std::unexpected<Error> in_file(const std::string& path, Error error) {
  if (error.code == ErrorCode::kIo) return std::unexpected<Error>(std::move(error));
  return fail_in(path, std::move(error));
}

Result<PxifHeader> decode_header(const File& file) {
  std::array<uint8_t, PxifHeader::kEncodedLength> start;
  const auto head = MutableBytes(start).first(std::min<uint64_t>(file.size(), start.size()));
  PIXELLM_CHECK(file.read_at(0, head));
  return PxifHeader::decode(head);
}

}  // namespace

Result<PxifHeader> read_pxif_header(const File& file) {
  auto header = decode_header(file);
  if (!header) return in_file(file.path(), std::move(header).error());
  if (auto right = header->check_file_bytes(file.size()); !right)
    return in_file(file.path(), std::move(right).error());
  return header;
}

struct PxifReader::Impl {
  std::string path;
  std::optional<File> file;  // else `memory`
  Bytes memory;
  uint64_t file_bytes = 0;
  PxifHeader header;
  std::unique_ptr<PxifBlockCodec> codec;  // none for compression 0
  PxifSeekTable table;
  std::vector<uint8_t> stored, decoded;  // a block as it is in the file; the last one that was decoded aside
  std::optional<uint64_t> decoded_block;

  Result<void> open();
  Result<void> read_body(uint64_t offset, MutableBytes out) const;
  Result<void> read_content(uint64_t offset, MutableBytes out);
  Result<void> decode_block(uint64_t index, MutableBytes out);
  Result<Bytes> whole_block(uint64_t index);
  Result<void> check_padding() const;
  Result<void> check_digest(const Digest& found) const;
  Result<void> copy(const CopyOptions& options, const Sink& sink);
};

Result<void> PxifReader::Impl::open() {
  header = PIXELLM_TRY(file ? decode_header(*file) : PxifHeader::decode(memory));
  PIXELLM_CHECK(header.check_file_bytes(file_bytes));
  codec = PxifBlockCodec::create(header.compression);
  if (!codec) return {};
  table = PIXELLM_TRY(PxifSeekTable::read(
      header, [this](uint64_t offset, MutableBytes out) { return read_body(offset, out); }));
  return {};
}

Result<void> PxifReader::Impl::read_body(uint64_t offset, MutableBytes out) const {
  offset += PxifHeader::kEncodedLength;
  PIXELLM_ASSERT(offset <= file_bytes && out.size() <= file_bytes - offset);
  if (file) return file->read_at(offset, out);
  std::ranges::copy(memory.subspan(offset, out.size()), out.begin());
  return {};
}

Result<void> PxifReader::Impl::decode_block(uint64_t index, MutableBytes out) {
  const PxifSeekTable::Block block = table.block(index);
  stored.resize(block.stored_bytes);
  PIXELLM_CHECK(read_body(block.offset, stored));
  if (auto made = codec->decompress(stored, out); !made)
    return fail_in(
        fmt::format("pxif: block {} (content from byte {} on)", index, index * table.block_bytes()),
        std::move(made).error());
  return {};
}

// The content of a block of which only a part is wanted: kept, since the next read often continues there.
Result<Bytes> PxifReader::Impl::whole_block(uint64_t index) {
  if (decoded_block != index) {
    decoded_block.reset();
    decoded.resize(table.block(index).content_bytes);
    PIXELLM_CHECK(decode_block(index, decoded));
    decoded_block = index;
  }
  return Bytes(decoded);
}

Result<void> PxifReader::Impl::read_content(uint64_t offset, MutableBytes out) {
  if (!codec) return read_body(offset, out);
  while (!out.empty()) {
    const uint64_t index = offset / table.block_bytes(), begin = offset % table.block_bytes();
    const uint64_t content = table.block(index).content_bytes;
    const uint64_t n = std::min<uint64_t>(out.size(), content - begin);
    if (n == content) {
      PIXELLM_CHECK(decode_block(index, out.first(n)));
    } else {
      const Bytes block = PIXELLM_TRY(whole_block(index));
      std::ranges::copy(block.subspan(begin, n), out.begin());
    }
    out = out.subspan(n);
    offset += n;
  }
  return {};
}

Result<void> PxifReader::Impl::check_padding() const {
  PxifSeekTable::Range zeros =
      codec ? table.padding() : PxifSeekTable::Range{header.original_size, header.body_bytes()};
  std::vector<uint8_t> buffer(std::min<uint64_t>(zeros.end - zeros.begin, HashPipe::kChunkBytes));
  while (zeros.begin < zeros.end) {
    const MutableBytes part =
        MutableBytes(buffer).first(std::min<uint64_t>(buffer.size(), zeros.end - zeros.begin));
    PIXELLM_CHECK(read_body(zeros.begin, part));
    const auto wrong = std::ranges::find_if(part, [](uint8_t b) { return b != 0; });
    if (wrong != part.end())
      return fail(ErrorCode::kCorrupt,
                  fmt::format("pxif: the padding is not zero at byte {} of the body",
                              zeros.begin + static_cast<uint64_t>(wrong - part.begin())));
    zeros.begin += part.size();
  }
  return {};
}

Result<void> PxifReader::Impl::check_digest(const Digest& found) const {
  if (found == header.checksum) return {};
  return fail(ErrorCode::kCorrupt, fmt::format("pxif: the SHA-256 of the content is {}, the header says {}",
                                               to_hex(found), to_hex(header.checksum)));
}

Result<void> PxifReader::Impl::copy(const CopyOptions& options, const Sink& sink) {
  const uint64_t size = header.original_size;
  if (options.offset > size)
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("offset {} is past the end of the content, which has {} bytes", options.offset, size));
  const uint64_t want_begin = options.offset,
                 want_end = want_begin + std::min(options.length, size - want_begin);
  const uint64_t begin = options.verify ? 0 : want_begin, end = options.verify ? size : want_end;
  std::optional<HashPipe> pipe;
  std::vector<uint8_t> buffer;
  if (options.verify)
    pipe.emplace();
  else
    buffer.resize(std::min<uint64_t>(end - begin, HashPipe::kChunkBytes));
  for (uint64_t at = begin; at < end;) {
    // Whole blocks where possible: they are decoded to where they are needed.
    const uint64_t to_boundary = HashPipe::kChunkBytes - at % HashPipe::kChunkBytes;
    const MutableBytes memory_here = pipe ? pipe->next() : MutableBytes(buffer);
    const uint64_t n = std::min({uint64_t{memory_here.size()}, to_boundary, end - at});
    PIXELLM_CHECK(read_content(at, memory_here.first(n)));
    if (pipe) pipe->push(n);
    const uint64_t from = std::clamp(want_begin, at, at + n), to = std::clamp(want_end, at, at + n);
    if (from < to) PIXELLM_CHECK(sink(Bytes(memory_here).subspan(from - at, to - from)));
    at += n;
    if (options.progress) options.progress(at - begin, end - begin);
  }
  if (!pipe) return {};
  PIXELLM_CHECK(check_padding());
  return check_digest(pipe->finish());
}

PxifReader::PxifReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PxifReader::PxifReader(PxifReader&&) noexcept = default;
PxifReader::~PxifReader() = default;

Result<PxifReader> PxifReader::open(const std::string& path) { return open(PIXELLM_TRY(File::open(path))); }

Result<PxifReader> PxifReader::open(File file) {
  auto impl = std::make_unique<Impl>();
  impl->path = file.path();
  impl->file_bytes = file.size();
  impl->file = std::move(file);
  if (auto opened = impl->open(); !opened) return fail_in(impl->path, std::move(opened).error());
  return PxifReader(std::move(impl));
}

Result<PxifReader> PxifReader::open_bytes(Bytes file, const std::string& name) {
  auto impl = std::make_unique<Impl>();
  impl->path = name;
  impl->file_bytes = file.size();
  impl->memory = file;
  if (auto opened = impl->open(); !opened) return in_file(name, std::move(opened).error());
  return PxifReader(std::move(impl));
}

const PxifHeader& PxifReader::header() const { return impl_->header; }
const std::string& PxifReader::path() const { return impl_->path; }

Result<void> PxifReader::check_padding() const {
  auto checked = impl_->check_padding();
  if (!checked) return in_file(path(), std::move(checked).error());
  return {};
}

Result<void> PxifReader::read(uint64_t offset, MutableBytes out) {
  if (offset > size() || out.size() > size() - offset)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: {} bytes from {} on are asked for, the content has {}", path(), out.size(),
                            offset, size()));
  auto done = impl_->read_content(offset, out);
  if (!done) return in_file(path(), std::move(done).error());
  return {};
}

Result<void> PxifReader::copy(const CopyOptions& options, const Sink& sink) {
  bool sink_failed = false;  // its error names its own file
  auto done = impl_->copy(options, [&](Bytes piece) -> Result<void> {
    auto taken = sink(piece);
    sink_failed = !taken;
    return taken;
  });
  if (done) return {};
  if (sink_failed) return done;
  return in_file(path(), std::move(done).error());
}

Result<void> PxifReader::verify(const Progress& progress) {
  return copy({.verify = true, .progress = progress}, [](Bytes) -> Result<void> { return {}; });
}

}  // namespace pixellm
