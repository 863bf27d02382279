// The recording half of crash_disk.h: the system's file functions as this program defines them, under the
// names that LMDB and the standard library call. A call on a file below the root is recorded, made to fail or
// cut short, and all calls go on to the kernel. Before any CrashDisk exists, while the program is loading,
// they do nothing else.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <filesystem>
#include <mutex>

#include "map/crash_disk.h"

namespace pixellm::crash {
namespace {

constexpr size_t kMaxDescriptors = 4096;
constexpr uint64_t kNever = ~uint64_t{0};

using Kind = DiskOp::Kind;

struct OpenFile {
  enum class What : uint8_t { kUntracked, kFile, kFolder } what = What::kUntracked;
  bool durable = false;
  uint32_t file = 0;
  std::string path;  // of a folder
};

struct Recorder {
  std::mutex lock;
  std::string root;
  std::vector<DiskOp> journal;
  std::map<std::string, uint32_t> files;  // by path relative to the root
  uint32_t next_file = 0;
  std::vector<OpenFile> open = std::vector<OpenFile>(kMaxDescriptors);
  uint64_t fail_from = kNever, fail_length = 0, kill_at = kNever, operations = 0;
  Fault fault = Fault::kIoError;
  bool happened = false;
};

constinit std::atomic<Recorder*> active{nullptr};

// The path relative to the root, "" for the root itself; nullopt for what lies elsewhere or is left out.
std::optional<std::string> relative(const Recorder& r, int folder, const char* path) {
  std::string text(path);
  if (path[0] != '/') {
    if (folder < 0 || static_cast<size_t>(folder) >= kMaxDescriptors) return std::nullopt;
    const OpenFile& f = r.open[static_cast<size_t>(folder)];
    if (f.what != OpenFile::What::kFolder) return std::nullopt;
    return f.path.empty() ? text : f.path + "/" + text;
  }
  text = std::filesystem::path(text)
             .lexically_normal()
             .string();  // the standard library adds slashes, LMDB does not
  if (!text.starts_with(r.root)) return std::nullopt;
  text.erase(0, r.root.size());
  if (!text.empty() && text[0] != '/') return std::nullopt;
  while (text.starts_with("/")) text.erase(0, 1);
  while (text.ends_with("/")) text.pop_back();
  if (text.ends_with("lock.mdb")) return std::nullopt;
  return text;
}

OpenFile* tracked(Recorder* r, int fd, OpenFile::What what) {
  if (!r || fd < 0 || static_cast<size_t>(fd) >= kMaxDescriptors) return nullptr;
  OpenFile& f = r->open[static_cast<size_t>(fd)];
  return f.what == what ? &f : nullptr;
}

// Whether this operation is to fail; counts it.
enum class Fate : uint8_t { kDone, kFails, kKilled };
Fate count_operation(Recorder& r) {
  const uint64_t number = r.operations++;
  if (number == r.kill_at) return Fate::kKilled;
  if (number < r.fail_from || number - r.fail_from >= r.fail_length) return Fate::kDone;
  r.happened = true;
  return Fate::kFails;
}

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

ssize_t refuse(int error) {
  errno = error;
  return -1;
}

void record_write(Recorder& r, const OpenFile& f, uint64_t offset, const std::vector<iovec>& parts,
                  uint64_t size, bool failed) {
  DiskOp op(Kind::kWrite);
  op.durable = f.durable;
  op.failed = failed;
  op.file = f.file;
  op.offset = offset;
  for (const iovec& part : parts) {
    const auto* bytes = static_cast<const uint8_t*>(part.iov_base);
    const uint64_t take = std::min<uint64_t>(part.iov_len, size - op.data.size());
    op.data.insert(op.data.end(), bytes, bytes + take);
  }
  r.journal.push_back(std::move(op));
}

// `offset` -1: at the descriptor's position.
ssize_t write_parts(int fd, const iovec* parts, int count, int64_t offset) {
  const auto kernel = [&](const iovec* p, int n, int64_t at) {
    return at < 0 ? syscall(SYS_writev, fd, p, n) : syscall(SYS_pwritev, fd, p, n, at, 0);
  };
  Recorder* r = active.load(std::memory_order_acquire);
  if (!tracked(r, fd, OpenFile::What::kFile)) return kernel(parts, count, offset);
  const std::lock_guard hold(r->lock);
  const OpenFile& f = r->open[static_cast<size_t>(fd)];
  const uint64_t at = static_cast<uint64_t>(offset >= 0 ? offset : syscall(SYS_lseek, fd, 0, SEEK_CUR));
  std::vector<iovec> all(parts, parts + count);
  uint64_t size = 0;
  for (const iovec& part : all) size += part.iov_len;
  const Fate fate = count_operation(*r);
  if (fate == Fate::kDone) {
    const ssize_t written = kernel(parts, count, offset);
    if (written > 0) record_write(*r, f, at, all, static_cast<uint64_t>(written), false);
    return written;
  }
  if (fate == Fate::kFails && r->fault != Fault::kShortWrite) {
    if (!f.durable) return refuse(r->fault == Fault::kNoSpace ? ENOSPC : EIO);
    // An O_DSYNC write fails in its sync: the file shows the new bytes, and the disk may have them or not.
    if (kernel(parts, count, offset) != static_cast<ssize_t>(size)) return -1;
    record_write(*r, f, at, all, size, true);
    return refuse(r->fault == Fault::kNoSpace ? ENOSPC : EIO);
  }
  uint64_t half = size / 2;
  std::vector<iovec> first;
  for (const iovec& part : all) {
    if (half == 0) break;
    first.push_back({part.iov_base, static_cast<size_t>(std::min<uint64_t>(part.iov_len, half))});
    half -= first.back().iov_len;
  }
  const ssize_t written = kernel(first.data(), static_cast<int>(first.size()), offset);
  if (fate == Fate::kKilled) die();
  if (written > 0) record_write(*r, f, at, all, static_cast<uint64_t>(written), false);
  return written;
}

int sync_file(int fd, long call) {
  Recorder* r = active.load(std::memory_order_acquire);
  const OpenFile* file = tracked(r, fd, OpenFile::What::kFile);
  const OpenFile* folder = tracked(r, fd, OpenFile::What::kFolder);
  if (!file && !folder) return static_cast<int>(syscall(call, fd));
  const std::lock_guard hold(r->lock);
  const Fate fate = count_operation(*r);
  if (fate == Fate::kKilled) die();
  DiskOp op(file ? Kind::kSyncFile : Kind::kSyncFolder);
  op.failed = fate == Fate::kFails;
  if (file) op.file = file->file;
  if (folder) op.path = folder->path;
  r->journal.push_back(std::move(op));
  return fate == Fate::kFails ? static_cast<int>(refuse(EIO))
                              : 0;  // the files lie in memory: nothing to wait for
}

void record_length(Recorder& r, uint32_t file, uint64_t length) {
  DiskOp op(Kind::kTruncate);
  op.file = file;
  op.offset = length;
  r.journal.push_back(std::move(op));
}

int truncate_file(int fd, int64_t length) {
  Recorder* r = active.load(std::memory_order_acquire);
  if (!tracked(r, fd, OpenFile::What::kFile)) return static_cast<int>(syscall(SYS_ftruncate, fd, length));
  const std::lock_guard hold(r->lock);
  const Fate fate = count_operation(*r);
  if (fate == Fate::kKilled) die();
  if (fate == Fate::kFails) return static_cast<int>(refuse(r->fault == Fault::kNoSpace ? ENOSPC : EIO));
  const int rc = static_cast<int>(syscall(SYS_ftruncate, fd, length));
  if (rc == 0) record_length(*r, r->open[static_cast<size_t>(fd)].file, static_cast<uint64_t>(length));
  return rc;
}

void record_name(Recorder& r, Kind kind, std::string path, std::string to = {}, uint32_t file = 0) {
  DiskOp op(kind);
  op.file = file;
  op.path = std::move(path);
  op.to = std::move(to);
  r.journal.push_back(std::move(op));
}

int open_file(int folder, const char* path, int flags, unsigned mode) {
  const auto kernel = [&] { return static_cast<int>(syscall(SYS_openat, folder, path, flags, mode)); };
  Recorder* r = active.load(std::memory_order_acquire);
  if (!r) return kernel();
  const std::lock_guard hold(r->lock);
  const auto name = relative(*r, folder, path);
  if (!name) return kernel();
  struct stat before{};
  const bool existed = ::fstatat(folder, path, &before, 0) == 0;
  const int fd = kernel();
  if (fd < 0) return fd;
  PIXELLM_ASSERT(static_cast<size_t>(fd) < kMaxDescriptors &&
                 !(flags & (O_APPEND | (O_TMPFILE & ~O_DIRECTORY))));
  OpenFile& f = r->open[static_cast<size_t>(fd)];
  if (existed && S_ISDIR(before.st_mode)) {
    f.what = OpenFile::What::kFolder;
    f.path = *name;
    return fd;
  }
  if (!existed) {
    r->files[*name] = r->next_file++;
    record_name(*r, Kind::kCreate, *name, {}, r->files[*name]);
  }
  auto file = r->files.find(*name);
  if (file == r->files.end()) file = r->files.emplace(*name, r->next_file++).first;  // older than the record
  f.what = OpenFile::What::kFile;
  f.durable = (flags & O_DSYNC) != 0;
  f.file = file->second;
  if (existed && (flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY) record_length(*r, f.file, 0);
  return fd;
}

int rename_path(int from_folder, const char* from, int to_folder, const char* to) {
  const auto kernel = [&] {
    return static_cast<int>(syscall(SYS_renameat, from_folder, from, to_folder, to));
  };
  Recorder* r = active.load(std::memory_order_acquire);
  if (!r) return kernel();
  const std::lock_guard hold(r->lock);
  const auto a = relative(*r, from_folder, from), b = relative(*r, to_folder, to);
  if (!a || !b) return kernel();
  const Fate fate = count_operation(*r);
  if (fate == Fate::kKilled) die();
  if (fate == Fate::kFails) return static_cast<int>(refuse(EIO));
  const int rc = kernel();
  if (rc != 0) return rc;
  PIXELLM_ASSERT(r->files.contains(*a));  // folders are not renamed
  r->files[*b] = r->files[*a];
  r->files.erase(*a);
  record_name(*r, Kind::kRename, *a, *b);
  return rc;
}

int remove_path(int folder, const char* path, int flags) {
  const auto kernel = [&] { return static_cast<int>(syscall(SYS_unlinkat, folder, path, flags)); };
  Recorder* r = active.load(std::memory_order_acquire);
  if (!r) return kernel();
  const std::lock_guard hold(r->lock);
  const auto name = relative(*r, folder, path);
  const int rc = kernel();
  if (rc != 0 || !name) return rc;
  r->files.erase(*name);
  record_name(*r, Kind::kRemove, *name);
  return rc;
}

int make_folder(int folder, const char* path, unsigned mode) {
  const int rc = static_cast<int>(syscall(SYS_mkdirat, folder, path, mode));
  Recorder* r = active.load(std::memory_order_acquire);
  if (!r || rc != 0) return rc;
  const std::lock_guard hold(r->lock);
  if (const auto name = relative(*r, folder, path)) record_name(*r, Kind::kMakeFolder, *name);
  return rc;
}

int close_file(int fd) {
  if (Recorder* r = active.load(std::memory_order_acquire);
      r && fd >= 0 && static_cast<size_t>(fd) < kMaxDescriptors) {
    const std::lock_guard hold(r->lock);
    r->open[static_cast<size_t>(fd)] = {};
  }
  return static_cast<int>(syscall(SYS_close, fd));
}

}  // namespace

CrashDisk::CrashDisk(const std::string& root) {
  auto* r = new Recorder;
  r->root = root;
  while (r->root.ends_with("/")) r->root.pop_back();
  Recorder* none = nullptr;
  PIXELLM_ASSERT(active.compare_exchange_strong(none, r));
}

CrashDisk::~CrashDisk() { delete active.exchange(nullptr); }

const std::vector<DiskOp>& CrashDisk::journal() const { return active.load()->journal; }

void CrashDisk::fail_after(uint64_t skipped, Fault fault, uint64_t length) {
  Recorder& r = *active.load();
  r.fail_from = r.operations + skipped;
  r.fail_length = length;
  r.fault = fault;
  r.happened = false;
}

bool CrashDisk::fault_happened() const { return active.load()->happened; }
bool CrashDisk::failing() const {
  const Recorder& r = *active.load();
  return r.operations >= r.fail_from && r.operations - r.fail_from < r.fail_length;
}
void CrashDisk::stop_failing() { active.load()->fail_length = 0; }

void CrashDisk::kill_after(uint64_t skipped) {
  Recorder& r = *active.load();
  r.kill_at = r.operations + skipped;
}

}  // namespace pixellm::crash

// The functions by the names that other code calls, each with its 64-bit twin. They have other names in C++,
// for headers rename some of them.
namespace crash = pixellm::crash;

#define PIXELLM_NAMED(name) __asm__(name) __attribute__((visibility("default"), used))

extern "C" {
int crash_open(const char* path, int flags, ...) PIXELLM_NAMED("open");
int crash_open64(const char* path, int flags, ...) PIXELLM_NAMED("open64");
int crash_openat(int folder, const char* path, int flags, ...) PIXELLM_NAMED("openat");
int crash_openat64(int folder, const char* path, int flags, ...) PIXELLM_NAMED("openat64");
int crash_close(int fd) PIXELLM_NAMED("close");
ssize_t crash_write(int fd, const void* data, size_t size) PIXELLM_NAMED("write");
ssize_t crash_writev(int fd, const iovec* parts, int count) PIXELLM_NAMED("writev");
ssize_t crash_pwrite(int fd, const void* data, size_t size, int64_t offset) PIXELLM_NAMED("pwrite");
ssize_t crash_pwrite64(int fd, const void* data, size_t size, int64_t offset) PIXELLM_NAMED("pwrite64");
ssize_t crash_pwritev(int fd, const iovec* parts, int count, int64_t offset) PIXELLM_NAMED("pwritev");
ssize_t crash_pwritev64(int fd, const iovec* parts, int count, int64_t offset) PIXELLM_NAMED("pwritev64");
int crash_fsync(int fd) PIXELLM_NAMED("fsync");
int crash_fdatasync(int fd) PIXELLM_NAMED("fdatasync");
int crash_ftruncate(int fd, int64_t length) PIXELLM_NAMED("ftruncate");
int crash_ftruncate64(int fd, int64_t length) PIXELLM_NAMED("ftruncate64");
int crash_rename(const char* from, const char* to) PIXELLM_NAMED("rename");
int crash_renameat(int a, const char* from, int b, const char* to) PIXELLM_NAMED("renameat");
int crash_unlink(const char* path) PIXELLM_NAMED("unlink");
int crash_unlinkat(int folder, const char* path, int flags) PIXELLM_NAMED("unlinkat");
int crash_rmdir(const char* path) PIXELLM_NAMED("rmdir");
int crash_remove(const char* path) PIXELLM_NAMED("remove");
int crash_mkdir(const char* path, mode_t mode) PIXELLM_NAMED("mkdir");
int crash_mkdirat(int folder, const char* path, mode_t mode) PIXELLM_NAMED("mkdirat");
}

#define PIXELLM_OPEN(name, folder, ...)                    \
  int name(__VA_ARGS__ const char* path, int flags, ...) { \
    unsigned mode = 0;                                     \
    if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) {  \
      va_list rest;                                        \
      va_start(rest, flags);                               \
      mode = va_arg(rest, unsigned);                       \
      va_end(rest);                                        \
    }                                                      \
    return crash::open_file(folder, path, flags, mode);    \
  }
