// Pictures in and out of a world.
#pragma once
#include <cstdint>
#include <string>

#include "base/error.h"
#include "map/world.h"
#include "pixel/plane.h"

namespace pixellm {

// Writes the rectangle as a PNG, 2^zoom by 2^zoom pixels averaged into one (exact sums over all of them, rounded half up;
// absent pixels count as black; the last column and row average what the rectangle has). Skips what is empty, so time grows
// with the tiles inside. kTooLarge: a picture over 2^31 - 1 pixels a side or more than 2^33 bytes. zoom at most 32.
Result<void> export_picture(World& world, const PixelRect& rect, uint32_t zoom, const std::string& path);

// Paints an 8-bit RGB PNG of any kind (flat or not) or a PXIF container. Returns the painted rectangle; does not flush.
// Nothing is painted when the picture is damaged, meets a mounted model or leaves the world. The second takes one that is open.
Result<PixelRect> import_picture(World& world, const std::string& path, int64_t x, int64_t y);
Result<PixelRect> import_picture(World& world, const PixelPlane& picture, int64_t x, int64_t y);

}  // namespace pixellm
