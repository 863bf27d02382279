#include "base/hash.h"

#include <libdeflate.h>
#include <openssl/evp.h>

#include "base/error.h"

namespace pixellm {

struct Sha256::Impl {
  EVP_MD_CTX* ctx = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(ctx); }
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
  PIXELLM_ASSERT(impl_->ctx && EVP_DigestInit_ex(impl_->ctx, EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(Bytes data) {
  if (!data.empty()) PIXELLM_ASSERT(EVP_DigestUpdate(impl_->ctx, data.data(), data.size()) == 1);
}

Digest Sha256::finish() {
  Digest out;
  unsigned n = 0;
  PIXELLM_ASSERT(EVP_DigestFinal_ex(impl_->ctx, out.data(), &n) == 1 && n == out.size());
  return out;
}

Digest sha256(Bytes data) {
  Sha256 h;
  h.update(data);
  return h.finish();
}

std::string to_hex(Bytes data) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(data.size() * 2);
  for (uint8_t b : data) {
    out += kDigits[b >> 4];
    out += kDigits[b & 15];
  }
  return out;
}

uint32_t crc32(uint32_t crc, Bytes data) {
  return data.empty() ? crc : libdeflate_crc32(crc, data.data(), data.size());
}

uint32_t adler32(uint32_t adler, Bytes data) {
  return data.empty() ? adler : libdeflate_adler32(adler, data.data(), data.size());
}

// With a = 1 + sum(x) and b = sum over prefixes of a, both modulo 65521, appending B adds B's own sums:
// a = a1 + a2 - 1, b = b1 + b2 + (a1 - 1) * length_b.
uint32_t adler32_combine(uint32_t adler_a, uint32_t adler_b, uint64_t length_b) {
  constexpr uint64_t kMod = 65521;
  const uint64_t a1 = adler_a & 0xffff, b1 = adler_a >> 16, a2 = adler_b & 0xffff, b2 = adler_b >> 16;
  const uint64_t a = (a1 + a2 + kMod - 1) % kMod;
  const uint64_t b = (b1 + b2 + (length_b % kMod) * (a1 + kMod - 1)) % kMod;
  return static_cast<uint32_t>(b << 16 | a);
}

}  // namespace pixellm
