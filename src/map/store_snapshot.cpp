#include <fmt/format.h>

#include <algorithm>

#include "map/store_impl.h"

namespace pixellm {

Result<std::unique_ptr<LmdbSnapshot>> LmdbSnapshot::begin(std::shared_ptr<StoreEnv> env, uint32_t tile_size) {
  auto txn = PIXELLM_TRY(ReadTxn::begin(env));
  std::unique_ptr<LmdbSnapshot> out(new LmdbSnapshot(std::move(env), std::move(txn), tile_size));
  out->reader_ = std::make_unique<StoreReader>(out->txn_, out->shape_, &out->env_->checked());
  PIXELLM_CHECK(out->settle());
  return out;
}

// LMDB numbers a reader, then copies the meta page of that number. When two commits come between, the reader has
// the old number and the newer state, which the next reader may not see yet: states would go back, and their
// records seem to be another state's. So it looks again; in a damaged file that changes nothing.
Result<void> LmdbSnapshot::settle() {
  constexpr int kAttempts = 20;
  for (int attempt = 1;; ++attempt) {
    world_ = PIXELLM_TRY(reader_->world());
    if (world_.txn_id == txn_.txn().id() || attempt == kAttempts) return {};
    reader_->moved();
    PIXELLM_CHECK(txn_.renew());
  }
}

Result<std::optional<Bytes>> LmdbSnapshot::tile(TileCoord tile) const {
  const KeyBytes key = morton_key(tile).encode();
  const auto entry = PIXELLM_TRY(reader_->entry(key));
  if (!entry) return std::nullopt;
  return PIXELLM_TRY(reader_->rgb(key, entry->current));
}

Result<bool> LmdbSnapshot::has_tile(TileCoord tile) const {
  return PIXELLM_TRY(txn_.txn().get(Db::kTiles, morton_key(tile).encode())).has_value();
}

Result<std::unique_ptr<KeyCursor>> LmdbSnapshot::keys() const {
  return std::make_unique<DbKeyCursor>(PIXELLM_TRY(DbKeyCursor::open(txn_.txn(), Db::kTiles)));
}

Result<std::optional<uint64_t>> LmdbSnapshot::byte_length(int64_t x, int64_t y) const {
  const KeyBytes key = morton_key({x, y}).encode();
  const auto value = PIXELLM_TRY(txn_.txn().get(Db::kLengths, key));
  if (!value) return std::nullopt;
  const auto length = decode_length(key, *value);
  if (!length)
    return fail(ErrorCode::kCorrupt, fmt::format("{}: the length of the byte region at ({}, {}) is damaged",
                                                 env_->folder(), x, y));
  return *length;
}

Result<std::vector<StoreRecord>> LmdbSnapshot::records() const {
  std::vector<StoreRecord> out;
  auto cursor = PIXELLM_TRY(LmdbCursor::open(txn_.txn(), Db::kRecords));
  for (auto at = PIXELLM_TRY(cursor.next()); at; at = PIXELLM_TRY(cursor.next())) {
    auto record = decode_record(at->value);
    if (!record) return fail(ErrorCode::kCorrupt, env_->folder() + ": a record (of a mount) is damaged");
    out.push_back({std::move(record->name), std::move(record->value)});
  }
  std::sort(out.begin(), out.end(),
            [](const StoreRecord& a, const StoreRecord& b) { return a.name < b.name; });
  return out;
}

Result<StoreStats> LmdbSnapshot::stats() const {
  StoreStats out;
  out.tiles = PIXELLM_TRY(txn_.txn().size(Db::kTiles)).entries;
  out.old_versions = world_.live_slots - std::min(world_.live_slots, out.tiles);
  out.file_bytes = env_->file_bytes();
  out.used_bytes = PIXELLM_TRY(txn_.txn().used_bytes());
  out.version = world_.version;
  return out;
}

Result<bool> LmdbSnapshot::refresh() {
  const uint64_t before = world_.version;
  reader_->moved();
  PIXELLM_CHECK(txn_.renew());
  PIXELLM_CHECK(settle());
  return world_.version != before;
}

void LmdbSnapshot::release() { txn_.release(); }

}  // namespace pixellm
