#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace pixellm {
namespace {

std::unexpected<Error> system_error(const std::string& path, const char* action, int error = errno) {
  const auto code = error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  return fail(code, fmt::format("{}: cannot {}: {}", path, action, std::strerror(error)));
}

Result<int> open_regular(const std::string& path, uint64_t& size) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_error(path, "open");
  struct stat st {};
  if (::fstat(fd, &st) != 0) {
    const int error = errno;
    ::close(fd);
    return system_error(path, "examine", error);
  }
  if (!S_ISREG(st.st_mode)) {
    ::close(fd);
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: is {}, not a regular file", path, S_ISDIR(st.st_mode) ? "a folder" : "a device or pipe"));
  }
  size = static_cast<uint64_t>(st.st_size);
  return fd;
}

std::string folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? std::string(1, '.') : folder.string();
}

std::string hidden_name(const std::string& path, std::string_view ending) {
  const std::string name = std::filesystem::path(path).filename().string();
  return fmt::format("{}/.{}.pixellm-{}", folder_of(path), name, ending);
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
    f.is_stdout_ = true;
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
  f.path_ = target.string();
  PIXELLM_CHECK(f.open_temporary());
  // mkostemp gives 0600; an output file follows the umask, or the mode of the file that it replaces.
  struct stat st {};
  const mode_t mask = ::umask(0);
  ::umask(mask);
  const mode_t mode = ::stat(f.path_.c_str(), &st) == 0 ? (st.st_mode & 0777) : (0666 & ~mask);
  ::fchmod(f.fd_, mode);
  return f;
}

// A file without a name needs no cleaning up, however the process ends; where the file system has none, a hidden
// file beside the target serves.
Result<void> AtomicFile::open_temporary() {
  const auto folder = folder_of(path_);
  fd_ = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd_ >= 0) return {};
  std::string pattern = hidden_name(path_, "XXXXXX");
  fd_ = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (fd_ < 0) return system_error(path_, "create");
  temporary_ = pattern;
  return {};
}

// Gives an unnamed file a hidden name, from which rename can put it in place of another file.
Result<void> AtomicFile::name_temporary() {
  const std::string self = fmt::format("/proc/self/fd/{}", fd_);
  for (int attempt = 0; attempt < 1000; attempt++) {
    const std::string name = hidden_name(path_, fmt::format("{}-{}", ::getpid(), attempt));
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      temporary_ = name;
      return {};
    }
    if (errno != EEXIST) return system_error(path_, "name the finished file");
  }
  return fail(ErrorCode::kBusy, fmt::format("{}: a thousand unfinished files stand beside it", path_));
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)),
      is_stdout_(other.is_stdout_),
      size_(other.size_) {}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<void> AtomicFile::write(Bytes data) {
  PIXELLM_CHECK(write_all(fd_, path_, data));
  size_ += data.size();
  return {};
}

Result<void> AtomicFile::write_at(uint64_t offset, Bytes data) {
  PIXELLM_ASSERT(!is_stdout_ && offset + data.size() <= size_);
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
  PIXELLM_ASSERT(!is_stdout_ && offset + out.size() <= size_);
  return read_all(fd_, path_, offset, out);
}

Result<void> AtomicFile::commit() {
  if (is_stdout_) return {};
  if (::fsync(fd_) != 0) return system_error(path_, "sync");
  if (temporary_.empty()) PIXELLM_CHECK(name_temporary());
  if (::close(std::exchange(fd_, -1)) != 0) return system_error(path_, "close");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return system_error(path_, "rename the finished file to");
  temporary_.clear();
  const auto folder = folder_of(path_);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    ::fsync(fd);  // some file systems cannot; the rename itself has happened
    ::close(fd);
  }
  return {};
}

Result<void> write_file(const std::string& path, Bytes data) {
  auto out = PIXELLM_TRY(AtomicFile::create(path));
  PIXELLM_CHECK(out.write(data));
  return out.commit();
}

}  // namespace pixellm
