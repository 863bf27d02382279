#include "map/store_create.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "map/store_format.h"

namespace pixellm {
namespace fs = std::filesystem;

Result<Descriptor> lock_for_writing(const std::string& folder) {
  Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return system_error(folder, "open", errno);
  int rc;
  do rc = ::flock(fd.get(), LOCK_EX | LOCK_NB);
  while (rc != 0 && errno == EINTR);
  if (rc == 0) return fd;
  if (errno == EWOULDBLOCK)
    return fail(
        ErrorCode::kBusy,
        fmt::format("{}: somebody else is writing to this world; a world has one writer at a time", folder));
  return system_error(folder, "lock", errno);
}

Result<bool> holds_world(const std::string& folder) {
  std::error_code ec;
  const auto status = fs::status(folder, ec);
  if (status.type() == fs::file_type::not_found) return false;
  if (!fs::status_known(status)) return system_error(folder, "examine", ec.value());
  if (!fs::is_directory(status))
    return fail(ErrorCode::kInvalidArgument, folder + ": is a file; a world is a folder");
  struct stat st{};
  if (::lstat((folder + "/" + kDataFile).c_str(), &st) == 0) return true;
  if (errno != ENOENT) return system_error(folder, "examine", errno);
  for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string name = it->path().filename().string();
    if (name == kLockFile || name == kNewFile)
      continue;  // of a world that could not be made, or lost its data
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: holds '{}' and no world; a new world needs an empty folder", folder, name));
  }
  if (ec) return system_error(folder, "read", ec.value());
  return false;
}

Result<NewFile> NewFile::create(const std::string& folder) {
  NewFile out;
  const std::string path = folder + "/" + kNewFile;
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_error(path, "remove", errno);
  out.path_ = path;
  out.lmdb_ = PIXELLM_TRY(LmdbEnv::open(path, {.scratch = true}));
  PIXELLM_CHECK(out.lmdb_->open_databases(true));
  return out;
}

NewFile::~NewFile() {
  lmdb_.reset();
  if (!path_.empty()) ::unlink(path_.c_str());
}

Result<void> NewFile::finish() {
  PIXELLM_CHECK(lmdb_->sync());
  lmdb_.reset();
  return {};
}

Result<void> create_world(const std::string& folder, uint32_t tile_size) {
  auto file = PIXELLM_TRY(NewFile::create(folder));
  {
    auto txn = PIXELLM_TRY(file.lmdb().begin_write());
    WorldRecord record;
    record.tile_size = tile_size;
    record.txn_id = txn.id();
    PIXELLM_CHECK(txn.put(Db::kWorld, world_record_key(), record.encode()));
    PIXELLM_CHECK(txn.commit());
  }
  PIXELLM_CHECK(file.finish());
  const std::string from = folder + "/" + kNewFile, to = folder + "/" + kDataFile;
  if (::rename(from.c_str(), to.c_str()) != 0) return system_error(to, "create", errno);
  file.keep();
  auto synced = sync_folder(folder);
  if (synced) synced = sync_folder(folder + "/..");  // where the folder's own name is, which may be new
  if (!synced) ::unlink(to.c_str());
  return synced;
}

void take_back(const std::string& folder, const MadeParts& made) {
  if (made.world)
    for (const char* name : {kDataFile, kLockFile}) ::unlink((folder + "/" + name).c_str());
  if (made.folder) ::rmdir(folder.c_str());
}

}  // namespace pixellm
