#include "pixel/pixel_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "pixel/store_name.h"

namespace pixellm {
namespace {

using Kind = Folder::Kind;
using Missing = Folder::Missing;

std::unexpected<Error> not_stored(const Folder& folder, const StoreName& name) {
  return fail(ErrorCode::kNotFound, folder.path_of(name.file) + ": no such container");
}

// The number of a folder in the trash; 0 for other names.
uint64_t trash_number(std::string_view name) {
  uint64_t n = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), n);
  return error == std::errc() && end == name.data() + name.size() ? n : 0;
}

// Removals, the newest first.
Result<std::vector<std::string>> removals(const Folder& trash) {
  auto names = PIXELLM_TRY(trash.names());
  std::erase_if(names, [](const std::string& n) { return trash_number(n) == 0; });
  std::ranges::sort(names, std::ranges::greater(), trash_number);
  return names;
}

// A new folder of the trash for one removal, with the container's own folders in it.
Result<Folder> make_place(const Folder& trash, const StoreName& name) {
  const auto taken = PIXELLM_TRY(removals(trash));
  uint64_t number = taken.empty() ? 0 : trash_number(taken[0]);
  for (;;) {
    const std::string place = fmt::format("{:06}", ++number);
    if (::mkdirat(trash.descriptor(), place.c_str(), 0777) == 0) {
      PIXELLM_CHECK(trash.sync());
      return PIXELLM_TRY(trash.child(place, Missing::kIsError)).descend(name.folders, Missing::kCreate);
    }
    if (errno != EEXIST)
      return fail(ErrorCode::kIo,
                  fmt::format("{}: cannot create: {}", trash.path_of(place), std::strerror(errno)));
  }
}

// What a removal leaves empty when its container has gone back.
void tidy(const Folder& trash, const std::string& place, const StoreName& name) {
  std::string path = place;
  std::vector<std::string> paths = {path};
  for (const std::string& folder : name.folders) paths.push_back(path += "/" + folder);
  for (auto it = paths.rbegin(); it != paths.rend(); ++it)
    if (::unlinkat(trash.descriptor(), it->c_str(), AT_REMOVEDIR) != 0) return;
}

bool is_missing(const Error& error) { return error.code == ErrorCode::kNotFound; }

}  // namespace

PixelStore::PixelStore(std::string root, std::chrono::milliseconds patience)
    : root_(std::move(root)), patience_(patience) {}

Result<std::string> PixelStore::path_of(std::string_view name) const {
  const StoreName n = PIXELLM_TRY(StoreName::parse(name));
  return path_below(root_, n.path());
}

Result<StoreWriter> PixelStore::create(std::string_view name, const PxifOptions& options) const {
  const StoreName n = PIXELLM_TRY(StoreName::parse(name));
  if (options.width == 0 || options.width > kStoreMaxWidth)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("pxif: width {}, 1 to {} are allowed in a store", options.width, kStoreMaxWidth));
  const Folder root = PIXELLM_TRY(Folder::open_root(root_, Missing::kCreate));
  const Folder folder = PIXELLM_TRY(root.descend(n.folders, Missing::kCreate));
  auto lock = PIXELLM_TRY(NameLock::take(folder, n.file, patience_));
  auto file = PIXELLM_TRY(AtomicFile::create_at(folder.descriptor(), n.file, folder.path_of(n.file)));
  auto writer = PIXELLM_TRY(PxifWriter::create(std::move(file), options));
  return StoreWriter{std::move(lock), std::move(writer)};
}

Result<PxifReader> PixelStore::open(std::string_view name) const {
  const StoreName n = PIXELLM_TRY(StoreName::parse(name));
  const Folder root = PIXELLM_TRY(Folder::open_root(root_, Missing::kIsError));
  const Folder folder = PIXELLM_TRY(root.descend(n.folders, Missing::kIsError));
  auto file = File::open_at(folder.descriptor(), n.file, folder.path_of(n.file));
  if (!file && is_missing(file.error())) return not_stored(folder, n);
  if (!file) return std::unexpected(std::move(file).error());
  return PxifReader::open(std::move(*file));
}

