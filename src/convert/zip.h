// ZIP archives as NumPy and common tools write them: members stored or deflated, with or without ZIP64.
// Reading checks the whole structure before any member is unpacked; writing is byte for byte what Python's
// zipfile writes for numpy.savez.
//
//   ZipReader zip = PIXELLM_TRY(ZipReader::open(source));           // borrows the source
//   for (const ZipMember& m : zip.members()) use(m.name, PIXELLM_TRY(zip.extract(m)));
// Accepted and refused: docs/npz.md; format: PKWARE APPNOTE 6.3, sections 4.3 to 4.5. One thread at a time.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "convert/byte_source.h"

namespace pixellm {

struct ZipMember {
  std::string name;
  uint16_t method = 0;                   // 0 stored, 8 deflated
  uint32_t crc = 0;                      // of the unpacked bytes
  uint64_t packed_bytes = 0, bytes = 0;  // in the file, unpacked
  uint64_t header_offset = 0;            // of the local header
  uint64_t data_offset = 0;
};

class ZipReader {
 public:
  // Reads the central directory and every local header. kCorrupt: records that contradict each other, the
  // file's size or one another (overlaps, a name twice); kUnsupported: encryption, other methods, several
  // disks, names that are no plain relative paths; kTooLarge: over the limits in zip_read.cpp.
  static Result<ZipReader> open(const ByteSource& source);

  const std::vector<ZipMember>& members() const { return members_; }  // in the directory's order

  // The member's bytes, checked against its CRC-32.
  Result<std::vector<uint8_t>> extract(const ZipMember& member) const;

 private:
  explicit ZipReader(const ByteSource& source) : source_(&source) {}
  const ByteSource* source_;
  std::vector<ZipMember> members_;
};

// Whether the bytes begin as a ZIP with at least one member, or an empty one, does.
bool looks_like_zip(Bytes first_4);

// Why a name is not fit for a member, or nothing: names are relative, their parts not empty, "." or "..",
// without backslashes and control characters, at most 1,024 bytes.
Result<void> check_member_name(std::string_view name);

// Stored members with the date 1980-01-01, mode 0600 and a ZIP64 field in every local header.
class ZipWriter {
 public:
  // Borrows the file, which may be standard output.
  explicit ZipWriter(AtomicFile& file) : file_(&file) {}

  // kInvalidArgument: a name that is unfit or was there.
  Result<void> add(const std::string& name, Bytes data);

  // Writes the directory. The caller commits the file.
  Result<void> finish();

 private:
  AtomicFile* file_;
  std::vector<ZipMember> members_;
};

}  // namespace pixellm
