// One change of a world: a transaction in which tiles are replaced, references go and runs are packed.
// Internal to src/map.
//
//   auto writer = PIXELLM_TRY(StoreWriter::begin(env, shape));
//   PIXELLM_CHECK(writer.put_tile(key, rgb));
//   PIXELLM_CHECK(writer.finish());             // without it nothing has happened
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "map/store_env.h"
#include "map/store_format.h"
#include "map/store_reader.h"

namespace pixellm {

class StoreWriter {
 public:
  static Result<StoreWriter> begin(StoreEnv& env, const RunShape& shape);
  StoreWriter(StoreWriter&&) noexcept = default;
  StoreWriter& operator=(StoreWriter&&) = delete;
  ~StoreWriter() { tiles_.reset(); }

  // Makes `rgb` the tile's current version; the one that was becomes the replaced one. A key at most once in
  // a transaction. Borrowed until finish().
  Result<void> put_tile(MortonKey key, Bytes rgb);
  Result<void> put_owned_tile(MortonKey key, std::vector<uint8_t> rgb);  // the same, kept here

  // Another entry, or none, for a tile. A version that nothing refers to any more is given up.
  Result<void> set_entry(MortonKey key, const std::optional<TileEntry>& entry);

  // Before the change of the tile's entry that the version is kept from.
  Result<void> put_history(MortonKey key, uint64_t erase, const HistoryEntry& entry);

  // After the change of the tile's entry that uses the version.
  Result<void> remove_history(MortonKey key, uint64_t erase, Location location);

  // Commits; the writer is spent then. The second one counts all references anew and drops runs without any,
  // where the counts cannot be relied on.
  Result<void> finish();
  Result<void> finish_recounted();

  LmdbTxn& txn() { return *txn_; }
  const StoreReader& reader() const { return reader_; }
  WorldRecord& world() { return world_; }

 private:
  struct Pending {
    KeyBytes key;
    Bytes rgb;
    std::optional<uint32_t> checksum;  // a moved version keeps its own, so that damage stays visible
  };
  StoreWriter(StoreEnv& env, std::unique_ptr<LmdbTxn> txn, const RunShape& shape)
      : env_(&env), txn_(std::move(txn)), reader_(*txn_, shape) {}

  Result<Location> place(Pending tile);
  Result<void> write_run();
  Result<bool> referenced(const KeyBytes& key, Location location) const;
  Result<void> release(const KeyBytes& key, Location location);
  Result<void> put_live(uint64_t run, uint64_t live);
  Result<void> commit();
  Result<void> settle_run(uint64_t run, uint64_t released);
  Result<bool> empty_run(uint64_t run, const RunView& view, uint64_t live);
  Result<void> move_references(const KeyBytes& key, Location from, Location to);

  StoreEnv* env_;
  std::unique_ptr<LmdbTxn> txn_;
  StoreReader reader_;
  WorldRecord world_;
  bool has_history_ = false;
  std::vector<Pending> pending_;             // of the run being filled
  std::vector<std::vector<uint8_t>> owned_;  // pixels that pending_ points to
  std::vector<uint64_t> released_;           // a run's id for each slot given up
  std::optional<LmdbCursor> tiles_;          // ends before the transaction
};

}  // namespace pixellm
