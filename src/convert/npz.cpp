#include "convert/npz.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "convert/zip.h"
#include "model/text.h"

namespace pixellm {
namespace {

constexpr std::string_view kSuffix = ".npy";

Result<std::vector<NpzFile::Entry>> read_entries(const ByteSource& source) {
  const ZipReader zip = PIXELLM_TRY(ZipReader::open(source));
  std::vector<std::string> names;
  for (const ZipMember& m : zip.members()) {
    names.push_back(m.name.ends_with(kSuffix) ? m.name.substr(0, m.name.size() - kSuffix.size()) : m.name);
    if (names.back().empty()) return fail(ErrorCode::kUnsupported, "npz: an array has an empty name");
  }
  std::vector<std::string_view> sorted(names.begin(), names.end());
  std::ranges::sort(sorted);
  const auto twice = std::ranges::adjacent_find(sorted);
  if (twice != sorted.end())
    return fail(ErrorCode::kCorrupt, fmt::format("npz: two arrays have the name {}", quoted(*twice)));

  std::vector<NpzFile::Entry> entries;
  for (size_t i = 0; i < names.size(); i++) {
    const std::vector<uint8_t> bytes = PIXELLM_TRY(zip.extract(zip.members()[i]));
    entries.emplace_back(names[i], PIXELLM_TRY(read_npy(bytes, names[i])));
  }
  return entries;
}

}  // namespace

Result<NpzFile> NpzFile::read(const ByteSource& source) {
  auto entries = read_entries(source);
  if (!entries) {
    if (entries.error().code == ErrorCode::kIo) return std::unexpected(std::move(entries).error());
    return fail_in(source.name(), std::move(entries).error());
  }
  NpzFile out;
  out.entries_ = std::move(*entries);
  return out;
}

Result<NpzFile> NpzFile::open(const std::string& path) {
  const File file = PIXELLM_TRY(File::open(path));
  return read(FileSource(file));
}

const NpyArray* NpzFile::find(std::string_view name) const {
  const auto it = std::ranges::find(entries_, name, &Entry::first);
  return it == entries_.end() ? nullptr : &it->second;
}

Result<void> write_npz(const std::string& path, std::span<const NpzFile::Entry> arrays) {
  AtomicFile file = PIXELLM_TRY(AtomicFile::create(path));
  ZipWriter zip(file);
  for (const auto& [name, array] : arrays) {
    if (name.empty()) return fail(ErrorCode::kInvalidArgument, "npz: an array has an empty name");
    PIXELLM_CHECK(zip.add(name + std::string(kSuffix), write_npy(array)));
  }
  PIXELLM_CHECK(zip.finish());
  return file.commit();
}

}  // namespace pixellm
