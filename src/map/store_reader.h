// Reading a world's state through one transaction. Every reference is checked before it is followed. Internal
// to src/map.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "map/quadtree.h"
#include "map/store_format.h"
#include "map/store_lmdb.h"

namespace pixellm {

// One run as it lies in the mapping.
class RunView {
 public:
  RunView() = default;
  RunView(const RunShape& shape, Bytes value, uint64_t slots)
      : shape_(&shape), value_(value), slots_(slots) {}
  uint64_t slots() const { return slots_; }
  Bytes rgb(uint64_t slot) const { return value_.subspan(slot * shape_->slot_bytes, shape_->tile_bytes); }
  uint32_t checksum(uint64_t slot) const { return load_le<uint32_t>(rgb(slot).data() + shape_->tile_bytes); }
  Bytes key(uint64_t slot) const {
    return value_.subspan(slots_ * shape_->slot_bytes + slot * MortonKey::kEncodedLength,
                          MortonKey::kEncodedLength);
  }

 private:
  const RunShape* shape_ = nullptr;
  Bytes value_;
  uint64_t slots_ = 0;
};

// Versions whose checksum was found right. A location is never used for another version, so this holds as
// long as the environment is open. Keeps the last ones only. Any thread.
class CheckedVersions {
 public:
  bool contains(const RunShape& shape, Location location) const {
    return slots_[index(shape, location)].load(std::memory_order_relaxed) == location.value;
  }
  void insert(const RunShape& shape, Location location) {
    slots_[index(shape, location)].store(location.value, std::memory_order_relaxed);
  }

 private:
  static constexpr size_t kSlots = size_t{1} << 17;  // neighbouring versions never push each other out
  static size_t index(const RunShape& shape, Location l) {
    return (l.run() * shape.max_slots + l.slot()) % kSlots;
  }
  // Zero is no version's location: runs count from 1.
  std::unique_ptr<std::atomic<uint64_t>[]> slots_ = std::make_unique<std::atomic<uint64_t>[]>(kSlots);
};

class ReadTxn;

// One thread at a time. Ends before its transaction does; views are valid as long as the transaction's are.
class StoreReader {
 public:
  // For a transaction that writes: views are valid until the next write, every checksum is computed.
  StoreReader(const LmdbTxn& txn, const RunShape& shape) : txn_(&txn), shape_(&shape) {}

  // For one that reads. With `checked`, a checksum is computed only when the version is not in there, and it is added then.
  StoreReader(const ReadTxn& txn, const RunShape& shape, CheckedVersions* checked);

  Result<WorldRecord> world() const;
  Result<std::optional<TileEntry>> entry(const KeyBytes& key) const;  // kCorrupt: not one
  Result<std::optional<RunView>> run(uint64_t id) const;              // kCorrupt: of an unlawful length
  Result<Bytes> rgb(const KeyBytes& key,
                    Location location) const;                 // kCorrupt, naming the tile, unless it is whole
  bool intact(const KeyBytes& key, Location location) const;  // whether rgb() would succeed

  void moved() { ++state_; }  // the transaction sees another state now
  const LmdbTxn& txn() const { return *txn_; }
  const RunShape& shape() const { return *shape_; }
  const std::string& folder() const { return txn_->env().folder(); }

 private:
  struct RecentRun {
    uint64_t id = 0, state = 0;
    RunView view;
  };
  Result<RunView> find_run(const KeyBytes& key, uint64_t id) const;

  const LmdbTxn* txn_;
  const RunShape* shape_;
  CheckedVersions* checked_ = nullptr;
  uint64_t state_ = 1;
  mutable std::vector<RecentRun> recent_;  // by the low bits of the id; none while writing
};

// Keys of a database that begin with a Morton key, each once.
class DbKeyCursor : public KeyCursor {
 public:
  static Result<DbKeyCursor> open(const LmdbTxn& txn, Db db);
  Result<std::optional<MortonKey>> seek(MortonKey at_least) override;
  Result<std::optional<MortonKey>> next() override;

 private:
  DbKeyCursor(LmdbCursor cursor, const std::string& folder, Db db)
      : cursor_(std::move(cursor)), folder_(folder), db_(db) {}
  Result<std::optional<MortonKey>> take(const std::optional<DbEntry>& entry);
  LmdbCursor cursor_;
  std::string folder_;
  Db db_;
  std::optional<MortonKey> last_;
};

// The versions of one tile that erases keep, the newest erase first.
struct KeptVersion {
  uint64_t erase = 0;
  HistoryEntry entry;
};
Result<std::vector<KeptVersion>> kept_versions(const StoreReader& reader, MortonKey key);

std::array<uint8_t, 8> run_key(uint64_t id);  // in native byte order, as LMDB's integer keys are

}  // namespace pixellm
