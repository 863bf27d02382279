// What the tile store puts into its databases, by byte offset (spec/infinite-map.md, sections 3 to 6).
// Internal to src/map.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "map/geometry.h"

namespace pixellm {

using KeyBytes = std::array<uint8_t, MortonKey::kEncodedLength>;

// Where a version of a tile lies: slot `slot()` of run `run()`.
struct Location {
  uint64_t value = ~uint64_t{0};
  static constexpr uint64_t kMaxRun = (uint64_t{1} << 47) - 1;

  static Location of(uint64_t run, uint64_t slot) { return {run << 16 | slot}; }
  bool exists() const { return value != ~uint64_t{0}; }
  uint64_t run() const { return value >> 16; }
  uint64_t slot() const { return value & 0xffff; }
  bool operator==(const Location&) const = default;
};

// Value in `tiles`: the version that is shown and the one that it replaced.
struct TileEntry {
  Location current, replaced;
  static constexpr size_t kEncodedLength = 16;

  std::array<uint8_t, kEncodedLength> encode() const;
  static std::optional<TileEntry> decode(Bytes value);  // nullopt: wrong length, or no current version
};

// Runs of a world: n slots of RGB and CRC-32, then n keys.
struct RunShape {
  explicit RunShape(uint32_t tile_size);
  uint32_t tile_size;
  uint64_t tile_bytes, slot_bytes;  // slot_bytes: with the CRC-32
  uint64_t max_slots;

  uint64_t run_bytes(uint64_t slots) const { return slots * (slot_bytes + MortonKey::kEncodedLength); }
  std::optional<uint64_t> slots_of(uint64_t run_bytes) const;  // nullopt: no run is that long
};

uint32_t tile_checksum(const KeyBytes& key, Bytes rgb);

// Writes slot `slot` of a run of `slots`, and its key. Without a checksum it is computed.
void write_slot(const RunShape& shape, MutableBytes run, uint64_t slot, uint64_t slots, const KeyBytes& key,
                Bytes rgb, std::optional<uint32_t> checksum);

// The one value in `world`.
struct WorldRecord {
  uint32_t tile_size = 0;
  uint64_t version = 0;  // commits so far, over all compactions
  uint64_t txn_id = 0;   // of the LMDB transaction that wrote it
  uint64_t next_run = 1, next_erase = 1;
  uint64_t live_slots = 0;  // of all versions that are kept
  static constexpr size_t kEncodedLength = 60;

  std::array<uint8_t, kEncodedLength> encode() const;
  static Result<WorldRecord> decode(Bytes value);
};
Bytes world_record_key();

// Pixels [x0, x1) by [y0, y1) of a tile.
struct TileBox {
  uint16_t x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  bool operator==(const TileBox&) const = default;
  bool empty() const { return x0 >= x1 || y0 >= y1; }
};
TileBox meet(const TileBox& a, const TileBox& b);
std::optional<TileBox> box_in_tile(const PixelRect& rect, TileCoord tile,
                                   uint32_t tile_size);                   // nullopt: they do not meet
std::vector<TileBox> subtract(const TileBox& from, const TileBox& hole);  // up to four, disjoint

// Calls `row(offset, size)` with each row of the box as a range of the tile's bytes.
template <class Row>
void for_rows(const TileBox& box, uint32_t tile_size, Row row) {
  const uint64_t size = 3 * static_cast<uint64_t>(box.x1 - box.x0);
  for (uint64_t y = box.y0; y < box.y1; ++y) row(3 * (y * tile_size + box.x0), size);
}

// Key in `history` and `old-lengths`: a Morton key, then the number of the erase.
using EraseKey = std::array<uint8_t, MortonKey::kEncodedLength + 8>;
EraseKey erase_key(MortonKey key, uint64_t erase);
struct EraseKeyParts {
  MortonKey key;
  uint64_t erase = 0;
};
std::optional<EraseKeyParts> decode_erase_key(Bytes key);

// Value in `history`: the version that an erase took pixels from, and which of them are not restored yet. No
// version: the tile did not exist (only a byte region's length was taken).
struct HistoryEntry {
  Location location;
  std::vector<TileBox> boxes;

  std::vector<uint8_t> encode(Bytes key) const;
  static std::optional<HistoryEntry> decode(Bytes key, Bytes value, uint32_t tile_size);
};

// Value in `lengths` and `old-lengths`.
std::array<uint8_t, 12> encode_length(Bytes key, uint64_t length);
std::optional<uint64_t> decode_length(Bytes key, Bytes value);

// Key (SHA-256 of the name) and value in `records`.
inline constexpr size_t kMaxRecordName = 4096, kMaxRecordValue = size_t{1} << 20;
std::array<uint8_t, 32> record_key(const std::string& name);
struct RecordParts {
  std::string name;
  std::vector<uint8_t> value;
};
std::vector<uint8_t> encode_record(const std::string& name, Bytes value);
std::optional<RecordParts> decode_record(Bytes value);

std::string describe(TileCoord tile);  // "tile (2, -3)"

}  // namespace pixellm
