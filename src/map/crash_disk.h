// A disk that can lose power, for tests of stores: while a CrashDisk lives, every change that this process
// makes below its root folder through the system's functions is recorded, and can be made to fail; a
// CrashReplay then makes what could lie on the disk had the power gone at any moment. LMDB and the standard
// library are watched as they are: the test program defines write(), rename() and so on itself
// (crash_calls.cpp) and hands on to the kernel.
//
// What the disk promises is what POSIX does and no more:
// - data is safe once fsync() or fdatasync() of the file returned, or the write itself through an O_DSYNC
// descriptor; until
//   then every 512-byte sector of a write is independently there or not, and so is the file's new length;
// - names (creating, renaming, removing) are safe once fsync() of the folder returned; until then a first
// part of what was
//   done in that folder is there;
// - a sync that fails may have written anything, and what it did not write is never written later.
// Changes through writable mappings are not seen: CrashReplay::matches() shows that there were none. Files
// named lock.mdb are left out, for LMDB never reads an old one.
//
//   CrashDisk disk(root);
//   ... use the store ...
//   CrashReplay replay(disk.journal(), seed);
//   replay.advance(position);
//   replay.write_image(folder, random);    // the power went during operation `position`
// One CrashDisk at a time in a process. Threads may use the files; the journal is read when they have
// stopped.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace pixellm::crash {

struct DiskOp {
  enum class Kind : uint8_t {
    kWrite,
    kTruncate,
    kSyncFile,
    kCreate,
    kMakeFolder,
    kRename,
    kRemove,
    kSyncFolder
  };
  explicit DiskOp(Kind k) : kind(k) {}
  Kind kind;
  bool durable = false;       // kWrite: through an O_DSYNC descriptor
  bool failed = false;        // kSyncFile, kWrite: the program was told that it failed
  uint32_t file = 0;          // kWrite, kTruncate, kSyncFile, kCreate
  uint64_t offset = 0;        // kWrite; the length of kTruncate
  std::vector<uint8_t> data;  // kWrite
  std::string path, to;       // relative to the root; empty: the root itself
};

enum class Fault : uint8_t { kNoSpace, kIoError, kShortWrite };

class CrashDisk {
 public:
  explicit CrashDisk(const std::string& root);  // an existing folder, absolute
  ~CrashDisk();
  CrashDisk(const CrashDisk&) = delete;
  CrashDisk& operator=(const CrashDisk&) = delete;

  const std::vector<DiskOp>& journal() const;

  // The operation that comes after `skipped` more (writes, truncations and syncs count) fails, and so do the
  // next `length` - 1. A sync fails as an I/O error whatever the kind; a short write does half of it.
  void fail_after(uint64_t skipped, Fault fault, uint64_t length = 1);
  bool fault_happened() const;  // since fail_after()
  bool failing() const;         // the next operation would fail
  void stop_failing();

  // The process is killed (SIGKILL) when it begins the operation that comes after `skipped` more; half of a
  // write is done.
  void kill_after(uint64_t skipped);
};

class CrashReplay {
 public:
  using Random = std::mt19937_64;

  // The seed decides what failed syncs have written.
  CrashReplay(const std::vector<DiskOp>& journal, uint64_t seed) : journal_(journal), seed_(seed) {}

  // Operations [0, position) have returned. Only forward.
  void advance(size_t position);

  // Makes `folder` what the root could be if the power went during operation advance()'s `position` (or just
  // after the last).
  Result<void> write_image(const std::string& folder, Random& random) const;

  // Whether the root's files are what the journal says if everything reached the disk.
  Result<bool> matches(const std::string& root) const;

  // For tests of the tests: some syncs say that they are done and have written nothing.
  enum class Lie : uint8_t {
    kNone,
    kAll,
    kFileSyncs,
    kFolderSyncs
  };  // kFileSyncs: not those of O_DSYNC writes
  void lie(Lie lie) { lie_ = lie; }

 private:
  struct Pending {
    const DiskOp* op;
    bool certain;  // an O_DSYNC write that came after others that are not certain
  };
  struct FileState {
    std::vector<uint8_t> durable;
    std::vector<Pending> pending;  // in order
  };
  using Names = std::map<std::string, std::optional<uint32_t>>;  // path to file; nullopt: a folder

  void finish(const DiskOp& op, size_t index);
  void settle(FileState& file, size_t index);
  static void rename_in(Names& names, const DiskOp& op);
  std::vector<uint8_t> file_image(const FileState& file, const DiskOp* in_flight, Random& random) const;
  Names names_image(const DiskOp* in_flight, Random& random) const;
  const DiskOp* in_flight() const { return done_ < journal_.size() ? &journal_[done_] : nullptr; }

  const std::vector<DiskOp>& journal_;
  uint64_t seed_;
  size_t done_ = 0;
  Lie lie_ = Lie::kNone;
  std::map<uint32_t, FileState> files_;
  Names names_;                                                      // durable ones
  std::map<std::string, std::vector<const DiskOp*>> pending_names_;  // by folder, in order
};

}  // namespace pixellm::crash
