#include "map/store_meta.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <vector>

namespace pixellm {
namespace {

constexpr uint64_t kMetaBytes = 136, kTxnIdAt = 128;
constexpr uint16_t kMeta = 0x08, kNoFolder = 0x4000;
constexpr uint32_t kMagic = 0xBEEFC0DE, kDataVersion = 1;
constexpr uint32_t kSmallestPage = 512, kLargestPage = 65536;
constexpr uint64_t kLooseBytes = uint64_t{64}
                                 << 20;  // pages at the end that were given back before they were written

std::unexpected<Error> io_error(const std::string& path, const char* action) {
  return fail(ErrorCode::kIo, fmt::format("{}: cannot {}: {}", path, action, std::strerror(errno)));
}

Result<MetaPage> decode_meta(Bytes page, uint64_t number, const std::string& path) {
  const uint8_t* m = page.data() + kPageHeader;
  if (load_native<uint64_t>(page.data()) != number || load_native<uint16_t>(page.data() + 10) != kMeta ||
      load_native<uint32_t>(m) != kMagic)
    return fail(ErrorCode::kCorrupt,
                fmt::format("{}: is not an LMDB file, or its meta page {} is damaged", path, number));
  if (const uint32_t version = load_native<uint32_t>(m + 4); version != kDataVersion)
    return fail(ErrorCode::kUnsupported,
                fmt::format("{}: LMDB data version {} in meta page {}, this program reads {}", path, version,
                            number, kDataVersion));
  MetaPage out;
  out.page_size = load_native<uint32_t>(m + 24);  // kept in an unused field of the free list's record
  out.free_list = PageTree::decode(m + 24);
  out.databases = PageTree::decode(m + 24 + kTreeBytes);
  out.last_page = load_native<uint64_t>(m + 120);
  out.txn_id = load_native<uint64_t>(m + kTxnIdAt);
  out.free_list.flags &= static_cast<uint16_t>(~kNoFolder);
  if (out.page_size < kSmallestPage || out.page_size > kLargestPage || !std::has_single_bit(out.page_size))
    return fail(ErrorCode::kCorrupt,
                fmt::format("{}: meta page {} names a page size of {}", path, number, out.page_size));
  if (out.free_list.flags != kIntegerKeys || out.databases.flags != 0)
    return fail(ErrorCode::kCorrupt,
                fmt::format("{}: meta page {} names trees of unknown kinds {:#x} and {:#x}", path, number,
                            out.free_list.flags, out.databases.flags));
  return out;
}

// Meta page 1 is the second page, so where it lies must be the page size that it names.
Result<MetaPage> read_meta_at(int fd, const std::string& path, uint64_t offset) {
  std::array<uint8_t, kPageHeader + kMetaBytes> page;
  PIXELLM_CHECK(read_exactly(fd, path, offset, page));
  auto meta = decode_meta(page, offset == 0 ? 0 : 1, path);
  if (meta && offset != 0 && meta->page_size != offset)
    return fail(ErrorCode::kCorrupt,
                fmt::format("{}: meta page 1 names a page size of {}, it lies at byte {}", path,
                            meta->page_size, offset));
  return meta;
}

// The error of a page whose neighbour is good, with what can be done.
Error with_hint(Error damage, size_t bad, const MetaPage& good, uint64_t file_bytes) {
  if (damage.code == ErrorCode::kIo) return damage;
  damage.code = ErrorCode::kCorrupt;
  if (good.last_page < file_bytes / good.page_size)
    damage.message += fmt::format(
        "; meta page {} is good: `pixellm map repair` restores page {} from it, at most the last commit is "
        "lost",
        1 - bad, bad);
  return damage;
}

}  // namespace

PageTree PageTree::decode(const uint8_t* p) {
  return {load_native<uint16_t>(p + 4),  load_native<uint16_t>(p + 6),  load_native<uint64_t>(p + 8),
          load_native<uint64_t>(p + 16), load_native<uint64_t>(p + 24), load_native<uint64_t>(p + 32),
          load_native<uint64_t>(p + 40)};
}

Result<uint64_t> size_of(int fd, const std::string& path) {
  struct stat st{};
  if (::fstat(fd, &st) != 0) return io_error(path, "examine");
  return static_cast<uint64_t>(st.st_size);
}

Result<void> read_exactly(int fd, const std::string& path, uint64_t offset, MutableBytes out) {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error(path, "read");
    if (n == 0)
      return fail(ErrorCode::kCorrupt, fmt::format("{}: is truncated: it ends at byte {}", path, offset));
    out = out.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

// Page 0 says where page 1 lies; where it is damaged, or names a wrong size, page 1 is looked for.
MetaPages read_meta_pages(int fd, const std::string& path) {
  MetaPages out = {read_meta_at(fd, path, 0), fail(ErrorCode::kCorrupt, path + ": has no meta page 1")};
  if (out[0]) out[1] = read_meta_at(fd, path, out[0]->page_size);
  if (out[1] || out[1].error().code == ErrorCode::kIo) return out;
  for (uint64_t at = kSmallestPage; at <= kLargestPage; at *= 2) {
    auto found = read_meta_at(fd, path, at);
    if (!found) continue;
    out[1] = std::move(found);
    if (out[0])
      out[0] = fail(ErrorCode::kCorrupt, fmt::format("{}: meta page 0 names a page size of {}, page 1 of {}",
                                                     path, out[0]->page_size, at));
    break;
  }
  return out;
}

Result<void> check_length(const MetaPage& meta, uint64_t file_bytes, const std::string& path) {
  if (meta.last_page < (file_bytes + kLooseBytes) / meta.page_size) return {};
  return fail(ErrorCode::kCorrupt,
              fmt::format("{}: is truncated: {} bytes, but its pages of {} bytes go up to {}", path,
                          file_bytes, meta.page_size, meta.last_page));
}

Result<MetaPage> read_meta_page(int fd, const std::string& path, uint64_t txn_id) {
  const uint64_t file_bytes = PIXELLM_TRY(size_of(fd, path));
  if (file_bytes == 0) return fail(ErrorCode::kCorrupt, path + ": is empty");
  const MetaPages pages = read_meta_pages(fd, path);
  for (size_t i : {0, 1})
    if (!pages[i])
      return std::unexpected(pages[1 - i] ? with_hint(pages[i].error(), i, *pages[1 - i], file_bytes)
                                          : pages[i].error());
  const MetaPage &first = *pages[0], &second = *pages[1];
  const MetaPage& newest = first.txn_id > second.txn_id ? first : second;
  const MetaPage& found = txn_id == 0 ? newest : first.txn_id == txn_id ? first : second;
  if (txn_id != 0 && found.txn_id != txn_id)
    return fail(ErrorCode::kNotFound, fmt::format("{}: has no state {}", path, txn_id));
  PIXELLM_CHECK(check_length(found, file_bytes, path));
  return found;
}

// LMDB writes state n to page n mod 2 and takes the page with the higher number, so a copy that is numbered
// one lower fits both. The pages of the good state may never have been synced: that is first.
Result<void> prefer_meta_page(int fd, const std::string& path, size_t good, const MetaPage& meta) {
  std::vector<uint8_t> page(meta.page_size);
  PIXELLM_CHECK(read_exactly(fd, path, good * meta.page_size, page));
  const uint64_t number = 1 - good, txn_id = meta.txn_id - 1;
  std::memcpy(page.data(), &number, sizeof number);
  std::memcpy(page.data() + kPageHeader + kTxnIdAt, &txn_id, sizeof txn_id);
  if (::fsync(fd) != 0) return io_error(path, "sync");
  const ssize_t n = ::pwrite(fd, page.data(), page.size(), static_cast<off_t>(number * meta.page_size));
  if (n != static_cast<ssize_t>(page.size())) return io_error(path, "write a meta page of");
  if (::fsync(fd) != 0) return io_error(path, "sync");
  return {};
}

}  // namespace pixellm
