// A world's data.mdb. The first byte selects: even, the rest is the file; odd, the rest is changes to a world
// that the target makes itself, each page (1 byte), offset (u16), n (1 byte), n bytes: so they reach what
// lies behind the meta pages. The file is opened, read, verified, repaired, painted on and compacted.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "map/mounts.h"
#include "map/world.h"

using namespace pixellm;

namespace {

constexpr uint64_t kPageBytes = 4096, kMaxTiles = 64;

// In memory where the system has such a folder; gone when the program ends.
class Folder {
 public:
  Folder() {
    std::string pattern =
        ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path();
    pattern += "/pixellm-fuzz-XXXXXX";
    PIXELLM_ASSERT(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string world() const { return path_ + "/world"; }

 private:
  std::string path_;
};

void replace_file(const std::string& path, Bytes bytes) {
  FILE* f = std::fopen(path.c_str(), "wb");
  PIXELLM_ASSERT(f && std::fwrite(bytes.data(), 1, bytes.size(), f) == bytes.size() && std::fclose(f) == 0);
}

// Every kind of entry: tiles in full runs and others, replaced and erased ones, byte regions, a record.
std::vector<uint8_t> make_world(const std::string& folder) {
  {
    auto store = TileStore::open(folder, {.tile_size = 16});
    PIXELLM_ASSERT(store.has_value());
    std::vector<uint8_t> rgb((*store)->tile_bytes());
    for (int round = 0; round < 3; round++) {
      StoreChanges changes;
      for (int64_t i = 0; i < 12; i++) changes.tiles.push_back({{i % 4 - 2, i / 4}, rgb});
      changes.lengths = {{0, 0, 5}, {-16, 16, 700}};
      PIXELLM_ASSERT((*store)->commit(changes).has_value());
      PIXELLM_ASSERT((*store)->put_record({"record", std::vector<uint8_t>(40, 7)}).has_value());
      PIXELLM_ASSERT((*store)->erase({-5, -5, 20, 30}).has_value());
      rgb.assign(rgb.size(), static_cast<uint8_t>(round + 1));
    }
  }
  auto file = read_file(folder + "/data.mdb", uint64_t{1} << 24);
  PIXELLM_ASSERT(file.has_value());
  return std::move(*file);
}

std::vector<uint8_t> changed(std::vector<uint8_t> file, Bytes changes) {
  while (changes.size() > 4) {
    const uint64_t at = changes[0] % (file.size() / kPageBytes) * kPageBytes +
                        load_le<uint16_t>(changes.data() + 1) % kPageBytes;
    const uint64_t n = std::min<uint64_t>({changes[3], changes.size() - 4, file.size() - at});
    std::copy_n(changes.begin() + 4, n, file.begin() + static_cast<std::ptrdiff_t>(at));
    changes = changes.subspan(4 + n);
  }
  return file;
}

void read_store(const TileStore& store) {
  const auto found = store.verify();
  PIXELLM_ASSERT(found || !found.error().message.empty());
  const auto snapshot = store.snapshot();
  if (!snapshot) return;
  if (const auto keys = (*snapshot)->keys()) {
    auto key = (*keys)->seek({});
    for (uint64_t n = 0; key && *key && n < kMaxTiles; n++, key = (*keys)->next())
      if (const auto rgb = (*snapshot)->tile(tile_of(**key)); rgb && *rgb)
        PIXELLM_ASSERT((*rgb)->size() == store.tile_bytes());
  }
  (void)(*snapshot)->records();
  (void)(*snapshot)->stats();
}

void read_world(const std::string& folder) {
  auto world = World::open(folder, {.read_only = true, .cache_bytes = 1 << 20});
  if (!world) return;
  (void)open_mounts(*world);
  std::vector<uint8_t> rgb(3 * 100 * 100);
  (void)world->read({-50, -50, 100, 100}, rgb);
  (void)world->tiles({INT64_MIN, -100, UINT64_MAX, 200});
  (void)world->count({INT64_MIN, INT64_MIN, UINT64_MAX, UINT64_MAX});
  (void)world->bounds();
  (void)world->neighbor_tiles(0, 0, 3);
  if (const auto length = (*world->store().snapshot())->byte_length(0, 0);
      length && *length && **length < 1 << 20)
    (void)world->read_bytes(0, 0);
}

void change_store(TileStore& store) {
  const std::vector<uint8_t> rgb(store.tile_bytes(), 99);
  (void)store.commit({.tiles = {{{0, 0}, rgb}, {{100, -100}, rgb}}, .lengths = {{3, 3, 3}}});
  (void)store.erase({0, 0, 40, 17});
  (void)store.restore({INT64_MIN, INT64_MIN, UINT64_MAX, UINT64_MAX});
  (void)store.compact();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Folder folder;
  static const std::string world = folder.world(), file = world + "/data.mdb";
  static const std::vector<uint8_t> base = make_world(world);
  if (size == 0) return 0;
  const Bytes input{data + 1, size - 1};
  replace_file(file,
               data[0] % 2 == 0 ? std::vector<uint8_t>(input.begin(), input.end()) : changed(base, input));
  {
    const auto store = TileStore::open(world, {.read_only = true});
    PIXELLM_ASSERT(store || !store.error().message.empty());
    if (store) read_store(**store);
  }
  read_world(world);
  const auto repaired = repair_world(world);
  if (const auto store = TileStore::open(world, {.create = false})) {
    if (repaired) {
      const auto again = (*store)->verify();
      PIXELLM_ASSERT(again && again->bad.empty() && again->bad_old_versions == 0 && again->other.empty());
    }
    change_store(**store);
    read_store(**store);
  }
  return 0;
}
