// verify() and repair().
#include <algorithm>
#include <cstring>

#include "map/store_impl.h"
#include "map/store_scan.h"

namespace pixellm {
namespace {

class Repair {
 public:
  Repair(StoreWriter& writer, StoreDamage damage) : writer_(writer), damage_(std::move(damage)) {}
  Result<StoreFindings> run();

 private:
  Result<bool> restore(MortonKey key);  // false: nothing to restore it from
  Result<void> rewrite(MortonKey key);

  StoreWriter& writer_;
  StoreDamage damage_;
};

// What the damaged version replaced. Where it came from an erase of a part, that is repeated: the erased
// pixels stay erased.
Result<bool> Repair::restore(MortonKey key) {
  const KeyBytes bytes = key.encode();
  const StoreReader& reader = writer_.reader();
  const auto value = PIXELLM_TRY(writer_.txn().get(Db::kTiles, bytes));
  const auto entry = value ? TileEntry::decode(*value) : std::nullopt;
  if (!entry || !entry->replaced.exists() || !reader.intact(bytes, entry->replaced)) {
    PIXELLM_TRY(writer_.txn().remove(Db::kTiles, bytes));
    return false;
  }
  const auto kept = PIXELLM_TRY(kept_versions(reader, key));
  const auto erase =
      std::ranges::find(kept, entry->replaced, [](const KeptVersion& k) { return k.entry.location; });
  PIXELLM_CHECK(writer_.txn().put(Db::kTiles, bytes, TileEntry{entry->replaced, {}}.encode()));
  if (erase == kept.end()) return true;
  const Bytes old = PIXELLM_TRY(reader.rgb(bytes, entry->replaced));
  std::vector<uint8_t> rgb(old.begin(), old.end());
  for (const TileBox& box : erase->entry.boxes)
    for_rows(box, reader.shape().tile_size,
             [&](uint64_t offset, uint64_t size) { std::memset(rgb.data() + offset, 0, size); });
  PIXELLM_CHECK(writer_.put_owned_tile(key, std::move(rgb)));
  return true;
}

Result<void> Repair::rewrite(MortonKey key) {
  const KeyBytes bytes = key.encode();
  const auto entry = PIXELLM_TRY(writer_.reader().entry(bytes));
  const Bytes rgb = PIXELLM_TRY(writer_.reader().rgb(bytes, entry->current));
  std::vector<uint8_t> copy(rgb.begin(), rgb.end());
  PIXELLM_TRY(writer_.txn().remove(Db::kTiles, bytes));
  return writer_.put_owned_tile(key, std::move(copy));
}

Result<StoreFindings> Repair::run() {
  StoreFindings out = std::move(damage_.findings);
  for (const auto& [db, key] : damage_.unusable) PIXELLM_TRY(writer_.txn().remove(db, key));
  for (const MortonKey key : damage_.bad_replaced) {
    const KeyBytes bytes = key.encode();
    const auto value = PIXELLM_TRY(writer_.txn().get(Db::kTiles, bytes));
    auto entry = TileEntry::decode(*value);
    entry->replaced = {};
    PIXELLM_CHECK(writer_.txn().put(Db::kTiles, bytes, entry->encode()));
  }
  for (const MortonKey key : damage_.misnamed) PIXELLM_CHECK(rewrite(key));
  for (const TileCoord tile : out.bad)
    (PIXELLM_TRY(restore(morton_key(tile))) ? out.restored : out.dropped).push_back(tile);
  PIXELLM_CHECK(writer_.finish_recounted());
  return out;
}

}  // namespace

// Where the pages themselves are damaged LMDB must not follow them, and nothing more can be said.
Result<StoreFindings> LmdbTileStore::verify() const {
  if (auto pages = env_->look_over(~uint64_t{0}); !pages) {
    if (pages.error().code != ErrorCode::kCorrupt) return std::unexpected(pages.error());
    StoreFindings out;
    out.other.push_back(pages.error().message);
    return out;
  }
  const auto snapshot = PIXELLM_TRY(LmdbSnapshot::begin(env_, tile_size()));
  const StoreReader reader(snapshot->txn(), shape_, nullptr);
  return PIXELLM_TRY(scan_store(reader, snapshot->world())).findings;
}

Result<StoreFindings> LmdbTileStore::repair() {
  if (read_only()) return fail(ErrorCode::kInvalidArgument, folder() + ": the world was opened for reading only");
  if (auto pages = env_->look_over(~uint64_t{0}); !pages) return fail_in("cannot be repaired", pages.error());
  auto writer = PIXELLM_TRY(begin());
  auto damage = PIXELLM_TRY(scan_store(writer.reader(), writer.world()));
  if (!damage.any()) return damage.findings;
  return Repair(writer, std::move(damage)).run();
}

}  // namespace pixellm
