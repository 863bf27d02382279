#include "pixel/plane.h"

#include <fmt/format.h>

#include <algorithm>

#include "pixel/plane_impl.h"
#include "pixel/pxif_reader.h"

namespace pixellm {
namespace {

bool begins_with(Bytes file, std::string_view magic) {
  return file.size() >= magic.size() &&
         std::equal(magic.begin(), magic.end(), file.begin(),
                    [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; });
}

// A few contents that people try to open by mistake.
std::string describe_content(Bytes file) {
  if (begins_with(file, "GGUF")) return "a GGUF file. Hint: `pixellm import` makes a picture of it";
  if (begins_with(file, "\xff\xd8\xff")) return "a JPEG picture, which cannot hold exact bytes";
  if (begins_with(file, "GIF8")) return "a GIF picture";
  if (begins_with(file, "RIFF")) return "a RIFF file (WebP, WAV)";
  if (begins_with(file, "PK\x03\x04")) return "a ZIP file (npz)";
  if (begins_with(file, "version https://git-lfs")) return "a Git LFS pointer, not the file itself";
  return fmt::format("content beginning with {}", to_hex(file.first(std::min<size_t>(file.size(), 8))));
}

}  // namespace

std::string_view plane_kind_name(PlaneKind kind) {
  switch (kind) {
    case PlaneKind::kFlatPng:
      return "flat png";
    case PlaneKind::kDecodedPng:
      return "png";
    case PlaneKind::kPxif:
      return "pxif";
    case PlaneKind::kDecodedPxif:
      return "compressed pxif";
  }
  return "unknown";
}

// ---- opening

Result<void> PixelPlane::Impl::open(uint64_t decode_limit) {
  file_bytes = file.size();
  if (file.empty())
    return fail(ErrorCode::kCorrupt, "the file is empty; a PNG or a PXIF container is expected");
  const auto signature = Bytes(kPngSignature).first(std::min(file.size(), kPngSignature.size()));
  if (std::equal(signature.begin(), signature.end(), file.begin())) return open_png(decode_limit);
  if (begins_with(file, std::string_view("PXIF").substr(0, file.size()))) return open_pxif(decode_limit);
  return fail(ErrorCode::kUnsupported,
              "a PNG or a PXIF container is expected, found " + describe_content(file));
}

Result<void> PixelPlane::Impl::open_png(uint64_t decode_limit) {
  const PngHead head = PIXELLM_TRY(read_png_head(file));
  layout = head.layout;
  if (head.is_flat) {
    PIXELLM_CHECK(take_flat(file.size()));
    return check_png_tail(file, layout->row_end(layout->rows - 1));
  }
  decoded = PIXELLM_TRY(decode_png(file, head, decode_limit));
  take_decoded(PlaneKind::kDecodedPng);
  return {};
}

// The rows of a flat PNG of `size` bytes, of which `file` is the beginning or all.
Result<void> PixelPlane::Impl::take_flat(uint64_t size) {
  const uint64_t needed = layout->file_bytes();
  if (size < needed)
    return fail(ErrorCode::kCorrupt,
                fmt::format("flat png: the file has {} bytes, {} rows of {} bytes need {}: it is truncated", size,
                            layout->rows, layout->row_bytes, needed));
  kind = PlaneKind::kFlatPng;
  file_bytes = size;
  base_offset = layout->base;
  base = file.data() + base_offset;
  row_bytes = layout->row_bytes;
  row_stride = layout->stride();
  rows = layout->rows;
  // A row is held when its pixels are.
  const uint64_t first_end = base_offset + row_bytes;
  held_rows = file.size() < first_end ? 0 : std::min(rows, (file.size() - first_end) / row_stride + 1);
  return {};
}

Result<void> PixelPlane::Impl::open_start() {
  const uint64_t size = file_bytes;
  if (file.size() > size)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} bytes are given of a file of {}", file.size(), size));
  if (!begins_with(file, {reinterpret_cast<const char*>(kPngSignature.data()), kPngSignature.size()}))
    return fail(ErrorCode::kUnsupported, "a flat PNG is expected, found " + describe_content(file));
  const PngHead head = PIXELLM_TRY(read_png_head(file));
  if (!head.is_flat)
    return fail(ErrorCode::kUnsupported,
                "the picture is not flat: its pixels are compressed, so no part of it can be read by itself");
  layout = head.layout;
  return take_flat(size);
}

void PixelPlane::Impl::take_decoded(PlaneKind how) {
  kind = how;
  base = decoded.pixels.get();
  row_bytes = row_stride = decoded.row_bytes;
  rows = held_rows = decoded.rows;
  file = {};
  mapping = {};
}

Result<void> PixelPlane::Impl::open_pxif(uint64_t decode_limit) {
  pxif = PIXELLM_TRY(PxifHeader::decode(file));
  PIXELLM_CHECK(pxif.check_file_bytes(file.size()));
  if (pxif.compression != PxifCompression::kNone) return decode_pxif(decode_limit);
  kind = PlaneKind::kPxif;
  base_offset = PxifHeader::kEncodedLength;
  base = file.data() + base_offset;
  row_bytes = row_stride = pxif.row_bytes();
  rows = held_rows = pxif.height;
  return {};
}

// The picture of the content, padded with zeros to its last row's end.
Result<void> PixelPlane::Impl::decode_pxif(uint64_t limit) {
  auto reader = PIXELLM_TRY(PxifReader::open_bytes(file, "compressed"));
  decoded.row_bytes = pxif.row_bytes();
  decoded.rows = pxif.content_rows();
  const auto size = checked_mul(decoded.row_bytes, decoded.rows);
  if (!size || *size > limit)
    return fail(ErrorCode::kTooLarge, fmt::format("pxif: {} bytes of content at width {} when decoded, {} are allowed",
                                                  pxif.original_size, pxif.width, limit));
  PIXELLM_CHECK(decoded.allocate());
  PIXELLM_CHECK(reader.read(0, {decoded.pixels.get(), pxif.original_size}));
  PIXELLM_CHECK(reader.check_padding());
  std::fill(decoded.pixels.get() + pxif.original_size, decoded.pixels.get() + *size, uint8_t{0});
  take_decoded(PlaneKind::kDecodedPxif);
  return {};
}