PIXELLM_OPEN(crash_open, AT_FDCWD, )
PIXELLM_OPEN(crash_open64, AT_FDCWD, )
#define PIXELLM_COMMA ,
PIXELLM_OPEN(crash_openat, folder, int folder PIXELLM_COMMA)
PIXELLM_OPEN(crash_openat64, folder, int folder PIXELLM_COMMA)

int crash_close(int fd) { return crash::close_file(fd); }

ssize_t crash_pwrite64(int fd, const void* data, size_t size, int64_t offset) {
  const iovec part{const_cast<void*>(data), size};
  return crash::write_parts(fd, &part, 1, offset);
}
ssize_t crash_write(int fd, const void* data, size_t size) { return crash_pwrite64(fd, data, size, -1); }
ssize_t crash_pwrite(int fd, const void* data, size_t size, int64_t offset) {
  return crash_pwrite64(fd, data, size, offset);
}
ssize_t crash_writev(int fd, const iovec* parts, int count) {
  return crash::write_parts(fd, parts, count, -1);
}
ssize_t crash_pwritev(int fd, const iovec* parts, int count, int64_t offset) {
  return crash::write_parts(fd, parts, count, offset);
}
ssize_t crash_pwritev64(int fd, const iovec* parts, int count, int64_t offset) {
  return crash::write_parts(fd, parts, count, offset);
}

