#include "map/store_lmdb.h"

#include <fmt/format.h>
#include <lmdb.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace pixellm {
using namespace std::string_view_literals;

namespace {

static_assert(std::is_same_v<MDB_dbi, uint32_t>);

// Address space only; memory and file grow with what is stored.
constexpr uint64_t kLargestMap = uint64_t{1} << 40, kSmallestMap = uint64_t{64} << 20;
constexpr unsigned kMaxReaders = 1022;

constexpr const char* kNames[kDbCount] = {"world",   "tiles",   "runs",        "live",
                                          "history", "lengths", "old-lengths", "records"};

unsigned kind(Db db) { return db == Db::kRuns || db == Db::kLive ? MDB_INTEGERKEY : 0; }

MDB_val to_val(Bytes bytes) { return {bytes.size(), const_cast<uint8_t*>(bytes.data())}; }
Bytes to_bytes(const MDB_val& val) { return {static_cast<const uint8_t*>(val.mv_data), val.mv_size}; }

ErrorCode code_of(int code) {
  switch (code) {
    case MDB_MAP_FULL:
    case MDB_MAP_RESIZED:
    case MDB_TXN_FULL:
      return ErrorCode::kTooLarge;
    case MDB_READERS_FULL:
    case EAGAIN:
    case EBUSY:
      return ErrorCode::kBusy;
    case MDB_PANIC:
      return ErrorCode::kIo;
    case ENOENT:
      return ErrorCode::kNotFound;
    case EINVAL:
    case MDB_BAD_TXN:
    case MDB_BAD_DBI:
    case MDB_BAD_RSLOT:
    case MDB_BAD_VALSIZE:
      return ErrorCode::kInternal;
    default:
      return code > 0 ? ErrorCode::kIo : ErrorCode::kCorrupt;
  }
}

std::string text_of(int code, const std::string& path) {
  switch (code) {
    case MDB_MAP_FULL:
    case MDB_MAP_RESIZED:
      return "the world has outgrown the address space that this process may map (ulimit -v)";
    case MDB_READERS_FULL:
      return fmt::format("{} readers use it already", kMaxReaders);
    case EIO:  // LMDB's code for a short write
      if (struct statvfs disk{}; ::statvfs(path.c_str(), &disk) == 0 && disk.f_bavail == 0)
        return std::strerror(ENOSPC);
      return "input/output error: a full disk, a quota or a failing disk";
    case MDB_PANIC:
      return "an earlier write failed half-way; open the world again";
    default:
      return mdb_strerror(code);
  }
}

}  // namespace

const char* db_name(Db db) { return kNames[static_cast<size_t>(db)]; }

// ---- LmdbTxn

LmdbTxn::LmdbTxn(LmdbTxn&& other) noexcept : env_(other.env_), txn_(std::exchange(other.txn_, nullptr)) {}

LmdbTxn::~LmdbTxn() {
  if (txn_) mdb_txn_abort(txn_);
}

uint64_t LmdbTxn::id() const { return mdb_txn_id(txn_); }

Result<std::optional<Bytes>> LmdbTxn::get(Db db, Bytes key) const {
  MDB_val k = to_val(key), v;
  const int rc = mdb_get(txn_, env_->handle(db), &k, &v);
  if (rc == MDB_NOTFOUND) return std::nullopt;
  if (rc != 0) return env_->error("read", rc);
  return to_bytes(v);
}

Result<void> LmdbTxn::put(Db db, Bytes key, Bytes value) {
  MDB_val k = to_val(key), v = to_val(value);
  if (const int rc = mdb_put(txn_, env_->handle(db), &k, &v, 0)) return env_->error("write", rc);
  return {};
}

Result<MutableBytes> LmdbTxn::append(Db db, Bytes key, uint64_t size) {
  MDB_val k = to_val(key), v{size, nullptr};
  if (const int rc = mdb_put(txn_, env_->handle(db), &k, &v, MDB_RESERVE | MDB_APPEND)) {
    if (rc == MDB_KEYEXIST)
      return fail(ErrorCode::kCorrupt,
                  fmt::format("{}: database '{}' has a key above the last one", env_->folder(), db_name(db)));
    return env_->error("write", rc);
  }
  return MutableBytes(static_cast<uint8_t*>(v.mv_data), size);
}

