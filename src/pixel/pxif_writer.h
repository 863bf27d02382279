// Writes a PXIF container of any size in little memory: content in, picture out. Spec: spec/pixelfs.md,
// sections 1 to 3.
//
//   auto out = PIXELLM_TRY(PxifWriter::create("a.pxi", {.compression = PxifCompression::kZstd}));
//   PIXELLM_CHECK(out.write(bytes));                 // as often as needed
//   PxifHeader header = PIXELLM_TRY(out.finish());   // the file appears now; without it, nothing stays
#pragma once
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "pixel/pxif.h"

namespace pixellm {

struct PxifOptions {
  uint32_t width = 1024;  // pixels
  PxifCompression compression = PxifCompression::kNone;
};

// Belongs to one thread; hashing runs on another one of its own. After a failed call the container cannot be
// finished.
class PxifWriter {
 public:
  // kInvalidArgument: width 0, a compressed picture wider than 2^30, "-" (the header is known last). kIo.
  static Result<PxifWriter> create(const std::string& path, const PxifOptions& options);
  static Result<PxifWriter> create(AtomicFile file, const PxifOptions& options);
  PxifWriter(PxifWriter&&) noexcept;
  ~PxifWriter();

  // Appends content. kTooLarge: more rows than the header's 32 bits can count.
  Result<void> write(Bytes content);
  // The same without a copy: memory to fill, then how many of its bytes count.
  MutableBytes buffer();
  Result<void> advance(size_t n);
  // Everything that comes from `in`. Progress counts content.
  Result<void> write_from(InputStream& in, const Progress& progress = {});

  // Completes the container and makes it appear.
  Result<PxifHeader> finish();

 private:
  struct Impl;
  explicit PxifWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pixellm
