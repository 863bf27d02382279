// The pixels of one model's own world, read from its picture: which stored byte of which tensor stands at a
// pixel, which weights that byte bears on, and back. Coordinates count from the world's upper left corner.
// Spec: spec/pxi-llm.md, sections 4 and 7, and spec/cells.md.
//
//   ModelWorld world = PIXELLM_TRY(ModelWorld::create(std::move(model)));
//   world.read({.x = 0, .y = 64, .w = 256, .h = 16}, out, 3 * 256);
// Immutable; safe to read from several threads. Nothing of the model is copied but into the caller's memory.
#pragma once
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "map/box_tree.h"
#include "map/mounts.h"
#include "model/model.h"

namespace pixellm {

class ModelWorld {
 public:
  // kUnsupported: a version 1 picture, which has no world, or a model without tensors.
  static Result<ModelWorld> create(Model model);

  const Model& model() const { return model_; }
  uint32_t width() const { return model_.header().world_width; }
  uint32_t height() const { return model_.header().world_height; }

  // Pixels of `part`, row i at out + i * out_stride; black where no tensor's bytes are. Requires a part
  // inside the world.
  void read(const Rect& part, uint8_t* out, uint64_t out_stride) const;

  // The tensors' rectangles, as far as they lie in `part`.
  std::vector<Rect> occupied(const Rect& part) const;

  // The weights whose bytes touch the pixel, by row and column; nullopt where no tensor's bytes are.
  struct Weights {
    const TensorInfo* tensor;
    std::vector<ElementAt> elements;
  };
  std::optional<Weights> weights_at(uint32_t x, uint32_t y) const;

  // The pixel with the first byte of the element's own bits. kInvalidArgument: the tensor has no such
  // element.
  Result<std::pair<uint32_t, uint32_t>> place_of(const TensorInfo& t, uint64_t row, uint64_t column) const;

 private:
  explicit ModelWorld(Model model);
  void read_piece(const TensorInfo& t, uint64_t piece, const Rect& area, const Rect& part, uint8_t* out,
                  uint64_t out_stride) const;
  void copy_stored(const TensorInfo& t, uint64_t position, MutableBytes out) const;
  std::vector<ElementAt> elements_at(const TensorInfo& t, uint64_t position, uint64_t n) const;

  Model model_;
  BoxTree tree_;
};

}  // namespace pixellm