Result<bool> LmdbTxn::remove(Db db, Bytes key) {
  MDB_val k = to_val(key);
  const int rc = mdb_del(txn_, env_->handle(db), &k, nullptr);
  if (rc == MDB_NOTFOUND) return false;
  if (rc != 0) return env_->error("write", rc);
  return true;
}

Result<DbSize> LmdbTxn::size(Db db) const {
  MDB_stat s;
  if (const int rc = mdb_stat(txn_, env_->handle(db), &s)) return env_->error("read", rc);
  return DbSize{s.ms_entries,
                s.ms_psize * (uint64_t{s.ms_branch_pages} + s.ms_leaf_pages + s.ms_overflow_pages)};
}

Result<uint64_t> LmdbTxn::used_bytes() const {
  constexpr MDB_dbi kFreeList = 0, kNamesOfDatabases = 1;  // LMDB's own
  uint64_t pages = 2, page_size = 0;
  for (MDB_dbi dbi : {kFreeList, kNamesOfDatabases}) {
    MDB_stat s;
    if (const int rc = mdb_stat(txn_, dbi, &s)) return env_->error("read", rc);
    pages += uint64_t{s.ms_branch_pages} + s.ms_leaf_pages + s.ms_overflow_pages;
    page_size = s.ms_psize;
  }
  uint64_t bytes = pages * page_size;
  for (size_t i = 0; i < kDbCount; ++i) bytes += PIXELLM_TRY(size(static_cast<Db>(i))).bytes;
  return bytes;
}

Result<void> LmdbTxn::commit() {
  if (const int rc = mdb_txn_commit(std::exchange(txn_, nullptr))) return env_->error("write", rc);
  return {};
}

void LmdbTxn::reset() { mdb_txn_reset(txn_); }

Result<void> LmdbTxn::renew() {
  if (const int rc = mdb_txn_renew(txn_)) return env_->error("read", rc);
  return {};
}

// ---- LmdbCursor

Result<LmdbCursor> LmdbCursor::open(const LmdbTxn& txn, Db db) {
  MDB_cursor* cursor = nullptr;
  if (const int rc = mdb_cursor_open(txn.txn_, txn.env_->handle(db), &cursor))
    return txn.env_->error("read", rc);
  return LmdbCursor(*txn.env_, cursor);
}

LmdbCursor::LmdbCursor(LmdbCursor&& other) noexcept
    : env_(other.env_), cursor_(std::exchange(other.cursor_, nullptr)) {}

LmdbCursor::~LmdbCursor() {
  if (cursor_) mdb_cursor_close(cursor_);
}

Result<std::optional<DbEntry>> LmdbCursor::move(Bytes key, int operation) {
  MDB_val k = to_val(key), v;
  const int rc = mdb_cursor_get(cursor_, &k, &v, static_cast<MDB_cursor_op>(operation));
  if (rc == MDB_NOTFOUND) return std::nullopt;
  if (rc != 0) return env_->error("read", rc);
  return DbEntry{to_bytes(k), to_bytes(v)};
}

Result<std::optional<DbEntry>> LmdbCursor::seek(Bytes at_least) { return move(at_least, MDB_SET_RANGE); }
Result<std::optional<DbEntry>> LmdbCursor::next() { return move({}, MDB_NEXT); }

Result<std::optional<Bytes>> LmdbCursor::find(Bytes key) {
  auto entry = PIXELLM_TRY(move(key, MDB_SET));
  if (!entry) return std::nullopt;
  return entry->value;
}

Result<void> LmdbCursor::replace(Bytes key, Bytes value) {
  MDB_val k = to_val(key), v = to_val(value);
  if (const int rc = mdb_cursor_put(cursor_, &k, &v, MDB_CURRENT)) return env_->error("write", rc);
  return {};
}

