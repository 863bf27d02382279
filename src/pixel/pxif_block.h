// The blocks of a compressed PXIF container: each a whole frame with its own checksum. Internal to src/pixel;
// spec/pixelfs.md, section 3.
#pragma once
#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/error.h"
#include "pixel/pxif.h"

namespace pixellm {

inline constexpr uint64_t kPxifBlockBytes = uint64_t{256} << 10;  // of content, as our writer cuts it
inline constexpr uint64_t kPxifMaxBlockBytes = uint64_t{4} << 20;

// The most bytes that a lawful block of this much content takes.
constexpr uint64_t pxif_max_stored(uint64_t content_bytes) { return content_bytes + content_bytes / 64 + 64; }

// One thread at a time; contexts and buffers are kept from block to block.
class PxifBlockCodec {
 public:
  virtual ~PxifBlockCodec() = default;

  // The block of `content` (1 to kPxifMaxBlockBytes bytes); valid until the next call.
  virtual Result<Bytes> compress(Bytes content) = 0;

  // Fills `content`, which `stored` must make exactly; both sizes are as the seek table says. kCorrupt.
  virtual Result<void> decompress(Bytes stored, MutableBytes content) = 0;

  // Not for kNone, which has no blocks.
  static std::unique_ptr<PxifBlockCodec> create(PxifCompression compression);
};

// The operations of a block of compression 1, without its CRC-32. encode appends nothing more than
// pxif_max_stored() - 4 bytes to `out`; decode is kCorrupt unless they make exactly `out`.
size_t rle_encode(Bytes in, MutableBytes out);
Result<void> rle_decode(Bytes in, MutableBytes out);

}  // namespace pixellm
