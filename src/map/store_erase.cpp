// Taking pixels away and bringing them back. An erase keeps, for each tile, the version that it took pixels
// from and the boxes that it took; a restore copies boxes back and drops what is then complete.
#include <algorithm>
#include <cstring>
#include <utility>

#include "map/store_impl.h"

namespace pixellm {
namespace {

TileRect pixels_as_tiles(const PixelRect& rect) {
  return {{rect.x, rect.y},
          {rect.x + static_cast<int64_t>(rect.w - 1), rect.y + static_cast<int64_t>(rect.h - 1)}};
}

Result<std::vector<MortonKey>> keys_in(const LmdbTxn& txn, Db db, const TileRect& rect) {
  std::vector<MortonKey> out;
  auto cursor = PIXELLM_TRY(DbKeyCursor::open(txn, db));
  PIXELLM_CHECK(visit_tiles(cursor, rect, [&](TileCoord tile) {
    out.push_back(morton_key(tile));
    return true;
  }));
  return out;
}

bool covers(const TileBox& box, uint32_t tile_size) {
  return box.x0 == 0 && box.y0 == 0 && box.x1 == tile_size && box.y1 == tile_size;
}

bool is_black(Bytes rgb, const TileBox& box, uint32_t tile_size) {
  bool black = true;
  for_rows(box, tile_size, [&](uint64_t offset, uint64_t size) {
    const Bytes row = rgb.subspan(offset, size);
    black = black && std::all_of(row.begin(), row.end(), [](uint8_t b) { return b == 0; });
  });
  return black;
}

// One call of erase() or restore().
class RegionChange {
 public:
  RegionChange(StoreWriter& writer, const PixelRect& rect)
      : writer_(writer), rect_(rect), size_(writer.reader().shape().tile_size) {}

  Result<uint64_t> erase();
  Result<uint64_t> restore();

 private:
  Result<std::vector<MortonKey>> erase_lengths(uint64_t erase);  // the tiles of those taken, sorted
  Result<bool> erase_tile(MortonKey key, uint64_t erase, bool took_length);
  Result<bool> restore_tile(MortonKey key);
  Result<void> restore_pixels(MortonKey key, const KeptVersion& kept, const std::vector<TileBox>& boxes);
  Result<void> restore_lengths(MortonKey key, uint64_t erase, const TileBox& box);

