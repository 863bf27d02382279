#include "map/map_bench_stores.h"

#include <fmt/format.h>
#include <lmdb.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <random>

namespace pixellm {

BenchTiles make_bench_tiles(uint64_t count) {
  BenchTiles t;
  int64_t side = 1;
  while (static_cast<uint64_t>(side * side) < count) ++side;
  for (int64_t i = 0; i < static_cast<int64_t>(count); ++i)
    t.places.push_back({i % side - side / 2, i / side - side / 2});
  std::mt19937_64 random(1);
  std::ranges::shuffle(t.places, random);
  t.pixels.resize(count * kBenchTileBytes);
  for (size_t i = 0; i + 8 <= t.pixels.size(); i += 8) {
    const uint64_t v = random();
    std::memcpy(t.pixels.data() + i, &v, 8);
  }
  return t;
}

namespace {

class WorldStore : public BenchStore {
 public:
  explicit WorldStore(std::unique_ptr<TileStore> store) : store_(std::move(store)) {}
  Result<void> put(const BenchTiles& tiles, size_t first, size_t last) override {
    StoreChanges changes;
    for (size_t i = first; i < last; ++i) changes.tiles.push_back({tiles.places[i], tiles.rgb(i)});
    return store_->commit(changes);
  }
  Result<void> begin_gets() override {
    snapshot_ = PIXELLM_TRY(store_->snapshot());
    return {};
  }
  Result<void> get(TileCoord tile, uint8_t* out) override {
    const auto rgb = PIXELLM_TRY(snapshot_->tile(tile));
    if (!rgb) return fail(ErrorCode::kInternal, "bench: a tile is missing");
    std::memcpy(out, rgb->data(), kBenchTileBytes);
    return {};
  }

 private:
  std::unique_ptr<TileStore> store_;
  std::unique_ptr<StoreSnapshot> snapshot_;  // ends first
};

Result<void> check(int rc) {
  if (rc == 0) return {};
  return fail(ErrorCode::kIo, fmt::format("bench: plain LMDB: {}", mdb_strerror(rc)));
}

class PlainLmdb : public BenchStore {
 public:
  ~PlainLmdb() override {
    if (reader_) mdb_txn_abort(reader_);
    if (env_) mdb_env_close(env_);
  }
  Result<void> open(const std::string& folder) {
    MDB_txn* txn = nullptr;
    PIXELLM_CHECK(check(mdb_env_create(&env_)));
    PIXELLM_CHECK(check(mdb_env_set_mapsize(env_, uint64_t{1} << 36)));
    PIXELLM_CHECK(check(mdb_env_open(env_, folder.c_str(), 0, 0666)));
    PIXELLM_CHECK(check(mdb_txn_begin(env_, nullptr, 0, &txn)));
    if (const int rc = mdb_dbi_open(txn, nullptr, 0, &db_)) {
      mdb_txn_abort(txn);
      return check(rc);
    }
    return check(mdb_txn_commit(txn));
  }
  Result<void> put(const BenchTiles& tiles, size_t first, size_t last) override {
    MDB_txn* txn = nullptr;
    PIXELLM_CHECK(check(mdb_txn_begin(env_, nullptr, 0, &txn)));
    for (size_t i = first; i < last; ++i) {
      auto bytes = morton_key(tiles.places[i]).encode();
      MDB_val key{bytes.size(), bytes.data()},
          value{kBenchTileBytes, const_cast<uint8_t*>(tiles.rgb(i).data())};
      if (const int rc = mdb_put(txn, db_, &key, &value, 0)) {
        mdb_txn_abort(txn);
        return check(rc);
      }
    }
    return check(mdb_txn_commit(txn));
  }
  Result<void> begin_gets() override { return check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &reader_)); }
  Result<void> get(TileCoord tile, uint8_t* out) override {
    auto bytes = morton_key(tile).encode();
    MDB_val key{bytes.size(), bytes.data()}, value{};
    PIXELLM_CHECK(check(mdb_get(reader_, db_, &key, &value)));
    std::memcpy(out, value.mv_data, kBenchTileBytes);
    return {};
  }

 private:
  MDB_env* env_ = nullptr;
  MDB_txn* reader_ = nullptr;
  MDB_dbi db_ = 0;
};

}  // namespace

Result<std::unique_ptr<BenchStore>> open_world_store(const std::string& folder) {
  return std::make_unique<WorldStore>(PIXELLM_TRY(TileStore::open(folder, {.tile_size = kDefaultTileSize})));
}

Result<std::unique_ptr<BenchStore>> open_plain_lmdb(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0777) != 0) return fail(ErrorCode::kIo, folder + ": cannot make the folder");
  auto out = std::make_unique<PlainLmdb>();
  PIXELLM_CHECK(out->open(folder));
  return out;
}

}  // namespace pixellm
