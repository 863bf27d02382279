// A mounted model as a layer of the world: its own world's pixels, moved to the mount's place.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "map/layer.h"
#include "map/model_world.h"
#include "map/mount_record.h"

namespace pixellm {

// The model is opened when it is first needed and checked to be the one that was mounted; while that fails,
// each use tries again. One thread at a time.
class ModelLayer : public PixelLayer {
 public:
  explicit ModelLayer(MountRecord record) : record_(std::move(record)) {}
  ModelLayer(MountRecord record, ModelWorld model) : record_(std::move(record)), model_(std::move(model)) {}

  const std::string& name() const override { return record_.path; }
  const PixelRect& rect() const override { return record_.rect; }
  Result<void> read(const PixelRect& part, uint8_t* out, uint64_t out_stride) const override;
  Result<std::vector<PixelRect>> occupied(const PixelRect& part) const override;

  const MountRecord& record() const { return record_; }

  // Errors: the file is missing or no model any more (as Model::from_plane), or another model (kCorrupt).
  Result<const ModelWorld*> model() const;

 private:
  Rect to_model(const PixelRect& part) const;
  MountRecord record_;
  mutable std::optional<ModelWorld> model_;
};

// Opens a model for its pixels: everything but the weights' bits is validated, the head's SHA-256 is checked.
Result<ModelWorld> open_model_world(const std::string& path);

}  // namespace pixellm
