// The flat PNG: an 8-bit RGB PNG whose pixels stand uncompressed at a fixed stride, so that it can be mapped
// and computed on in place. Layout, checks and a hexdump: spec/pixel-plane.md.
//
//   auto png = PIXELLM_TRY(FlatPngWriter::create("out.png", row_bytes, rows));
//   for (...) PIXELLM_CHECK(png.write_row(bytes));           // exactly `rows` times, each row_bytes long
//   PIXELLM_CHECK(png.rewrite_row(0, header_with_hashes));   // any row may be replaced before finish()
//   auto digest = PIXELLM_TRY(png.finish());                 // SHA-256 of the payload; the file appears now
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

namespace pixellm {

inline constexpr uint64_t kFlatRowUnit = 192;        // row_bytes is a multiple: 64 pixels of 3 bytes
inline constexpr uint64_t kFlatMaxRowBytes = 65472;  // with the filter byte it fits one stored deflate block
inline constexpr uint64_t kFlatRowOverhead = 128;    // row_stride = row_bytes + 128
inline constexpr uint64_t kFlatMaxRows = 1000000;    // what libpng accepts by default

// Memory use: one row and 4 bytes a row. One thread at a time. Destroyed before finish(), it leaves no file.
// After a write failed, every further call fails. Path "-" spools to a temporary file, which finish() copies
// to standard output (the SHA-256 stands before the pixels).
class FlatPngWriter {
 public:
  // kInvalidArgument: measures outside the limits above. kIo: the file cannot be created.
  static Result<FlatPngWriter> create(const std::string& path, uint64_t row_bytes, uint64_t rows);
  static Result<FlatPngWriter> create(AtomicFile file, uint64_t row_bytes, uint64_t rows);
  FlatPngWriter(FlatPngWriter&&) noexcept;
  ~FlatPngWriter();

  // kInvalidArgument: a row of another length, a row too many, a row that is not written yet. kIo: the write
  // failed.
  Result<void> write_row(Bytes row);
  Result<void> rewrite_row(uint64_t index, Bytes row);  // index < rows written so far

  // The payload is hashed while it is written until the first rewrite_row(); from then on finish() hashes it
  // from the file. Who knows that a row will be replaced calls this first and saves hashing twice.
  void expect_rewrites();

  // Completes the checksums and makes the file appear. kInvalidArgument: rows are missing.
  Result<Digest> finish();

 private:
  struct Impl;
  explicit FlatPngWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Whether a flat PNG can have these measures.
bool flat_png_allows(uint64_t row_bytes, uint64_t rows);

// Size in bytes of a flat PNG file with these measures.
uint64_t flat_png_file_bytes(uint64_t row_bytes, uint64_t rows);

}  // namespace pixellm
