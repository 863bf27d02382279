// A world on disk: tiles in an LMDB environment (FOLDER/data.mdb and lock.mdb), committed whole or not at all.
// Layout, reasons and the designs that were rejected: spec/infinite-map.md.
//
//   auto store = PIXELLM_TRY(TileStore::open("world", {.tile_size = 64}));
//   PIXELLM_CHECK(store->commit({.tiles = {{.tile = {2, 3}, .rgb = bytes}}}));     // durable when it returns
//   auto snapshot = PIXELLM_TRY(store->snapshot());
//   std::optional<Bytes> rgb = PIXELLM_TRY(snapshot->tile({2, 3}));              // in the mapping, checksum checked
// One writer and any number of readers, in this and other processes (but not in a child of one that has it open); a snapshot
// sees one committed state for as long as it lives. The object that writes belongs to one thread at a time; snapshots may be used in other threads, one at a time each.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "map/geometry.h"
#include "map/quadtree.h"

namespace pixellm {

inline constexpr uint32_t kMinTileSize = 16, kMaxTileSize = 1024, kDefaultTileSize = 64;   // any size between is lawful

struct StoreOptions {
  bool read_only = false;
  bool create = true;                   // make the world when FOLDER holds none; never with read_only
  std::optional<uint32_t> tile_size = {};   // a new world's (default 64); an existing world must have it
};

struct TileChange {
  TileCoord tile;
  Bytes rgb;                            // tile_bytes(), rows from the top; borrowed until commit() returns
};

// Bytes written at a pixel by World::write_bytes: their length, which the pixels cannot tell.
struct ByteLength {
  int64_t x = 0, y = 0;
  uint64_t length = 0;
};

struct StoreChanges {
  std::vector<TileChange> tiles = {};   // each tile at most once, any order
  std::vector<ByteLength> lengths = {};
};

// A small named value kept with the world (a mount).
struct StoreRecord {
  std::string name;
  std::vector<uint8_t> value;
};

struct StoreStats {
  uint64_t tiles = 0;                   // that exist
  uint64_t old_versions = 0;            // replaced or erased ones that are still kept
  uint64_t file_bytes = 0, used_bytes = 0;
  uint64_t version = 0;                 // of the committed state; grows with every commit
};

// What `map verify` and `map repair` found. `other`: damage that belongs to no tile, a line each.
struct StoreFindings {
  uint64_t tiles_checked = 0;
  std::vector<TileCoord> bad, restored, dropped;   // repair: each bad tile is in one of the latter two
  uint64_t bad_old_versions = 0;
  std::vector<std::string> other;
};

class StoreSnapshot {
 public:
  virtual ~StoreSnapshot() = default;

  // View into the mapping, valid until refresh() or the end of the snapshot. nullopt: no such tile. kCorrupt when its
  // checksum is wrong; the message names the tile. A version's checksum is computed when this process reads it first.
  virtual Result<std::optional<Bytes>> tile(TileCoord tile) const = 0;
  virtual Result<bool> has_tile(TileCoord tile) const = 0;
  virtual Result<std::unique_ptr<KeyCursor>> keys() const = 0;      // ends before the snapshot does
  virtual Result<std::optional<uint64_t>> byte_length(int64_t x, int64_t y) const = 0;
  virtual Result<std::vector<StoreRecord>> records() const = 0;     // by name
  virtual Result<StoreStats> stats() const = 0;
  virtual uint64_t version() const = 0;

  // Moves to the newest committed state; true when that is another one than before.
  virtual Result<bool> refresh() = 0;

  // Gives up the state, so that its pages can be used again, until the next refresh(). Nothing else may be called then.
  virtual void release() = 0;
};

class TileStore {
 public:
  // kNotFound: no world there and none to be made. kBusy: another writer has it. kInvalidArgument: another tile size (names
  // the world's), a size out of range, a folder that holds something else. kUnsupported: a newer format. kCorrupt: not a
  // world, or a truncated file.
  static Result<std::unique_ptr<TileStore>> open(const std::string& folder, const StoreOptions& options);
  virtual ~TileStore() = default;

  virtual const std::string& folder() const = 0;
  virtual uint32_t tile_size() const = 0;
  uint64_t tile_bytes() const { return uint64_t{3} * tile_size() * tile_size(); }
  virtual bool read_only() const = 0;
  virtual std::vector<std::string> files() const = 0;     // paths of the world's own files

  virtual Result<std::unique_ptr<StoreSnapshot>> snapshot() const = 0;

  // Each of these is one transaction: durable when it returns, without effect when it fails (a full disk, say).
  virtual Result<void> commit(const StoreChanges& changes) = 0;

  // Takes the pixels of the rectangle away: tiles wholly inside cease to exist, others get black there; lengths of byte
  // regions that begin inside go too. What was there stays restorable until compact(). Returns the number of tiles touched:
  // not those where all is black already.
  virtual Result<uint64_t> erase(const PixelRect& rect) = 0;

  // Brings back, inside the rectangle, what the latest erase of each tile took away there, over whatever was painted since;
  // again for the erase before it. Returns the number of tiles touched (0: nothing to restore).
  virtual Result<uint64_t> restore(const PixelRect& rect) = 0;

  virtual Result<void> put_record(const StoreRecord& record) = 0;
  virtual Result<void> remove_record(const std::string& name) = 0;  // kNotFound

  // Checks every tile's checksum and that the parts of the store agree. Damage is a result.
  virtual Result<StoreFindings> verify() const = 0;

  // Puts the version that it replaced, if that is whole, in place of each bad tile, or drops the tile. What was erased
  // stays erased: restore() is for that.
  virtual Result<StoreFindings> repair() = 0;

  // Drops replaced and erased versions, packs tiles in key order and gives unused space back to the file system. kBusy while
  // another process or snapshot uses the world, kCorrupt while a tile is damaged. Returns the bytes saved.
  virtual Result<uint64_t> compact() = 0;

  // When open() made the world and nothing was ever committed to it, it is gone again, with its folder if that is new too, once
  // this object is. For whoever finds out that what was to be stored cannot be.
  virtual void discard_if_new() = 0;
};

// Opens the world and repairs it, also one that does not open: where a meta page of data.mdb or the newest state's pages are
// damaged and the state before is whole, that one comes back first, and `other` of the findings says what is lost. kBusy
// while anybody has it open. kCorrupt: neither state is whole; nothing was changed.
Result<StoreFindings> repair_world(const std::string& folder);

}  // namespace pixellm