Result<PixelPlane> PixelPlane::open(const std::string& path, uint64_t decode_limit) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->mapping = PIXELLM_TRY(MappedFile::open(path));
  impl->file = impl->mapping.data();
  if (auto opened = impl->open(decode_limit); !opened) return fail_in(path, std::move(opened).error());
  return PixelPlane(std::move(impl));
}

Result<PixelPlane> PixelPlane::open_bytes(Bytes file, const std::string& name, uint64_t decode_limit) {
  auto impl = std::make_unique<Impl>();
  impl->path = name;
  impl->file = file;
  if (auto opened = impl->open(decode_limit); !opened) return fail_in(name, std::move(opened).error());
  return PixelPlane(std::move(impl));
}

Result<PixelPlane> PixelPlane::open_start(Bytes start, uint64_t file_bytes, const std::string& name) {
  auto impl = std::make_unique<Impl>();
  impl->path = name;
  impl->file = start;
  impl->file_bytes = file_bytes;
  if (auto opened = impl->open_start(); !opened) return fail_in(name, std::move(opened).error());
  return PixelPlane(std::move(impl));
}

// ---- the open plane

PixelPlane::PixelPlane(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PixelPlane::PixelPlane(PixelPlane&&) noexcept = default;
PixelPlane& PixelPlane::operator=(PixelPlane&&) noexcept = default;
PixelPlane::~PixelPlane() = default;

PlaneKind PixelPlane::kind() const { return impl_->kind; }
const std::string& PixelPlane::path() const { return impl_->path; }
uint64_t PixelPlane::file_bytes() const { return impl_->file_bytes; }
uint64_t PixelPlane::base_offset() const { return impl_->base_offset; }
uint64_t PixelPlane::row_bytes() const { return impl_->row_bytes; }
uint64_t PixelPlane::row_stride() const { return impl_->row_stride; }
uint64_t PixelPlane::rows() const { return impl_->rows; }
uint64_t PixelPlane::held_rows() const { return impl_->held_rows; }
const uint8_t* PixelPlane::base() const { return impl_->base; }

Result<void> PixelPlane::read(uint64_t offset, MutableBytes out) const {
  const uint64_t size = payload_bytes();
  if (offset > size || out.size() > size - offset)
    return fail(ErrorCode::kCorrupt,
                fmt::format("{}: {} payload bytes from {} on are needed, the picture holds {}", path(),
                            out.size(), offset, size));
  if (const uint64_t held = row_bytes() * held_rows(); offset + out.size() > held)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: {} payload bytes from {} on are needed, {} are at hand", path(), out.size(), offset, held));
  while (!out.empty()) {
    const uint64_t r = offset / row_bytes(), column = offset % row_bytes();
    const uint64_t n = std::min<uint64_t>(out.size(), row_bytes() - column);
    std::copy_n(base() + r * row_stride() + column, n, out.begin());
    out = out.subspan(n);
    offset += n;
  }
  return {};
}

std::pair<uint64_t, uint64_t> PixelPlane::chunk_range(uint64_t first, uint64_t count) const {
  PIXELLM_ASSERT(kind() == PlaneKind::kFlatPng && first < rows() && count > 0 && count <= rows() - first);
  return {impl_->layout->row_begin(first), impl_->layout->row_end(first + count - 1)};
}

Result<std::vector<std::pair<uint64_t, uint64_t>>> PixelPlane::check_chunks(uint64_t first, uint64_t count,
                                                                            Bytes chunks) const {
  if (kind() != PlaneKind::kFlatPng)
    return fail(ErrorCode::kInvalidArgument, fmt::format("{}: only a flat PNG has chunks to check", path()));
  if (first >= rows() || count == 0 || count > rows() - first)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: {} rows from {} on, the picture has {}", path(), count, first, rows()));
  const auto [begin, end] = chunk_range(first, count);
  if (chunks.size() != end - begin)
    return fail(ErrorCode::kInvalidArgument, fmt::format("{}: {} bytes for {} rows from {} on, which take {}", path(),
                                                         chunks.size(), count, first, end - begin));
  std::vector<std::pair<uint64_t, uint64_t>> damaged;
  const RowChecker checker(*impl_->layout);
  for (uint64_t row = first; row < first + count; row++)
    if (!checker.is_intact(row, chunks.data() + (impl_->layout->row_begin(row) - begin))) add_to_ranges(damaged, row);
  return damaged;
}

void PixelPlane::release_rows(uint64_t first, uint64_t count) const {
  if (impl_->mapping.data().empty() || first >= rows()) return;
  count = std::min(count, rows() - first);
  impl_->mapping.release(base_offset() + first * row_stride(), count * row_stride());
}

void PixelPlane::prefetch_rows(uint64_t first, uint64_t count) const {
  if (impl_->mapping.data().empty() || first >= rows()) return;
  count = std::min(count, rows() - first);
  impl_->mapping.prefetch(base_offset() + first * row_stride(), count * row_stride());
}

Result<void> PixelPlane::populate_rows(uint64_t first, uint64_t count) const {
  if (impl_->mapping.data().empty() || first >= rows()) return {};
  count = std::min(count, rows() - first);
  return impl_->mapping.populate(base_offset() + first * row_stride(), count * row_stride());
}

}  // namespace pixellm
