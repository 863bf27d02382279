// PXIF 1.0, the PixelFS container: a 64-byte big-endian header, then RGB rows that hold the content or,
// compressed, its blocks. The header only; pxif_writer.h and pxif_reader.h handle whole containers. Spec:
// spec/pixelfs.md, section 1.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"

namespace pixellm {

enum class PxifCompression : uint8_t { kNone = 0, kRle = 1, kLz4 = 2, kZstd = 3 };

std::string_view pxif_compression_name(PxifCompression compression);  // "none", "rle", "lz4", "zstd"
std::optional<PxifCompression> pxif_compression_named(std::string_view name);

struct PxifHeader {
  static constexpr size_t kEncodedLength = 64;
  uint8_t version_major = 1, version_minor = 0;
  uint64_t original_size = 0;         // bytes of content
  uint32_t width = 1024, height = 0;  // pixels of the body
  PxifCompression compression = PxifCompression::kNone;
  Digest checksum{};  // SHA-256 of the content

  uint64_t row_bytes() const { return uint64_t{3} * width; }
  uint64_t body_bytes() const { return row_bytes() * height; }  // fits: decode() checked it
  uint64_t file_bytes() const { return kEncodedLength + body_bytes(); }
  // Rows of the picture that shows the content; `height` where nothing is compressed.
  uint64_t content_rows() const { return rows_for(original_size, width); }

  void encode(std::array<uint8_t, kEncodedLength>& out) const;
  // kCorrupt (short, magic, sizes that contradict each other), kUnsupported (version, compression, reserved
  // bytes), kTooLarge (more pixels than 64 bits can count).
  static Result<PxifHeader> decode(Bytes file_start);
  // kCorrupt: the file has another length than the header says.
  Result<void> check_file_bytes(uint64_t file_bytes) const;

  // Rows of `width` pixels that `bytes` fill; 0 for width 0.
  static uint64_t rows_for(uint64_t bytes, uint32_t width);
};

}  // namespace pixellm
