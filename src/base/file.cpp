#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>

namespace pixellm {
namespace {

std::unexpected<Error> system_error(const std::string& path, const char* action, int error = errno) {
  const auto code = error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  return fail(code, fmt::format("{}: cannot {}: {}", path, action, std::strerror(error)));
}

std::unexpected<Error> not_regular(const std::string& path, mode_t mode) {
  const char* what = S_ISDIR(mode) ? "a folder" : S_ISLNK(mode) ? "a symbolic link" : "a device or pipe";
  return fail(ErrorCode::kInvalidArgument, fmt::format("{}: is {}, not a regular file", path, what));
}

// Takes `fd`, the answer of open(); closes it unless it is a regular file.
Result<int> check_regular(int fd, const std::string& path, uint64_t& size) {
  if (fd < 0) return system_error(path, "open");
  struct stat st {};
  if (::fstat(fd, &st) != 0) {
    const int error = errno;
    ::close(fd);
    return system_error(path, "examine", error);
  }
  if (!S_ISREG(st.st_mode)) {
    ::close(fd);
    return not_regular(path, st.st_mode);
  }
  size = static_cast<uint64_t>(st.st_size);
  return fd;
}

Result<int> open_regular(const std::string& path, uint64_t& size) {
  return check_regular(::open(path.c_str(), O_RDONLY | O_CLOEXEC), path, size);
}

// For fsync and for the *at() calls; a folder that may be written but not read cannot be synced.
int open_folder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return fd >= 0 || errno != EACCES ? fd : ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
}

std::string folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? std::string(1, '.') : folder.string();
}

std::string hidden_name(const std::string& name, int attempt) {
  return fmt::format(".{}.pixellm-{}-{}", name, ::getpid(), attempt);
}

constexpr int kMaxAttempts = 1000;

std::unexpected<Error> too_many_attempts(const std::string& path) {
  return fail(ErrorCode::kBusy, fmt::format("{}: a thousand unfinished files stand beside it", path));
}

Result<void> write_all(int fd, const std::string& path, Bytes data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(path, "write");
    data = data.subspan(static_cast<size_t>(n));
  }
  return {};
}

Result<void> read_all(int fd, const std::string& path, uint64_t offset, MutableBytes out) {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(path, "read");
    if (n == 0) return fail(ErrorCode::kIo, fmt::format("{}: shrank while it was read", path));
    out = out.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

}  // namespace

// ---- File

Result<File> File::open(const std::string& path) {
  File f;
  f.path_ = path;
  f.fd_ = PIXELLM_TRY(open_regular(path, f.size_));
  return f;
}

Result<File> File::open_at(int folder, const std::string& name, std::string path) {
  File f;
  f.path_ = std::move(path);
  // O_NONBLOCK: opening a pipe must not wait for a writer before it is refused.
  const int fd = ::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 && errno == ELOOP) return not_regular(f.path_, S_IFLNK);
  f.fd_ = PIXELLM_TRY(check_regular(fd, f.path_, f.size_));
  return f;
}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

File& File::operator=(File&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  return *this;
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> File::read_at(uint64_t offset, MutableBytes out) const {
  if (offset > size_ || out.size() > size_ - offset)
    return fail(ErrorCode::kCorrupt, fmt::format("{}: ends at byte {}, bytes {} to {} are needed", path_, size_, offset,
                                                 offset + out.size()));
  return read_all(fd_, path_, offset, out);
}

// ---- MappedFile

Result<MappedFile> MappedFile::open(const std::string& path) {
  MappedFile m;
  m.path_ = path;
  const int fd = PIXELLM_TRY(open_regular(path, m.size_));
  if (m.size_ > 0) {
    void* p = ::mmap(nullptr, m.size_, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
      const int error = errno;
      ::close(fd);
      m.size_ = 0;
      return system_error(path, "map", error);
    }
    m.data_ = static_cast<const uint8_t*>(p);
  }
  ::close(fd);
  return m;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<uint8_t*>(data_), size_);
}

void MappedFile::release(uint64_t offset, uint64_t size) const {
  const uint64_t page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t begin = round_up(offset, page);
  const uint64_t end = std::min(offset + size, size_) / page * page;
  if (begin < end) ::madvise(const_cast<uint8_t*>(data_) + begin, end - begin, MADV_DONTNEED);
}

