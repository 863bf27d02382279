#include <fmt/format.h>
#include <libdeflate.h>

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <optional>

#include "base/hash.h"
#include "convert/zip.h"
#include "convert/zip_records.h"
#include "model/text.h"

namespace pixellm {
namespace {

using namespace zip;

constexpr uint64_t kMaxMembers = uint64_t{1} << 16;
constexpr uint64_t kMaxDirectoryBytes = uint64_t{64} << 20;
constexpr uint64_t kMaxNameBytes = 1024;
// Of all deflated members together once unpacked; a stored member cannot be larger than the file.
constexpr uint64_t kMaxInflatedBytes = uint64_t{1} << 30;
// Deflate makes at most 258 bytes of two bits.
constexpr uint64_t kMaxExpansion = 1032;

constexpr uint16_t kEncryptedFlags = 1 << 0 | 1 << 6 | 1 << 13;
constexpr uint16_t kDescriptorFlag = 1 << 3;
constexpr uint16_t kPatchFlag = 1 << 5;

std::unexpected<Error> corrupt(std::string_view message) {
  return fail(ErrorCode::kCorrupt, fmt::format("zip: {}", message));
}
std::unexpected<Error> unsupported(std::string_view message) {
  return fail(ErrorCode::kUnsupported, fmt::format("zip: {}", message));
}

// Where the directory stands and what the end record says of it.
struct Directory {
  uint64_t offset = 0, bytes = 0, count = 0;
  uint64_t end = 0;  // where the next record must begin
};

struct EndRecord {
  uint64_t position = 0;
  std::array<uint8_t, kEndBytes> bytes{};
};

// The last record whose comment ends where the file ends.
Result<EndRecord> find_end_record(const ByteSource& source) {
  const uint64_t size = source.size();
  if (size < kEndBytes)
    return corrupt(fmt::format("the file has {} bytes, the smallest archive has {}", size, kEndBytes));
  const uint64_t window = std::min<uint64_t>(size, kEndBytes + 0xffff);
  std::vector<uint8_t> tail(window);
  PIXELLM_CHECK(source.read_at(size - window, tail));
  for (size_t at = window - kEndBytes + 1; at-- > 0;) {
    if (load_le<uint32_t>(&tail[at]) != kEndSignature) continue;
    if (load_le<uint16_t>(&tail[at + 20]) != window - at - kEndBytes) continue;
    EndRecord out{.position = size - window + at, .bytes = {}};
    std::copy_n(tail.begin() + static_cast<ptrdiff_t>(at), kEndBytes, out.bytes.begin());
    return out;
  }
  return corrupt("the end record is missing: not a ZIP archive, or cut short");
}

// Takes the directory's place from the ZIP64 end record; nothing when there is none.
Result<std::optional<Directory>> read_end64(const ByteSource& source, uint64_t end_position) {
  if (end_position < kLocatorBytes) return std::nullopt;
  const uint64_t locator_position = end_position - kLocatorBytes;
  std::array<uint8_t, kLocatorBytes> locator{};
  PIXELLM_CHECK(source.read_at(locator_position, locator));
  if (load_le<uint32_t>(&locator[0]) != kLocatorSignature) return std::nullopt;
  const auto position = load_le<uint64_t>(&locator[8]);
  if (load_le<uint32_t>(&locator[4]) != 0 || load_le<uint32_t>(&locator[16]) > 1)
    return unsupported("an archive over several disks");
  if (position > locator_position || locator_position - position < kEnd64Bytes)
    return corrupt(fmt::format("the ZIP64 end record is said to be at byte {}, its locator is at {}",
                               position, locator_position));
  std::array<uint8_t, kEnd64Bytes> record{};
  PIXELLM_CHECK(source.read_at(position, record));
  if (load_le<uint32_t>(&record[0]) != kEnd64Signature ||
      load_le<uint64_t>(&record[4]) != locator_position - position - 12)
    return corrupt(fmt::format("no ZIP64 end record of the right size at byte {}", position));
  if (load_le<uint32_t>(&record[16]) != 0 || load_le<uint32_t>(&record[20]) != 0)
    return unsupported("an archive over several disks");
  if (load_le<uint64_t>(&record[24]) != load_le<uint64_t>(&record[32]))
    return corrupt("the ZIP64 end record has two different member counts");
  return Directory{.offset = load_le<uint64_t>(&record[48]),
                   .bytes = load_le<uint64_t>(&record[40]),
                   .count = load_le<uint64_t>(&record[32]),
                   .end = position};
}

Result<Directory> find_directory(const ByteSource& source) {
  const EndRecord end = PIXELLM_TRY(find_end_record(source));
  const auto* p = end.bytes.data();
  const auto count = load_le<uint16_t>(p + 10);
  const auto bytes = load_le<uint32_t>(p + 12), offset = load_le<uint32_t>(p + 16);
  if (load_le<uint16_t>(p + 4) != 0 || load_le<uint16_t>(p + 6) != 0)
    return unsupported("an archive over several disks");
  if (load_le<uint16_t>(p + 8) != count) return corrupt("the end record has two different member counts");
  Directory out{.offset = offset, .bytes = bytes, .count = count, .end = end.position};
  if (const auto end64 = PIXELLM_TRY(read_end64(source, end.position))) {
    out = *end64;
    if ((count != kIn64Short && count != out.count) || (bytes != kIn64 && bytes != out.bytes) ||
        (offset != kIn64 && offset != out.offset))
      return corrupt("the end record and the ZIP64 end record disagree");
  }
  const auto stop = checked_add(out.offset, out.bytes);
  if (!stop || *stop != out.end)
    return corrupt(
        fmt::format("the directory of {} bytes at byte {} does not end at byte {}, where the end record is",
                    out.bytes, out.offset, out.end));
  if (out.bytes > kMaxDirectoryBytes || out.count > kMaxMembers)
    return fail(ErrorCode::kTooLarge,
                fmt::format("zip: {} members in a directory of {} bytes, at most {} and {} are allowed",
                            out.count, out.bytes, kMaxMembers, kMaxDirectoryBytes));
  return out;
}

// The data of the field with the ZIP64 id, empty when there is none.
Result<Bytes> find_zip64_field(Bytes extra, const std::string& what) {
  std::optional<Bytes> found;
  while (!extra.empty()) {
    if (extra.size() < 4 || load_le<uint16_t>(&extra[2]) > extra.size() - 4)
      return corrupt(what + ": an extra field is cut short");
    const Bytes data = extra.subspan(4, load_le<uint16_t>(&extra[2]));
    if (load_le<uint16_t>(&extra[0]) == kZip64Field) {
      if (found) return corrupt(what + ": two ZIP64 fields");
      found = data;
    }
    extra = extra.subspan(4 + data.size());
  }
  return found.value_or(Bytes{});
}

// Replaces a saturated 32-bit value by the next 64-bit one of the field.
Result<void> widen(uint64_t& value, Bytes& field, const std::string& what) {
  if (value != kIn64) return {};
  if (field.size() < 8) return corrupt(what + ": the ZIP64 field is missing or too short");
  value = load_le<uint64_t>(field.data());
  field = field.subspan(8);
  return {};
}

struct CentralEntry {
  ZipMember member;
  uint16_t flags = 0;
  size_t record_bytes = 0;
};

Result<void> check_central(const CentralEntry& e, Bytes record, const std::string& what) {
  const ZipMember& m = e.member;
  PIXELLM_CHECK(check_member_name(m.name));
  if (e.flags & kEncryptedFlags) return unsupported(what + " is encrypted");
  if (e.flags & kPatchFlag) return unsupported(what + " is a patch");
  if (m.method != kStored && m.method != kDeflated)
    return unsupported(
        fmt::format("{} has compression method {}, stored (0) and deflate (8) are read", what, m.method));
  const auto disk = load_le<uint16_t>(&record[34]);
  if (disk != 0 && disk != kIn64Short) return unsupported(what + " is on another disk");
  if (m.method == kStored && m.bytes != m.packed_bytes)
    return corrupt(
        fmt::format("{} is stored as {} bytes and said to have {}", what, m.packed_bytes, m.bytes));
  if (m.method == kDeflated && m.bytes / kMaxExpansion > m.packed_bytes)
    return corrupt(fmt::format("{}: {} compressed bytes cannot hold {}", what, m.packed_bytes, m.bytes));
  return {};
}

Result<CentralEntry> read_central(Bytes directory, uint64_t index) {
  if (directory.size() < kCentralBytes || load_le<uint32_t>(directory.data()) != kCentralSignature)
    return corrupt(fmt::format("the directory has no entry {}", index));
  const uint8_t* p = directory.data();
  const size_t n_name = load_le<uint16_t>(p + 28), n_extra = load_le<uint16_t>(p + 30),
               n_comment = load_le<uint16_t>(p + 32);
  if (directory.size() - kCentralBytes < n_name + n_extra + n_comment)
    return corrupt(fmt::format("entry {} goes over the directory's end", index));
  CentralEntry out;
  out.record_bytes = kCentralBytes + n_name + n_extra + n_comment;
  out.flags = load_le<uint16_t>(p + 8);
  ZipMember& m = out.member;
  m.name.assign(reinterpret_cast<const char*>(p) + kCentralBytes, n_name);
  m.method = load_le<uint16_t>(p + 10);
  m.crc = load_le<uint32_t>(p + 16);
  m.packed_bytes = load_le<uint32_t>(p + 20);
  m.bytes = load_le<uint32_t>(p + 24);
  m.header_offset = load_le<uint32_t>(p + 42);
  const std::string what = fmt::format("member {}", quoted(m.name));
  Bytes field = PIXELLM_TRY(find_zip64_field(directory.subspan(kCentralBytes + n_name, n_extra), what));
  PIXELLM_CHECK(widen(m.bytes, field, what));
  PIXELLM_CHECK(widen(m.packed_bytes, field, what));
  PIXELLM_CHECK(widen(m.header_offset, field, what));
  PIXELLM_CHECK(check_central(out, directory, what));
  return out;
}

// Bytes of the descriptor behind the data: CRC-32 and both sizes of 4 or 8 bytes, a signature before them or
// not.
Result<uint64_t> descriptor_bytes(const ByteSource& source, const ZipMember& m, uint64_t position,
                                  uint64_t end, const std::string& what) {
  std::array<uint8_t, 24> buffer{};
  const Bytes bytes = MutableBytes(buffer).first(std::min<uint64_t>(buffer.size(), end - position));
  PIXELLM_CHECK(source.read_at(position, MutableBytes(buffer).first(bytes.size())));
  for (const size_t start : {size_t{4}, size_t{0}})
    for (const size_t width : {size_t{8}, size_t{4}}) {
      const size_t size = start + 4 + 2 * width;
      if (bytes.size() < size) continue;
      const uint8_t* p = bytes.data();
      const auto number = [&](size_t at) {
        return width == 8 ? load_le<uint64_t>(p + at) : uint64_t{load_le<uint32_t>(p + at)};
      };
      if (start == 4 && load_le<uint32_t>(p) != kDescriptorSignature) continue;
      if (load_le<uint32_t>(p + start) == m.crc && number(start + 4) == m.packed_bytes &&
          number(start + 4 + width) == m.bytes)
        return size;
    }
  return corrupt(what + ": the data descriptor is missing or disagrees with the directory");
}

// Checks the local header against the directory and finds the data. Returns where the member ends.
Result<uint64_t> read_local(const ByteSource& source, ZipMember& m, uint64_t directory_offset) {
  const std::string what = fmt::format("member {}", quoted(m.name));
  const auto past_directory = [&](uint64_t position) {
    return corrupt(
        fmt::format("{} needs bytes up to {}, the directory begins at {}", what, position, directory_offset));
  };
  const auto header_end = checked_add(m.header_offset, kLocalBytes);
  if (!header_end || *header_end > directory_offset) return past_directory(header_end.value_or(UINT64_MAX));
  std::array<uint8_t, kLocalBytes> header{};
  PIXELLM_CHECK(source.read_at(m.header_offset, header));
  if (load_le<uint32_t>(&header[0]) != kLocalSignature)
    return corrupt(fmt::format("{} has no local header at byte {}", what, m.header_offset));
  const auto flags = load_le<uint16_t>(&header[6]);
  const uint64_t n_name = load_le<uint16_t>(&header[26]), n_extra = load_le<uint16_t>(&header[28]);
  m.data_offset = *header_end + n_name + n_extra;
  const auto data_end = checked_add(m.data_offset, m.packed_bytes);
  if (!data_end || *data_end > directory_offset) return past_directory(data_end.value_or(UINT64_MAX));
  std::vector<uint8_t> rest(n_name + n_extra);
  PIXELLM_CHECK(source.read_at(*header_end, rest));
  if (std::string_view(reinterpret_cast<const char*>(rest.data()), n_name) != m.name ||
      load_le<uint16_t>(&header[8]) != m.method || (flags & (kEncryptedFlags | kPatchFlag)))
    return corrupt(what + ": its local header disagrees with the directory");
  if (flags & kDescriptorFlag)
    return *data_end + PIXELLM_TRY(descriptor_bytes(source, m, *data_end, directory_offset, what));

  uint64_t packed = load_le<uint32_t>(&header[18]), bytes = load_le<uint32_t>(&header[22]);
  Bytes field = PIXELLM_TRY(find_zip64_field(Bytes(rest).subspan(n_name), what));
  PIXELLM_CHECK(widen(bytes, field, what));
  PIXELLM_CHECK(widen(packed, field, what));
  if (load_le<uint32_t>(&header[14]) != m.crc || packed != m.packed_bytes || bytes != m.bytes)
    return corrupt(what + ": its local header disagrees with the directory");
  return *data_end;
}

// No member inside another, no name twice, deflated ones within the limit.
Result<void> check_members(const std::vector<ZipMember>& members, const std::vector<uint64_t>& ends) {
  uint64_t inflated = 0;
  for (const ZipMember& m : members) {
    if (m.method != kDeflated) continue;
    inflated += std::min(m.bytes, kMaxInflatedBytes + 1);
    if (inflated > kMaxInflatedBytes)
      return fail(ErrorCode::kTooLarge,
                  fmt::format("zip: the compressed members unpack to more than {} bytes; stored ones "
                              "(numpy.savez) have no such limit",
                              kMaxInflatedBytes));
  }
  std::vector<size_t> order(members.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [&](size_t i) { return members[i].header_offset; });
  for (size_t i = 1; i < order.size(); i++)
    if (ends[order[i - 1]] > members[order[i]].header_offset)
      return corrupt(fmt::format("members {} and {} overlap", quoted(members[order[i - 1]].name),
                                 quoted(members[order[i]].name)));
  const auto name_of = [&](size_t i) -> std::string_view { return members[i].name; };
  std::ranges::sort(order, {}, name_of);
  const auto twice = std::ranges::adjacent_find(order, {}, name_of);
  if (twice != order.end())
    return corrupt(fmt::format("two members have the name {}", quoted(members[*twice].name)));
  return {};
}

}  // namespace

bool looks_like_zip(Bytes first_4) {
  if (first_4.size() < 4) return false;
  const auto signature = load_le<uint32_t>(first_4.data());
  return signature == kLocalSignature || signature == kEndSignature;
}

Result<void> check_member_name(std::string_view name) {
  const auto unfit = [&](std::string_view why) {
    return unsupported(fmt::format("member name {} {}", quoted(name), why));
  };
  if (name.empty()) return unfit("is empty");
  if (name.size() > kMaxNameBytes)
    return unfit(fmt::format("has {} bytes, at most {} are allowed", name.size(), kMaxNameBytes));
  for (const char c : name)
    if ((c >= 0 && c < ' ') || c == 0x7f || c == '\\') return unfit("has a control character or a backslash");
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part.empty()) return unfit("has an empty part: it is absolute or a folder");
    if (part == "." || part == "..") return unfit("has a part that is . or ..");
    begin = end + 1;
  }
  return {};
}

