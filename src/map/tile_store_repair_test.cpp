// repair_world(): damaged meta pages and damaged newest states. Worlds that are taken back again.
#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "map/store_test_util.h"

namespace pixellm {
namespace {

using namespace store_test;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kPage = 4096, kMeta = 16, kMetaEnd = kMeta + 136, kTxnId = kMeta + 128;
constexpr uint64_t kRootOfDatabases = kMeta + 24 + 48 + 40;

class RepairTest : public StoreTest {
 protected:
  // Commits tile (i, 0) as commit i, from 1 to `n`.
  void make_commits(int64_t n) {
    auto store = open({.tile_size = 16});
    for (int64_t i = 1; i <= n; ++i) put(*store, {i, 0}, pixels(*store, static_cast<uint64_t>(i)));
  }
  uint64_t txn_id(uint64_t page) const { return load_le<uint64_t>(data().data() + page * kPage + kTxnId); }
  uint64_t newest() const { return txn_id(0) > txn_id(1) ? 0 : 1; }
  void flip(uint64_t at, uint8_t bits = 0x40) const {
    overwrite(at, Buffer{static_cast<uint8_t>(data()[at] ^ bits)});
  }

  // The world is whole and holds commits 1 to `n`; it takes another one, and is as it was before that.
  void expect_commits(int64_t n) {
    const Buffer file = data();
    {
      auto store = open({.create = false});
      ASSERT_TRUE(store);
      const auto found = store->verify();
      ASSERT_TRUE(found) << found.error().message;
      EXPECT_TRUE(found->bad.empty() && found->other.empty() && found->bad_old_versions == 0);
      EXPECT_EQ(stats(*store).version, static_cast<uint64_t>(n));
      EXPECT_THAT(all_tiles(*store), SizeIs(n));
      for (int64_t i = 1; i <= n; ++i)
        EXPECT_EQ(get(*store, {i, 0}), pixels(*store, static_cast<uint64_t>(i)));
      put(*store, {100, 100}, pixels(*store, 100));
      put(*store, {101, 100}, pixels(*store, 101));
    }
    {
      auto store = open({.create = false});
      ASSERT_TRUE(store);
      EXPECT_EQ(get(*store, {100, 100}), pixels(*store, 100));
      EXPECT_THAT(store->verify()->other, IsEmpty());
    }
    std::filesystem::resize_file(data_file(), file.size());
    overwrite(0, file);
  }
};

TEST_F(RepairTest, OneMetaPageIsRestoredFromTheOther) {
  for (const int64_t commits : {4, 5})
    for (const uint64_t bad : {0, 1}) {
      SCOPED_TRACE(fmt::format("{} commits, page {}", commits, bad));
      std::filesystem::remove_all(world());
      make_commits(commits);
      const Buffer whole = data();
      const int64_t left = bad == newest() ? commits - 1 : commits;
      // Number, kind, magic, LMDB's version, page size, kinds of trees.
      for (const uint64_t at : {0, 10, 16, 20, 40, 41, 44, 92}) {
        SCOPED_TRACE(at);
        flip(bad * kPage + at);
        const Buffer damaged = data();
        for (const bool read_only : {false, true}) {
          EXPECT_EQ(open_error({.read_only = read_only}), ErrorCode::kCorrupt);
          EXPECT_THAT(message_, HasSubstr(fmt::format("meta page {}", bad)));
          EXPECT_THAT(message_, HasSubstr(fmt::format("restores page {} from it", bad)));
        }
        EXPECT_EQ(data(), damaged);
        const auto found = repair_world(world());
        ASSERT_TRUE(found) << found.error().message;
        ASSERT_THAT(found->other, SizeIs(1));
        EXPECT_THAT(found->other[0], HasSubstr(fmt::format("as version {} left it", left)));
        EXPECT_EQ(txn_id(bad) + 1, txn_id(1 - bad));
        EXPECT_THAT(repair_world(world())->other, IsEmpty());
        expect_commits(left);
        overwrite(0, whole);
      }
    }
}

TEST_F(RepairTest, NoFlippedByteOfAMetaPageLosesMoreThanOneCommit) {
  make_commits(4);
  const Buffer whole = data();
  int refused = 0;
  for (const uint64_t page : {0, 1})
    for (uint64_t at = page * kPage; at < page * kPage + kMetaEnd; at += 3) {
      SCOPED_TRACE(at);
      flip(at, static_cast<uint8_t>(1u << at % 8));
      const bool opens = TileStore::open(world(), {.read_only = true}).has_value();
      const auto found = repair_world(world());
      ASSERT_TRUE(found) << found.error().message;
      refused += !opens;
      auto store = open({.create = false});
      ASSERT_TRUE(store);
      EXPECT_GE(stats(*store).version, opens ? 4u : 3u);
      EXPECT_THAT(store->verify()->other, IsEmpty());
      EXPECT_EQ(get(*store, {3, 0}), pixels(*store, 3));
      store.reset();
      overwrite(0, whole);
    }
  EXPECT_GT(refused, 20);
  expect_commits(4);
}

TEST_F(RepairTest, ADamagedNewestStateGivesWayToTheOneBefore) {
  make_commits(3);
  const Buffer whole = data();
  // Its root leads elsewhere; the page of that root is not one; its number is wrong.
  const uint64_t meta = newest() * kPage, root = load_le<uint64_t>(whole.data() + meta + kRootOfDatabases);
  for (const uint64_t at : {meta + kRootOfDatabases, root * kPage + 10, meta + kTxnId, meta + kTxnId + 3}) {
    SCOPED_TRACE(at);
    flip(at);
    EXPECT_EQ(open_error(), ErrorCode::kCorrupt);
    const auto found = repair_world(world());
    ASSERT_TRUE(found) << found.error().message;
    ASSERT_THAT(found->other, SizeIs(1));
    EXPECT_THAT(found->other[0], HasSubstr("again as version 2 left it; the commit after that is lost"));
    expect_commits(2);
    overwrite(0, whole);
  }
}

TEST_F(RepairTest, ANumberOfTheOlderStateThatBecameTheHigherLosesNothing) {
  make_commits(3);
  flip((1 - newest()) * kPage + kTxnId + 5);
  EXPECT_EQ(open_error(), ErrorCode::kCorrupt);
  const auto found = repair_world(world());
  ASSERT_TRUE(found) << found.error().message;
  expect_commits(3);
}

TEST_F(RepairTest, ACompactedWorldLosesNothing) {
  make_commits(3);
  ASSERT_TRUE(open()->compact());
  const Buffer whole = data();
  for (const uint64_t bad : {0, 1}) {
    flip(bad * kPage + kMeta);
    const auto found = repair_world(world());
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_THAT(found->other, SizeIs(1));
    auto store = open();
    EXPECT_EQ(stats(*store).version, 4u);
    EXPECT_THAT(all_tiles(*store), SizeIs(3));
    store.reset();
    overwrite(0, whole);
  }
}

TEST_F(RepairTest, BothDamagedStaysAsItIs) {
  make_commits(2);
  flip(kMeta);
  flip(kPage + kMeta);
  const Buffer damaged = data();
  EXPECT_EQ(open_error(), ErrorCode::kCorrupt);
  EXPECT_THAT(message_, Not(HasSubstr("repair")));
  EXPECT_EQ(repair_world(world()).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(data(), damaged);
}

TEST_F(RepairTest, NobodyElseMayHaveItOpen) {
  make_commits(2);
  const auto reader = open({.read_only = true});
  flip(kMeta);
  const Buffer damaged = data();
  EXPECT_EQ(repair_world(world()).error().code, ErrorCode::kBusy);
  EXPECT_EQ(data(), damaged);
  EXPECT_EQ(repair_world(world() + "none").error().code, ErrorCode::kNotFound);
}

// ---- worlds that are taken back

TEST_F(RepairTest, ANewWorldIsDiscardedWhenNothingWasCommitted) {
  open()->discard_if_new();
  EXPECT_FALSE(std::filesystem::exists(world()));
  std::filesystem::create_directory(world());
  open()->discard_if_new();
  EXPECT_TRUE(std::filesystem::is_empty(world()));
  {
    auto store = open();
    const auto snapshot = store->snapshot();
    store->discard_if_new();
    put(*store, {0, 0}, pixels(*store, 1));
  }
  EXPECT_EQ(stats(*open()).tiles, 1u);
}

TEST_F(RepairTest, AWorldThatWasThereIsNotDiscarded) {
  open();
  open()->discard_if_new();
  EXPECT_EQ(stats(*open({.create = false})).version, 0u);
}

}  // namespace
}  // namespace pixellm
