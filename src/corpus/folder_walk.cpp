#include "corpus/folder_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

namespace pixellm {
namespace {

constexpr int kMaxDepth = 200;

constexpr std::string_view kSuffixes[] = {".py", ".md", ".json", ".yaml", ".txt"};
constexpr std::string_view kSkippedFolders[] = {
    ".git", "__pycache__", ".pytest_cache", "node_modules", ".venv", "venv", "build",
    "dist", ".mypy_cache", ".hg",           ".svn",         ".bzr",  ".jj"};

using Folder = std::unique_ptr<DIR, decltype([](DIR* d) { ::closedir(d); })>;

class Walk {
 public:
  explicit Walk(const WalkVisitor& visitor) : visitor_(visitor) {}

  Result<void> folder(DIR* dir, const std::string& prefix, int depth) {
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(dir)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    if (errno != 0)
      leave_out(prefix.empty() ? "./" : prefix, LeftOutReason::kUnreadable,
                fmt::format("listing broke off: {}", std::strerror(errno)));
    std::ranges::sort(names);
    for (const std::string& name : names) PIXELLM_CHECK(entry(dir, prefix, name, depth));
    return {};
  }

 private:
  void leave_out(const std::string& path, LeftOutReason reason, std::string detail = {}) {
    visitor_.on_left_out({.path = escaped_path(path), .reason = reason, .detail = std::move(detail)});
  }

  Result<void> entry(DIR* dir, const std::string& prefix, const std::string& name, int depth) {
    const std::string path = prefix + name;
    const bool wanted = !corpus_suffix(name).empty();
    struct stat st{};
    if (::fstatat(::dirfd(dir), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (!wanted) return {};
      const bool vanished = errno == ENOENT;
      leave_out(path, vanished ? LeftOutReason::kChanged : LeftOutReason::kUnreadable, std::strerror(errno));
      return {};
    }
    if (S_ISDIR(st.st_mode)) return subfolder(dir, path, name, depth);
    if (S_ISLNK(st.st_mode)) {
      struct stat target{};
      const bool to_folder =
          ::fstatat(::dirfd(dir), name.c_str(), &target, 0) == 0 && S_ISDIR(target.st_mode);
      if (wanted || to_folder) leave_out(path, LeftOutReason::kSymbolicLink);
      return {};
    }
    if (!wanted) {
      if (S_ISREG(st.st_mode) && visitor_.on_other) visitor_.on_other(path, name);
      return {};
    }
    if (!S_ISREG(st.st_mode)) return leave_out(path, LeftOutReason::kSpecialFile), Result<void>{};
    if (!is_lawful_path(name)) return leave_out(path, LeftOutReason::kName), Result<void>{};
    return visitor_.on_file({.folder = ::dirfd(dir),
                             .name = name,
                             .path = path,
                             .suffix = corpus_suffix(name),
                             .size = static_cast<uint64_t>(st.st_size)});
  }

  Result<void> subfolder(DIR* parent, const std::string& path, const std::string& name, int depth) {
    if (std::ranges::find(kSkippedFolders, name) != std::end(kSkippedFolders))
      return leave_out(path + "/", LeftOutReason::kSkippedFolder), Result<void>{};
    if (!is_lawful_path(name)) return leave_out(path + "/", LeftOutReason::kName), Result<void>{};
    if (depth >= kMaxDepth) return leave_out(path + "/", LeftOutReason::kTooDeep), Result<void>{};
    const int fd = ::openat(::dirfd(parent), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    const Folder dir(fd < 0 ? nullptr : ::fdopendir(fd));
    if (!dir) {
      const int error = errno;
      if (fd >= 0) ::close(fd);
      const bool exchanged = error == ENOENT || error == ELOOP || error == ENOTDIR;
      leave_out(path + "/", exchanged ? LeftOutReason::kChanged : LeftOutReason::kUnreadable,
                std::strerror(error));
      return {};
    }
    return folder(dir.get(), path + "/", depth + 1);
  }

  const WalkVisitor& visitor_;
};

}  // namespace

std::string_view corpus_suffix(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == name.npos || dot == 0) return {};
  const std::string_view suffix = name.substr(dot);
  return std::ranges::find(kSuffixes, suffix) == std::end(kSuffixes) ? std::string_view{} : suffix;
}

Result<void> walk_folder(const std::string& root, const WalkVisitor& visitor) {
  const Folder dir(::opendir(root.c_str()));
  if (dir) return Walk(visitor).folder(dir.get(), "", 0);
  const ErrorCode code = errno == ENOENT    ? ErrorCode::kNotFound
                         : errno == ENOTDIR ? ErrorCode::kInvalidArgument
                                            : ErrorCode::kIo;
  return fail(code, fmt::format("{}: cannot open the folder: {}", root, std::strerror(errno)));
}

}  // namespace pixellm
