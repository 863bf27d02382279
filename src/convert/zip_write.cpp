#include <algorithm>

#include "base/hash.h"
#include "convert/zip.h"
#include "convert/zip_records.h"

namespace pixellm {
namespace {

using namespace zip;

// From here on Python's zipfile goes over to ZIP64: 2^31, not 2^32.
constexpr uint64_t kZip64From = uint64_t{1} << 31;
constexpr uint64_t kZip64CountFrom = uint64_t{1} << 16;

constexpr uint16_t kVersion = 20, kVersion64 = 45;  // of the format, times ten
constexpr uint16_t kMadeOnUnix = 3 << 8;
constexpr uint16_t kDate = 1 << 5 | 1;                  // 1980-01-01, the first a ZIP knows
constexpr uint32_t kAttributes = uint32_t{0600} << 16;  // a mode of Unix

// Appends little-endian integers.
class Record {
 public:
  template <std::unsigned_integral T>
  Record& put(std::type_identity_t<T> value) {
    for (size_t i = 0; i < sizeof(T); i++) bytes_.push_back(static_cast<uint8_t>(uint64_t{value} >> 8 * i));
    return *this;
  }
  Record& put(std::string_view text) {
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    return *this;
  }
  Bytes bytes() const { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

bool is_large(const ZipMember& m) { return m.bytes >= kZip64From; }

uint32_t short_size(const ZipMember& m) { return is_large(m) ? kIn64 : static_cast<uint32_t>(m.bytes); }

uint16_t flags(const ZipMember& m) {
  return std::ranges::any_of(m.name, [](char c) { return c < 0; }) ? kUtf8Flag : 0;
}

Record local_header(const ZipMember& m) {
  Record r;
  r.put<uint32_t>(kLocalSignature).put<uint16_t>(is_large(m) ? kVersion64 : kVersion).put<uint16_t>(flags(m));
  r.put<uint16_t>(kStored).put<uint16_t>(0).put<uint16_t>(kDate).put<uint32_t>(m.crc);
  r.put<uint32_t>(short_size(m)).put<uint32_t>(short_size(m));
  r.put<uint16_t>(static_cast<uint16_t>(m.name.size())).put<uint16_t>(20).put(m.name);
  r.put<uint16_t>(kZip64Field).put<uint16_t>(16).put<uint64_t>(m.bytes).put<uint64_t>(m.bytes);
  return r;
}

void put_central(Record& r, const ZipMember& m) {
  const bool far = m.header_offset >= kZip64From;
  const uint16_t field_bytes = (is_large(m) ? 16 : 0) + (far ? 8 : 0);
  const uint16_t version = field_bytes ? kVersion64 : kVersion;
  r.put<uint32_t>(kCentralSignature).put<uint16_t>(version | kMadeOnUnix).put<uint16_t>(version);
  r.put<uint16_t>(flags(m)).put<uint16_t>(kStored).put<uint16_t>(0).put<uint16_t>(kDate).put<uint32_t>(m.crc);
  r.put<uint32_t>(short_size(m)).put<uint32_t>(short_size(m));
  r.put<uint16_t>(static_cast<uint16_t>(m.name.size())).put<uint16_t>(field_bytes ? field_bytes + 4 : 0);
  r.put<uint16_t>(0).put<uint16_t>(0).put<uint16_t>(0).put<uint32_t>(kAttributes);  // comment, disk, internal
  r.put<uint32_t>(far ? kIn64 : static_cast<uint32_t>(m.header_offset)).put(m.name);
  if (field_bytes) r.put<uint16_t>(kZip64Field).put<uint16_t>(field_bytes);
  if (is_large(m)) r.put<uint64_t>(m.bytes).put<uint64_t>(m.bytes);
  if (far) r.put<uint64_t>(m.header_offset);
}

void put_end64(Record& r, uint64_t count, uint64_t bytes, uint64_t offset) {
  const uint64_t position = offset + bytes;
  r.put<uint32_t>(kEnd64Signature)
      .put<uint64_t>(kEnd64Bytes - 12)
      .put<uint16_t>(kVersion64)
      .put<uint16_t>(kVersion64);
  r.put<uint32_t>(0).put<uint32_t>(0).put<uint64_t>(count).put<uint64_t>(count);
  r.put<uint64_t>(bytes).put<uint64_t>(offset);
  r.put<uint32_t>(kLocatorSignature).put<uint32_t>(0).put<uint64_t>(position).put<uint32_t>(1);
}

void put_end(Record& r, uint64_t count, uint64_t bytes, uint64_t offset) {
  const auto n = static_cast<uint16_t>(std::min<uint64_t>(count, kIn64Short));
  r.put<uint32_t>(kEndSignature).put<uint16_t>(0).put<uint16_t>(0).put<uint16_t>(n).put<uint16_t>(n);
  r.put<uint32_t>(static_cast<uint32_t>(std::min<uint64_t>(bytes, kIn64)));
  r.put<uint32_t>(static_cast<uint32_t>(std::min<uint64_t>(offset, kIn64))).put<uint16_t>(0);
}

}  // namespace

Result<void> ZipWriter::add(const std::string& name, Bytes data) {
  if (auto fit = check_member_name(name); !fit)
    return fail(ErrorCode::kInvalidArgument, std::move(fit).error().message);
  if (std::ranges::find(members_, name, &ZipMember::name) != members_.end())
    return fail(ErrorCode::kInvalidArgument, "zip: two members would have the name '" + name + "'");
  ZipMember m{.name = name,
              .method = kStored,
              .crc = crc32(0, data),
              .packed_bytes = data.size(),
              .bytes = data.size(),
              .header_offset = file_->size(),
              .data_offset = 0};
  PIXELLM_CHECK(file_->write(local_header(m).bytes()));
  PIXELLM_CHECK(file_->write(data));
  members_.push_back(std::move(m));
  return {};
}

Result<void> ZipWriter::finish() {
  Record r;
  for (const ZipMember& m : members_) put_central(r, m);
  const uint64_t count = members_.size(), bytes = r.bytes().size(), offset = file_->size();
  if (count >= kZip64CountFrom || bytes >= kZip64From || offset >= kZip64From)
    put_end64(r, count, bytes, offset);
  put_end(r, count, bytes, offset);
  return file_->write(r.bytes());
}

}  // namespace pixellm
