// NumPy's files: .npy (version 1.0 to 3.0) and .npz (a ZIP of them, stored or deflated, ZIP64 or not).
//
//   NpzFile npz = PIXELLM_TRY(NpzFile::open("weights.npz"));
//   const NpyArray& w = *npz.find("embed");                     // float32 or float64, read as float32
//   PIXELLM_CHECK(write_npz("out.npz", npz.entries()));          // byte for byte as numpy.savez writes it
// Spec of what is accepted: docs/npz.md. Sizes are checked before memory is taken. Immutable once read: many threads may
// share one.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "convert/byte_source.h"

namespace pixellm {

struct NpyArray {
  std::vector<uint64_t> shape;         // C order; empty: a scalar
  std::vector<float> values;
};

// One array in memory. f4 and f8, either byte order, C or Fortran order; f8 is rounded to f32 (a value too large for f32 is
// kUnsupported). Other types are kUnsupported and named ("int64"); objects (pickle) never read. `limit`: elements.
Result<NpyArray> read_npy(Bytes file, std::string_view name, uint64_t limit = uint64_t{1} << 31);

// The header of a float32 C-order array of at most 32 dimensions, and the whole file, as numpy.save writes them.
std::vector<uint8_t> npy_header(std::span<const uint64_t> shape);
std::vector<uint8_t> write_npy(const NpyArray& array);

class NpzFile {
 public:
  using Entry = std::pair<std::string, NpyArray>;    // the member's name without ".npy"

  // Reads all arrays. kCorrupt: broken ZIP, wrong CRC-32, sizes that disagree, a name twice; kUnsupported: encryption, other
  // compression methods, multiple disks, other element types; kTooLarge. Messages name the member.
  static Result<NpzFile> open(const std::string& path);
  static Result<NpzFile> read(const ByteSource& source);

  const std::vector<Entry>& entries() const { return entries_; }   // in the file's order
  const NpyArray* find(std::string_view name) const;

 private:
  std::vector<Entry> entries_;
};

// The file that numpy.savez(path, **arrays) writes, in this order, bit for bit (stored members, ZIP64 extra fields, DOS
// epoch). Atomic. kInvalidArgument: a name that is empty, no plain relative path, or twice.
Result<void> write_npz(const std::string& path, std::span<const NpzFile::Entry> arrays);

}  // namespace pixellm
