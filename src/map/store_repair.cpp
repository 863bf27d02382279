// repair_world(): what comes before TileStore::repair() where LMDB's own pages are damaged: back to the state
// before, if that is whole.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "map/store_create.h"
#include "map/store_meta.h"
#include "map/store_pages.h"
#include "map/tile_store.h"

namespace pixellm {
namespace {

// The version of a state all of whose pages are in order and whose record is its own.
Result<uint64_t> version_of(int fd, const std::string& path, const MetaPage& meta) {
  const uint64_t file_bytes = PIXELLM_TRY(size_of(fd, path));
  PIXELLM_CHECK(check_length(meta, file_bytes, path));
  std::vector<uint8_t> value;
  PIXELLM_CHECK(check_pages(fd, path, meta, ~uint64_t{0}, &value));
  const WorldRecord record = PIXELLM_TRY(WorldRecord::decode(value));
  if (record.txn_id == meta.txn_id) return record.version;
  return fail(ErrorCode::kCorrupt,
              fmt::format("{}: the record of change {} in state {}", path, record.txn_id, meta.txn_id));
}

// Exclusive: the file, by whoever holds the writer's lock. kBusy: somebody has the world open.
Result<Descriptor> open_alone(const std::string& path) {
  Descriptor fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat st{};
  if (!fd || ::fstat(fd.get(), &st) != 0) return system_error(path, "open for writing", errno);
  if (!S_ISREG(st.st_mode) || st.st_nlink > 1)
    return fail(ErrorCode::kInvalidArgument, path + ": is not a regular file of this folder alone");
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return system_error(path, "lock", errno);
  return fail(ErrorCode::kBusy, path + ": somebody has this world open; it can be repaired when nobody has");
}

// A line on what was done; nullopt: the newest state and both meta pages are in order.
Result<std::optional<std::string>> mend_pages(const std::string& folder) {
  const Descriptor writer = PIXELLM_TRY(lock_for_writing(folder));
  const std::string path = folder + "/" + kDataFile;
  const Descriptor fd = PIXELLM_TRY(open_alone(path));
  const MetaPages pages = read_meta_pages(fd.get(), path);
  for (const auto& page : pages)
    if (!page && page.error().code == ErrorCode::kIo) return std::unexpected(page.error());
  const bool both = pages[0] && pages[1];
  size_t newest = pages[0] ? 0 : 1;
  if (both && pages[1]->txn_id > pages[0]->txn_id) newest = 1;
  std::optional<Error> damage;
  for (const size_t i : {newest, 1 - newest}) {
    if (!pages[i]) continue;
    const auto version = version_of(fd.get(), path, *pages[i]);
    if (!version && version.error().code == ErrorCode::kIo) return std::unexpected(version.error());
    if (!version) {
      if (!damage) damage = version.error();
      continue;
    }
    if (both && i == newest) return std::nullopt;
    PIXELLM_CHECK(prefer_meta_page(fd.get(), path, i, *pages[i]));
    if (both)
      return fmt::format("{}. The world is again as version {} left it; the commit after that is lost",
                         damage->message, *version);
    return fmt::format(
        "{}. It was restored from meta page {}: the world is as version {} left it; if one "
        "commit came after that, it is lost",
        pages[1 - i].error().message, i, *version);
  }
  return std::unexpected(damage ? *damage : pages[0].error());
}

}  // namespace

Result<StoreFindings> repair_world(const std::string& folder) {
  const auto repair = [&]() -> Result<StoreFindings> {
    const auto store = PIXELLM_TRY(TileStore::open(folder, {.create = false}));
    return store->repair();
  };
  auto found = repair();
  if (found || found.error().code != ErrorCode::kCorrupt) return found;
  const auto mended = mend_pages(folder);
  if (!mended && mended.error().code != ErrorCode::kCorrupt) return std::unexpected(mended.error());
  if (!mended || !*mended) return found;
  auto again = repair();
  if (!again) return fail_in(**mended, again.error());
  again->other.insert(again->other.begin(), **mended);
  return again;
}

}  // namespace pixellm
