// Damaged and foreign files: every reader gets an Error, nothing crashes, verify() finds and repair() mends
// what it can.
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "map/store_test_util.h"

namespace pixellm {
namespace {

using namespace store_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class DamageTest : public StoreTest {
 protected:
  // Changes one bit in the middle of every copy of `rgb` in the file; how many there were.
  int flip_in(const Buffer& rgb) const {
    int found = 0;
    const Buffer file = data();
    for (auto at = std::search(file.begin(), file.end(), rgb.begin(), rgb.end()); at != file.end();
         at = std::search(at + 1, file.end(), rgb.begin(), rgb.end()), ++found) {
      const auto place = at + static_cast<std::ptrdiff_t>(rgb.size() / 2);
      overwrite(static_cast<uint64_t>(place - file.begin()), Buffer{static_cast<uint8_t>(*place ^ 0x10)});
    }
    return found;
  }
  ErrorCode tile_error(const TileStore& store, TileCoord tile) {
    auto rgb = (*store.snapshot())->tile(tile);
    message_ = rgb ? "" : rgb.error().message;
    return rgb ? ErrorCode::kInternal : rgb.error().code;
  }
};

TEST_F(DamageTest, GoesBackToTheReplacedVersion) {
  auto store = open();
  const Buffer a = pixels(*store, 1), b = pixels(*store, 2), c = pixels(*store, 3);
  ASSERT_TRUE(store->commit({.tiles = {{{2, -3}, a}, {{4, 5}, c}}}));
  put(*store, {2, -3}, b);
  store.reset();
  ASSERT_EQ(flip_in(b), 1);
  store = open();
  EXPECT_EQ(tile_error(*store, {2, -3}), ErrorCode::kCorrupt);
  EXPECT_THAT(message_, HasSubstr("(2, -3)"));
  EXPECT_EQ(get(*store, {4, 5}), c);
  auto found = *store->verify();
  EXPECT_EQ(found.tiles_checked, 2u);
  EXPECT_THAT(found.bad, ElementsAre(TileCoord{2, -3}));
  EXPECT_THAT(found.other, IsEmpty());
  EXPECT_EQ(store->compact().error().code, ErrorCode::kCorrupt);  // it would drop the version to go back to
  auto repaired = *store->repair();
  EXPECT_THAT(repaired.bad, ElementsAre(TileCoord{2, -3}));
  EXPECT_THAT(repaired.restored, ElementsAre(TileCoord{2, -3}));
  EXPECT_THAT(repaired.dropped, IsEmpty());
  EXPECT_EQ(get(*store, {2, -3}), a);
  found = *store->verify();
  EXPECT_THAT(found.bad, IsEmpty());
  EXPECT_THAT(found.other, IsEmpty());
  EXPECT_EQ(stats(*store).old_versions, 0u);
}

TEST_F(DamageTest, DropsWhatHasNoGoodVersion) {
  auto store = open();
  const Buffer a = pixels(*store, 1), b = pixels(*store, 2), c = pixels(*store, 3);
  ASSERT_TRUE(store->commit({.tiles = {{{0, 0}, a}, {{1, 0}, b}}}));
  put(*store, {1, 0}, c);
  store.reset();
  ASSERT_EQ(flip_in(a), 1);
  ASSERT_EQ(flip_in(b), 1);
  store = open();
  auto found = *store->verify();
  EXPECT_THAT(found.bad, ElementsAre(TileCoord{0, 0}));
  EXPECT_EQ(found.bad_old_versions, 1u);
  found = *store->repair();
  EXPECT_THAT(found.dropped, ElementsAre(TileCoord{0, 0}));
  EXPECT_THAT(all_tiles(*store), ElementsAre(TileCoord{1, 0}));
  EXPECT_EQ(get(*store, {1, 0}), c);
  EXPECT_EQ(stats(*store).old_versions, 0u);
  found = *store->verify();
  EXPECT_TRUE(found.bad.empty() && found.bad_old_versions == 0 && found.other.empty());
}

TEST_F(DamageTest, RepairKeepsErasedPixelsErased) {
  auto store = open({.tile_size = 16});
  const Buffer a = pixels(*store, 1);
  put(*store, {0, 0}, a);
  ASSERT_EQ(*store->erase({4, 0, 100, 2}), 1u);
  const Buffer after = get(*store, {0, 0});
  store.reset();
  ASSERT_GT(flip_in(after), 0);
  store = open();
  EXPECT_THAT(store->repair()->restored, SizeIs(1));
  EXPECT_EQ(get(*store, {0, 0}), after);
  EXPECT_EQ(*store->restore({0, 0, 16, 16}), 1u);
  EXPECT_EQ(get(*store, {0, 0}), a);
}

TEST_F(DamageTest, DamagedErasedVersions) {
  auto store = open({.tile_size = 16});
  const Buffer a = pixels(*store, 1), b = pixels(*store, 2);
  ASSERT_TRUE(store->commit({.tiles = {{{0, 0}, a}, {{1, 0}, b}}}));
  ASSERT_EQ(*store->erase({0, 0, 32, 16}), 2u);
  store.reset();
  ASSERT_GT(flip_in(a), 0);  // and in pages that are free now
  store = open();
  EXPECT_EQ(store->restore({0, 0, 32, 16}).error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(all_tiles(*store).empty());
  EXPECT_EQ(store->verify()->bad_old_versions, 1u);
  EXPECT_EQ(store->repair()->bad_old_versions, 1u);
  EXPECT_EQ(*store->restore({0, 0, 32, 16}), 1u);
  EXPECT_EQ(get(*store, {1, 0}), b);
}

TEST_F(DamageTest, ErasingAPartOfADamagedTileIsRefused) {
  auto store = open();
  const Buffer a = pixels(*store, 1);
  put(*store, {0, 0}, a);
  store.reset();
  ASSERT_EQ(flip_in(a), 1);
  store = open();
  EXPECT_EQ(store->erase({0, 0, 10, 10}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(*store->erase({0, 0, 64, 64}), 1u);
  EXPECT_THAT(store->verify()->bad, IsEmpty());
}

TEST_F(DamageTest, DamageStaysVisibleWhenVersionsMove) {
  auto store = open();
  std::vector<Buffer> rgb;
  StoreChanges changes;
  for (uint64_t i = 0; i < 16; ++i) rgb.push_back(pixels(*store, i));
  for (size_t i = 0; i < 16; ++i) changes.tiles.push_back({{static_cast<int64_t>(i), 0}, rgb[i]});
  ASSERT_TRUE(store->commit(changes));
  store.reset();
  ASSERT_EQ(flip_in(rgb[0]), 1);
  store = open();
  changes.tiles.erase(changes.tiles.begin());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(store->commit(changes));  // tile 0 is moved out of the first run
  EXPECT_EQ(tile_error(*store, {0, 0}), ErrorCode::kCorrupt);
  EXPECT_THAT(store->verify()->bad, ElementsAre(TileCoord{0, 0}));
}

// ---- files that are not whole

class FileTest : public DamageTest {
 protected:
  // Opens, reads and verifies: errors are fine, crashes are not. True when all went well.
  bool survives() {
    auto store = TileStore::open(world(), {.read_only = true});
    if (!store) return false;
    auto snapshot = (*store)->snapshot();
    if (!snapshot) return false;
    auto keys = (*snapshot)->keys();
    for (auto key = (*keys)->seek({}); key && *key; key = (*keys)->next())
      if (!(*snapshot)->tile(tile_of(**key))) return false;
    if (!(*snapshot)->records() || !(*snapshot)->byte_length(0, 0) || !(*snapshot)->stats()) return false;
    auto found = (*store)->verify();
    return found && found->bad.empty() && found->other.empty() && found->bad_old_versions == 0;
  }
  void replace(const Buffer& bytes) {  // not synced, which would take most of the time
    std::ofstream(data_file(), std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  Buffer small_world() {
    auto store = open({.tile_size = 16});
    std::vector<Buffer> rgb;
    StoreChanges changes;
    for (uint64_t i = 0; i < 40; ++i) rgb.push_back(pixels(*store, i));
    for (size_t i = 0; i < 40; ++i)
      changes.tiles.push_back({{static_cast<int64_t>(i % 7), static_cast<int64_t>(i / 7)}, rgb[i]});
    changes.lengths = {{0, 0, 5}, {3, 3, 9}};
    EXPECT_TRUE(store->commit(changes));
    EXPECT_TRUE(store->put_record({"model.png", Buffer(40, 7)}));
    EXPECT_TRUE(store->erase({0, 0, 20, 20}));
    changes.tiles.resize(20);
    EXPECT_TRUE(store->commit(changes));
    store.reset();
    return data();
  }
};

TEST_F(FileTest, Truncated) {
  const Buffer whole = small_world();
  ASSERT_TRUE(survives());
  for (uint64_t size = 0; size < whole.size(); size += size < 8192 ? 509 : 4096) {
    replace(Buffer(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    EXPECT_EQ(open_error(), ErrorCode::kCorrupt) << size;
    EXPECT_THAT(message_, HasSubstr("data.mdb")) << size;
    EXPECT_EQ(open_error({.read_only = true}), ErrorCode::kCorrupt) << size;
    EXPECT_EQ(std::filesystem::file_size(data_file()), size);
  }
  replace(whole);
  EXPECT_TRUE(survives());
}

TEST_F(FileTest, Foreign) {
  std::filesystem::create_directory(world());
  for (const Buffer& bytes :
       {Buffer{}, Buffer{1}, Buffer(100), Buffer(4096), Buffer(8192), Buffer(100000), Buffer(100000, 0xff)}) {
    replace(bytes);
    EXPECT_EQ(open_error(), ErrorCode::kCorrupt) << bytes.size();
    EXPECT_EQ(data(), bytes);
  }
  std::filesystem::remove(data_file());
  std::filesystem::create_directory(data_file());
  EXPECT_EQ(open_error(), ErrorCode::kInvalidArgument);
}

TEST_F(FileTest, NewerFormat) {
  Buffer file = small_world();
  for (size_t at = 0; at + 8 < file.size(); ++at)
    if (std::memcmp(file.data() + at, "PXIW\1\0\0\0", 8) == 0) file[at + 4] = 2;
  replace(file);
  EXPECT_EQ(open_error(), ErrorCode::kUnsupported);
}

// Every byte of the meta pages and of the pages of the trees, and some of the tiles.
TEST_F(FileTest, FlippedBits) {
  const Buffer whole = small_world();
  std::mt19937 random(1);
  int noticed = 0, all = 0;
  const auto in_tree = [&](uint64_t at) {
    const uint64_t page = at / 4096 * 4096;
    return page < 8192 ||
           (load_le<uint64_t>(&whole[page]) == page / 4096 && (whole[page + 10] & 3) && !whole[page + 11]);
  };
  for (uint64_t at = 0; at < whole.size(); at += in_tree(at) ? 41 : 1999) {
    overwrite(at, Buffer{static_cast<uint8_t>(whole[at] ^ 1u << random() % 8)});
    ++all;
    noticed += !survives();
    overwrite(at, Buffer{whole[at]});
  }
  EXPECT_GT(noticed, 100);
  EXPECT_GT(all, 300);
  EXPECT_TRUE(survives());
}

TEST_F(FileTest, RandomPages) {
  const Buffer whole = small_world();
  std::mt19937 random(2);
  for (int round = 0; round < 120; ++round) {
    Buffer file = whole;
    const uint64_t page = random() % (file.size() / 4096) * 4096;
    if (round % 2)
      std::ranges::generate(file.begin() + static_cast<std::ptrdiff_t>(page),
                            file.begin() + static_cast<std::ptrdiff_t>(page + 4096),
                            [&] { return static_cast<uint8_t>(random()); });
    else  // another page's content: plausible, in the wrong place
      std::copy_n(whole.begin() + static_cast<std::ptrdiff_t>(random() % (file.size() / 4096) * 4096), 4096,
                  file.begin() + static_cast<std::ptrdiff_t>(page));
    replace(file);
    survives();
    auto store = TileStore::open(world(), {});
    if (store && (*store)->repair()) {
      const auto again = (*store)->verify();
      ASSERT_TRUE(again) << round;
      EXPECT_TRUE(again->bad.empty() && again->other.empty() && again->bad_old_versions == 0) << round;
    }
  }
}

// ---- a full disk

class FullDisk {
 public:
  explicit FullDisk(uint64_t largest_file) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    old_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    rlimit now = before_;
    now.rlim_cur = largest_file;
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit before_{};
  void (*old_handler_)(int) = nullptr;
};

TEST_F(DamageTest, FullDiskWhileCommitting) {
  auto store = open();
  const Buffer a = pixels(*store, 1), b = pixels(*store, 2);
  put(*store, {0, 0}, a);
  StoreChanges changes;
  for (int i = 0; i < 200; ++i) changes.tiles.push_back({{i, 0}, b});
  const uint64_t version = stats(*store).version;
  {
    const FullDisk full(1 << 20);
    for (int i = 0; i < 3; ++i) {
      const auto failed = store->commit(changes);
      ASSERT_FALSE(failed);
      EXPECT_EQ(failed.error().code, ErrorCode::kIo);
      EXPECT_THAT(failed.error().message, HasSubstr("full disk"));
    }
    EXPECT_EQ(stats(*store).version, version);
    EXPECT_EQ(get(*store, {0, 0}), a);
    EXPECT_THAT(all_tiles(*store), SizeIs(1));
    put(*store, {0, 1}, b);  // a small one has room
  }
  ASSERT_TRUE(store->commit(changes));
  EXPECT_THAT(all_tiles(*store), SizeIs(201));
  EXPECT_THAT(store->verify()->other, IsEmpty());
  {
    const FullDisk full(1 << 20);
    const auto failed = store->compact();
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::kIo);
    EXPECT_THAT(failed.error().message, HasSubstr("data.mdb.new: cannot write: "));
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(world()), {}), 2);
    EXPECT_THAT(all_tiles(*store), SizeIs(201));
  }
  EXPECT_TRUE(store->compact());
}

TEST_F(DamageTest, FullDiskWhileCreating) {
  for (const uint64_t size : {0, 4096, 8192, 12288, 16384}) {
    {
      const FullDisk full(size);
      auto store = TileStore::open(world(), {});
      if (store) continue;
      EXPECT_EQ(store.error().code, ErrorCode::kIo) << store.error().message;
      EXPECT_THAT(store.error().message, HasSubstr(".mdb"));
      EXPECT_FALSE(std::filesystem::exists(world()));
    }
    put(*open(), {0, 0}, Buffer(12288));
    std::filesystem::remove_all(world());
  }
}

}  // namespace
}  // namespace pixellm
