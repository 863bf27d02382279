#include "pixel/png_chunks.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"

namespace pixellm {
namespace {

bool is_letter(uint8_t c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

std::string type_name(uint32_t type) {
  const std::array<uint8_t, 4> c = {uint8_t(type >> 24), uint8_t(type >> 16), uint8_t(type >> 8),
                                    uint8_t(type)};
  if (!std::all_of(c.begin(), c.end(), is_letter)) return fmt::format("0x{:08x}", type);
  return std::string(c.begin(), c.end());
}

}  // namespace

std::string PngChunk::name() const { return type_name(type); }

Result<PngChunk> read_chunk(Bytes file, uint64_t offset) {
  if (offset > file.size() || file.size() - offset < kPngChunkOverhead)
    return fail(
        ErrorCode::kCorrupt,
        fmt::format("png: a chunk is expected at byte {}, the file ends at byte {}", offset, file.size()));
  const uint32_t length = load_be<uint32_t>(file.data() + offset);
  PngChunk chunk;
  chunk.type = load_be<uint32_t>(file.data() + offset + 4);
  chunk.offset = offset;
  if (!std::all_of(file.data() + offset + 4, file.data() + offset + 8, is_letter))
    return fail(ErrorCode::kCorrupt,
                fmt::format("png: the chunk at byte {} has type {}, four letters are expected", offset,
                            chunk.name()));
  if (length > kPngMaxLength)
    return fail(ErrorCode::kCorrupt,
                fmt::format("png: chunk {} at byte {} has length {}, at most {} is allowed", chunk.name(),
                            offset, length, kPngMaxLength));
  if (length > file.size() - offset - kPngChunkOverhead)
    return fail(ErrorCode::kCorrupt,
                fmt::format("png: chunk {} at byte {} would end at byte {}, the file ends at byte {}",
                            chunk.name(), offset, offset + kPngChunkOverhead + length, file.size()));
  chunk.data = file.subspan(offset + 8, length);
  return chunk;
}

Result<void> check_chunk_crc(Bytes file, const PngChunk& chunk) {
  const uint32_t found = crc32(0, file.subspan(chunk.offset + 4, 4 + chunk.data.size()));
  const uint32_t stored = load_be<uint32_t>(file.data() + chunk.end() - 4);
  if (found == stored) return {};
  return fail(ErrorCode::kCorrupt,
              fmt::format("png: chunk {} at byte {} has CRC-32 {:08x}, the file says {:08x}", chunk.name(),
                          chunk.offset, found, stored));
}

Result<PngIhdr> PngIhdr::decode(Bytes data) {
  if (data.size() != kPngIhdrBytes)
    return fail(ErrorCode::kCorrupt,
                fmt::format("png: IHDR has {} bytes, {} are expected", data.size(), kPngIhdrBytes));
  PngIhdr h;
  h.width = load_be<uint32_t>(data.data());
  h.height = load_be<uint32_t>(data.data() + 4);
  h.depth = data[8];
  h.color_type = data[9];
  h.compression = data[10];
  h.filter = data[11];
  h.interlace = data[12];
  if (h.width == 0 || h.height == 0 || h.width > kPngMaxLength || h.height > kPngMaxLength)
    return fail(ErrorCode::kCorrupt, fmt::format("png: the picture is {} x {} pixels, 1 to {} are allowed",
                                                 h.width, h.height, kPngMaxLength));
  if (h.compression != 0 || h.filter != 0 || h.interlace > 1)
    return fail(
        ErrorCode::kCorrupt,
        fmt::format(
            "png: compression method {}, filter method {}, interlace method {}; 0, 0 and 0 or 1 exist",
            h.compression, h.filter, h.interlace));
  return h;
}

void encode_chunk(uint8_t* out, uint32_t type, Bytes data) {
  store_be<uint32_t>(out, static_cast<uint32_t>(data.size()));
  store_be<uint32_t>(out + 4, type);
  std::copy(data.begin(), data.end(), out + 8);
  store_be<uint32_t>(out + 8 + data.size(), crc32(0, Bytes(out + 4, 4 + data.size())));
}

}  // namespace pixellm
