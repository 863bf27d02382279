#include "pixel/store_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <thread>
#include <utility>

namespace pixellm {
namespace {

constexpr int kOpenFolder = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

std::unexpected<Error> system_error(const std::string& path, const char* action, int error = errno) {
  const auto code = error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  return fail(code, fmt::format("{}: cannot {}: {}", path, action, std::strerror(error)));
}

Folder::Kind kind_of(mode_t mode) {
  return S_ISREG(mode)   ? Folder::Kind::kFile
         : S_ISDIR(mode) ? Folder::Kind::kFolder
         : S_ISLNK(mode) ? Folder::Kind::kLink
                         : Folder::Kind::kOther;
}

}  // namespace

Result<Folder> Folder::open_root(const std::string& path, Missing missing) {
  if (path.empty()) return fail(ErrorCode::kInvalidArgument, "the path of the store's root is empty");
  if (const int fd = ::open(path.c_str(), kOpenFolder); fd >= 0) return Folder(fd, path);
  if (errno == ENOTDIR) return fail(ErrorCode::kInvalidArgument, path + ": is not a folder");
  if (errno != ENOENT || missing == Missing::kIsError) return system_error(path, "open the store");
  auto whole = std::filesystem::path(path);
  if (!whole.has_filename()) whole = whole.parent_path();  // "a/b/"
  const auto parent = whole.parent_path();
  const Folder above = PIXELLM_TRY(open_root(parent.empty() ? std::string(".") : parent.string(), missing));
  if (::mkdirat(above.fd_, whole.filename().c_str(), 0777) != 0 && errno != EEXIST)
    return system_error(path, "create");
  PIXELLM_CHECK(above.sync());
  const int fd = ::open(path.c_str(), kOpenFolder);
  if (fd < 0) return system_error(path, "open the store");
  return Folder(fd, path);
}

Folder::Folder(Folder&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

Folder& Folder::operator=(Folder&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

Folder::~Folder() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Folder> Folder::child(const std::string& name, Missing missing) const {
  if (missing == Missing::kCreate) {
    if (::mkdirat(fd_, name.c_str(), 0777) == 0)
      PIXELLM_CHECK(sync());
    else if (errno != EEXIST)
      return system_error(path_of(name), "create");
  }
  const int fd = ::openat(fd_, name.c_str(), kOpenFolder | O_NOFOLLOW);
  if (fd >= 0) return Folder(fd, path_of(name));
  const int error = errno;
  if (const auto kind = examine(name); kind && *kind && **kind != Kind::kFolder)
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: is {}, a folder is expected", path_of(name),
                    **kind == Kind::kLink ? "a symbolic link, which a store does not follow" : "a file"));
  return system_error(path_of(name), "open", error);
}

Result<Folder> Folder::descend(std::span<const std::string> parts, Missing missing) const {
  const int fd = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return system_error(path_, "open");
  Folder here(fd, path_);
  for (const std::string& part : parts) here = PIXELLM_TRY(here.child(part, missing));
  return here;
}

Result<std::optional<Folder::Kind>> Folder::examine(const std::string& name) const {
  struct stat st{};
  if (::fstatat(fd_, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) return kind_of(st.st_mode);
  if (errno == ENOENT) return std::optional<Kind>();
  return system_error(path_of(name), "examine");
}

Result<std::vector<std::string>> Folder::names() const {
  // A descriptor of its own: reading moves the position.
  const int fd = ::openat(fd_, ".", kOpenFolder);
  if (fd < 0) return system_error(path_, "list");
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(fd), &::closedir);
  if (!folder) {
    const int error = errno;
    ::close(fd);
    return system_error(path_, "list", error);
  }
  std::vector<std::string> out;
  errno = 0;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") out.push_back(name);
    errno = 0;
  }
  if (errno != 0) return system_error(path_, "list");
  std::ranges::sort(out);
  return out;
}

Result<void> Folder::move(const std::string& name, const Folder& to, const std::string& new_name) const {
  if (::renameat2(fd_, name.c_str(), to.fd_, new_name.c_str(), RENAME_NOREPLACE) != 0) {
    if (errno == EEXIST)
      return fail(ErrorCode::kInvalidArgument, to.path_of(new_name) + ": exists and is not overwritten");
    if (errno != EINVAL && errno != ENOSYS) return system_error(path_of(name), "move");
    // A file system without that flag: a second name cannot replace anything either.
    if (::linkat(fd_, name.c_str(), to.fd_, new_name.c_str(), 0) != 0) {
      if (errno == EEXIST)
        return fail(ErrorCode::kInvalidArgument, to.path_of(new_name) + ": exists and is not overwritten");
      return system_error(path_of(name), "move");
    }
    if (::unlinkat(fd_, name.c_str(), 0) != 0) return system_error(path_of(name), "move");
  }
  PIXELLM_CHECK(to.sync());
  return sync();
}

Result<void> Folder::sync() const {
  // Some file systems cannot sync folders and say EINVAL; there is nothing to do then.
  if (::fsync(fd_) == 0 || errno == EINVAL) return {};
  return system_error(path_, "sync");
}

// ---- NameLock

Result<NameLock> NameLock::take(const Folder& folder, const std::string& file,
                                std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  NameLock lock;
  lock.folder_ = ::fcntl(folder.descriptor(), F_DUPFD_CLOEXEC, 0);
  if (lock.folder_ < 0) return system_error(folder.path_of(file), "change");
  const std::string name = fmt::format(".{}.pixellm-lock", file);
  for (;;) {
    const int fd = ::openat(lock.folder_, name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) return system_error(folder.path_of(file), "change");
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) {
      // The last holder may have removed the file between our two calls; then the lock is on nothing.
      struct stat mine{}, named{};
      const bool same = ::fstat(fd, &mine) == 0 &&
                        ::fstatat(lock.folder_, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
                        mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
      if (same) {
        lock.fd_ = fd;
        lock.name_ = name;
        return lock;
      }
      ::close(fd);
      continue;
    }
    const int error = errno;
    ::close(fd);
    if (error != EWOULDBLOCK && error != EINTR) return system_error(folder.path_of(file), "change", error);
    if (std::chrono::steady_clock::now() >= deadline)
      return fail(ErrorCode::kBusy,
                  folder.path_of(file) + ": another program is changing it; try again when it is done");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

NameLock::NameLock(NameLock&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      folder_(std::exchange(other.folder_, -1)),
      name_(std::move(other.name_)) {}

NameLock::~NameLock() {
  if (fd_ >= 0) {
    ::unlinkat(folder_, name_.c_str(), 0);  // while it is held, so that nobody else's goes
    ::close(fd_);
  }
  if (folder_ >= 0) ::close(folder_);
}

}  // namespace pixellm