Result<void> MappedFile::populate(uint64_t offset, uint64_t size) const {
#ifndef MADV_POPULATE_READ
  constexpr int MADV_POPULATE_READ = 22;
#endif
  if (offset >= size_) return {};
  const uint64_t page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t begin = offset / page * page;
  const uint64_t end = offset + std::min(size, size_ - offset);
  if (begin >= end) return {};
  if (::madvise(const_cast<uint8_t*>(data_) + begin, end - begin, MADV_POPULATE_READ) == 0) return {};
  if (errno != EFAULT && errno != EHWPOISON && errno != EIO) return {};
  return fail(ErrorCode::kIo, fmt::format("{}: bytes {} to {} cannot be read", path_, begin, end));
}

void MappedFile::prefetch(uint64_t offset, uint64_t size) const {
  if (offset >= size_) return;
  const uint64_t page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t begin = offset / page * page, end = offset + std::min(size, size_ - offset);
  if (begin < end) ::madvise(const_cast<uint8_t*>(data_) + begin, end - begin, MADV_WILLNEED);
}

// ---- InputStream

Result<InputStream> InputStream::open(const std::string& path) {
  InputStream in;
  in.path_ = path == "-" ? "standard input" : path;
  in.fd_ = path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (in.fd_ < 0) return system_error(in.path_, "open");
  struct stat st {};
  if (::fstat(in.fd_, &st) != 0) return system_error(in.path_, "examine");
  if (S_ISREG(st.st_mode)) in.size_ = static_cast<uint64_t>(st.st_size);
  const bool allowed = S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || path == "-";
  if (S_ISDIR(st.st_mode) || !allowed)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: is {}, a file or a pipe is expected", in.path_, S_ISDIR(st.st_mode) ? "a folder" : "a device"));
  return in;
}

