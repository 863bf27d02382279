#include "map/store_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "map/store_scan.h"

namespace pixellm {
namespace {

// A run is emptied into the one being written when this part of its slots, or less, is still in use.
constexpr uint64_t kEmptyBelow = 4;

KeyBytes key_at(const RunView& view, uint64_t slot) {
  KeyBytes out;
  std::memcpy(out.data(), view.key(slot).data(), out.size());
  return out;
}

}  // namespace

Result<StoreWriter> StoreWriter::begin(StoreEnv& env, const RunShape& shape) {
  StoreWriter w(env, std::make_unique<LmdbTxn>(PIXELLM_TRY(env.begin_write())), shape);
  w.world_ = PIXELLM_TRY(w.reader_.world());
  w.has_history_ = PIXELLM_TRY(w.txn_->size(Db::kHistory)).entries > 0;
  w.tiles_.emplace(PIXELLM_TRY(LmdbCursor::open(*w.txn_, Db::kTiles)));
  return w;
}

// ---- runs

Result<Location> StoreWriter::place(Pending tile) {
  if (world_.next_run > Location::kMaxRun)
    return fail(ErrorCode::kTooLarge, reader_.folder() + ": no run number is left");
  const Location location = Location::of(world_.next_run, pending_.size());
  pending_.push_back(tile);
  ++world_.live_slots;
  if (pending_.size() == reader_.shape().max_slots) PIXELLM_CHECK(write_run());
  return location;
}

Result<void> StoreWriter::write_run() {
  if (pending_.empty()) return {};
  const RunShape& shape = reader_.shape();
  const MutableBytes out =
      PIXELLM_TRY(txn_->append(Db::kRuns, run_key(world_.next_run), shape.run_bytes(pending_.size())));
  for (size_t i = 0; i < pending_.size(); ++i)
    write_slot(shape, out, i, pending_.size(), pending_[i].key, pending_[i].rgb, pending_[i].checksum);
  ++world_.next_run;
  pending_.clear();
  owned_.clear();
  return {};
}

// ---- tiles

Result<void> StoreWriter::put_tile(MortonKey key, Bytes rgb) {
  const KeyBytes bytes = key.encode();
  const Location location = PIXELLM_TRY(place({bytes, rgb, std::nullopt}));
  const auto value = PIXELLM_TRY(tiles_->find(bytes));
  if (!value) return tiles_->insert(bytes, TileEntry{location, {}}.encode());
  const auto old = TileEntry::decode(*value);
  PIXELLM_CHECK(tiles_->replace(bytes, TileEntry{location, old ? old->current : Location{}}.encode()));
  if (!old || !old->replaced.exists() || (has_history_ && PIXELLM_TRY(referenced(bytes, old->replaced))))
    return {};
  released_.push_back(old->replaced.run());
  return {};
}

Result<void> StoreWriter::put_owned_tile(MortonKey key, std::vector<uint8_t> rgb) {
  owned_.push_back(std::move(rgb));
  return put_tile(key, owned_.back());
}

Result<void> StoreWriter::set_entry(MortonKey key, const std::optional<TileEntry>& entry) {
  const KeyBytes bytes = key.encode();
  const auto old = PIXELLM_TRY(reader_.entry(bytes));
  if (entry)
    PIXELLM_CHECK(txn_->put(Db::kTiles, bytes, entry->encode()));
  else
    PIXELLM_TRY(txn_->remove(Db::kTiles, bytes));
  if (!old) return {};
  PIXELLM_CHECK(release(bytes, old->current));
  return release(bytes, old->replaced);
}

Result<void> StoreWriter::put_history(MortonKey key, uint64_t erase, const HistoryEntry& entry) {
  const EraseKey where = erase_key(key, erase);
  has_history_ = true;
  return txn_->put(Db::kHistory, where, entry.encode(where));
}

Result<void> StoreWriter::remove_history(MortonKey key, uint64_t erase, Location location) {
  PIXELLM_TRY(txn_->remove(Db::kHistory, erase_key(key, erase)));
  return release(key.encode(), location);
}

// ---- what is no longer referred to

Result<bool> StoreWriter::referenced(const KeyBytes& key, Location location) const {
  const auto entry = PIXELLM_TRY(reader_.entry(key));
  if (entry && (entry->current == location || entry->replaced == location)) return true;
  if (!has_history_) return false;
  for (const KeptVersion& kept : PIXELLM_TRY(kept_versions(reader_, MortonKey::decode(key.data()))))
    if (kept.entry.location == location) return true;
  return false;
}

Result<void> StoreWriter::release(const KeyBytes& key, Location location) {
  if (!location.exists() || PIXELLM_TRY(referenced(key, location))) return {};
  released_.push_back(location.run());
  return {};
}

// The count in `live` says when a run is worth looking at; its keys then say which slots are in use. Where
// the two disagree something is damaged, and the run is left for verify() to name.
Result<void> StoreWriter::settle_run(uint64_t run, uint64_t released) {
  const auto view = PIXELLM_TRY(reader_.run(run));
  if (!view) return {};
  const auto value = PIXELLM_TRY(txn_->get(Db::kLive, run_key(run)));
  uint64_t live = view->slots();
  if (value && value->size() == 4) live = std::min<uint64_t>(live, load_le<uint32_t>(value->data()));
  released = std::min(released, live);
  live -= released;
  world_.live_slots -= std::min(released, world_.live_slots);
  if (live <= view->slots() / kEmptyBelow && PIXELLM_TRY(empty_run(run, *view, live))) return {};
  return put_live(run, live);
}

Result<void> StoreWriter::put_live(uint64_t run, uint64_t live) {
  std::array<uint8_t, 4> count;
  store_le<uint32_t>(count.data(), static_cast<uint32_t>(live));
  return txn_->put(Db::kLive, run_key(run), count);
}

Result<bool> StoreWriter::empty_run(uint64_t run, const RunView& view, uint64_t live) {
  struct Moved {
    uint64_t slot = 0;
    KeyBytes key{};
    std::vector<uint8_t> rgb;
    uint32_t checksum = 0;
  };
  std::vector<Moved> moved;   // copied, since the view ends with the first write
  for (uint64_t slot = 0; slot < view.slots(); ++slot) {
    const KeyBytes key = key_at(view, slot);
    if (!PIXELLM_TRY(referenced(key, Location::of(run, slot)))) continue;
    const Bytes rgb = view.rgb(slot);
    moved.push_back({slot, key, {rgb.begin(), rgb.end()}, view.checksum(slot)});
  }
  if (moved.size() != live) return false;
  for (Moved& m : moved) {
    owned_.push_back(std::move(m.rgb));
    const Location to = PIXELLM_TRY(place({m.key, owned_.back(), m.checksum}));
    PIXELLM_CHECK(move_references(m.key, Location::of(run, m.slot), to));
  }
  world_.live_slots -= std::min<uint64_t>(moved.size(), world_.live_slots);   // place() counted them anew
  PIXELLM_TRY(txn_->remove(Db::kRuns, run_key(run)));
  PIXELLM_TRY(txn_->remove(Db::kLive, run_key(run)));
  return true;
}

Result<void> StoreWriter::move_references(const KeyBytes& key, Location from, Location to) {
  if (auto entry = PIXELLM_TRY(reader_.entry(key))) {
    if (entry->current == from) entry->current = to;
    if (entry->replaced == from) entry->replaced = to;
    PIXELLM_CHECK(txn_->put(Db::kTiles, key, entry->encode()));
  }
  if (!has_history_) return {};
  const MortonKey morton = MortonKey::decode(key.data());
  for (KeptVersion& kept : PIXELLM_TRY(kept_versions(reader_, morton))) {
    if (kept.entry.location != from) continue;
    kept.entry.location = to;
    PIXELLM_CHECK(put_history(morton, kept.erase, kept.entry));
  }
  return {};
}

Result<void> StoreWriter::finish() {
  std::sort(released_.begin(), released_.end());
  for (auto it = released_.begin(); it != released_.end();) {
    const auto end = std::upper_bound(it, released_.end(), *it);
    PIXELLM_CHECK(settle_run(*it, static_cast<uint64_t>(end - it)));
    it = end;
  }
  PIXELLM_CHECK(write_run());
  return commit();
}

Result<void> StoreWriter::finish_recounted() {
  PIXELLM_CHECK(write_run());
  const auto uses = PIXELLM_TRY(count_references(reader_));
  std::vector<uint64_t> runs;
  {
    auto cursor = PIXELLM_TRY(LmdbCursor::open(*txn_, Db::kRuns));  // must end before the transaction does
    for (auto at = PIXELLM_TRY(cursor.next()); at; at = PIXELLM_TRY(cursor.next()))
      runs.push_back(load_le<uint64_t>(at->key.data()));
  }
  world_.live_slots = 0;
  auto use = uses.begin();
  for (const uint64_t run : runs) {
    while (use != uses.end() && use->run < run) ++use;
    const uint64_t live = use != uses.end() && use->run == run ? use->slots : 0;
    world_.live_slots += live;
    if (live > 0) {
      PIXELLM_CHECK(put_live(run, live));
    } else {
      PIXELLM_TRY(txn_->remove(Db::kRuns, run_key(run)));
      PIXELLM_TRY(txn_->remove(Db::kLive, run_key(run)));
    }
  }
  return commit();
}

Result<void> StoreWriter::commit() {
  ++world_.version;
  world_.txn_id = txn_->id();
  PIXELLM_CHECK(txn_->put(Db::kWorld, world_record_key(), world_.encode()));
  tiles_.reset();
  auto done = txn_->commit();
  if (!done) env_->commit_failed();
  return done;
}

}  // namespace pixellm
