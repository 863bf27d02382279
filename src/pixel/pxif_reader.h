// Reads the content of a PXIF container of any size in little memory. Spec: spec/pixelfs.md, section 4.
//
//   auto in = PIXELLM_TRY(PxifReader::open("a.pxi"));     // the header and the seek table are checked now
//   PIXELLM_CHECK(in.read(1000, bytes));                  // of a compressed container, decodes only the
//   blocks it needs PIXELLM_CHECK(in.verify());                           // the SHA-256
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "pixel/pxif.h"

namespace pixellm {

// The header alone, with the file's length checked: cheap, for lists. Errors as PxifReader::open.
Result<PxifHeader> read_pxif_header(const File& file);

// One thread at a time. Keeps the file that it opened, also after another takes its name.
class PxifReader {
 public:
  // kNotFound, kIo, kCorrupt, kUnsupported, kTooLarge; the message begins with the path.
  static Result<PxifReader> open(const std::string& path);
  static Result<PxifReader> open(File file);
  static Result<PxifReader> open_bytes(Bytes file, const std::string& name);  // which must outlive the reader
  PxifReader(PxifReader&&) noexcept;
  ~PxifReader();

  const PxifHeader& header() const;
  const std::string& path() const;
  uint64_t size() const { return header().original_size; }  // bytes of content

  // Fills `out` with the content from `offset` on. kInvalidArgument: past its end. kCorrupt: a block is
  // damaged.
  Result<void> read(uint64_t offset, MutableBytes out);

  struct CopyOptions {
    uint64_t offset = 0, length = ~uint64_t{0};  // of the content; the length is cut at its end
    bool verify = false;                         // read and check everything, whatever the range
    Progress progress;                           // counts the bytes that are read
  };
  // Hands the range to `sink`, piece by piece. kInvalidArgument: the offset is past the end. With `verify`,
  // kCorrupt comes after the sink has had the content: what it made must not be used then.
  using Sink = std::function<Result<void>(Bytes)>;
  Result<void> copy(const CopyOptions& options, const Sink& sink);

  // That the bytes which only fill the picture's last row are zero. kCorrupt.
  Result<void> check_padding() const;

  // Every block, the padding and the SHA-256. kCorrupt.
  Result<void> verify(const Progress& progress = {});

 private:
  struct Impl;
  explicit PxifReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pixellm