Result<void> LmdbCursor::insert(Bytes key, Bytes value) {
  MDB_val k = to_val(key), v = to_val(value);
  if (const int rc = mdb_cursor_put(cursor_, &k, &v, 0)) return env_->error("write", rc);
  return {};
}

// ---- LmdbEnv

Result<std::unique_ptr<LmdbEnv>> LmdbEnv::open(const std::string& path, const LmdbOptions& options) {
  std::unique_ptr<LmdbEnv> out(new LmdbEnv);
  out->folder_ = path;
  out->is_scratch_ = options.scratch;
  unsigned flags = MDB_NOTLS;
  if (options.read_only) flags |= MDB_RDONLY;
  if (options.no_lock) flags |= MDB_NOLOCK;
  if (options.scratch) flags |= MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC;
  for (uint64_t map = kLargestMap;; map /= 2) {
    int rc = mdb_env_create(&out->env_);
    if (rc == 0) rc = mdb_env_set_mapsize(out->env_, map);
    if (rc == 0) rc = mdb_env_set_maxdbs(out->env_, kDbCount);
    if (rc == 0) rc = mdb_env_set_maxreaders(out->env_, kMaxReaders);
    if (rc == 0) rc = mdb_env_open(out->env_, path.c_str(), flags, 0666);
    if (rc == 0) return out;
    if (out->env_) mdb_env_close(std::exchange(out->env_, nullptr));
    if (rc != ENOMEM || map <= kSmallestMap) return out->error("open", rc);
  }
}

LmdbEnv::~LmdbEnv() {
  if (env_) mdb_env_close(env_);
}

Result<void> LmdbEnv::open_databases(bool create) {
  MDB_txn* txn = nullptr;
  if (const int rc = mdb_txn_begin(env_, nullptr, create ? 0 : MDB_RDONLY, &txn)) return error("read", rc);
  LmdbTxn guard(*this, txn);
  for (size_t i = 0; i < kDbCount; ++i) {
    const Db db = static_cast<Db>(i);
    const int rc = mdb_dbi_open(txn, kNames[i], create ? kind(db) | MDB_CREATE : 0, &handles_[i]);
    if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE)
      return fail(ErrorCode::kCorrupt,
                  fmt::format("{}: is not a world: its data.mdb has no database '{}'", folder_, kNames[i]));
    if (rc != 0) return error("open", rc);
    unsigned flags = 0;
    if (const int flags_rc = mdb_dbi_flags(txn, handles_[i], &flags)) return error("open", flags_rc);
    if (flags != kind(db))
      return fail(ErrorCode::kCorrupt,
                  fmt::format("{}: database '{}' is of kind {:#x}, a world's is of kind {:#x}", folder_,
                              kNames[i], flags, kind(db)));
  }
  return guard.commit();
}

Result<LmdbTxn> LmdbEnv::begin_read() const {
  MDB_txn* txn = nullptr;
  if (const int rc = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn)) return error("read", rc);
  return LmdbTxn(*this, txn);
}

Result<LmdbTxn> LmdbEnv::begin_write() {
  MDB_txn* txn = nullptr;
  if (const int rc = mdb_txn_begin(env_, nullptr, 0, &txn)) return error("write", rc);
  return LmdbTxn(*this, txn);
}

Result<void> LmdbEnv::sync() {
  if (const int rc = mdb_env_sync(env_, 1)) return error("write", rc);
  return {};
}

void LmdbEnv::forget_dead_readers() {
  int dead = 0;
  mdb_reader_check(env_, &dead);
}

std::unexpected<Error> LmdbEnv::error(const char* action, int code) const {
  const std::string text = text_of(code, folder_);
  return fail(code_of(code),
              is_scratch_ ? fmt::format("{}: cannot {}: {}", folder_, action == "open"sv ? "write" : action, text)
                          : fmt::format("{}: cannot {} the world: {}", folder_, action, text));
}

}  // namespace pixellm