int crash_fsync(int fd) { return crash::sync_file(fd, SYS_fsync); }
int crash_fdatasync(int fd) { return crash::sync_file(fd, SYS_fdatasync); }
int crash_ftruncate(int fd, int64_t length) { return crash::truncate_file(fd, length); }
int crash_ftruncate64(int fd, int64_t length) { return crash::truncate_file(fd, length); }

int crash_rename(const char* from, const char* to) {
  return crash::rename_path(AT_FDCWD, from, AT_FDCWD, to);
}
int crash_renameat(int a, const char* from, int b, const char* to) {
  return crash::rename_path(a, from, b, to);
}
int crash_unlink(const char* path) { return crash::remove_path(AT_FDCWD, path, 0); }
int crash_unlinkat(int folder, const char* path, int flags) {
  return crash::remove_path(folder, path, flags);
}
int crash_rmdir(const char* path) { return crash::remove_path(AT_FDCWD, path, AT_REMOVEDIR); }
int crash_remove(const char* path) {
  const int rc = crash::remove_path(AT_FDCWD, path, 0);
  return rc != 0 && errno == EISDIR ? crash::remove_path(AT_FDCWD, path, AT_REMOVEDIR) : rc;
}
int crash_mkdir(const char* path, mode_t mode) { return crash::make_folder(AT_FDCWD, path, mode); }
int crash_mkdirat(int folder, const char* path, mode_t mode) {
  return crash::make_folder(folder, path, mode);
}
