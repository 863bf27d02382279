// compact(): a new file with the current versions in key order, put in the place of the old one.
#include <algorithm>

#include "map/store_impl.h"

namespace pixellm {
namespace {

constexpr uint64_t kBytesPerCommit = uint64_t{64} << 20;  // what LMDB keeps in memory at a time

// Copies a state into an empty environment.
class Packer {
 public:
  Packer(const StoreReader& from, const WorldRecord& world, LmdbEnv& to)
      : from_(from), shape_(from.shape()), world_(world), to_(to) {}
  Result<void> run();

 private:
  struct Item {
    KeyBytes key;
    Bytes rgb;
  };
  Result<void> copy_tiles();
  Result<void> write_run();
  Result<void> copy_all(Db db);
  Result<void> flush();
  Result<void> commit_record();

  const StoreReader& from_;
  const RunShape& shape_;
  WorldRecord world_;
  LmdbEnv& to_;
  std::optional<LmdbTxn> txn_;
  std::vector<Item> items_;
  uint64_t unwritten_ = 0;
};

Result<void> Packer::flush() {
  PIXELLM_CHECK(txn_->commit());
  txn_.reset();
  unwritten_ = 0;
  txn_.emplace(PIXELLM_TRY(to_.begin_write()));
  return {};
}

Result<void> Packer::commit_record() {
  world_.txn_id = txn_->id();
  PIXELLM_CHECK(txn_->put(Db::kWorld, world_record_key(), world_.encode()));
  return flush();
}

Result<void> Packer::write_run() {
  const uint64_t bytes = shape_.run_bytes(items_.size());
  const MutableBytes out = PIXELLM_TRY(txn_->append(Db::kRuns, run_key(world_.next_run), bytes));
  for (size_t i = 0; i < items_.size(); ++i)
    write_slot(shape_, out, i, items_.size(), items_[i].key, items_[i].rgb, std::nullopt);
  for (size_t i = 0; i < items_.size(); ++i) {
    const auto entry = TileEntry{Location::of(world_.next_run, i), {}}.encode();
    const MutableBytes value = PIXELLM_TRY(txn_->append(Db::kTiles, items_[i].key, entry.size()));
    std::copy(entry.begin(), entry.end(), value.begin());
  }
  ++world_.next_run;
  items_.clear();
  unwritten_ += bytes;
  return unwritten_ < kBytesPerCommit ? Result<void>{} : flush();
}

Result<void> Packer::copy_tiles() {
  world_.live_slots = 0;
  auto cursor = PIXELLM_TRY(DbKeyCursor::open(from_.txn(), Db::kTiles));
  for (auto key = PIXELLM_TRY(cursor.seek({})); key; key = PIXELLM_TRY(cursor.next())) {
    const KeyBytes bytes = key->encode();
    const auto entry = PIXELLM_TRY(from_.entry(bytes));
    items_.push_back({bytes, PIXELLM_TRY(from_.rgb(bytes, entry.value_or(TileEntry{}).current))});
    ++world_.live_slots;
    if (items_.size() == shape_.max_slots) PIXELLM_CHECK(write_run());
  }
  return items_.empty() ? Result<void>{} : write_run();
}

Result<void> Packer::copy_all(Db db) {
  auto cursor = PIXELLM_TRY(LmdbCursor::open(from_.txn(), db));
  for (auto at = PIXELLM_TRY(cursor.next()); at; at = PIXELLM_TRY(cursor.next())) {
    PIXELLM_CHECK(txn_->put(db, at->key, at->value));
    unwritten_ += at->key.size() + at->value.size();
    if (unwritten_ >= kBytesPerCommit) PIXELLM_CHECK(flush());
  }
  return {};
}

Result<void> Packer::run() {
  txn_.emplace(PIXELLM_TRY(to_.begin_write()));
  ++world_.version;
  PIXELLM_CHECK(copy_tiles());
  PIXELLM_CHECK(copy_all(Db::kLengths));
  PIXELLM_CHECK(copy_all(Db::kRecords));
  PIXELLM_CHECK(commit_record());
  return commit_record();  // so that the state before is whole too, for repair to go back to
}

}  // namespace

Result<uint64_t> LmdbTileStore::compact() {
  if (read_only())
    return fail(ErrorCode::kInvalidArgument, folder() + ": the world was opened for reading only");
  PIXELLM_CHECK(env_->lock_alone(env_));
  auto saved = [&]() -> Result<uint64_t> {
    PIXELLM_CHECK(env_->look_over(~uint64_t{0}));
    auto file = PIXELLM_TRY(NewFile::create(folder()));
    {
      const auto snapshot = PIXELLM_TRY(LmdbSnapshot::begin(env_, tile_size()));
      const StoreReader reader(snapshot->txn(), shape_, nullptr);  // every checksum, whatever was checked before
      PIXELLM_CHECK(Packer(reader, snapshot->world(), file.lmdb()).run());
    }
    PIXELLM_CHECK(file.finish());
    const uint64_t before = env_->file_bytes();
    PIXELLM_CHECK(env_->adopt());
    file.keep();
    return before - std::min(before, env_->file_bytes());
  }();
  env_->unlock();
  return saved;
}

}  // namespace pixellm
