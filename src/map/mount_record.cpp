#include "map/mount_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/bytes.h"

namespace pixellm {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kVersion = 1;
constexpr size_t kX = 4, kY = 12, kWidth = 20, kHeight = 28, kHead = 36, kPathLength = 68, kGivenLength = 72,
                 kPaths = 76;

std::string canonical_path(const std::string& path) {
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(path, error);  // also of a file that is gone
  return error ? absolute_path(path) : canonical.string();
}

}  // namespace

std::string absolute_path(const std::string& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  return (error ? fs::path(path) : absolute).lexically_normal().string();
}

StoreRecord MountRecord::encode() const {
  std::vector<uint8_t> value(kPaths);
  store_le<uint32_t>(&value[0], kVersion);
  store_le<int64_t>(&value[kX], rect.x);
  store_le<int64_t>(&value[kY], rect.y);
  store_le<uint64_t>(&value[kWidth], rect.w);
  store_le<uint64_t>(&value[kHeight], rect.h);
  std::ranges::copy(head_sha256, value.begin() + kHead);
  store_le<uint32_t>(&value[kPathLength], static_cast<uint32_t>(path.size()));
  store_le<uint32_t>(&value[kGivenLength], static_cast<uint32_t>(given_path.size()));
  value.insert(value.end(), path.begin(), path.end());
  value.insert(value.end(), given_path.begin(), given_path.end());
  const Bytes text(reinterpret_cast<const uint8_t*>(path.data()), path.size());
  return {.name = std::string(kMountPrefix) + to_hex(sha256(text)), .value = std::move(value)};
}

Result<MountRecord> MountRecord::decode(const StoreRecord& record) {
  const Bytes v = record.value;
  const auto corrupt = [&](std::string_view what) {
    return fail(ErrorCode::kCorrupt, fmt::format("map: record {}: {}", record.name, what));
  };
  if (v.size() < 4) return corrupt("no version");
  if (const auto version = load_le<uint32_t>(v.data()); version != kVersion)
    return fail(ErrorCode::kUnsupported, fmt::format("map: record {} has version {}, this program reads {}",
                                                     record.name, version, kVersion));
  if (v.size() < kPaths) return corrupt(fmt::format("{} bytes, at least {} are needed", v.size(), kPaths));
  const uint64_t path_length = load_le<uint32_t>(&v[kPathLength]),
                 given_length = load_le<uint32_t>(&v[kGivenLength]);
  if (v.size() != kPaths + path_length + given_length || path_length == 0)
    return corrupt(fmt::format("{} bytes with paths of {} and {}", v.size(), path_length, given_length));
  MountRecord m;
  m.rect = {.x = load_le<int64_t>(&v[kX]),
            .y = load_le<int64_t>(&v[kY]),
            .w = load_le<uint64_t>(&v[kWidth]),
            .h = load_le<uint64_t>(&v[kHeight])};
  if (m.rect.empty()) return corrupt("an empty rectangle");
  if (auto lawful = check_rect(m.rect); !lawful) return corrupt(lawful.error().message);
  std::ranges::copy(v.subspan(kHead, m.head_sha256.size()), m.head_sha256.begin());
  const Bytes path = v.subspan(kPaths, path_length), given = v.subspan(kPaths + path_length);
  m.path.assign(path.begin(), path.end());
  m.given_path.assign(given.begin(), given.end());
  if (m.path.contains('\0') || m.given_path.contains('\0')) return corrupt("a path with a zero byte");
  return m;
}

Result<std::vector<MountRecord>> read_mounts(const TileStore& store) {
  const auto snapshot = PIXELLM_TRY(store.snapshot());
  const std::vector<StoreRecord> records = PIXELLM_TRY(snapshot->records());
  std::vector<MountRecord> mounts;
  for (const StoreRecord& record : records)
    if (record.name.starts_with(kMountPrefix)) mounts.push_back(PIXELLM_TRY(MountRecord::decode(record)));
  return mounts;
}

const MountRecord* find_mount(const std::vector<MountRecord>& mounts, const std::string& path) {
  const std::string canonical = canonical_path(path), absolute = absolute_path(path);
  for (const auto& [member, wanted] :
       {std::pair(&MountRecord::path, &canonical), std::pair(&MountRecord::given_path, &absolute),
        std::pair(&MountRecord::path, &absolute)})
    for (const MountRecord& m : mounts)
      if (m.*member == *wanted) return &m;
  return nullptr;
}

}  // namespace pixellm
