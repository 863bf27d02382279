// Read-only pixels that somebody else owns, laid over a rectangle of the world: a mounted model.
#pragma once
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "map/geometry.h"

namespace pixellm {

class PixelLayer {
 public:
  virtual ~PixelLayer() = default;
  virtual const std::string& name() const = 0;       // for messages: the model's path
  virtual const PixelRect& rect() const = 0;         // what it covers; nobody else paints there

  // Copies pixels of `part`, which lies inside rect(), to `out`: row i begins at out + i * out_stride. Errors: the model
  // cannot be opened any more, or is another one than was mounted.
  virtual Result<void> read(const PixelRect& part, uint8_t* out, uint64_t out_stride) const = 0;

  // Rectangles inside `part`, apart from each other, outside of which it is black. Errors as read().
  virtual Result<std::vector<PixelRect>> occupied(const PixelRect& part) const {
    return std::vector<PixelRect>{part};
  }
};

}  // namespace pixellm
