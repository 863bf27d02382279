#include "map/store_pages.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/bytes.h"

namespace pixellm {
namespace {

// Offsets in a page and in the meta page's content, in native byte order as LMDB writes them.
constexpr uint64_t kPageHeader = 16, kMetaBytes = 152;
constexpr uint16_t kMetaFlag = 0x08;
constexpr uint32_t kMagic = 0xBEEFC0DE, kDataVersion = 1;
constexpr uint32_t kSmallestPage = 512, kLargestPage = 65536;

template <class T>
T load(const uint8_t* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

Result<void> read_exactly(int fd, const std::string& path, uint64_t offset, MutableBytes out) {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(ErrorCode::kIo, fmt::format("{}: cannot read: {}", path, std::strerror(errno)));
    if (n == 0)
      return fail(ErrorCode::kCorrupt, fmt::format("{}: is truncated: it ends at byte {}", path, offset));
    out = out.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<MetaPage> decode_meta(Bytes page, uint64_t number, const std::string& path) {
  const uint8_t* m = page.data() + kPageHeader;
  if (load<uint64_t>(page.data()) != number || !(load<uint16_t>(page.data() + 10) & kMetaFlag) ||
      load<uint32_t>(m) != kMagic)
    return fail(ErrorCode::kCorrupt,
                fmt::format("{}: is not an LMDB file: meta page {} is damaged", path, number));
  if (const uint32_t version = load<uint32_t>(m + 4); version != kDataVersion)
    return fail(ErrorCode::kUnsupported,
                fmt::format("{}: LMDB data version {}, this program reads {}", path, version, kDataVersion));
  MetaPage out;
  out.page_size = load<uint32_t>(m + 24);  // LMDB keeps it in the first field of the free list's record
  out.free_root = load<uint64_t>(m + 24 + 40);
  out.main_root = load<uint64_t>(m + 72 + 40);
  out.last_page = load<uint64_t>(m + 120);
  out.txn_id = load<uint64_t>(m + 128);
  if (out.page_size < kSmallestPage || out.page_size > kLargestPage || !std::has_single_bit(out.page_size))
    return fail(ErrorCode::kCorrupt,
                fmt::format("{}: meta page {} names a page size of {}", path, number, out.page_size));
  return out;
}

}  // namespace

Result<MetaPage> read_meta_page(int fd, const std::string& path, uint64_t txn_id) {
  struct stat st{};
  if (::fstat(fd, &st) != 0)
    return fail(ErrorCode::kIo, fmt::format("{}: cannot examine: {}", path, std::strerror(errno)));
  const uint64_t file_bytes = static_cast<uint64_t>(st.st_size);
  if (file_bytes == 0) return fail(ErrorCode::kCorrupt, path + ": is empty");
  std::array<uint8_t, kPageHeader + kMetaBytes> page;
  PIXELLM_CHECK(read_exactly(fd, path, 0, page));
  const MetaPage first = PIXELLM_TRY(decode_meta(page, 0, path));
  PIXELLM_CHECK(read_exactly(fd, path, first.page_size, page));
  const MetaPage second = PIXELLM_TRY(decode_meta(page, 1, path));
  if (second.page_size != first.page_size)
    return fail(ErrorCode::kCorrupt, fmt::format("{}: its meta pages name page sizes {} and {}", path,
                                                 first.page_size, second.page_size));
  const MetaPage& newest = first.txn_id > second.txn_id ? first : second;
  const MetaPage& found = txn_id == 0 ? newest : first.txn_id == txn_id ? first : second;
  if (txn_id != 0 && found.txn_id != txn_id)
    return fail(ErrorCode::kCorrupt, fmt::format("{}: no meta page holds state {}", path, txn_id));
  for (const uint64_t root : {found.free_root, found.main_root})
    if (root != ~uint64_t{0} && (root > found.last_page || root < 2))
      return fail(ErrorCode::kCorrupt,
                  fmt::format("{}: a tree begins at page {}, the last is {}", path, root, found.last_page));
  if (found.last_page >=
      file_bytes / found.page_size + (uint64_t{1} << 20))  // refined by the walk over the tree's pages
    return fail(ErrorCode::kCorrupt, fmt::format("{}: is truncated: {} bytes, but pages up to {} of {} bytes",
                                                 path, file_bytes, found.last_page, found.page_size));
  return found;
}

}  // namespace pixellm
