#include "map/store_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "map/store_env.h"

namespace pixellm {
namespace {

constexpr size_t kRecentRuns = 4096;

std::unexpected<Error> bad_tile(const std::string& folder, const KeyBytes& key, std::string_view what) {
  return fail(ErrorCode::kCorrupt,
              fmt::format("{}: {} is damaged: {}; 'map repair' can go back to its last good version", folder,
                          describe(tile_of(MortonKey::decode(key.data()))), what));
}

}  // namespace

std::array<uint8_t, 8> run_key(uint64_t id) {
  std::array<uint8_t, 8> out;
  std::memcpy(out.data(), &id, 8);
  return out;
}

Result<WorldRecord> StoreReader::world() const {
  const auto value = PIXELLM_TRY(txn_->get(Db::kWorld, world_record_key()));
  if (!value) return fail(ErrorCode::kCorrupt, folder() + ": is not a world: its record is missing");
  auto record = WorldRecord::decode(*value);
  if (!record) return fail_in(folder(), record.error());
  return record;
}

Result<std::optional<TileEntry>> StoreReader::entry(const KeyBytes& key) const {
  const auto value = PIXELLM_TRY(txn_->get(Db::kTiles, key));
  if (!value) return std::nullopt;
  auto entry = TileEntry::decode(*value);
  if (!entry) return bad_tile(folder(), key, "its entry is not one");
  return entry;
}

Result<std::optional<RunView>> StoreReader::run(uint64_t id) const {
  const auto value = PIXELLM_TRY(txn_->get(Db::kRuns, run_key(id)));
  if (!value) return std::nullopt;
  const auto slots = shape_->slots_of(value->size());
  if (!slots)
    return fail(ErrorCode::kCorrupt,
                fmt::format("{}: run {} has {} bytes, which no run has", folder(), id, value->size()));
  return RunView(*shape_, *value, *slots);
}

StoreReader::StoreReader(const ReadTxn& txn, const RunShape& shape, CheckedVersions* checked)
    : txn_(&txn.txn()), shape_(&shape), checked_(checked), recent_(kRecentRuns) {}

Result<RunView> StoreReader::find_run(const KeyBytes& key, uint64_t id) const {
  RecentRun* const recent = recent_.empty() ? nullptr : &recent_[id % kRecentRuns];
  if (recent && recent->id == id && recent->state == state_) return recent->view;
  const auto found = run(id);
  if (!found) return bad_tile(folder(), key, found.error().message);
  if (!*found) return bad_tile(folder(), key, fmt::format("run {} is missing", id));
  if (recent) *recent = {id, state_, **found};
  return **found;
}

Result<Bytes> StoreReader::rgb(const KeyBytes& key, Location location) const {
  const RunView view = PIXELLM_TRY(find_run(key, location.run()));
  const uint64_t slot = location.slot();
  if (slot >= view.slots())
    return bad_tile(folder(), key, fmt::format("run {} has no slot {}", location.run(), slot));
  const Bytes rgb = view.rgb(slot);
  if (checked_ && checked_->contains(*shape_, location)) return rgb;
  if (tile_checksum(key, rgb) != view.checksum(slot)) return bad_tile(folder(), key, "its checksum is wrong");
  if (checked_) checked_->insert(*shape_, location);
  return rgb;
}

bool StoreReader::intact(const KeyBytes& key, Location location) const {
  return rgb(key, location).has_value();
}

// ---- DbKeyCursor

Result<DbKeyCursor> DbKeyCursor::open(const LmdbTxn& txn, Db db) {
  return DbKeyCursor(PIXELLM_TRY(LmdbCursor::open(txn, db)), txn.env().folder(), db);
}

Result<std::optional<MortonKey>> DbKeyCursor::take(const std::optional<DbEntry>& entry) {
  if (!entry) return std::nullopt;
  if (entry->key.size() < MortonKey::kEncodedLength)
    return fail(ErrorCode::kCorrupt, fmt::format("{}: database '{}' has a key of {} bytes", folder_,
                                                 db_name(db_), entry->key.size()));
  last_ = MortonKey::decode(entry->key.data());
  return last_;
}

Result<std::optional<MortonKey>> DbKeyCursor::seek(MortonKey at_least) {
  auto entry = PIXELLM_TRY(cursor_.seek(at_least.encode()));
  return take(entry);
}

Result<std::optional<MortonKey>> DbKeyCursor::next() {
  const std::optional<MortonKey> before = last_;
  for (;;) {
    auto entry = PIXELLM_TRY(cursor_.next());
    auto key = PIXELLM_TRY(take(entry));
    if (!key || key != before) return key;
  }
}

Result<std::vector<KeptVersion>> kept_versions(const StoreReader& reader, MortonKey key) {
  std::vector<KeptVersion> out;
  auto cursor = PIXELLM_TRY(LmdbCursor::open(reader.txn(), Db::kHistory));
  for (auto at = PIXELLM_TRY(cursor.seek(erase_key(key, 0))); at; at = PIXELLM_TRY(cursor.next())) {
    const auto parts = decode_erase_key(at->key);
    if (parts && parts->key != key) break;
    auto entry = HistoryEntry::decode(at->key, at->value, reader.shape().tile_size);
    if (!parts || !entry)
      return fail(ErrorCode::kCorrupt, fmt::format("{}: an erased version of {} is damaged", reader.folder(),
                                                   describe(tile_of(key))));
    out.push_back({parts->erase, std::move(*entry)});
  }
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace pixellm
