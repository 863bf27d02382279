// The rows of a picture as textures: a texel is 16 bytes of a row, a texture an array of layers of
// `rows_per_layer` rows. Row r of a texture is layer r / rows_per_layer, y = r % rows_per_layer. Spec:
// spec/plan.md, section 2.
//
//   const uint64_t most = gpu::max_texture_rows(device.limits(), plane.row_bytes(), 1024);
//   auto cut = PIXELLM_TRY(gpu::cut_rows(tensor_rows, most));            // pure arithmetic, no device
//   auto weights = PIXELLM_TRY(gpu::upload_rows(device, plane, cut.textures, {.rows_per_layer = 1024}));
//   weights.textures[cut.tensors[i].texture]                             // holds tensor i from row
//   cut.tensors[i].row on
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/progress.h"
#include "gpu/device.h"
#include "pixel/plane.h"

namespace pixellm::gpu {

// Rows [first, end) of a picture.
struct RowRange {
  uint64_t first = 0, end = 0;
  bool operator==(const RowRange&) const = default;
};

struct TensorPlace {
  uint32_t texture = 0;  // index
  uint64_t row = 0;      // the tensor's first row, counted in that texture
};

struct TextureCut {
  std::vector<RowRange> textures;    // ascending; neighbours may share rows
  std::vector<TensorPlace> tensors;  // in the order given
};

// Few ranges of at most `max_rows` rows such that each tensor lies wholly in one. Rows between tensors belong
// to the range around them; others to none. kTooLarge: a tensor has more rows. kInvalidArgument: an empty
// range.
Result<TextureCut> cut_rows(std::span<const RowRange> tensors, uint64_t max_rows);

// Rows that one texture can have: by layers, by their size, and by the largest allocation that the limits
// promise. 0: not even one row fits.
uint64_t max_texture_rows(const Limits& limits, uint64_t row_bytes, uint32_t rows_per_layer);

struct UploadOptions {
  uint32_t rows_per_layer = 1024;
  uint64_t step_bytes = uint64_t{32} << 20;  // host memory used on the way, beside the picture's mapping
  bool release_pages = false;                // gives mapped pages back behind the upload
  Progress progress;
};

struct WeightTextures {
  uint32_t rows_per_layer = 0;
  std::vector<Texture> textures;  // one for each range
  uint64_t bytes = 0;             // in the textures
};

// Uploads straight from the plane's memory, step by step: while the device copies one step, the next is read
// from disk. Errors: a range outside the picture or over the limits, row_bytes not a multiple of 16, a
// failure to read, no memory.
Result<WeightTextures> upload_rows(Device& device, const PixelPlane& plane, std::span<const RowRange> ranges,
                                   const UploadOptions& options);

}  // namespace pixellm::gpu