Result<ZipReader> ZipReader::open(const ByteSource& source) {
  const Directory directory = PIXELLM_TRY(find_directory(source));
  std::vector<uint8_t> bytes(directory.bytes);
  PIXELLM_CHECK(source.read_at(directory.offset, bytes));
  ZipReader out(source);
  Bytes rest = bytes;
  for (uint64_t i = 0; i < directory.count; i++) {
    CentralEntry entry = PIXELLM_TRY(read_central(rest, i));
    rest = rest.subspan(entry.record_bytes);
    out.members_.push_back(std::move(entry.member));
  }
  if (!rest.empty())
    return corrupt(fmt::format("{} bytes stand in the directory behind its last entry", rest.size()));
  std::vector<uint64_t> ends;
  for (ZipMember& m : out.members_) ends.push_back(PIXELLM_TRY(read_local(source, m, directory.offset)));
  PIXELLM_CHECK(check_members(out.members_, ends));
  return out;
}

Result<std::vector<uint8_t>> ZipReader::extract(const ZipMember& m) const {
  const std::string what = fmt::format("member {}", quoted(m.name));
  std::vector<uint8_t> packed(m.packed_bytes), unpacked;
  PIXELLM_CHECK(source_->read_at(m.data_offset, packed));
  if (m.method == kStored) {
    unpacked = std::move(packed);
  } else {
    const std::unique_ptr<libdeflate_decompressor, decltype(&libdeflate_free_decompressor)> inflater(
        libdeflate_alloc_decompressor(), &libdeflate_free_decompressor);
    if (!inflater) return fail(ErrorCode::kTooLarge, "zip: no memory for the decompressor");
    unpacked.resize(m.bytes);
    size_t used = 0, made = 0;
    const auto status = libdeflate_deflate_decompress_ex(inflater.get(), packed.data(), packed.size(),
                                                         unpacked.data(), unpacked.size(), &used, &made);
    if (status != LIBDEFLATE_SUCCESS || used != packed.size() || made != unpacked.size())
      return corrupt(fmt::format("{}: the compressed data is damaged or not of the stated size", what));
  }
  const uint32_t crc = crc32(0, unpacked);
  if (crc != m.crc)
    return corrupt(fmt::format("{}: its CRC-32 is {:08x}, the directory says {:08x}", what, crc, m.crc));
  return unpacked;
}

}  // namespace pixellm
