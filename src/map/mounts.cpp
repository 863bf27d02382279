#include "map/mounts.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "map/model_layer.h"
#include "map/mount_record.h"
#include "map/world_impl.h"
#include "model/text.h"
#include "tensor/dtype.h"

namespace pixellm {
namespace {

bool contains(const PixelRect& r, int64_t x, int64_t y) {
  return !intersect(r, {.x = x, .y = y, .w = 1, .h = 1}).empty();
}

// The layer of a recorded mount; nullptr when open_mounts() has not added it.
const ModelLayer* layer_of(const World& world, const std::string& canonical_path) {
  for (const auto& layer : world.layers())
    if (layer->name() == canonical_path) return dynamic_cast<const ModelLayer*>(layer.get());
  return nullptr;
}

Error not_mounted(const std::string& path) {
  constexpr size_t kShown = 256;
  const char* rest = path.size() > kShown ? "..." : "";
  return {ErrorCode::kNotFound,
          fmt::format("map: {}{} is not mounted in this world", path.substr(0, kShown), rest)};
}

// What every mount before says about a new one.
Result<void> check_against(const std::vector<MountRecord>& mounts, const MountRecord& record) {
  for (const MountRecord& m : mounts) {
    if (m.path == record.path)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("map: {} is mounted already, at {},{}", m.path, m.rect.x, m.rect.y));
    if (!intersect(m.rect, record.rect).empty())
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("map: {} would cover {}, which meets the mount of {} at {}", record.path,
                              to_text(record.rect), m.path, to_text(m.rect)));
  }
  return {};
}

// The opened model that a path names among the mounts.
struct Mounted {
  const ModelLayer* layer;
  const ModelWorld* model;
};
Result<Mounted> find_mounted(World& world, const std::string& path) {
  const std::vector<MountRecord> mounts = PIXELLM_TRY(read_mounts(world.store()));
  const MountRecord* record = find_mount(mounts, path);
  const ModelLayer* layer = record ? layer_of(world, record->path) : nullptr;
  if (layer == nullptr) return std::unexpected(not_mounted(path));
  const ModelWorld* model = PIXELLM_TRY(layer->model());
  return Mounted{layer, model};
}

Result<const TensorInfo*> find_tensor(const Mounted& mounted, const std::string& name) {
  const TensorInfo* t = mounted.model->model().find(name);
  if (t == nullptr)
    return fail(ErrorCode::kNotFound,
                fmt::format("{}: has no tensor {}", mounted.layer->name(), pixellm::quoted(name)));
  return t;
}

}  // namespace

Result<void> mount_model(World& world, const std::string& path, int64_t x, int64_t y) {
  if (world.read_only())
    return fail(ErrorCode::kInvalidArgument,
                "map: the world is open for reading only, nothing can be mounted");
  ModelWorld model = PIXELLM_TRY(open_model_world(path));
  MountRecord record;
  std::error_code error;
  record.path = std::filesystem::canonical(path, error).string();
  if (error) return fail(ErrorCode::kIo, fmt::format("{}: {}", path, error.message()));
  record.given_path = absolute_path(path);
  record.rect = {.x = x, .y = y, .w = model.width(), .h = model.height()};
  record.head_sha256 = model.model().header().head_sha256;
  if (auto lawful = check_rect(record.rect); !lawful) return fail_in(path, std::move(lawful).error());
  const std::vector<MountRecord> mounts = PIXELLM_TRY(read_mounts(world.store()));
  PIXELLM_CHECK(check_against(mounts, record));

  const StoreRecord stored = record.encode();
  const std::string name = record.path;
  PIXELLM_CHECK(world.add_layer(std::make_unique<ModelLayer>(std::move(record), std::move(model))));
  auto put = world.store().put_record(stored);
  if (!put) PIXELLM_CHECK(world.remove_layer(name));
  return put;
}

Result<void> unmount_model(World& world, const std::string& path) {
  const std::vector<MountRecord> mounts = PIXELLM_TRY(read_mounts(world.store()));
  const MountRecord* record = find_mount(mounts, path);
  if (record == nullptr) return std::unexpected(not_mounted(path));
  PIXELLM_CHECK(world.store().remove_record(record->encode().name));
  if (layer_of(world, record->path) != nullptr) return world.remove_layer(record->path);
  return {};
}

Result<void> open_mounts(World& world) {
  std::vector<MountRecord> mounts = PIXELLM_TRY(read_mounts(world.store()));
  for (MountRecord& record : mounts)
    if (layer_of(world, record.path) == nullptr)
      PIXELLM_CHECK(world.add_layer(std::make_unique<ModelLayer>(std::move(record)), /*is_kept=*/true));
  return {};
}

Result<std::optional<WeightPlace>> where(World& world, int64_t x, int64_t y) {
  for (const auto& layer : world.layers()) {
    const auto* mounted = dynamic_cast<const ModelLayer*>(layer.get());
    if (mounted == nullptr || !contains(mounted->rect(), x, y)) continue;
    const ModelWorld* model = PIXELLM_TRY(mounted->model());
    const auto relative = [](int64_t a, int64_t origin) {
      return static_cast<uint32_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(origin));
    };
    auto weights = model->weights_at(relative(x, mounted->rect().x), relative(y, mounted->rect().y));
    if (!weights) return std::nullopt;
    return WeightPlace{.model = mounted->name(),
                       .tensor = weights->tensor->name,
                       .type = std::string(traits(weights->tensor->type).name),
                       .elements = std::move(weights->elements)};
  }
  return std::nullopt;
}

Result<PixelRect> locate_tensor(World& world, const std::string& model_path, const std::string& tensor) {
  const Mounted mounted = PIXELLM_TRY(find_mounted(world, model_path));
  const TensorInfo* t = PIXELLM_TRY(find_tensor(mounted, tensor));
  const PixelRect& origin = mounted.layer->rect();
  return PixelRect{.x = origin.x + t->world.x, .y = origin.y + t->world.y, .w = t->world.w, .h = t->world.h};
}

Result<std::pair<int64_t, int64_t>> locate_element(World& world, const std::string& model_path,
                                                   const std::string& tensor, uint64_t row, uint64_t column) {
  const Mounted mounted = PIXELLM_TRY(find_mounted(world, model_path));
  const TensorInfo* t = PIXELLM_TRY(find_tensor(mounted, tensor));
  const auto [x, y] = PIXELLM_TRY(mounted.model->place_of(*t, row, column));
  return std::pair(mounted.layer->rect().x + x, mounted.layer->rect().y + y);
}

}  // namespace pixellm