InputStream::InputStream(InputStream&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

InputStream::~InputStream() {
  if (fd_ >= 0) ::close(fd_);
}

Result<size_t> InputStream::read(MutableBytes out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::read(fd_, out.data() + done, out.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(path_, "read");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

Result<std::vector<uint8_t>> read_file(const std::string& path, uint64_t limit) {
  const int fd = path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_error(path, "open");
  std::vector<uint8_t> out;
  for (;;) {
    const size_t have = out.size();
    out.resize(have + std::max<size_t>(65536, have / 2));
    const ssize_t n = ::read(fd, out.data() + have, out.size() - have);
    if (n < 0 && errno == EINTR) {
      out.resize(have);
      continue;
    }
    if (n < 0) {
      const int error = errno;
      ::close(fd);
      return system_error(path, "read", error);
    }
    out.resize(have + static_cast<size_t>(n));
    if (out.size() > limit) {
      ::close(fd);
      return fail(ErrorCode::kTooLarge, fmt::format("{}: is larger than {} bytes", path, limit));
    }
    if (n == 0) break;
  }
  ::close(fd);
  return out;
}

// ---- AtomicFile

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  AtomicFile f;
  f.path_ = path;
  if (path == "-") {
    f.path_ = "standard output";
    f.fd_ = ::dup(STDOUT_FILENO);
    f.is_stream_ = true;
    if (f.fd_ < 0) return system_error("standard output", "open");
    return f;
  }
  std::error_code ec;
  if (path.empty()) return fail(ErrorCode::kInvalidArgument, "the output path is empty");
  // Write through a symbolic link to its target instead of replacing the link.
  std::filesystem::path target = path;
  if (std::filesystem::is_symlink(target, ec)) {
    auto resolved = std::filesystem::weakly_canonical(target, ec);
    if (!ec) target = resolved;
  }
  const auto status = std::filesystem::status(target, ec);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    return fail(ErrorCode::kInvalidArgument, fmt::format("{}: exists and is not a regular file", path));
  const int folder = open_folder(folder_of(target.string()));
  if (folder < 0) return system_error(path, "create");
  auto made = create_at(folder, target.filename().string(), target.string());
  ::close(folder);
  return made;
}

Result<AtomicFile> AtomicFile::create_or_stream(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0 || (!S_ISCHR(st.st_mode) && !S_ISFIFO(st.st_mode))) return create(path);
  AtomicFile f;
  f.path_ = path;
  f.is_stream_ = true;
  f.fd_ = ::open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (f.fd_ < 0) return system_error(path, "open");
  return f;
}

Result<AtomicFile> AtomicFile::create_at(int folder, const std::string& name, std::string path) {
  AtomicFile f;
  f.path_ = std::move(path);
  f.name_ = name;
  f.folder_ = ::fcntl(folder, F_DUPFD_CLOEXEC, 0);
  if (f.folder_ < 0) return system_error(f.path_, "create");
  struct stat st {};
  const bool exists = ::fstatat(folder, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
  if (exists && !S_ISREG(st.st_mode)) return not_regular(f.path_, st.st_mode);
  PIXELLM_CHECK(f.open_temporary());
  // It was made 0600; an output file follows the umask, or the mode of the file that it replaces.
  const mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(f.fd_, exists ? (st.st_mode & 0777) : (0666 & ~mask));
  return f;
}

// A file without a name needs no cleaning up, however the process ends; where the file system has none, a hidden
// file beside the target serves.
Result<void> AtomicFile::open_temporary() {
  fd_ = ::openat(folder_, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd_ >= 0) return {};
  for (int attempt = 0; attempt < kMaxAttempts; attempt++) {
    const std::string name = hidden_name(name_, attempt);
    fd_ = ::openat(folder_, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd_ >= 0) {
      temporary_ = name;
      return {};
    }
    if (errno != EEXIST) return system_error(path_, "create");
  }
  return too_many_attempts(path_);
}

// Gives an unnamed file a hidden name, from which rename can put it in place of another file.
Result<void> AtomicFile::name_temporary() {
  const std::string self = fmt::format("/proc/self/fd/{}", fd_);
  for (int attempt = 0; attempt < kMaxAttempts; attempt++) {
    const std::string name = hidden_name(name_, attempt);
    if (::linkat(AT_FDCWD, self.c_str(), folder_, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      temporary_ = name;
      return {};
    }
    if (errno != EEXIST) return system_error(path_, "name the finished file");
  }
  return too_many_attempts(path_);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      name_(std::move(other.name_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)),
      folder_(std::exchange(other.folder_, -1)),
      is_stream_(other.is_stream_),
      size_(other.size_),
      writeback_(other.writeback_) {}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlinkat(folder_, temporary_.c_str(), 0);
  if (folder_ >= 0) ::close(folder_);
}

Result<void> AtomicFile::write(Bytes data) {
  PIXELLM_CHECK(write_all(fd_, path_, data));
  size_ += data.size();
  return {};
}

Result<void> AtomicFile::write_at(uint64_t offset, Bytes data) {
  PIXELLM_ASSERT(!is_stream_ && offset + data.size() <= size_);
  while (!data.empty()) {
    const ssize_t n = ::pwrite(fd_, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(path_, "write");
    data = data.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<void> AtomicFile::read_at(uint64_t offset, MutableBytes out) const {
  PIXELLM_ASSERT(!is_stream_ && offset + out.size() <= size_);
  return read_all(fd_, path_, offset, out);
}

Result<void> AtomicFile::extend(uint64_t size) {
  PIXELLM_ASSERT(!is_stream_ && size >= size_);
  if (size == size_) return {};
  if (size > static_cast<uint64_t>(std::numeric_limits<off_t>::max()) || ::ftruncate(fd_, static_cast<off_t>(size)) != 0)
    return system_error(path_, "write", size >> 63 != 0 ? EFBIG : errno);
  size_ = size;
  ::lseek(fd_, 0, SEEK_END);
  return {};
}

void AtomicFile::start_writeback() {
  if (is_stream_ || size_ == writeback_) return;
  ::sync_file_range(fd_, static_cast<off64_t>(writeback_), static_cast<off64_t>(size_ - writeback_), SYNC_FILE_RANGE_WRITE);
  writeback_ = size_;
}

Result<void> AtomicFile::commit() {
  if (is_stream_) return {};
  if (::fsync(fd_) != 0) return system_error(path_, "sync");
  if (temporary_.empty()) PIXELLM_CHECK(name_temporary());
  if (::close(std::exchange(fd_, -1)) != 0) return system_error(path_, "close");
  if (::renameat(folder_, temporary_.c_str(), folder_, name_.c_str()) != 0)
    return system_error(path_, "rename the finished file to");
  temporary_.clear();
  ::fsync(folder_);  // some file systems cannot; the rename itself has happened
  return {};
}

Result<void> check_other_file(const std::string& in, const std::string& out) {
  std::error_code ec;
  if (in == "-" || out == "-" || !std::filesystem::equivalent(in, out, ec) || ec) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("{}: is the input; choose another name for the output", out));
}

Result<void> write_file(const std::string& path, Bytes data) {
  auto out = PIXELLM_TRY(AtomicFile::create(path));
  PIXELLM_CHECK(out.write(data));
  return out.commit();
}

}  // namespace pixellm
