// What a PixelPlane holds. Internal to src/pixel.
#pragma once
#include <optional>

#include "pixel/plane.h"
#include "pixel/png_decode.h"
#include "pixel/pxif.h"

namespace pixellm {

struct PixelPlane::Impl {
  PlaneKind kind = PlaneKind::kFlatPng;
  std::string path;
  MappedFile mapping;  // of `file`; empty for bytes in memory and once the pixels were decoded
  Bytes file;          // the whole file; empty once the pixels were decoded
  DecodedPixels decoded;
  uint64_t file_bytes = 0, base_offset = 0, row_bytes = 0, row_stride = 0, rows = 0, held_rows = 0;
  const uint8_t* base = nullptr;
  std::optional<FlatLayout>
      layout;  // of a flat PNG; of a decoded one, what its pxLM promises (for the SHA-256)
  PxifHeader pxif;

  Result<void> open(uint64_t decode_limit);  // `file` and `path` are set
  Result<void> open_png(uint64_t decode_limit);
  Result<void> open_start();
  Result<void> take_flat(uint64_t size);
  Result<void> open_pxif(uint64_t decode_limit);
  Result<void> decode_pxif(uint64_t limit);
  void take_decoded(PlaneKind how);
};

}  // namespace pixellm
