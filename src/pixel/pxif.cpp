#include "pixel/pxif.h"

#include <fmt/format.h>

#include <algorithm>

namespace pixellm {
namespace {

constexpr std::array<uint8_t, 4> kMagic = {'P', 'X', 'I', 'F'};
constexpr size_t kReserved = 55;
constexpr std::array<std::string_view, 4> kCompressionNames = {"none", "rle", "lz4", "zstd"};

// The height that the header must have: of the content's rows, or none exactly when there is no content.
Result<void> check_height(const PxifHeader& h) {
  if (h.compression != PxifCompression::kNone) {
    if ((h.original_size == 0) == (h.height == 0) && (h.height == 0 || h.width != 0)) return {};
    return fail(ErrorCode::kCorrupt, fmt::format("pxif: {} bytes of content in a picture of {} x {} pixels",
                                                 h.original_size, h.width, h.height));
  }
  const uint64_t height = PxifHeader::rows_for(h.original_size, h.width);
  if (h.original_size <= h.body_bytes() && height == h.height) return {};
  return fail(ErrorCode::kCorrupt,
              fmt::format("pxif: {} bytes of payload at width {} need height {}, the header says {}",
                          h.original_size, h.width, height, h.height));
}

}  // namespace

std::string_view pxif_compression_name(PxifCompression compression) {
  return kCompressionNames[static_cast<size_t>(compression)];
}

std::optional<PxifCompression> pxif_compression_named(std::string_view name) {
  const auto it = std::ranges::find(kCompressionNames, name);
  if (it == kCompressionNames.end()) return std::nullopt;
  return static_cast<PxifCompression>(it - kCompressionNames.begin());
}

uint64_t PxifHeader::rows_for(uint64_t bytes, uint32_t width) {
  return width == 0 ? 0 : ceil_div(bytes / 3 + (bytes % 3 != 0), width);
}

void PxifHeader::encode(std::array<uint8_t, kEncodedLength>& out) const {
  out.fill(0);
  std::copy(kMagic.begin(), kMagic.end(), out.begin());
  out[4] = version_major;
  out[5] = version_minor;
  store_be<uint64_t>(&out[6], original_size);
  store_be<uint32_t>(&out[14], width);
  store_be<uint32_t>(&out[18], height);
  out[22] = static_cast<uint8_t>(compression);
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
  std::copy_n(b.begin() + 23, h.checksum.size(), h.checksum.begin());
  if (h.version_major != 1 || h.version_minor != 0)
    return fail(ErrorCode::kUnsupported,
                fmt::format("pxif: version {}.{}, this program reads 1.0", h.version_major, h.version_minor));
  if (b[22] >= kCompressionNames.size())
    return fail(ErrorCode::kUnsupported,
                fmt::format("pxif: compression {}, this program reads 0 (none) to 3 (Zstandard)", b[22]));
  h.compression = static_cast<PxifCompression>(b[22]);
  for (size_t i = kReserved; i < kEncodedLength; i++)
    if (b[i] != 0)
      return fail(ErrorCode::kUnsupported,
                  fmt::format("pxif: reserved byte {} is {}, 0 is expected", i, b[i]));
  if (!checked_mul(uint64_t{h.width} * h.height, 3))
    return fail(ErrorCode::kTooLarge, fmt::format("pxif: {} x {} pixels are too many", h.width, h.height));
  PIXELLM_CHECK(check_height(h));
  return h;
}

Result<void> PxifHeader::check_file_bytes(uint64_t file_bytes_found) const {
  const uint64_t held = file_bytes_found - std::min<uint64_t>(file_bytes_found, kEncodedLength);
  if (file_bytes_found >= kEncodedLength && held == body_bytes()) return {};
  return fail(ErrorCode::kCorrupt,
              fmt::format("pxif: {} x {} pixels need {} bytes after the header, the file has {}", width,
                          height, body_bytes(), held));
}

}  // namespace pixellm
