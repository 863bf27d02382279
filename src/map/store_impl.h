// The two classes behind tile_store.h. Internal to src/map; their larger members have files of their own.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "map/store_create.h"
#include "map/store_env.h"
#include "map/store_reader.h"
#include "map/store_writer.h"
#include "map/tile_store.h"

namespace pixellm {

class LmdbSnapshot : public StoreSnapshot {
 public:
  static Result<std::unique_ptr<LmdbSnapshot>> begin(std::shared_ptr<StoreEnv> env, uint32_t tile_size);

  Result<std::optional<Bytes>> tile(TileCoord tile) const override;
  Result<bool> has_tile(TileCoord tile) const override;
  Result<std::unique_ptr<KeyCursor>> keys() const override;
  Result<std::optional<uint64_t>> byte_length(int64_t x, int64_t y) const override;
  Result<std::vector<StoreRecord>> records() const override;
  Result<StoreStats> stats() const override;
  uint64_t version() const override { return world_.version; }
  Result<bool> refresh() override;
  void release() override;

  const ReadTxn& txn() const { return txn_; }
  const WorldRecord& world() const { return world_; }

 private:
  LmdbSnapshot(std::shared_ptr<StoreEnv> env, ReadTxn txn, uint32_t tile_size)
      : env_(std::move(env)), shape_(tile_size), txn_(std::move(txn)) {}
  Result<void> settle();  // reads world_
  std::shared_ptr<StoreEnv> env_;
  RunShape shape_;
  ReadTxn txn_;
  std::unique_ptr<StoreReader> reader_;
  WorldRecord world_;
};

class LmdbTileStore : public TileStore {
 public:
  LmdbTileStore(std::shared_ptr<StoreEnv> env, Descriptor writer, uint32_t tile_size, MadeParts made)
      : env_(std::move(env)), writer_(std::move(writer)), shape_(tile_size), made_(made) {}
  ~LmdbTileStore() override;

  const std::string& folder() const override { return env_->folder(); }
  uint32_t tile_size() const override { return shape_.tile_size; }
  bool read_only() const override { return !writer_; }
  std::vector<std::string> files() const override;

  Result<std::unique_ptr<StoreSnapshot>> snapshot() const override;
  Result<void> commit(const StoreChanges& changes) override;
  Result<uint64_t> erase(const PixelRect& rect) override;
  Result<uint64_t> restore(const PixelRect& rect) override;
  Result<void> put_record(const StoreRecord& record) override;
  Result<void> remove_record(const std::string& name) override;
  Result<StoreFindings> verify() const override;
  Result<StoreFindings> repair() override;
  Result<uint64_t> compact() override;
  void discard_if_new() override { discard_ = true; }

 private:
  Result<StoreWriter> begin();  // kInvalidArgument when read-only
  std::shared_ptr<StoreEnv> env_;
  Descriptor writer_;  // the writer's lock; none when read-only
  RunShape shape_;
  MadeParts made_;  // by open()
  bool discard_ = false;
};

}  // namespace pixellm
