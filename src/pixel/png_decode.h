// Decoding a PNG that is not flat, through libspng. Internal to src/pixel.
#pragma once
#include <cstdint>
#include <memory>
#include <new>

#include "base/bytes.h"
#include "base/error.h"
#include "pixel/flat_layout.h"

namespace pixellm {

struct AlignedDelete {
  static constexpr std::align_val_t kAlignment{64};
  void operator()(uint8_t* p) const { ::operator delete(p, kAlignment); }
};

struct DecodedPixels {
  std::unique_ptr<uint8_t, AlignedDelete> pixels;  // rows without gaps
  uint64_t row_bytes = 0, rows = 0;

  // Takes memory for the rows, whose product fits. kTooLarge.
  Result<void> allocate();
};

// The samples of an 8-bit RGB picture as the file has them: no gamma, no transparency. Every chunk's CRC-32
// and the Adler-32 are checked. kCorrupt, kUnsupported (another colour type or depth), kTooLarge (more than
// `limit` bytes).
Result<DecodedPixels> decode_png(Bytes file, const PngHead& head, uint64_t limit);

}  // namespace pixellm
