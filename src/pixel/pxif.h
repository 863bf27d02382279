// PXIF 1.0, the PixelFS container: a 64-byte big-endian header, then RGB rows. Spec: spec/pixel-plane.md,
// "PXIF".
#pragma once
#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"

namespace pixellm {

struct PxifHeader {
  static constexpr size_t kEncodedLength = 64;
  uint8_t version_major = 1, version_minor = 0;
  uint64_t original_size = 0;         // payload bytes before padding
  uint32_t width = 1024, height = 0;  // pixels
  uint8_t compression = 0;            // 0 none
  Digest checksum{};                  // SHA-256 of the unpadded payload

  void encode(std::array<uint8_t, kEncodedLength>& out) const;
  // kCorrupt (short, magic, sizes that contradict each other), kUnsupported (version, compression).
  static Result<PxifHeader> decode(Bytes file_start);
};

}  // namespace pixellm
