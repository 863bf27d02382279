// A small picture of a model for people: every tensor at its place in the world, drawn by the size of its
// weights.
//
//   PIXELLM_CHECK(write_thumbnail(model, "thumbnail.png", {.width = 640}, progress));
// The world's bands (embedding, layers, output) flow into columns, so that a deep model is no ribbon. Inside
// a band the rectangles, and the grid of attention heads, are the world's own, scaled down.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "convert/gguf.h"
#include "model/model.h"

namespace pixellm {

inline constexpr uint32_t kThumbnailUnit = 64;  // the width is a multiple
inline constexpr uint32_t kThumbnailMaxWidth = 8192;

struct ThumbnailOptions {
  uint32_t width = 640;  // pixels; the height follows
};

struct Thumbnail {
  uint32_t width = 0, height = 0;
  std::vector<uint8_t> rgb;  // [height, width, 3]
};

// A pixel shows the root mean square of the dequantised weights that fall on it, dark to light within each
// tensor, in the colour of the tensor's kind. Reads the weights once, front to back; memory is the
// thumbnail's. kInvalidArgument: the width; kUnsupported: nothing to draw.
Result<Thumbnail> draw_thumbnail(const Model& model, const ThumbnailOptions& options,
                                 const Progress& progress);

// Draws into a flat PNG.
Result<void> write_thumbnail(const Model& model, const std::string& path, const ThumbnailOptions& options,
                             const Progress& progress);

}  // namespace pixellm