  StoreWriter& writer_;
  const PixelRect rect_;
  const uint32_t size_;
  bool has_old_lengths_ = false;
};

// ---- erase

Result<std::vector<MortonKey>> RegionChange::erase_lengths(uint64_t erase) {
  std::vector<MortonKey> tiles;
  for (const MortonKey key : PIXELLM_TRY(keys_in(writer_.txn(), Db::kLengths, pixels_as_tiles(rect_)))) {
    const KeyBytes bytes = key.encode();
    const auto value = PIXELLM_TRY(writer_.txn().get(Db::kLengths, bytes));
    const auto length = value ? decode_length(bytes, *value) : std::nullopt;
    if (length) {  // a damaged one is not worth keeping
      const EraseKey where = erase_key(key, erase);
      PIXELLM_CHECK(writer_.txn().put(Db::kOldLengths, where, encode_length(where, *length)));
      const TileCoord pixel = tile_of(key);
      tiles.push_back(morton_key(tile_at(pixel.x, pixel.y, size_)));
    }
    PIXELLM_TRY(writer_.txn().remove(Db::kLengths, bytes));
  }
  std::sort(tiles.begin(), tiles.end());
  tiles.erase(std::unique(tiles.begin(), tiles.end()), tiles.end());
  return tiles;
}

Result<bool> RegionChange::erase_tile(MortonKey key, uint64_t erase, bool took_length) {
  const KeyBytes bytes = key.encode();
  const TileBox box = box_in_tile(rect_, tile_of(key), size_).value_or(TileBox{});
  const auto entry = PIXELLM_TRY(writer_.reader().entry(bytes));
  if (!entry) {
    PIXELLM_CHECK(writer_.put_history(key, erase, {{}, {box}}));
    return true;
  }
  if (covers(box, size_)) {
    PIXELLM_CHECK(writer_.put_history(key, erase, {entry->current, {box}}));
    PIXELLM_CHECK(writer_.set_entry(key, std::nullopt));
    return true;
  }
  const Bytes rgb = PIXELLM_TRY(writer_.reader().rgb(bytes, entry->current));
  const bool black = is_black(rgb, box, size_);
  if (black && !took_length) return false;
  std::vector<uint8_t> painted(rgb.begin(), rgb.end());
  PIXELLM_CHECK(writer_.put_history(key, erase, {entry->current, {box}}));
  if (black) return true;
  for_rows(box, size_,
           [&](uint64_t offset, uint64_t size) { std::memset(painted.data() + offset, 0, size); });
  PIXELLM_CHECK(writer_.put_owned_tile(key, std::move(painted)));
  return true;
}

Result<uint64_t> RegionChange::erase() {
  const uint64_t number = writer_.world().next_erase++;
  const auto with_lengths = PIXELLM_TRY(erase_lengths(number));
  const auto tiles = PIXELLM_TRY(keys_in(writer_.txn(), Db::kTiles, *tiles_of(rect_, size_)));
  uint64_t touched = 0;
  for (const MortonKey key : tiles)
    touched += PIXELLM_TRY(
        erase_tile(key, number, std::binary_search(with_lengths.begin(), with_lengths.end(), key)));
  for (const MortonKey key : with_lengths)
    if (!std::binary_search(tiles.begin(), tiles.end(), key))
      touched += PIXELLM_TRY(erase_tile(key, number, true));
  return touched;
}

// ---- restore

Result<void> RegionChange::restore_pixels(MortonKey key, const KeptVersion& kept,
                                          const std::vector<TileBox>& boxes) {
  const KeyBytes bytes = key.encode();
  const Location location = kept.entry.location;
  const auto entry = PIXELLM_TRY(writer_.reader().entry(bytes));
  const Bytes old = PIXELLM_TRY(writer_.reader().rgb(bytes, location));
  if (covers(boxes.front(), size_))
    return writer_.set_entry(key, TileEntry{location, entry ? entry->current : Location{}});
  std::vector<uint8_t> rgb(old.size());
  if (entry) {
    const Bytes current = PIXELLM_TRY(writer_.reader().rgb(bytes, entry->current));
    std::copy(current.begin(), current.end(), rgb.begin());
  }
  for (const TileBox& box : boxes)
    for_rows(box, size_, [&](uint64_t offset, uint64_t size) {
      std::memcpy(rgb.data() + offset, old.data() + offset, size);
    });
  return writer_.put_owned_tile(key, std::move(rgb));
}

Result<void> RegionChange::restore_lengths(MortonKey key, uint64_t erase, const TileBox& box) {
  if (!has_old_lengths_) return {};
  const TileCoord tile = tile_of(key);
  const PixelRect pixels{static_cast<int64_t>(__int128{tile.x} * size_ + box.x0),
                         static_cast<int64_t>(__int128{tile.y} * size_ + box.y0), uint64_t{box.x1} - box.x0,
                         uint64_t{box.y1} - box.y0};
  for (const MortonKey pixel :
       PIXELLM_TRY(keys_in(writer_.txn(), Db::kOldLengths, pixels_as_tiles(pixels)))) {
    const EraseKey where = erase_key(pixel, erase);
    const auto value = PIXELLM_TRY(writer_.txn().get(Db::kOldLengths, where));
    if (!value) continue;
    if (const auto length = decode_length(where, *value)) {
      const KeyBytes bytes = pixel.encode();
      PIXELLM_CHECK(writer_.txn().put(Db::kLengths, bytes, encode_length(bytes, *length)));
    }
    PIXELLM_TRY(writer_.txn().remove(Db::kOldLengths, where));
  }
  return {};
}

Result<bool> RegionChange::restore_tile(MortonKey key) {
  const TileBox wanted = box_in_tile(rect_, tile_of(key), size_).value_or(TileBox{});
  for (const KeptVersion& kept : PIXELLM_TRY(kept_versions(writer_.reader(), key))) {
    std::vector<TileBox> taken, rest;
    for (const TileBox& box : kept.entry.boxes) {
      if (const TileBox part = meet(box, wanted); !part.empty()) taken.push_back(part);
      const auto pieces = subtract(box, wanted);
      rest.insert(rest.end(), pieces.begin(), pieces.end());
    }
    if (taken.empty()) continue;
    if (kept.entry.location.exists()) PIXELLM_CHECK(restore_pixels(key, kept, taken));
    PIXELLM_CHECK(restore_lengths(key, kept.erase, wanted));
    if (rest.empty())
      PIXELLM_CHECK(writer_.remove_history(key, kept.erase, kept.entry.location));
    else
      PIXELLM_CHECK(writer_.put_history(key, kept.erase, {kept.entry.location, std::move(rest)}));
    return true;
  }
  return false;
}

Result<uint64_t> RegionChange::restore() {
  has_old_lengths_ = PIXELLM_TRY(writer_.txn().size(Db::kOldLengths)).entries > 0;
  uint64_t touched = 0;
  for (const MortonKey key : PIXELLM_TRY(keys_in(writer_.txn(), Db::kHistory, *tiles_of(rect_, size_))))
    touched += PIXELLM_TRY(restore_tile(key));
  return touched;
}

}  // namespace

Result<uint64_t> LmdbTileStore::erase(const PixelRect& rect) {
  PIXELLM_CHECK(check_rect(rect));
  auto writer = PIXELLM_TRY(begin());
  const uint64_t touched = rect.empty() ? 0 : PIXELLM_TRY(RegionChange(writer, rect).erase());
  if (touched > 0) PIXELLM_CHECK(writer.finish());
  return touched;
}

Result<uint64_t> LmdbTileStore::restore(const PixelRect& rect) {
  PIXELLM_CHECK(check_rect(rect));
  auto writer = PIXELLM_TRY(begin());
  const uint64_t touched = rect.empty() ? 0 : PIXELLM_TRY(RegionChange(writer, rect).restore());
  if (touched > 0) PIXELLM_CHECK(writer.finish());
  return touched;
}

}  // namespace pixellm
