// Models in the world: a PXI-LLM picture made readable through the map, each tensor at its world rectangle moved to the
// mount's place, without copying a byte. Mounts are recorded in the world. Spec: spec/mounts.md.
//
//   PIXELLM_CHECK(mount_model(world, "model.png", 0, 100000));
//   PIXELLM_CHECK(open_mounts(world));                          // in every program that opens the world later
//   auto place = PIXELLM_TRY(where(world, x, y));               // which weights touch this pixel
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "map/world.h"

namespace pixellm {

// The model's rectangle is [x, x + world_width) by [y, y + world_height). kInvalidArgument: it meets another mount, painted
// tiles or the end of the coordinates; mounted already. Recorded durably with the model's canonical path and identity
// (head_sha256).
Result<void> mount_model(World& world, const std::string& path, int64_t x, int64_t y);
Result<void> unmount_model(World& world, const std::string& path);     // kNotFound; the model's file need not exist

// Adds a layer for every recorded mount. Models are opened when first read: one that is missing or changed since is an error
// of those reads only, and names what is wrong.
Result<void> open_mounts(World& world);

struct ElementAt {
  uint64_t row = 0, column = 0;
  float value = 0;
};

// What lies at a pixel of a mounted model. `elements`: those whose bytes, scales included, touch the pixel, ascending; none
// in padding. nullopt (where): no tensor there.
struct WeightPlace {
  std::string model, tensor, type;
  std::vector<ElementAt> elements;
};
Result<std::optional<WeightPlace>> where(World& world, int64_t x, int64_t y);

// The tensor's rectangle in the world; the pixel with the first byte of an element's own bits. kNotFound names what is missing.
Result<PixelRect> locate_tensor(World& world, const std::string& model_path, const std::string& tensor);
Result<std::pair<int64_t, int64_t>> locate_element(World& world, const std::string& model_path, const std::string& tensor,
                                                   uint64_t row, uint64_t column);

}  // namespace pixellm
