#include "map/tile_store.h"

#include "map/store_test_util.h"

namespace pixellm {
namespace {

using namespace store_test;

class TileStoreTest : public StoreTest {};

TEST_F(TileStoreTest, TilesComeBack) {
  Buffer a, b;
  {
    auto store = open();
    a = pixels(*store, 1), b = pixels(*store, 2);
    EXPECT_EQ(store->tile_size(), 64u);
    EXPECT_EQ(get(*store, {2, 3}), Buffer{});
    ASSERT_TRUE(store->commit({.tiles = {{{2, 3}, a}, {{-7, 0}, b}}, .lengths = {{-448, 5, 1234}}}));
    EXPECT_EQ(get(*store, {2, 3}), a);
    EXPECT_EQ(get(*store, {-7, 0}), b);
  }
  auto store = open();
  EXPECT_EQ(get(*store, {2, 3}), a);
  EXPECT_EQ(get(*store, {-7, 0}), b);
  auto snapshot = *store->snapshot();
  EXPECT_EQ(*snapshot->byte_length(-448, 5), 1234u);
  EXPECT_EQ(*snapshot->byte_length(-448, 6), std::nullopt);
  EXPECT_TRUE(*snapshot->has_tile({-7, 0}));
  EXPECT_FALSE(*snapshot->has_tile({0, 0}));
  EXPECT_EQ(stats(*store).tiles, 2u);
  EXPECT_EQ(stats(*store).old_versions, 0u);
}

TEST_F(TileStoreTest, SnapshotsSeeOneState) {
  auto store = open();
  const Buffer a = pixels(*store, 1), b = pixels(*store, 2);
  put(*store, {0, 0}, a);
  auto snapshot = *store->snapshot();
  const uint64_t version = snapshot->version();
  for (int i = 0; i < 20; ++i) put(*store, {0, 0}, b);
  put(*store, {1, 0}, b);
  auto rgb = *snapshot->tile({0, 0});
  EXPECT_EQ(Buffer(rgb->begin(), rgb->end()), a);
  EXPECT_FALSE(*snapshot->has_tile({1, 0}));
  EXPECT_TRUE(*snapshot->refresh());
  EXPECT_FALSE(*snapshot->refresh());
  EXPECT_EQ(snapshot->version(), version + 21);
  rgb = *snapshot->tile({0, 0});
  EXPECT_EQ(Buffer(rgb->begin(), rgb->end()), b);
  snapshot->release();
  put(*store, {0, 0}, a);
  EXPECT_TRUE(*snapshot->refresh());
}

TEST_F(TileStoreTest, Records) {
  {
    auto store = open();
    ASSERT_TRUE(store->put_record({"b", {1, 2, 3}}));
    ASSERT_TRUE(store->put_record({std::string(4000, 'a'), {}}));
    ASSERT_TRUE(store->put_record({"b", {4}}));
    EXPECT_EQ(store->remove_record("c").error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store->put_record({"", {}}).error().code, ErrorCode::kTooLarge);
  }
  auto store = open();
  auto records = *(*store->snapshot())->records();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].name, std::string(4000, 'a'));
  EXPECT_EQ(records[1].value, Buffer{4});
  ASSERT_TRUE(store->remove_record("b"));
  EXPECT_EQ((*store->snapshot())->records()->size(), 1u);
}

}  // namespace
}  // namespace pixellm
