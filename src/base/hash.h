// Checksums: SHA-256 (OpenSSL), CRC-32 and Adler-32 (libdeflate). CRC-32 is zlib's and PNG's.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"

namespace pixellm {

using Digest = std::array<uint8_t, 32>;

// Streaming SHA-256. One thread at a time. finish() ends the stream; the object is spent then.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(Bytes data);
  Digest finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

Digest sha256(Bytes data);

// Lower-case hexadecimal, two digits a byte.
std::string to_hex(Bytes data);

// `crc` and `adler` continue an earlier value; start with 0 and 1.
uint32_t crc32(uint32_t crc, Bytes data);
uint32_t adler32(uint32_t adler, Bytes data);

// Adler-32 of A followed by B from the Adler-32 of each (both started at 1) and B's length.
uint32_t adler32_combine(uint32_t adler_a, uint32_t adler_b, uint64_t length_b);

}  // namespace pixellm
