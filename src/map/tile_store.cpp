#include "map/tile_store.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "map/store_impl.h"

namespace pixellm {
namespace {

Result<void> check_tile_size(uint32_t size) {
  if (size >= kMinTileSize && size <= kMaxTileSize) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("tile size {}: allowed are {} to {}", size, kMinTileSize, kMaxTileSize));
}

// Takes the writer's lock and makes the world if there is none; `made` says what it made, also when it fails.
Result<void> open_for_writing(const std::string& folder, const StoreOptions& options, bool exists,
                              Descriptor& writer, MadeParts& made) {
  made.folder = !exists && ::mkdir(folder.c_str(), 0777) == 0;
  if (!exists && !made.folder && errno != EEXIST) return system_error(folder, "create", errno);
  writer = PIXELLM_TRY(lock_for_writing(folder));
  if (PIXELLM_TRY(holds_world(folder))) return {};
  PIXELLM_CHECK(create_world(folder, options.tile_size.value_or(kDefaultTileSize)));
  made.world = true;
  return {};
}

Result<std::unique_ptr<LmdbTileStore>> open_store(const std::string& folder, const StoreOptions& options,
                                                  bool exists, Descriptor& writer, MadeParts& made) {
  if (!options.read_only) PIXELLM_CHECK(open_for_writing(folder, options, exists, writer, made));
  auto env = PIXELLM_TRY(StoreEnv::acquire(folder, !options.read_only));
  if (!options.read_only) PIXELLM_CHECK(env->begin_writing());
  const auto snapshot = PIXELLM_TRY(LmdbSnapshot::begin(env, kDefaultTileSize));
  const WorldRecord& world = snapshot->world();
  if (options.tile_size && *options.tile_size != world.tile_size)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: its tiles have size {}, not {}; a world keeps its tile size", folder,
                            world.tile_size, *options.tile_size));
  if (world.txn_id != snapshot->txn().txn().id())
    return fail(ErrorCode::kCorrupt,
                fmt::format("{}: its record was written by change {}, the file says {}; `pixellm map repair` "
                            "goes back to the state before, if that is whole",
                            folder, world.txn_id, snapshot->txn().txn().id()));
  // Whoever made it may have failed before its names were synced; with nothing committed, nobody else has.
  if (!options.read_only && !made.world && world.version == 0) PIXELLM_CHECK(env->sync_what_was_found());
  return std::make_unique<LmdbTileStore>(std::move(env), std::move(writer), world.tile_size, made);
}

}  // namespace

Result<std::unique_ptr<TileStore>> TileStore::open(const std::string& folder, const StoreOptions& options) {
  if (folder.empty()) return fail(ErrorCode::kInvalidArgument, "the world's folder has an empty name");
  if (options.tile_size) PIXELLM_CHECK(check_tile_size(*options.tile_size));
  const bool exists = PIXELLM_TRY(holds_world(folder));
  if (!exists && (options.read_only || !options.create))
    return fail(ErrorCode::kNotFound, fmt::format("{}: there is no world here", folder));
  Descriptor writer;
  MadeParts made;
  auto store = open_store(folder, options, exists, writer, made);
  if (!store) take_back(folder, made);
  return store;
}

LmdbTileStore::~LmdbTileStore() {
  if (!writer_) return;
  env_->end_writing();
  const auto is_empty = [&] {
    const auto snapshot = LmdbSnapshot::begin(env_, tile_size());
    return snapshot && (*snapshot)->version() == 0;
  };
  if (!discard_ || !made_.world || !is_empty()) return;
  const std::string folder = env_->folder();
  env_.reset();
  take_back(folder, made_);
}

std::vector<std::string> LmdbTileStore::files() const {
  std::vector<std::string> out;
  for (const char* name : {kDataFile, kLockFile, kNewFile}) out.push_back(folder() + "/" + name);
  return out;
}

Result<StoreWriter> LmdbTileStore::begin() {
  if (read_only())
    return fail(ErrorCode::kInvalidArgument, folder() + ": the world was opened for reading only");
  return StoreWriter::begin(*env_, shape_);
}

Result<std::unique_ptr<StoreSnapshot>> LmdbTileStore::snapshot() const {
  return PIXELLM_TRY(LmdbSnapshot::begin(env_, tile_size()));
}

Result<void> LmdbTileStore::commit(const StoreChanges& changes) {
  struct Item {
    MortonKey key;
    Bytes rgb;
  };
  std::vector<Item> items;
  items.reserve(changes.tiles.size());
  for (const TileChange& change : changes.tiles) {
    if (change.rgb.size() != tile_bytes())
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{}: {} was given {} bytes, it has {}", folder(), describe(change.tile),
                              change.rgb.size(), tile_bytes()));
    items.push_back({morton_key(change.tile), change.rgb});
  }
  std::sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.key < b.key; });
  for (size_t i = 1; i < items.size(); ++i)
    if (items[i].key == items[i - 1].key)
      return fail(ErrorCode::kInvalidArgument, fmt::format("{}: {} was given twice in one change", folder(),
                                                           describe(tile_of(items[i].key))));
  auto writer = PIXELLM_TRY(begin());
  if (changes.tiles.empty() && changes.lengths.empty()) return {};
  for (const Item& item : items) PIXELLM_CHECK(writer.put_tile(item.key, item.rgb));
  for (const ByteLength& length : changes.lengths) {
    const KeyBytes key = morton_key({length.x, length.y}).encode();
    PIXELLM_CHECK(writer.txn().put(Db::kLengths, key, encode_length(key, length.length)));
  }
  return writer.finish();
}

Result<void> LmdbTileStore::put_record(const StoreRecord& record) {
  if (record.name.empty() || record.name.size() > kMaxRecordName || record.value.size() > kMaxRecordValue)
    return fail(
        ErrorCode::kTooLarge,
        fmt::format("{}: a record of {} bytes with a name of {}; allowed are {} and 1 to {}", folder(),
                    record.value.size(), record.name.size(), kMaxRecordValue, kMaxRecordName));
  auto writer = PIXELLM_TRY(begin());
  PIXELLM_CHECK(
      writer.txn().put(Db::kRecords, record_key(record.name), encode_record(record.name, record.value)));
  return writer.finish();
}

Result<void> LmdbTileStore::remove_record(const std::string& name) {
  auto writer = PIXELLM_TRY(begin());
  if (!PIXELLM_TRY(writer.txn().remove(Db::kRecords, record_key(name))))
    return fail(ErrorCode::kNotFound, fmt::format("{}: has no record '{}'", folder(), name));
  return writer.finish();
}

}  // namespace pixellm
