#include "map/store_scan.h"

#include <fmt/format.h>

#include <algorithm>

namespace pixellm {
namespace {

class Scan {
 public:
  Scan(const StoreReader& reader, const WorldRecord& world) : reader_(reader), world_(world) {}
  Result<StoreDamage> run();

 private:
  using Line = std::string;
  void other(Line line) { out_.findings.other.push_back(std::move(line)); }
  void unusable(Db db, Bytes key, Line line);
  bool sound(const KeyBytes& key, Location location) const;
  Result<void> scan_tiles();
  Result<void> scan_history();
  Result<void> scan_lengths(Db db);
  Result<void> scan_records();
  Result<void> scan_runs();

  template <class Check>
  Result<void> each(Db db, Check check) {
    auto cursor = PIXELLM_TRY(LmdbCursor::open(reader_.txn(), db));
    for (auto at = PIXELLM_TRY(cursor.next()); at; at = PIXELLM_TRY(cursor.next())) check(at->key, at->value);
    return {};
  }

  const StoreReader& reader_;
  const WorldRecord& world_;
  StoreDamage out_;
};

void Scan::unusable(Db db, Bytes key, Line line) {
  out_.unusable.push_back({db, {key.begin(), key.end()}});
  if (!line.empty()) other(std::move(line));
}

// The version's bytes are whole, and its run agrees whose they are.
bool Scan::sound(const KeyBytes& key, Location location) const {
  if (!reader_.intact(key, location)) return false;
  const auto view = reader_.run(location.run());
  return std::ranges::equal((*view)->key(location.slot()), key);
}

Result<void> Scan::scan_tiles() {
  return each(Db::kTiles, [&](Bytes key, Bytes value) {
    if (key.size() != MortonKey::kEncodedLength)
      return unusable(Db::kTiles, key, fmt::format("database 'tiles' has a key of {} bytes", key.size()));
    ++out_.findings.tiles_checked;
    KeyBytes bytes;
    std::copy(key.begin(), key.end(), bytes.begin());
    const MortonKey morton = MortonKey::decode(key.data());
    const auto entry = TileEntry::decode(value);
    if (!entry || !reader_.intact(bytes, entry->current))
      out_.findings.bad.push_back(tile_of(morton));
    else if (!sound(bytes, entry->current)) {
      out_.misnamed.push_back(morton);
      other(fmt::format("run {} names another tile in the place of {}", entry->current.run(),
                        describe(tile_of(morton))));
    }
    if (entry && entry->replaced.exists() && !sound(bytes, entry->replaced)) {
      out_.bad_replaced.push_back(morton);
      ++out_.findings.bad_old_versions;
    }
  });
}

Result<void> Scan::scan_history() {
  return each(Db::kHistory, [&](Bytes key, Bytes value) {
    const auto parts = decode_erase_key(key);
    const auto entry = HistoryEntry::decode(key, value, reader_.shape().tile_size);
    if (!parts || !entry) return unusable(Db::kHistory, key, "database 'history' has an unreadable entry");
    if (!entry->location.exists() || sound(parts->key.encode(), entry->location)) return;
    ++out_.findings.bad_old_versions;
    unusable(Db::kHistory, key, {});
  });
}

Result<void> Scan::scan_lengths(Db db) {
  const size_t key_bytes = db == Db::kLengths ? MortonKey::kEncodedLength : std::tuple_size_v<EraseKey>;
  return each(db, [&](Bytes key, Bytes value) {
    if (key.size() == key_bytes && decode_length(key, value)) return;
    std::string place;
    if (key.size() == key_bytes) {
      const TileCoord pixel = tile_of(MortonKey::decode(key.data()));
      place = fmt::format(" for the byte region at ({}, {})", pixel.x, pixel.y);
    }
    unusable(db, key, fmt::format("database '{}' has an unreadable entry{}", db_name(db), place));
  });
}

Result<void> Scan::scan_records() {
  return each(Db::kRecords, [&](Bytes key, Bytes value) {
    const auto record = decode_record(value);
    if (!record || !std::ranges::equal(record_key(record->name), key))
      unusable(Db::kRecords, key, "database 'records' has an unreadable entry (a mount)");
  });
}

Result<void> Scan::scan_runs() {
  const auto uses = PIXELLM_TRY(count_references(reader_));
  uint64_t total = 0;
  for (const RunUse& use : uses) total += use.slots;
  auto use = uses.begin();
  Result<void> read;
  PIXELLM_CHECK(each(Db::kRuns, [&](Bytes key, Bytes value) {
    const uint64_t run = load_le<uint64_t>(key.data());
    const auto slots = reader_.shape().slots_of(value.size());
    while (use != uses.end() && use->run < run) ++use;  // its tiles have been reported
    const bool used = use != uses.end() && use->run == run;
    auto count = reader_.txn().get(Db::kLive, key);
    if (!count && read) read = std::unexpected(count.error());
    if (!slots) return other(fmt::format("run {} has {} bytes, which no run has", run, value.size()));
    const uint64_t live = !count || !*count       ? *slots
                          : (*count)->size() == 4 ? load_le<uint32_t>((*count)->data())
                                                  : ~uint64_t{0};
    if (live == (used ? use->slots : 0)) return;
    out_.wrong_counts = true;
    other(fmt::format("run {} has {} versions in use, its count is another", run, used ? use->slots : 0));
  }));
  PIXELLM_CHECK(read);
  if (total != world_.live_slots) {
    out_.wrong_counts = true;
    other(fmt::format("{} versions are in use, the world's record says {}", total, world_.live_slots));
  }
  return {};
}

Result<StoreDamage> Scan::run() {
  PIXELLM_CHECK(scan_tiles());
  PIXELLM_CHECK(scan_history());
  PIXELLM_CHECK(scan_lengths(Db::kLengths));
  PIXELLM_CHECK(scan_lengths(Db::kOldLengths));
  PIXELLM_CHECK(scan_records());
  PIXELLM_CHECK(scan_runs());
  return std::move(out_);
}

}  // namespace

Result<StoreDamage> scan_store(const StoreReader& reader, const WorldRecord& world) {
  return Scan(reader, world).run();
}

Result<std::vector<RunUse>> count_references(const StoreReader& reader) {
  std::vector<uint64_t> locations;
  const auto add = [&](Location location) {
    if (location.exists()) locations.push_back(location.value);
  };
  auto tiles = PIXELLM_TRY(LmdbCursor::open(reader.txn(), Db::kTiles));
  for (auto at = PIXELLM_TRY(tiles.next()); at; at = PIXELLM_TRY(tiles.next()))
    if (const auto entry = TileEntry::decode(at->value)) add(entry->current), add(entry->replaced);
  auto history = PIXELLM_TRY(LmdbCursor::open(reader.txn(), Db::kHistory));
  for (auto at = PIXELLM_TRY(history.next()); at; at = PIXELLM_TRY(history.next()))
    if (const auto entry = HistoryEntry::decode(at->key, at->value, reader.shape().tile_size))
      add(entry->location);
  std::sort(locations.begin(), locations.end());
  locations.erase(std::unique(locations.begin(), locations.end()), locations.end());
  std::vector<RunUse> out;
  for (const uint64_t value : locations) {
    const uint64_t run = Location{value}.run();
    if (out.empty() || out.back().run != run) out.push_back({run, 0});
    ++out.back().slots;
  }
  return out;
}

}  // namespace pixellm
