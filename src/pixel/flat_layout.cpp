#include "pixel/flat_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace pixellm {
namespace {

constexpr uint64_t kEmptyBlocks = 22;
constexpr std::array<uint8_t, 5> kEmptyBlock = {0, 0, 0, 0xff, 0xff};

}  // namespace

uint64_t flat_png_file_bytes(uint64_t row_bytes, uint64_t rows) {
  return FlatLayout{.row_bytes = row_bytes, .rows = rows}.file_bytes();
}

RowFrame FlatLayout::frame(uint64_t row) const {
  const bool first = row == 0, last = row + 1 == rows;
  RowFrame f;
  f.size = frame_size(row);
  uint8_t* p = f.bytes.data();
  const uint64_t data_bytes = f.size - 8 + row_bytes + trailer_size(row) - 4;
  store_be<uint32_t>(p, static_cast<uint32_t>(data_bytes));
  store_be<uint32_t>(p + 4, kIdat);
  p += 8;
  if (first) {  // zlib: deflate, window 32 KiB, fastest, no dictionary
    *p++ = 0x78;
    *p++ = 0x01;
  }
  for (uint64_t i = 0; i < kEmptyBlocks; i++) p = std::copy(kEmptyBlock.begin(), kEmptyBlock.end(), p);
  const auto length = static_cast<uint16_t>(row_bytes + 1);
  *p++ = last ? 1 : 0;
  store_le<uint16_t>(p, length);
  store_le<uint16_t>(p + 2, static_cast<uint16_t>(~length));
  p[4] = 0;  // filter type "none"
  PIXELLM_ASSERT(p + 5 == f.bytes.data() + f.size);
  return f;
}

void FlatLayout::encode_pxlm(uint8_t* out) const {
  std::fill_n(out, kPxlmBytes, uint8_t{0});
  store_le<uint32_t>(out, kPxlmVersion);
  store_le<uint32_t>(out + 4, static_cast<uint32_t>(row_bytes));
  store_le<uint32_t>(out + 8, static_cast<uint32_t>(stride()));
  store_le<uint32_t>(out + 12, static_cast<uint32_t>(rows));
  store_le<uint64_t>(out + 16, base);
  std::copy(digest.begin(), digest.end(), out + 24);
}

std::optional<FlatLayout> FlatLayout::decode(Bytes pxlm, const PngIhdr& ihdr) {
  if (pxlm.size() < kPxlmFields || load_le<uint32_t>(pxlm.data()) != kPxlmVersion) return std::nullopt;
  FlatLayout l;
  l.row_bytes = load_le<uint32_t>(pxlm.data() + 4);
  const uint64_t stride = load_le<uint32_t>(pxlm.data() + 8);
  l.rows = load_le<uint32_t>(pxlm.data() + 12);
  l.base = load_le<uint64_t>(pxlm.data() + 16);
  std::copy_n(pxlm.begin() + 24, l.digest.size(), l.digest.begin());
  const bool lawful = ihdr.is_rgb8() && ihdr.interlace == 0 && l.row_bytes == uint64_t{3} * ihdr.width &&
                      l.rows == ihdr.height && l.row_bytes % kFlatRowUnit == 0 &&
                      l.row_bytes <= kFlatMaxRowBytes && l.rows <= kFlatMaxRows && stride == l.stride();
  return lawful ? std::optional(l) : std::nullopt;
}

bool RowChecker::is_intact(uint64_t row, const uint8_t* chunk) const {
  const RowFrame& frame = row == 0 ? first_ : row + 1 == layout_.rows ? last_ : middle_;
  if (std::memcmp(chunk, frame.bytes.data(), frame.size) != 0) return false;
  const uint64_t covered = frame.size - 4 + layout_.row_bytes + layout_.trailer_size(row) - 4;
  return crc32(0, {chunk + 4, covered}) == load_be<uint32_t>(chunk + 4 + covered);
}

void add_to_ranges(std::vector<std::pair<uint64_t, uint64_t>>& ranges, uint64_t row) {
  if (!ranges.empty() && ranges.back().second + 1 == row)
    ranges.back().second = row;
  else
    ranges.emplace_back(row, row);
}

Result<PngHead> read_png_head(Bytes file) {
  if (!std::equal(kPngSignature.begin(), kPngSignature.end(), file.begin(),
                  file.begin() + static_cast<ptrdiff_t>(std::min(file.size(), kPngSignature.size()))))
    return fail(ErrorCode::kCorrupt, "png: the signature is damaged");
  PngHead head;
  Bytes pxlm;
  int pxlm_count = 0;
  for (uint64_t offset = kPngSignature.size();;) {
    const PngChunk chunk = PIXELLM_TRY(read_chunk(file, offset));
    const bool first = offset == kPngSignature.size();
    if (chunk.type == kIdat && !first) {
      head.first_idat = offset;
      break;
    }
    PIXELLM_CHECK(check_chunk_crc(file, chunk));
    if (first != (chunk.type == kIhdr))
      return fail(ErrorCode::kCorrupt,
                  fmt::format("png: chunk {} at byte {}, {}", chunk.name(), offset,
                              first ? "IHDR is expected first" : "IHDR stands only first"));
    if (first) {
      head.ihdr = PIXELLM_TRY(PngIhdr::decode(chunk.data));
    } else if (chunk.type == kIend) {
      return fail(ErrorCode::kCorrupt, fmt::format("png: IEND at byte {} before any pixels", offset));
    } else if (is_critical(chunk.type) && chunk.type != kPlte) {
      return fail(ErrorCode::kUnsupported,
                  fmt::format("png: critical chunk {} at byte {} is not known", chunk.name(), offset));
    } else if (chunk.type == kPxlm) {
      pxlm = chunk.data;
      pxlm_count++;
    }
    offset = chunk.end();
  }
  if (pxlm_count == 1) head.layout = FlatLayout::decode(pxlm, head.ihdr);
  if (head.layout) {
    const FlatLayout& l = *head.layout;
    const RowFrame frame = l.frame(0);
    head.is_flat = l.base % 64 == 0 && l.base == head.first_idat + frame.size &&
                   std::equal(frame.bytes.begin(), frame.bytes.begin() + 4,
                              file.begin() + static_cast<ptrdiff_t>(head.first_idat));
  }
  return head;
}

Result<void> check_png_tail(Bytes file, uint64_t offset) {
  for (;;) {
    const PngChunk chunk = PIXELLM_TRY(read_chunk(file, offset));
    PIXELLM_CHECK(check_chunk_crc(file, chunk));
    if (chunk.type == kIend) {
      if (!chunk.data.empty())
        return fail(ErrorCode::kCorrupt,
                    fmt::format("png: IEND at byte {} has {} bytes of data, 0 are expected", offset,
                                chunk.data.size()));
      if (chunk.end() == file.size()) return {};
      return fail(ErrorCode::kCorrupt,
                  fmt::format("png: IEND ends at byte {}, the file at byte {}", chunk.end(), file.size()));
    }
    if (is_critical(chunk.type))
      return fail(ErrorCode::kCorrupt,
                  fmt::format("png: critical chunk {} at byte {} after the pixels", chunk.name(), offset));
    offset = chunk.end();
  }
}

}  // namespace pixellm
