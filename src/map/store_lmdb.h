// A thin layer over LMDB for the tile store: its databases by name, its values as Bytes, its return codes as
// Errors. Internal to src/map. Views that a transaction gives are valid until its next write, reset, commit
// or end.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/error.h"

struct MDB_env;
struct MDB_txn;
struct MDB_cursor;

namespace pixellm {

// The named databases of a world (spec/infinite-map.md, section 3).
enum class Db : uint8_t { kWorld, kTiles, kRuns, kLive, kHistory, kLengths, kOldLengths, kRecords };
inline constexpr size_t kDbCount = 8;
const char* db_name(Db db);

struct DbEntry {
  Bytes key, value;
};

struct DbSize {
  uint64_t entries = 0;
  uint64_t bytes = 0;  // of its pages
};

class LmdbEnv;

// One transaction; ended without effect by its destructor. Writing ones belong to the thread that began them.
class LmdbTxn {
 public:
  LmdbTxn(LmdbTxn&& other) noexcept;
  LmdbTxn& operator=(LmdbTxn&&) = delete;
  ~LmdbTxn();

  uint64_t id() const;  // of the state that it sees, or will make
  Result<std::optional<Bytes>> get(Db db, Bytes key) const;
  Result<void> put(Db db, Bytes key, Bytes value);  // replaces
  Result<MutableBytes> append(Db db, Bytes key,
                              uint64_t size);  // key above all others; the caller fills the value at once
  Result<bool> remove(Db db, Bytes key);       // false: there was none
  Result<DbSize> size(Db db) const;
  Result<uint64_t> used_bytes() const;  // of the pages of all databases and the meta pages
  Result<void> commit();
  void reset();          // reading: gives up the state
  Result<void> renew();  // and takes the newest one

  const LmdbEnv& env() const { return *env_; }

 private:
  friend class LmdbEnv;
  friend class LmdbCursor;
  LmdbTxn(const LmdbEnv& env, MDB_txn* txn) : env_(&env), txn_(txn) {}
  const LmdbEnv* env_;
  MDB_txn* txn_;
};

// A position in one database. Ends before its transaction does.
class LmdbCursor {
 public:
  static Result<LmdbCursor> open(const LmdbTxn& txn, Db db);
  LmdbCursor(LmdbCursor&& other) noexcept;
  LmdbCursor& operator=(LmdbCursor&&) = delete;
  ~LmdbCursor();

  Result<std::optional<DbEntry>> seek(Bytes at_least);
  Result<std::optional<DbEntry>> next();         // from the start when it has no position yet
  Result<std::optional<Bytes>> find(Bytes key);  // exactly this key
  Result<void> replace(Bytes key, Bytes value);  // where find() found; the same size
  Result<void> insert(Bytes key, Bytes value);

 private:
  LmdbCursor(const LmdbEnv& env, MDB_cursor* cursor) : env_(&env), cursor_(cursor) {}
  Result<std::optional<DbEntry>> move(Bytes key, int operation);
  const LmdbEnv* env_;
  MDB_cursor* cursor_;
};

struct LmdbOptions {
  bool read_only = false, no_lock = false;
  bool scratch = false;  // `path` is a file that nobody else sees: no lock file, no syncs before sync()
};

// An environment. begin_read(), and what it returns, may be used in any thread; one write at a time.
class LmdbEnv {
 public:
  // `path` is the folder (the file itself with `scratch`), also in messages. Nothing is read of the file but its
  // meta pages, which the caller has checked.
  static Result<std::unique_ptr<LmdbEnv>> open(const std::string& path, const LmdbOptions& options);
  ~LmdbEnv();
  LmdbEnv(const LmdbEnv&) = delete;
  LmdbEnv& operator=(const LmdbEnv&) = delete;

  // Before any other use. kCorrupt: a database is missing or of another kind.
  Result<void> open_databases(bool create);

  Result<LmdbTxn> begin_read() const;
  Result<LmdbTxn> begin_write();
  Result<void> sync();
  void forget_dead_readers();
  const std::string& folder() const { return folder_; }

  std::unexpected<Error> error(const char* action, int code) const;
  uint32_t handle(Db db) const { return handles_[static_cast<size_t>(db)]; }

 private:
  LmdbEnv() = default;
  std::string folder_;  // for messages
  bool is_scratch_ = false;
  MDB_env* env_ = nullptr;
  std::array<uint32_t, kDbCount> handles_{};
};

}  // namespace pixellm
