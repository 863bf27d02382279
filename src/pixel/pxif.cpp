#include "pixel/pxif.h"

#include <fmt/format.h>

#include <algorithm>

namespace pixellm {
namespace {

constexpr std::array<uint8_t, 4> kMagic = {'P', 'X', 'I', 'F'};
constexpr size_t kReserved = 55;

}  // namespace

void PxifHeader::encode(std::array<uint8_t, kEncodedLength>& out) const {
  out.fill(0);
  std::copy(kMagic.begin(), kMagic.end(), out.begin());
  out[4] = version_major;
  out[5] = version_minor;
  store_be<uint64_t>(&out[6], original_size);
  store_be<uint32_t>(&out[14], width);
  store_be<uint32_t>(&out[18], height);
  out[22] = compression;
  std::copy(checksum.begin(), checksum.end(), out.begin() + 23);
}

Result<PxifHeader> PxifHeader::decode(Bytes b) {
  if (b.size() < kEncodedLength)
    return fail(ErrorCode::kCorrupt,
                fmt::format("pxif: {} bytes are too short for the header of {}", b.size(), kEncodedLength));
  if (!std::equal(kMagic.begin(), kMagic.end(), b.begin()))
    return fail(ErrorCode::kCorrupt,
                fmt::format("pxif: begins with {}, \"PXIF\" (50584946) is expected", to_hex(b.first(4))));
  PxifHeader h;
  h.version_major = b[4];
  h.version_minor = b[5];
  h.original_size = load_be<uint64_t>(&b[6]);
  h.width = load_be<uint32_t>(&b[14]);
  h.height = load_be<uint32_t>(&b[18]);
  h.compression = b[22];
  std::copy_n(b.begin() + 23, h.checksum.size(), h.checksum.begin());
  if (h.version_major != 1 || h.version_minor != 0)
    return fail(ErrorCode::kUnsupported,
                fmt::format("pxif: version {}.{}, this program reads 1.0", h.version_major, h.version_minor));
  if (h.compression != 0)
    return fail(ErrorCode::kUnsupported,
                fmt::format("pxif: compression {}, this program reads 0 (none)", h.compression));
  for (size_t i = kReserved; i < kEncodedLength; i++)
    if (b[i] != 0)
      return fail(ErrorCode::kUnsupported,
                  fmt::format("pxif: reserved byte {} is {}, 0 is expected", i, b[i]));
  const auto area = checked_mul(uint64_t{h.width} * h.height, 3);
  if (!area)
    return fail(ErrorCode::kTooLarge, fmt::format("pxif: {} x {} pixels are too many", h.width, h.height));
  // The padding is less than a row: height = ceil(ceil(original_size / 3) / width).
  const uint64_t pixels = h.original_size / 3 + (h.original_size % 3 != 0);
  const uint64_t height = h.width ? pixels / h.width + (pixels % h.width != 0) : 0;
  if (h.original_size > *area || height != h.height)
    return fail(ErrorCode::kCorrupt,
                fmt::format("pxif: {} bytes of payload at width {} need height {}, the header says {}",
                            h.original_size, h.width, height, h.height));
  return h;
}

}  // namespace pixellm