Result<void> PixelStore::remove(std::string_view name) const {
  const StoreName n = PIXELLM_TRY(StoreName::parse(name));
  const Folder root = PIXELLM_TRY(Folder::open_root(root_, Missing::kIsError));
  const Folder folder = PIXELLM_TRY(root.descend(n.folders, Missing::kIsError));
  const NameLock lock = PIXELLM_TRY(NameLock::take(folder, n.file, patience_));
  const auto kind = PIXELLM_TRY(folder.examine(n.file));
  if (!kind) return not_stored(folder, n);
  if (*kind != Kind::kFile)
    return fail(ErrorCode::kInvalidArgument, folder.path_of(n.file) + ": is not a regular file");
  const Folder trash = PIXELLM_TRY(root.child(std::string(kTrashFolder), Missing::kCreate));
  const Folder place = PIXELLM_TRY(make_place(trash, n));
  return folder.move(n.file, place, n.file);
}

Result<void> PixelStore::restore(std::string_view name) const {
  const StoreName n = PIXELLM_TRY(StoreName::parse(name));
  const Folder root = PIXELLM_TRY(Folder::open_root(root_, Missing::kIsError));
  const auto trash = root.child(std::string(kTrashFolder), Missing::kIsError);
  if (!trash && !is_missing(trash.error())) return std::unexpected(trash.error());
  const auto places = trash ? PIXELLM_TRY(removals(*trash)) : std::vector<std::string>();
  for (const std::string& place : places) {
    const Folder top = PIXELLM_TRY(trash->child(place, Missing::kIsError));
    const auto from = top.descend(n.folders, Missing::kIsError);
    if (!from || PIXELLM_TRY(from->examine(n.file)) != Kind::kFile) continue;
    const Folder folder = PIXELLM_TRY(root.descend(n.folders, Missing::kCreate));
    const NameLock lock = PIXELLM_TRY(NameLock::take(folder, n.file, patience_));
    PIXELLM_CHECK(from->move(n.file, folder, n.file));
    tidy(*trash, place, n);
    return {};
  }
  return fail(ErrorCode::kNotFound, path_below(root_, n.path()) + ": is not in the trash");
}

Result<StoreListing> PixelStore::list(bool recursive) const {
  StoreListing out;
  const Folder root = PIXELLM_TRY(Folder::open_root(root_, Missing::kIsError));
  PIXELLM_CHECK(list_folder(root, "", recursive, out));
  std::ranges::sort(out.images, {}, &StoredImage::name);
  return out;
}

Result<void> PixelStore::list_folder(const Folder& folder, const std::string& prefix, bool recursive,
                                     StoreListing& out) const {
  for (const std::string& name : PIXELLM_TRY(folder.names())) {
    if (prefix.empty() && name == kTrashFolder) continue;
    const auto kind = PIXELLM_TRY(folder.examine(name));
    if (kind == Kind::kFolder && recursive) {
      auto inner = folder.child(name, Missing::kIsError);
      auto listed =
          inner ? list_folder(*inner, prefix + name + "/", true, out) : std::unexpected(inner.error());
      if (!listed && !is_missing(listed.error())) out.problems.push_back(std::move(listed).error());
    }
    if (kind != Kind::kFile || !name.ends_with(kPxifSuffix)) continue;
    const auto file = File::open_at(folder.descriptor(), name, folder.path_of(name));
    if (!file && is_missing(file.error())) continue;  // removed meanwhile
    auto header = file ? read_pxif_header(*file) : std::unexpected(file.error());
    if (header)
      out.images.push_back({prefix + name.substr(0, name.size() - kPxifSuffix.size()), *header});
    else
      out.problems.push_back(std::move(header).error());
  }
  return {};
}

Result<AtomicFile> PixelStore::create_beside(std::string_view name, std::string_view suffix) const {
  const StoreName n = PIXELLM_TRY(StoreName::parse(name));
  const Folder root = PIXELLM_TRY(Folder::open_root(root_, Missing::kIsError));
  const Folder folder = PIXELLM_TRY(root.descend(n.folders, Missing::kIsError));
  const std::string file = n.file.substr(0, n.file.size() - kPxifSuffix.size()) + std::string(suffix);
  return AtomicFile::create_at(folder.descriptor(), file, folder.path_of(file));
}

}  // namespace pixellm
