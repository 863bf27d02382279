// How a mount is kept with a world. Spec: spec/mounts.md.
#pragma once
#include <string>
#include <vector>

#include "base/hash.h"
#include "map/geometry.h"
#include "map/tile_store.h"

namespace pixellm {

struct MountRecord {
  PixelRect rect;
  Digest head_sha256{};    // of the model: what it was when it was mounted
  std::string path;        // canonical
  std::string given_path;  // as it was given, made absolute

  StoreRecord encode() const;
  static Result<MountRecord> decode(const StoreRecord& record);  // kCorrupt, kUnsupported: a newer version
};

inline constexpr std::string_view kMountPrefix = "mount:";  // of the records' names

Result<std::vector<MountRecord>> read_mounts(const TileStore& store);

// The record whose model a path names: the file's canonical path, or the path that was given then. nullptr:
// none.
const MountRecord* find_mount(const std::vector<MountRecord>& mounts, const std::string& path);

// The path made absolute, `.` and `..` taken out, links left.
std::string absolute_path(const std::string& path);

}  // namespace pixellm
