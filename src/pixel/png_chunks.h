// PNG's outer structure: signature, chunks, IHDR. Internal to src/pixel. PNG's integers are big-endian.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/error.h"

namespace pixellm {

inline constexpr std::array<uint8_t, 8> kPngSignature = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
inline constexpr uint64_t kPngChunkOverhead = 12;      // length, type, CRC-32
inline constexpr uint32_t kPngMaxLength = 0x7fffffff;  // of a chunk, a width, a height
inline constexpr uint64_t kPngIhdrBytes = 13;

constexpr uint32_t chunk_type(const char (&name)[5]) {
  return uint32_t(uint8_t(name[0])) << 24 | uint32_t(uint8_t(name[1])) << 16 |
         uint32_t(uint8_t(name[2])) << 8 | uint8_t(name[3]);
}
inline constexpr uint32_t kIhdr = chunk_type("IHDR"), kPlte = chunk_type("PLTE"), kIdat = chunk_type("IDAT"),
                          kIend = chunk_type("IEND"), kPxlm = chunk_type("pxLM");

// A critical chunk must be understood by whoever reads the picture: bit 5 of the first letter is 0.
constexpr bool is_critical(uint32_t type) { return (type & 0x20000000u) == 0; }

struct PngChunk {
  uint32_t type = 0;
  uint64_t offset = 0;  // of the length field in the file
  Bytes data;
  uint64_t end() const { return offset + kPngChunkOverhead + data.size(); }
  std::string name() const;  // the type's four letters, or hexadecimal when they are not letters
};

// The chunk at `offset`; its length and type are checked, and that it ends inside the file. kCorrupt.
Result<PngChunk> read_chunk(Bytes file, uint64_t offset);
Result<void> check_chunk_crc(Bytes file, const PngChunk& chunk);

struct PngIhdr {
  uint32_t width = 0, height = 0;
  uint8_t depth = 0, color_type = 0, compression = 0, filter = 0, interlace = 0;
  bool is_rgb8() const { return depth == 8 && color_type == 2; }

  static Result<PngIhdr> decode(Bytes data);
};

// Writes length, type, data and CRC-32 at `out`, which has data.size() + 12 bytes.
void encode_chunk(uint8_t* out, uint32_t type, Bytes data);

}  // namespace pixellm
