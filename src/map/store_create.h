// Making a world and taking its writer's lock. Internal to src/map.
#pragma once
#include <cstdint>
#include <string>

#include "base/error.h"
#include "map/store_env.h"

namespace pixellm {

// The lock of the one writer: flock() on the folder, gone with the process. kBusy: somebody has it.
// kNotFound: no folder.
Result<Descriptor> lock_for_writing(const std::string& folder);

// True when the folder holds data.mdb. kInvalidArgument: not a folder, or, without data.mdb, one that holds
// something else. A folder that is not there holds none.
Result<bool> holds_world(const std::string& folder);

// Writes data.mdb of an empty world, complete or not at all. By the writer.
Result<void> create_world(const std::string& folder, uint32_t tile_size);

// What opening a world has made of it.
struct MadeParts {
  bool folder = false, world = false;
};

// Removes that again: a world that holds nothing, and its folder if it is empty then. By the writer, with the
// world closed.
void take_back(const std::string& folder, const MadeParts& made);

// A new LMDB file FOLDER/data.mdb.new, removed again unless keep() is called.
class NewFile {
 public:
  static Result<NewFile> create(const std::string& folder);
  NewFile(NewFile&& other) noexcept = default;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();
  LmdbEnv& lmdb() { return *lmdb_; }
  Result<void> finish();  // everything is on disk, the file is closed
  void keep() { path_.clear(); }

 private:
  NewFile() = default;
  std::string path_;
  std::unique_ptr<LmdbEnv> lmdb_;
};

}  // namespace pixellm
