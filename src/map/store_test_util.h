// Worlds in temporary folders for the tests of the tile store.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"
#include "map/tile_store.h"

namespace pixellm::store_test {

using Buffer = std::vector<uint8_t>;

// A new folder for each test, gone afterwards; the world is in its subfolder "world".
class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "pixellm-store-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string world() const { return (folder_ / "world").string(); }
  std::string data_file() const { return world() + "/data.mdb"; }

  // Opened as the options say; a failure ends the test program, so that tests stay short.
  std::unique_ptr<TileStore> open(StoreOptions options = {}) const {
    auto store = TileStore::open(world(), options);
    if (!store) ADD_FAILURE() << store.error().message;
    return std::move(store).value();
  }
  ErrorCode open_error(StoreOptions options = {}) const {
    auto store = TileStore::open(world(), options);
    EXPECT_FALSE(store);
    message_ = store ? "" : store.error().message;
    return store ? ErrorCode::kInternal : store.error().code;
  }
  Buffer data() const { return *read_file(data_file(), uint64_t{1} << 30); }

  // In place, as a disk would do it: the file keeps its inode.
  void overwrite(uint64_t offset, Bytes bytes) const {
    std::FILE* f = std::fopen(data_file().c_str(), "r+b");
    ASSERT_NE(f, nullptr);
    ASSERT_EQ(std::fseek(f, static_cast<long>(offset), SEEK_SET), 0);
    ASSERT_EQ(std::fwrite(bytes.data(), 1, bytes.size(), f), bytes.size());
    ASSERT_EQ(std::fclose(f), 0);
  }
  std::filesystem::path folder_;
  mutable std::string message_;  // of the last open_error()
};

// A tile's bytes, different for each seed.
inline Buffer pixels(const TileStore& store, uint64_t seed) {
  Buffer out(store.tile_bytes());
  std::mt19937_64 random(seed);
  size_t i = 0;
  for (; i + 8 <= out.size(); i += 8) {
    const uint64_t v = random();
    std::memcpy(out.data() + i, &v, 8);
  }
  for (; i < out.size(); ++i) out[i] = static_cast<uint8_t>(random());
  return out;
}

// Commits one tile.
inline void put(TileStore& store, TileCoord tile, Bytes rgb) {
  const auto done = store.commit({.tiles = {{tile, rgb}}});
  ASSERT_TRUE(done) << done.error().message;
}

// The tile in the newest state; empty when there is none.
inline Buffer get(const TileStore& store, TileCoord tile) {
  auto snapshot = store.snapshot();
  EXPECT_TRUE(snapshot);
  auto rgb = (*snapshot)->tile(tile);
  if (!rgb) ADD_FAILURE() << rgb.error().message;
  return rgb && *rgb ? Buffer((*rgb)->begin(), (*rgb)->end()) : Buffer{};
}

inline std::vector<TileCoord> all_tiles(const TileStore& store) {
  std::vector<TileCoord> out;
  auto snapshot = store.snapshot();
  auto keys = (*snapshot)->keys();
  for (auto key = *(*keys)->seek({}); key; key = *(*keys)->next()) out.push_back(tile_of(*key));
  return out;
}

inline StoreStats stats(const TileStore& store) { return *(*store.snapshot())->stats(); }

}  // namespace pixellm::store_test
