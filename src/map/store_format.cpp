#include "map/store_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "map/tile_store.h"

namespace pixellm {
namespace {

constexpr uint32_t kFormatVersion = 1;
constexpr char kMagic[] = "PXIW", kRecordKey[] = "world";
constexpr uint64_t kRunBytes = uint64_t{192} << 10;

Bytes text(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

// The last four bytes of `value` are the CRC-32 of the key and what is before them.
uint32_t checksum(Bytes key, Bytes before) { return crc32(crc32(0, key), before); }
bool checksum_fits(Bytes key, Bytes value) {
  return value.size() >= 4 &&
         load_le<uint32_t>(value.data() + value.size() - 4) == checksum(key, value.first(value.size() - 4));
}

}  // namespace

// ---- tiles and runs

std::array<uint8_t, TileEntry::kEncodedLength> TileEntry::encode() const {
  std::array<uint8_t, kEncodedLength> out;
  store_le<uint64_t>(out.data(), current.value);
  store_le<uint64_t>(out.data() + 8, replaced.value);
  return out;
}

std::optional<TileEntry> TileEntry::decode(Bytes value) {
  if (value.size() != kEncodedLength) return std::nullopt;
  const TileEntry entry{{load_le<uint64_t>(value.data())}, {load_le<uint64_t>(value.data() + 8)}};
  if (!entry.current.exists()) return std::nullopt;
  return entry;
}

RunShape::RunShape(uint32_t size)
    : tile_size(size),
      tile_bytes(uint64_t{3} * size * size),
      slot_bytes(tile_bytes + 4),
      max_slots(std::max<uint64_t>(1, kRunBytes / tile_bytes)) {}

std::optional<uint64_t> RunShape::slots_of(uint64_t bytes) const {
  const uint64_t slots = bytes / run_bytes(1);
  if (bytes % run_bytes(1) != 0 || slots < 1 || slots > max_slots) return std::nullopt;
  return slots;
}

uint32_t tile_checksum(const KeyBytes& key, Bytes rgb) { return checksum(key, rgb); }

void write_slot(const RunShape& shape, MutableBytes run, uint64_t slot, uint64_t slots, const KeyBytes& key,
                Bytes rgb, std::optional<uint32_t> sum) {
  uint8_t* at = run.data() + slot * shape.slot_bytes;
  std::memcpy(at, rgb.data(), shape.tile_bytes);
  store_le<uint32_t>(at + shape.tile_bytes, sum ? *sum : tile_checksum(key, rgb));
  std::memcpy(run.data() + slots * shape.slot_bytes + slot * key.size(), key.data(), key.size());
}

// ---- the world's record

Bytes world_record_key() { return text(kRecordKey); }

std::array<uint8_t, WorldRecord::kEncodedLength> WorldRecord::encode() const {
  std::array<uint8_t, kEncodedLength> out{};
  std::memcpy(out.data(), kMagic, 4);
  store_le<uint32_t>(out.data() + 4, kFormatVersion);
  store_le<uint32_t>(out.data() + 8, tile_size);
  store_le<uint64_t>(out.data() + 16, version);
  store_le<uint64_t>(out.data() + 24, txn_id);
  store_le<uint64_t>(out.data() + 32, next_run);
  store_le<uint64_t>(out.data() + 40, next_erase);
  store_le<uint64_t>(out.data() + 48, live_slots);
  store_le<uint32_t>(out.data() + 56, checksum(world_record_key(), Bytes(out).first(56)));
  return out;
}

Result<WorldRecord> WorldRecord::decode(Bytes value) {
  if (value.size() < 8 || std::memcmp(value.data(), kMagic, 4) != 0)
    return fail(ErrorCode::kCorrupt, "the world's record does not begin with PXIW");
  if (const uint32_t version = load_le<uint32_t>(value.data() + 4); version != kFormatVersion)
    return fail(version > kFormatVersion ? ErrorCode::kUnsupported : ErrorCode::kCorrupt,
                fmt::format("the world has format version {}, this program reads version {}", version,
                            kFormatVersion));
  if (value.size() != kEncodedLength)
    return fail(ErrorCode::kCorrupt,
                fmt::format("the world's record has {} bytes, not {}", value.size(), kEncodedLength));
  if (!checksum_fits(world_record_key(), value))
    return fail(ErrorCode::kCorrupt, "the world's record has a wrong checksum");
  WorldRecord r;
  r.tile_size = load_le<uint32_t>(value.data() + 8);
  r.version = load_le<uint64_t>(value.data() + 16);
  r.txn_id = load_le<uint64_t>(value.data() + 24);
  r.next_run = load_le<uint64_t>(value.data() + 32);
  r.next_erase = load_le<uint64_t>(value.data() + 40);
  r.live_slots = load_le<uint64_t>(value.data() + 48);
  if (r.tile_size < kMinTileSize || r.tile_size > kMaxTileSize)
    return fail(ErrorCode::kCorrupt, fmt::format("the world's tile size is {}, allowed are {} to {}",
                                                 r.tile_size, kMinTileSize, kMaxTileSize));
  return r;
}

// ---- boxes

TileBox meet(const TileBox& a, const TileBox& b) {
  return {std::max(a.x0, b.x0), std::max(a.y0, b.y0), std::min(a.x1, b.x1), std::min(a.y1, b.y1)};
}

std::optional<TileBox> box_in_tile(const PixelRect& rect, TileCoord tile, uint32_t tile_size) {
  using Wide = __int128;  // a tile at the end of the coordinates reaches beyond them
  const auto part = [&](int64_t begin, uint64_t size, int64_t index, uint16_t& low, uint16_t& high) {
    const Wide origin = Wide{index} * tile_size;
    const Wide from = std::max<Wide>(begin - origin, 0),
               to = std::min<Wide>(begin + Wide{size} - origin, tile_size);
    if (from >= to) return false;
    low = static_cast<uint16_t>(from);
    high = static_cast<uint16_t>(to);
    return true;
  };
  TileBox box;
  if (!part(rect.x, rect.w, tile.x, box.x0, box.x1) || !part(rect.y, rect.h, tile.y, box.y0, box.y1))
    return std::nullopt;
  return box;
}

std::vector<TileBox> subtract(const TileBox& from, const TileBox& hole) {
  const TileBox h = meet(from, hole);
  if (h.empty()) return {from};
  std::vector<TileBox> out;
  for (const TileBox& b : {TileBox{from.x0, from.y0, from.x1, h.y0}, TileBox{from.x0, h.y0, h.x0, h.y1},
                           TileBox{h.x1, h.y0, from.x1, h.y1}, TileBox{from.x0, h.y1, from.x1, from.y1}})
    if (!b.empty()) out.push_back(b);
  return out;
}

// ---- history

EraseKey erase_key(MortonKey key, uint64_t erase) {
  EraseKey out;
  const auto head = key.encode();
  std::copy(head.begin(), head.end(), out.begin());
  store_be<uint64_t>(out.data() + head.size(), erase);
  return out;
}

std::optional<EraseKeyParts> decode_erase_key(Bytes key) {
  if (key.size() != std::tuple_size_v<EraseKey>) return std::nullopt;
  return EraseKeyParts{MortonKey::decode(key.data()),
                       load_be<uint64_t>(key.data() + MortonKey::kEncodedLength)};
}

std::vector<uint8_t> HistoryEntry::encode(Bytes key) const {
  std::vector<uint8_t> out(8 + 8 * boxes.size() + 4);
  store_le<uint64_t>(out.data(), location.value);
  uint8_t* p = out.data() + 8;
  for (const TileBox& b : boxes)
    for (const uint16_t v : {b.x0, b.y0, b.x1, b.y1}) {
      store_le<uint16_t>(p, v);
      p += 2;
    }
  store_le<uint32_t>(p, checksum(key, Bytes(out).first(out.size() - 4)));
  return out;
}

std::optional<HistoryEntry> HistoryEntry::decode(Bytes key, Bytes value, uint32_t tile_size) {
  if (value.size() < 20 || (value.size() - 12) % 8 != 0 || !checksum_fits(key, value)) return std::nullopt;
  HistoryEntry entry;
  entry.location.value = load_le<uint64_t>(value.data());
  entry.boxes.resize((value.size() - 12) / 8);
  const uint8_t* p = value.data() + 8;
  for (TileBox& b : entry.boxes) {
    b = {load_le<uint16_t>(p), load_le<uint16_t>(p + 2), load_le<uint16_t>(p + 4), load_le<uint16_t>(p + 6)};
    if (b.empty() || b.x1 > tile_size || b.y1 > tile_size) return std::nullopt;
    p += 8;
  }
  return entry;
}

// ---- lengths and records

std::array<uint8_t, 12> encode_length(Bytes key, uint64_t length) {
  std::array<uint8_t, 12> out;
  store_le<uint64_t>(out.data(), length);
  store_le<uint32_t>(out.data() + 8, checksum(key, Bytes(out).first(8)));
  return out;
}

std::optional<uint64_t> decode_length(Bytes key, Bytes value) {
  if (value.size() != 12 || !checksum_fits(key, value)) return std::nullopt;
  return load_le<uint64_t>(value.data());
}

std::array<uint8_t, 32> record_key(const std::string& name) { return sha256(text(name)); }

std::vector<uint8_t> encode_record(const std::string& name, Bytes value) {
  std::vector<uint8_t> out(4 + name.size() + value.size() + 4);
  store_le<uint32_t>(out.data(), static_cast<uint32_t>(name.size()));
  const auto end = std::copy(name.begin(), name.end(), out.begin() + 4);
  std::copy(value.begin(), value.end(), end);
  store_le<uint32_t>(out.data() + out.size() - 4, checksum({}, Bytes(out).first(out.size() - 4)));
  return out;
}

std::optional<RecordParts> decode_record(Bytes value) {
  if (value.size() < 8 || !checksum_fits({}, value)) return std::nullopt;
  const uint64_t length = load_le<uint32_t>(value.data());
  const Bytes rest = value.subspan(4, value.size() - 8);
  if (length > rest.size()) return std::nullopt;
  const Bytes name = rest.first(length), data = rest.subspan(length);
  return RecordParts{{name.begin(), name.end()}, {data.begin(), data.end()}};
}

std::string describe(TileCoord tile) { return fmt::format("tile ({}, {})", tile.x, tile.y); }

}  // namespace pixellm
