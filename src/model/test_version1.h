// A model with a version 1 header, as the mission's text describes it, for tests.
#pragma once
#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"

namespace pixellm {

struct Version1Options {
  bool is_big = false, is_relative = false;
  uint64_t entry_bytes = 28;
  uint8_t encoding = 1, precision = 0, minor = 0;
};

inline constexpr uint64_t kVersion1Width = 16;

template <class T>
void put_integer(uint8_t* p, T v, bool is_big) {
  is_big ? store_be<T>(p, v) : store_le<T>(p, v);
}

// Two tensors, "embed" of 4 x 8 and "ffn" of 16 x 3 pixels, behind a version 1 header.
inline std::vector<uint8_t> version1_payload(const Version1Options& o) {
  const uint64_t areas[] = {32, 48};
  const uint64_t first = ceil_div(256 + 2 * o.entry_bytes, 3), rows = ceil_div(first + 80, kVersion1Width);
  std::vector<uint8_t> p(rows * kVersion1Width * 3);
  std::memcpy(p.data(), "PXIM", 4);
  p[4] = 1;
  p[5] = o.minor;
  put_integer<uint16_t>(&p[6], 1, o.is_big);
  put_integer<uint32_t>(&p[0x10], 320, o.is_big);
  put_integer<uint32_t>(&p[0x14], 7, o.is_big);
  p[0x28] = o.encoding;
  p[0x29] = o.precision;
  put_integer<uint16_t>(&p[0x2A], 64, o.is_big);
  put_integer<uint32_t>(&p[0x2C], kVersion1Width, o.is_big);
  put_integer<uint32_t>(&p[0x30], static_cast<uint32_t>(rows), o.is_big);
  uint64_t pixel = o.is_relative ? 0 : first;
  for (uint64_t i = 0; i < 2; i++) {
    uint8_t* e = &p[256 + i * o.entry_bytes];
    put_integer<uint64_t>(e, pixel, o.is_big);
    put_integer<uint32_t>(e + 8, i == 0 ? 4 : 16, o.is_big);
    put_integer<uint32_t>(e + 12, i == 0 ? 8 : 3, o.is_big);
    e[16] = i == 0 ? 0 : 2;
    pixel += areas[i];
  }
  for (uint64_t i = 0; i < 240; i++) p[first * 3 + i] = static_cast<uint8_t>(i * 37 & 0xBF);
  const Digest d = sha256(Bytes(p).subspan(first * 3, 240));
  std::copy(d.begin(), d.end(), p.begin() + 0x34);
  return p;
}

}  // namespace pixellm
