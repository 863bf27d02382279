// Random changes would hardly pass a PNG's checksums: this makes the CRC-32 of every chunk right.
#pragma once
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"

namespace pixellm {

inline void repair_checksums(std::vector<uint8_t>& png) {
  for (size_t at = 8; at + 12 <= png.size();) {
    const uint64_t length = load_be<uint32_t>(&png[at]);
    if (length > png.size() - at - 12) return;
    store_be<uint32_t>(&png[at + 8 + length], crc32(0, Bytes(png).subspan(at + 4, 4 + length)));
    at += 12 + length;
  }
}

}  // namespace pixellm
