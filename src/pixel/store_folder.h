// Folders below a store's root, opened one part at a time without following links, and locks in them.
// Internal to src/pixel.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"

namespace pixellm {

// "root/name", also of "root/".
inline std::string path_below(const std::string& folder, const std::string& name) {
  return folder.ends_with('/') ? folder + name : folder + "/" + name;
}

// An open folder. Movable.
class Folder {
 public:
  enum class Missing { kIsError, kCreate };

  // The root: links in its path are followed, missing folders of it are created (and synced) on request.
  static Result<Folder> open_root(const std::string& path, Missing missing);
  Folder(Folder&& other) noexcept;
  Folder& operator=(Folder&& other) noexcept;
  ~Folder();

  // A folder in this one. kNotFound, kInvalidArgument (a link, a file).
  Result<Folder> child(const std::string& name, Missing missing) const;
  // The same for several parts.
  Result<Folder> descend(std::span<const std::string> parts, Missing missing) const;

  // What stands here under a name; nullopt: nothing.
  enum class Kind { kFile, kFolder, kLink, kOther };
  Result<std::optional<Kind>> examine(const std::string& name) const;

  // Names of everything but "." and "..", sorted.
  Result<std::vector<std::string>> names() const;

  // Moves a file into another folder. kInvalidArgument: the name is taken there.
  Result<void> move(const std::string& name, const Folder& to, const std::string& new_name) const;

  Result<void> sync() const;
  int descriptor() const { return fd_; }
  const std::string& path() const { return path_; }
  std::string path_of(const std::string& name) const { return path_below(path_, name); }  // for messages

 private:
  Folder(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_ = -1;
  std::string path_;
};

// The right to change one name of a folder, among all processes; gone with this object or the process.
class NameLock {
 public:
  // Waits up to `patience` for another holder, then kBusy.
  static Result<NameLock> take(const Folder& folder, const std::string& file,
                               std::chrono::milliseconds patience);
  NameLock(NameLock&& other) noexcept;
  NameLock& operator=(NameLock&&) = delete;
  ~NameLock();

 private:
  NameLock() = default;
  int fd_ = -1, folder_ = -1;
  std::string name_;
};

}  // namespace pixellm
