#include "map/store_env.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <utility>

#include "map/store_pages.h"

namespace pixellm {
namespace {

struct Registry {
  std::mutex lock;
  std::map<std::pair<uint64_t, uint64_t>, StoreEnv*> open;
};
Registry& registry() {
  static Registry r;
  return r;
}

Result<void> lock_file(int fd, int operation, const std::string& path) {
  int rc;
  do rc = ::flock(fd, operation);
  while (rc != 0 && errno == EINTR);
  if (rc == 0) return {};
  if (errno == EWOULDBLOCK) return fail(ErrorCode::kBusy, path + " is locked");
  return system_error(path, "lock", errno);
}

std::string compacting(const std::string& folder) {
  return fmt::format("{}: the world is being compacted; try again when that is done", folder);
}

// A link would let two folders share a file whose writer's lock is the folder's, or let a world write over a
// foreign file; opening a pipe would wait.
constexpr int kFileFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
constexpr off_t kLockBytes = 1 << 16;  // LMDB's for the readers that we allow

std::unexpected<Error> not_own_file(const std::string& path) {
  return fail(ErrorCode::kInvalidArgument,
              path + ": is not a regular file of this folder alone; a world's files must not be links");
}

bool refuses_writing(int error) { return error == EACCES || error == EPERM || error == EROFS; }

}  // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

std::unexpected<Error> system_error(const std::string& path, const char* action, int error) {
  const auto code = error == ENOENT || error == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo;
  return fail(code, fmt::format("{}: cannot {}: {}", path, action, std::strerror(error)));
}

Result<void> sync_folder(const std::string& folder) {
  const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return system_error(folder, "write", errno);
  return {};
}

// ---- StoreEnv

Result<std::shared_ptr<StoreEnv>> StoreEnv::acquire(const std::string& folder, bool for_writing) {
  struct stat st{};
  if (::stat(folder.c_str(), &st) != 0) return system_error(folder, "open", errno);
  const auto handle = [](StoreEnv* env) {
    ++env->users_;
    return std::shared_ptr<StoreEnv>(env, [](StoreEnv* e) { release(e); });
  };
  Registry& r = registry();
  const std::lock_guard hold(r.lock);
  const std::pair<uint64_t, uint64_t> id(st.st_dev, st.st_ino);
  if (const auto it = r.open.find(id); it != r.open.end()) {
    if (for_writing && !it->second->may_write_)
      return fail(ErrorCode::kBusy,
                  fmt::format("{}: this process has it open without permission to write", folder));
    return handle(it->second);
  }
  std::unique_ptr<StoreEnv> env(new StoreEnv);
  env->folder_ = folder;
  env->device_ = id.first;
  env->inode_ = id.second;
  PIXELLM_CHECK(env->open_files(for_writing));
  PIXELLM_CHECK(env->open_lmdb());
  r.open[id] = env.get();
  return handle(env.release());
}

// The registry stays locked until the files are closed: opening them anew while LMDB closes them would lose
// its locks.
void StoreEnv::release(StoreEnv* env) {
  Registry& r = registry();
  const std::lock_guard hold(r.lock);
  if (--env->users_ > 0) return;
  r.open.erase({env->device_, env->inode_});
  delete env;
}

StoreEnv::~StoreEnv() {
  guard_.reset();
  lmdb_.reset();  // before the descriptor of its lock file: closing that drops LMDB's own locks
}

Result<void> StoreEnv::open_files(bool for_writing) {
  const std::string data = folder_ + "/" + kDataFile, lock = folder_ + "/" + kLockFile;
  for (;;) {
    data_ = Descriptor(::open(data.c_str(), O_RDONLY | kFileFlags));
    if (!data_ && errno == ELOOP) return not_own_file(data);
    if (!data_) return system_error(data, "open", errno);
    struct stat here{}, there{};
    if (::fstat(data_.get(), &here) != 0) return system_error(data, "examine", errno);
    if (!S_ISREG(here.st_mode) || (for_writing && here.st_nlink > 1)) return not_own_file(data);
    if (auto r = lock_file(data_.get(), LOCK_SH | LOCK_NB, data); !r) {
      if (r.error().code == ErrorCode::kBusy) return fail(ErrorCode::kBusy, compacting(folder_));
      if (for_writing) return std::unexpected(r.error());  // readers can do on file systems without locks
    }
    if (::stat(data.c_str(), &there) == 0 && here.st_dev == there.st_dev && here.st_ino == there.st_ino)
      break;
  }
  const Descriptor writable(::open(data.c_str(), O_RDWR | kFileFlags));
  if (for_writing && !writable) return system_error(data, "open for writing", errno);
  lock_ = Descriptor(::open(lock.c_str(), O_RDWR | O_CREAT | kFileFlags, 0666));
  if (!lock_ && errno == ELOOP) return not_own_file(lock);
  if (lock_) {
    struct stat st{};
    if (::fstat(lock_.get(), &st) != 0) return system_error(lock, "examine", errno);
    if (!S_ISREG(st.st_mode) || st.st_nlink > 1) return not_own_file(lock);
    // LMDB maps it and writes there, which on a full disk would be a signal instead of an error.
    if (const int error = ::posix_fallocate(lock_.get(), 0, kLockBytes); error == ENOSPC || error == EDQUOT)
      return system_error(lock, "write", error);
  } else {
    if (for_writing || !refuses_writing(errno)) return system_error(lock, "open", errno);
    unregistered_ = true;
    lock_ = Descriptor(::open(lock.c_str(), O_RDONLY | O_CLOEXEC));  // none: nobody has written here yet
  }
  may_write_ = static_cast<bool>(writable) && !unregistered_;
  return {};
}

Result<void> StoreEnv::open_lmdb() {
  PIXELLM_TRY(read_meta_page(data_.get(), folder_ + "/" + kDataFile));
  lmdb_ = PIXELLM_TRY(LmdbEnv::open(folder_, {.read_only = !may_write_, .no_lock = unregistered_}));
  if (!unregistered_) lmdb_->forget_dead_readers();
  PIXELLM_CHECK(look_over(kPagesAtOpen));
  return lmdb_->open_databases(false);
}

Result<void> StoreEnv::look_over(uint64_t limit) {
  const std::string path = folder_ + "/" + kDataFile;
  PIXELLM_CHECK(enter_reader());
  auto looked = [&]() -> Result<void> {
    for (int attempt = 0;; ++attempt) {
      const auto txn = PIXELLM_TRY(lmdb_->begin_read());  // keeps the pages of its state
      auto meta = read_meta_page(data_.get(), path, txn.id());
      // Two commits since: another state is in that meta page now.
      if (!meta && meta.error().code == ErrorCode::kNotFound && attempt < 100) continue;
      if (!meta) return std::unexpected(meta.error());
      return check_pages(data_.get(), path, *meta, limit);
    }
  }();
  leave_reader();
  return looked;
}

uint64_t StoreEnv::file_bytes() const {
  struct stat st{};
  return ::fstat(data_.get(), &st) == 0 ? static_cast<uint64_t>(st.st_size) : 0;
}

// ---- use of the LMDB handle

// LMDB gives up its handle when a commit fails while it writes the meta page: the page may be on the disk or
// not, and if it is and the pages that it speaks of are written anew by the next change, a power failure
// leaves a broken tree. So the meta pages are put back as they were, and synced, before anything else is
// written.
void StoreEnv::commit_failed() {
  const std::lock_guard hold(use_lock_);
  const auto probe = lmdb_->begin_read();
  if (probe || probe.error().code != ErrorCode::kIo) return;  // it failed before that, and has had no effect
  broken_ = true;
  (void)take_back();  // or before the next change
}

Result<void> StoreEnv::take_back() {
  const std::string path = folder_ + "/" + kDataFile;
  const Descriptor fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return system_error(path, "open", errno);
  const ssize_t size = static_cast<ssize_t>(meta_pages_.size());
  if (::pwrite(fd.get(), meta_pages_.data(), meta_pages_.size(), 0) != size || ::fdatasync(fd.get()) != 0)
    return system_error(path, "take back a failed change of", errno);
  meta_pages_.clear();
  return {};
}

Result<void> StoreEnv::make_usable() {
  if (lmdb_ && !broken_) return {};
  if (active_ > 0)
    return fail(
        ErrorCode::kIo,
        folder_ + ": a change failed half-way; snapshots that are open must end or be refreshed first");
  if (broken_ && !meta_pages_.empty()) PIXELLM_CHECK(take_back());
  guard_.reset();
  lmdb_.reset();
  if (auto opened = open_lmdb(); !opened) {
    lmdb_.reset();
    return opened;
  }
  broken_ = false;
  return {};
}

// A writer that was killed may leave a change that is in the file but that LMDB does not show yet: it comes
// out at the next change, too late for who has read before. Beginning one brings it out.
Result<void> StoreEnv::begin_writing() {
  const std::lock_guard hold(use_lock_);
  PIXELLM_CHECK(make_usable());
  PIXELLM_TRY(begin_change());
  return {};
}

// Whoever made or compacted the world, or changed it last, may have been killed before the sync of its names
// or of data.mdb. Nothing may be built on what is not on the disk.
Result<void> StoreEnv::sync_found() {
  if (synced_) return {};
  PIXELLM_CHECK(sync_folder(folder_));
  const std::string up = folder_ + "/..";
  const Descriptor parent(::open(up.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // A folder that one may only pass through cannot be opened, and is not one that a world was just made in.
  if (parent && ::fsync(parent.get()) != 0) return system_error(up, "write", errno);
  PIXELLM_CHECK(lmdb_->sync());
  synced_ = true;
  return {};
}

Result<void> StoreEnv::sync_what_was_found() {
  const std::lock_guard hold(use_lock_);
  PIXELLM_CHECK(make_usable());
  return sync_found();
}

void StoreEnv::end_writing() {
  const std::lock_guard hold(use_lock_);
  if (broken_ && !meta_pages_.empty()) (void)take_back();
  meta_pages_.clear();  // another process may write from here on
}

Result<LmdbTxn> StoreEnv::begin_write() {
  const std::lock_guard hold(use_lock_);
  PIXELLM_CHECK(make_usable());
  PIXELLM_CHECK(sync_found());
  auto txn = PIXELLM_TRY(begin_change());
  const std::string path = folder_ + "/" + kDataFile;
  meta_pages_.resize(2 * PIXELLM_TRY(read_meta_page(data_.get(), path)).page_size);
  const ssize_t size = static_cast<ssize_t>(meta_pages_.size());
  if (::pread(data_.get(), meta_pages_.data(), meta_pages_.size(), 0) != size)
    return system_error(path, "read", errno);
  return txn;
}

// LMDB uses a page again when no registered reader can see it. For those without write permission, which only
// hold a lock on the lock file, this process keeps a reader of its own: begun before the next change, it is
// older than what they lose.
Result<LmdbTxn> StoreEnv::begin_change() {
  if (lock_file(lock_.get(), LOCK_EX | LOCK_NB, folder_)) {
    lock_file(lock_.get(), LOCK_UN, folder_).value();
    guard_.reset();
  } else if (!guard_) {
    guard_.emplace(PIXELLM_TRY(lmdb_->begin_read()));
  }
  lmdb_->forget_dead_readers();
  return lmdb_->begin_write();
}

Result<LmdbTxn> StoreEnv::begin_read() {
  const std::lock_guard hold(use_lock_);
  PIXELLM_CHECK(make_usable());
  PIXELLM_CHECK(enter_reader());
  auto txn = lmdb_->begin_read();
  if (txn)
    ++active_;
  else
    leave_reader();
  return txn;
}

void StoreEnv::end_read() {
  const std::lock_guard hold(use_lock_);
  --active_;
  leave_reader();
}

Result<void> StoreEnv::enter_reader() {
  if (!unregistered_ || !lock_) return {};
  const std::lock_guard hold(readers_lock_);
  if (readers_ == 0) PIXELLM_CHECK(lock_file(lock_.get(), LOCK_SH, folder_));
  ++readers_;
  return {};
}

void StoreEnv::leave_reader() {
  if (!unregistered_ || !lock_) return;
  const std::lock_guard hold(readers_lock_);
  if (--readers_ == 0) (void)lock_file(lock_.get(), LOCK_UN, folder_);
}

// ---- compaction

Result<void> StoreEnv::lock_alone(const std::shared_ptr<StoreEnv>& self) {
  {
    const std::lock_guard hold_use(use_lock_);
    PIXELLM_CHECK(make_usable());
    PIXELLM_CHECK(sync_found());
  }
  const std::lock_guard hold(registry().lock);
  if (users_ > 1 || self.use_count() > 1)
    return fail(ErrorCode::kBusy,
                fmt::format("{}: this process has snapshots of the world, or has it open twice", folder_));
  guard_.reset();
  const std::string data = folder_ + "/" + kDataFile;
  auto locked = lock_file(data_.get(), LOCK_EX | LOCK_NB, data);
  if (!locked) {
    (void)lock_file(data_.get(), LOCK_SH,
                    data);  // a failed change of the lock gives up the one that was held
    if (locked.error().code != ErrorCode::kBusy) return locked;
    return fail(ErrorCode::kBusy, fmt::format("{}: another process is reading this world", folder_));
  }
  alone_ = true;
  return {};
}

void StoreEnv::unlock() {
  const std::lock_guard hold(registry().lock);
  alone_ = false;
  (void)lock_file(data_.get(), LOCK_SH, folder_);
}

// Others that open the world meanwhile find the old file or the new one locked: LMDB's lock file must not be
// shared between the two.
Result<void> StoreEnv::adopt() {
  const std::string from = folder_ + "/" + kNewFile, to = folder_ + "/" + kDataFile;
  Descriptor fd(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return system_error(from, "open", errno);
  PIXELLM_CHECK(lock_file(fd.get(), LOCK_EX | LOCK_NB, from));
  if (::rename(from.c_str(), to.c_str()) != 0) return system_error(to, "replace", errno);
  synced_ =
      sync_folder(folder_).has_value();  // if not, a power failure leaves one file or the other, both whole
  lmdb_.reset();
  data_ = std::move(fd);
  if (auto opened = open_lmdb(); !opened) {
    lmdb_.reset();
    return opened;
  }
  if (!synced_) return fail(ErrorCode::kIo, folder_ + ": was compacted, but its folder cannot be synced");
  return {};
}

// ---- ReadTxn

Result<ReadTxn> ReadTxn::begin(std::shared_ptr<StoreEnv> env) {
  ReadTxn out(std::move(env));
  PIXELLM_CHECK(out.renew());
  return out;
}

ReadTxn::~ReadTxn() {
  if (env_) release();
}

void ReadTxn::release() {
  if (!txn_) return;
  txn_.reset();
  env_->end_read();
}

Result<void> ReadTxn::renew() {
  release();
  txn_.emplace(PIXELLM_TRY(env_->begin_read()));
  return {};
}

}  // namespace pixellm
