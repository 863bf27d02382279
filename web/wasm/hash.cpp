// base/hash.h without libraries, for WebAssembly: SHA-256 of the head (FIPS 180-4) and CRC-32 of the rows
// (eight tables). The Adler-32 of a whole picture has no use where only parts of it are at hand: it is not
// defined here.
#include "base/hash.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace pixellm {
namespace {

// Fractional parts of the cube roots of the first 64 primes.
constexpr std::array<uint32_t, 64> kRounds = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

constexpr size_t kBlockBytes = 64;

void compress(std::array<uint32_t, 8>& h, const uint8_t* block) {
  std::array<uint32_t, 64> w;
  for (size_t i = 0; i < 16; i++) w[i] = load_be<uint32_t>(block + 4 * i);
  for (size_t i = 16; i < 64; i++) {
    const uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[i - 7] +
           (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
  }
  auto s = h;
  for (size_t i = 0; i < 64; i++) {
    const uint32_t t1 = s[7] + (std::rotr(s[4], 6) ^ std::rotr(s[4], 11) ^ std::rotr(s[4], 25)) +
                        ((s[4] & s[5]) ^ (~s[4] & s[6])) + kRounds[i] + w[i];
    const uint32_t t2 = (std::rotr(s[0], 2) ^ std::rotr(s[0], 13) ^ std::rotr(s[0], 22)) +
                        ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    std::shift_right(s.begin(), s.end(), 1);
    s[4] += t1;
    s[0] = t1 + t2;
  }
  for (size_t i = 0; i < 8; i++) h[i] += s[i];
}

// kCrc[t][b]: the CRC of byte b with t zero bytes behind it.
constexpr auto kCrc = [] {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t b = 0; b < 256; b++) {
    uint32_t c = b;
    for (int bit = 0; bit < 8; bit++) c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
    tables[0][b] = c;
  }
  for (size_t t = 1; t < 8; t++)
    for (uint32_t b = 0; b < 256; b++)
      tables[t][b] = tables[t - 1][b] >> 8 ^ tables[0][tables[t - 1][b] & 0xff];
  return tables;
}();

}  // namespace

struct Sha256::Impl {
  std::array<uint32_t, 8> state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, kBlockBytes> block;
  uint64_t size = 0;
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(Bytes data) {
  Impl& s = *impl_;
  while (!data.empty()) {
    const size_t at = s.size % kBlockBytes, n = std::min(data.size(), kBlockBytes - at);
    if (n == kBlockBytes) {
      compress(s.state, data.data());
    } else {
      std::copy_n(data.begin(), n, s.block.begin() + static_cast<ptrdiff_t>(at));
      if (at + n == kBlockBytes) compress(s.state, s.block.data());
    }
    s.size += n;
    data = data.subspan(n);
  }
}

Digest Sha256::finish() {
  Impl& s = *impl_;
  const uint64_t bits = s.size * 8;
  std::array<uint8_t, kBlockBytes + 8> end{0x80};
  const size_t zeros_end = (2 * kBlockBytes - 8 - s.size % kBlockBytes - 1) % kBlockBytes + 1;
  store_be<uint64_t>(&end[zeros_end], bits);
  update(Bytes(end).first(zeros_end + 8));
  Digest digest;
  for (size_t i = 0; i < 8; i++) store_be<uint32_t>(&digest[4 * i], s.state[i]);
  return digest;
}

Digest sha256(Bytes data) {
  Sha256 sha;
  sha.update(data);
  return sha.finish();
}

std::string to_hex(Bytes data) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const uint8_t b : data) (out += kDigits[b >> 4]) += kDigits[b & 15];
  return out;
}

uint32_t crc32(uint32_t crc, Bytes data) {
  uint32_t c = ~crc;
  const uint8_t* p = data.data();
  size_t left = data.size();
  for (; left >= 8; left -= 8, p += 8) {
    const uint32_t a = load_le<uint32_t>(p) ^ c, b = load_le<uint32_t>(p + 4);
    c = kCrc[7][a & 0xff] ^ kCrc[6][a >> 8 & 0xff] ^ kCrc[5][a >> 16 & 0xff] ^ kCrc[4][a >> 24] ^
        kCrc[3][b & 0xff] ^ kCrc[2][b >> 8 & 0xff] ^ kCrc[1][b >> 16 & 0xff] ^ kCrc[0][b >> 24];
  }
  for (; left > 0; left--) c = c >> 8 ^ kCrc[0][(c ^ *p++) & 0xff];
  return ~c;
}

}  // namespace pixellm
