// The environment of one world in this process: its files, its locks, its LMDB handle, shared by all stores
// and snapshots of the process (LMDB must not open a file twice in one). Internal to src/map. Locks:
// spec/infinite-map.md, section 8.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "map/store_lmdb.h"
#include "map/store_reader.h"

namespace pixellm {

inline constexpr char kDataFile[] = "data.mdb", kLockFile[] = "lock.mdb", kNewFile[] = "data.mdb.new";

// A file descriptor that is closed by its end, and with it the flock() that was taken through it.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

std::unexpected<Error> system_error(const std::string& path, const char* action, int error);
Result<void> sync_folder(const std::string& folder);

class StoreEnv {
 public:
  // The process's environment of the world in `folder`, opened if it is not yet. kNotFound: no data.mdb.
  // kBusy: it is being compacted. kCorrupt: not a world's file. `for_writing`: kIo unless the files may be
  // written.
  static Result<std::shared_ptr<StoreEnv>> acquire(const std::string& folder, bool for_writing);
  ~StoreEnv();

  const std::string& folder() const { return folder_; }
  CheckedVersions& checked() { return checked_; }
  uint64_t file_bytes() const;

  // For whoever holds the writer's lock. begin_writing(): once, before anything is read: finishes what a
  // writer that was killed or whose disk failed has left.
  Result<void> begin_writing();
  Result<LmdbTxn> begin_write();
  void commit_failed();
  void end_writing();
  Result<void> sync_what_was_found();      // once: names and file are on the disk as they were found
  Result<void> look_over(uint64_t limit);  // check_pages() of the newest state

  // For compaction, by the writer. kBusy: others use the world. Until adopt() or unlock() nobody else can
  // open it.
  Result<void> lock_alone(const std::shared_ptr<StoreEnv>& self);
  void unlock();
  // Puts FOLDER/data.mdb.new, which is complete and synced, in data.mdb's place and opens it. On failure the
  // old file stays.
  Result<void> adopt();

 private:
  friend class ReadTxn;
  StoreEnv() = default;
  static void release(StoreEnv* env);
  Result<void> open_files(bool for_writing);
  Result<void> open_lmdb();
  Result<void> enter_reader();
  void leave_reader();
  Result<LmdbTxn> begin_read();
  void end_read();
  Result<void> make_usable();
  Result<void> take_back();
  Result<void> sync_found();
  Result<LmdbTxn> begin_change();

  std::string folder_;
  uint64_t device_ = 0, inode_ = 0;  // of the folder
  unsigned users_ = 0;               // handles given out by acquire(); under the registry's lock
  Descriptor data_, lock_;           // shared flock() on data_ for as long as the world is open
  bool alone_ = false;
  bool may_write_ = false;
  bool unregistered_ = false;  // no write permission on the lock file: LMDB does not know our readers
  std::mutex readers_lock_;
  unsigned readers_ = 0;  // unregistered ones
  CheckedVersions checked_;
  std::mutex use_lock_;              // of what follows
  unsigned active_ = 0;              // reading transactions
  bool broken_ = false;              // LMDB refuses to go on after a commit that failed half-way
  bool synced_ = false;              // names and file are on the disk as they are
  std::vector<uint8_t> meta_pages_;  // before the change under way; none when this process has no writer
  std::unique_ptr<LmdbEnv> lmdb_;    // nullptr: could not be opened anew
  std::optional<LmdbTxn> guard_;     // keeps states for other processes' unregistered readers
};

// A reading transaction that keeps its environment. One thread at a time.
class ReadTxn {
 public:
  static Result<ReadTxn> begin(std::shared_ptr<StoreEnv> env);
  ReadTxn(ReadTxn&& other) noexcept = default;
  ReadTxn& operator=(ReadTxn&&) = delete;
  ~ReadTxn();
  const LmdbTxn& txn() const { return *txn_; }
  void release();        // gives up the state
  Result<void> renew();  // takes the newest

 private:
  explicit ReadTxn(std::shared_ptr<StoreEnv> env) : env_(std::move(env)) {}
  std::shared_ptr<StoreEnv> env_;
  std::optional<LmdbTxn> txn_;
};

}  // namespace pixellm
