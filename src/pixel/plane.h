// A PixelPlane: the pixels of a picture as rows of bytes at a fixed stride. Everything above the containers
// (the model format, the map, the GPU) sees planes and nothing else. Spec: spec/pixel-plane.md.
//
//   auto plane = PIXELLM_TRY(PixelPlane::open("model.png"));
//   plane.row(0)                                   // span of row_bytes() bytes, in the mapping
//   std::vector<uint8_t> head(256);
//   PIXELLM_CHECK(plane.read(0, head));            // payload bytes, across rows
//
// open() sniffs the content, never the name:
//   flat PNG   (kFlatPng)     mapped in place; see flat_png.h. A truncated one is kCorrupt
//   other PNG  (kDecodedPng)  8-bit RGB, decoded through libspng into memory; other colour types are refused
//   PXIF       (kPxif)        the PixelFS container, mapped in place; see pxif.h
//   PXIF, compressed (kDecodedPxif)  its content, decoded into memory as a picture of the same width
// A plane is immutable; reading from several threads is safe. Pointers live as long as the plane (moves keep
// them).
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/threads.h"

namespace pixellm {

enum class PlaneKind : uint8_t { kFlatPng, kDecodedPng, kPxif, kDecodedPxif };
enum class VerifyLevel : uint8_t { kNone, kCrc, kSha256 };

std::string_view plane_kind_name(PlaneKind kind);  // "flat png", "png", "pxif", "compressed pxif"

// What verification found. `rows` are inclusive ranges of damaged picture rows, ascending; `other` holds a
// line for each damage outside the rows (a chunk, a checksum of the whole). Both empty: intact.
struct PlaneDamage {
  std::vector<std::pair<uint64_t, uint64_t>> rows;
  std::vector<std::string> other;
  bool empty() const { return rows.empty() && other.empty(); }
};

class PixelPlane {
 public:
  // Limits: decoded pixels of at most `decode_limit` bytes. Errors: kNotFound, kIo, kCorrupt, kUnsupported
  // (not a picture we read: names what was found), kTooLarge.
  static Result<PixelPlane> open(const std::string& path, uint64_t decode_limit = uint64_t{16} << 30);

  // The same for bytes in memory, which must outlive the plane (fuzzing, tests).
  static Result<PixelPlane> open_bytes(Bytes file, const std::string& name,
                                       uint64_t decode_limit = uint64_t{16} << 30);

  // A flat PNG of `file_bytes` bytes of which only the beginning is at hand, as when a model is fetched in parts.
  // `start`, which must outlive the plane, holds at least row 0. All is as with open_bytes, but for what follows the
  // last row, which nobody has looked at; the rows from held_rows() on are not there. kUnsupported: a picture that is not flat.
  static Result<PixelPlane> open_start(Bytes start, uint64_t file_bytes, const std::string& name);

  PixelPlane(PixelPlane&&) noexcept;
  PixelPlane& operator=(PixelPlane&&) noexcept;
  ~PixelPlane();

  PlaneKind kind() const;
  const std::string& path() const;
  uint64_t file_bytes() const;   // size of the file
  uint64_t base_offset() const;  // of row 0's first pixel in the file; 0 for decoded pixels
  uint64_t row_bytes() const;    // R = 3 * width
  uint64_t row_stride() const;   // from a row's first byte to the next row's
  uint64_t rows() const;
  uint64_t held_rows() const;    // rows at hand: all of them, unless it was opened with open_start()
  uint64_t width() const { return row_bytes() / 3; }
  uint64_t payload_bytes() const { return row_bytes() * rows(); }
  const uint8_t* base() const;  // row 0's first byte
  Bytes row(uint64_t index) const { return {base() + index * row_stride(), row_bytes()}; }  // index < held_rows()

  // Copies payload bytes [offset, offset + out.size()), rows joined without gaps. kCorrupt past the end,
  // kInvalidArgument past the held rows.
  Result<void> read(uint64_t offset, MutableBytes out) const;

  // Checks what the container promises. kCrc: every chunk's frame and CRC-32 (flat PNG); the padding (PXIF,
  // which has no CRC); nothing more for decoded pixels, whose checksums and padding were checked while
  // decoding. kSha256: also the Adler-32 and the SHA-256 of the payload (of a decoded PNG: where a pxLM chunk
  // gives it; of a PXIF: of its content). The error is for a failure to read; damage is a result. `release_pages` gives mapped pages
  // back behind the check (for files that are only streamed through).
  Result<PlaneDamage> verify(VerifyLevel level, ThreadPool& pool, bool release_pages = false) const;

  // Of a flat PNG: where in the file the chunks of `count` rows from `first` on lie, [begin, end). Requires lawful rows.
  std::pair<uint64_t, uint64_t> chunk_range(uint64_t first, uint64_t count) const;

  // The damaged ones of these rows (as ranges, at level kCrc), given the bytes of their chunk_range. kInvalidArgument:
  // rows that the picture does not have, another number of bytes, a plane that is no flat PNG.
  Result<std::vector<std::pair<uint64_t, uint64_t>>> check_chunks(uint64_t first, uint64_t count, Bytes chunks) const;

  // Lets the kernel drop the mapped pages of these rows; no effect on decoded pixels.
  void release_rows(uint64_t first, uint64_t count) const;

  // For reading rows in order: prefetch_rows() begins to read them from the disk and does not wait, populate_rows() maps
  // them at once. kIo: the system cannot read them (the file was cut short). No effect on decoded pixels.
  void prefetch_rows(uint64_t first, uint64_t count) const;
  Result<void> populate_rows(uint64_t first, uint64_t count) const;

 private:
  struct Impl;
  explicit PixelPlane(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pixellm
