// Files: reading by position, read-only mapping, and writing that is all or nothing.
//
//   auto out = PIXELLM_TRY(AtomicFile::create("model.png"));
//   PIXELLM_CHECK(out.write(bytes));
//   PIXELLM_CHECK(out.commit());        // without it, "model.png" is untouched and nothing is left behind
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace pixellm {

// A regular file open for reading. Movable; reads from several threads are fine.
class File {
 public:
  static Result<File> open(const std::string& path);
  // The same for the file `name` of an open folder, without following a symbolic link; `path` is what messages call it.
  static Result<File> open_at(int folder, const std::string& name, std::string path);
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }
  int descriptor() const { return fd_; }

  // Fills `out` from byte `offset`. A short file is kCorrupt ("ends at byte N").
  Result<void> read_at(uint64_t offset, MutableBytes out) const;

 private:
  File() = default;
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// A file mapped read-only and shared. data() is page aligned and lives as long as the object.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::string& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  Bytes data() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  // Lets the kernel take back the pages that lie wholly inside [offset, offset + size); they come back from
  // the file when touched again. Keeps the resident size small while a file is streamed through.
  void release(uint64_t offset, uint64_t size) const;

  // Maps the pages of [offset, offset + size) at once, which is cheaper than one fault each. kIo when the system
  // cannot read them (touching them would be SIGBUS). Without effect where the kernel lacks it (before Linux 5.14).
  Result<void> populate(uint64_t offset, uint64_t size) const;

  // Begins to read these bytes from the disk and does not wait for them.
  void prefetch(uint64_t offset, uint64_t size) const;

 private:
  std::string path_;
  const uint8_t* data_ = nullptr;
  uint64_t size_ = 0;
};

// Something that is read once from its beginning to its end: a regular file, a pipe, or "-", standard input.
class InputStream {
 public:
  static Result<InputStream> open(const std::string& path);  // kInvalidArgument: a folder or a device
  InputStream(InputStream&& other) noexcept;
  InputStream& operator=(InputStream&&) = delete;
  ~InputStream();

  Result<size_t> read(MutableBytes out);            // fills `out` unless the end comes first; 0 at the end
  uint64_t expected_bytes() const { return size_; }  // size of a regular file when it was opened, else 0
  const std::string& path() const { return path_; }

 private:
  InputStream() = default;
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// Whole content of a file of at most `limit` bytes (kTooLarge above it). "-" is standard input.
Result<std::vector<uint8_t>> read_file(const std::string& path, uint64_t limit);

// Writes to an unnamed file in `path`'s folder; commit() syncs it, renames it over `path` and syncs the folder.
// Destroyed without commit, or after a failed call, nothing is left and `path` is as before. On file systems without
// unnamed files, or killed inside commit(), a process leaves at most a file named ".NAME.pixellm-...". Path "-" is standard output, not atomic.
class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string& path);
  // The same, but an existing character device or named pipe (/dev/null, /dev/stdout) is written to as it is, like "-".
  // Waits for a pipe's reader. kInvalidArgument: a folder, a disk or a socket.
  static Result<AtomicFile> create_or_stream(const std::string& path);
  // The same as create() for the file `name` of an open folder; a symbolic link there is refused. `path` is what messages call it.
  static Result<AtomicFile> create_at(int folder, const std::string& name, std::string path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Result<void> write(Bytes data);                         // appends
  Result<void> write_at(uint64_t offset, Bytes data);     // over bytes written before; not on a stream
  Result<void> read_at(uint64_t offset, MutableBytes out) const;  // bytes written before; not on a stream
  Result<void> extend(uint64_t size);                     // appends zeros up to `size`, as a hole where possible; not on a stream
  void start_writeback();  // asks the system to begin storing what was appended, so that commit() waits less
  Result<void> commit();
  bool is_stream() const { return is_stream_; }           // standard output, a device or a pipe: nothing is atomic there
  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }

 private:
  AtomicFile() = default;
  Result<void> open_temporary();
  Result<void> name_temporary();
  std::string path_, name_, temporary_;  // name_ and temporary_ are in folder_; temporary_ is empty while the file has no name
  int fd_ = -1, folder_ = -1;
  bool is_stream_ = false;
  uint64_t size_ = 0, writeback_ = 0;    // writeback_: bytes whose storing was begun
};

// kInvalidArgument when the two paths name one file: writing `out` would destroy what it is made from.
Result<void> check_other_file(const std::string& in, const std::string& out);

// create + write + commit.
Result<void> write_file(const std::string& path, Bytes data);

}  // namespace pixellm
