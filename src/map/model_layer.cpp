#include "map/model_layer.h"

#include <fmt/format.h>

namespace pixellm {

Result<ModelWorld> open_model_world(const std::string& path) {
  PixelPlane plane = PIXELLM_TRY(PixelPlane::open(path));
  Model model = PIXELLM_TRY(Model::from_plane(std::move(plane)));
  ModelWorld world = PIXELLM_TRY(ModelWorld::create(std::move(model)));
  const Digest found = PIXELLM_TRY(world.model().hash_head()), promised = world.model().header().head_sha256;
  if (found != promised)
    return fail(ErrorCode::kCorrupt, fmt::format("{}: damaged: the head's SHA-256 is {}, the file says {}",
                                                 path, to_hex(found), to_hex(promised)));
  return world;
}

Result<const ModelWorld*> ModelLayer::model() const {
  if (model_) return &*model_;
  auto opened = open_model_world(record_.path);
  if (!opened)
    return fail_in(fmt::format("map: the model mounted at {},{}", record_.rect.x, record_.rect.y),
                   std::move(opened).error());
  if (const Digest& found = opened->model().header().head_sha256; found != record_.head_sha256)
    return fail(
        ErrorCode::kCorrupt,
        fmt::format("map: {} is not the model that was mounted at {},{}: its head's SHA-256 is {}, it was "
                    "{}. Hint: unmount it and mount it again",
                    record_.path, record_.rect.x, record_.rect.y, to_hex(found),
                    to_hex(record_.head_sha256)));
  if (opened->width() != record_.rect.w || opened->height() != record_.rect.h)
    return fail(ErrorCode::kCorrupt,
                fmt::format("map: the mount of {} is recorded with {} x {} pixels, the model has {} x {}",
                            record_.path, record_.rect.w, record_.rect.h, opened->width(), opened->height()));
  model_ = std::move(*opened);
  return &*model_;
}

// Sides of a model's world are below 2^32, so a part of it fits.
Rect ModelLayer::to_model(const PixelRect& part) const {
  return {.x = static_cast<uint32_t>(static_cast<uint64_t>(part.x) - static_cast<uint64_t>(record_.rect.x)),
          .y = static_cast<uint32_t>(static_cast<uint64_t>(part.y) - static_cast<uint64_t>(record_.rect.y)),
          .w = static_cast<uint32_t>(part.w),
          .h = static_cast<uint32_t>(part.h)};
}

Result<void> ModelLayer::read(const PixelRect& part, uint8_t* out, uint64_t out_stride) const {
  const ModelWorld* opened = PIXELLM_TRY(model());
  opened->read(to_model(part), out, out_stride);
  return {};
}

Result<std::vector<PixelRect>> ModelLayer::occupied(const PixelRect& part) const {
  const ModelWorld* opened = PIXELLM_TRY(model());
  std::vector<PixelRect> rects;
  for (const Rect& r : opened->occupied(to_model(part)))
    rects.push_back({.x = record_.rect.x + r.x, .y = record_.rect.y + r.y, .w = r.w, .h = r.h});
  return rects;
}

}  // namespace pixellm
