#include "map/store_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "base/hash.h"

namespace pixellm {
namespace {

using ::testing::ElementsAre;

KeyBytes key_of(TileCoord tile) { return morton_key(tile).encode(); }

// The worked example of spec/infinite-map.md.
TEST(StoreFormat, GoldenBytes) {
  EXPECT_EQ(to_hex(key_of({2, -3})), "6aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa6");
  WorldRecord world;
  world.tile_size = 16;
  world.version = 1;
  world.txn_id = 3;
  world.next_run = 2;
  world.live_slots = 1;
  EXPECT_EQ(to_hex(world.encode()),
            "505849570100000010000000000000000100000000000000030000000000000002000000000000000100000000000000"
            "0100000000000000fa3ac8a5");
  EXPECT_EQ(to_hex(TileEntry{Location::of(1, 0), {}}.encode()), "0000010000000000ffffffffffffffff");

  const RunShape shape(16);
  std::vector<uint8_t> rgb(shape.tile_bytes), run(shape.run_bytes(1));
  for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<uint8_t>(i % 251);
  write_slot(shape, run, 0, 1, key_of({2, -3}), rgb, std::nullopt);
  EXPECT_EQ(run.size(), 788u);
  EXPECT_TRUE(std::equal(rgb.begin(), rgb.end(), run.begin()));
  EXPECT_EQ(to_hex(Bytes(run).subspan(768)), "389e35f96aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa6");

  EXPECT_EQ(to_hex(encode_length(key_of({32, -48}), 5)), "05000000000000007db45ec6");
  const EraseKey where = erase_key(morton_key({2, -3}), 1);
  EXPECT_EQ(to_hex(where), "6aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa60000000000000001");
  EXPECT_EQ(to_hex(HistoryEntry{Location::of(1, 0), {{4, 0, 16, 2}}}.encode(where)),
            "000001000000000004000000100002006139d47e");
}

TEST(StoreFormat, EveryByteOfAValueCounts) {
  WorldRecord world;
  world.tile_size = 64;
  const auto record = world.encode();
  ASSERT_TRUE(WorldRecord::decode(record));
  const EraseKey where = erase_key(morton_key({1, 1}), 7);
  const auto history = HistoryEntry{Location::of(9, 3), {{0, 0, 1, 1}, {2, 2, 5, 64}}}.encode(where);
  ASSERT_EQ(HistoryEntry::decode(where, history, 64)->boxes.size(), 2u);
  const auto length = encode_length(where, 99);
  const auto entry = encode_record("name", std::vector<uint8_t>{1, 2, 3});
  ASSERT_EQ(decode_record(entry)->name, "name");
  const auto broken = [](auto bytes, auto decode) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] ^= 4;
      EXPECT_FALSE(decode(Bytes(bytes))) << i;
      bytes[i] ^= 4;
      EXPECT_FALSE(decode(Bytes(bytes).first(i))) << i;
    }
  };
  broken(record, [](Bytes b) { return WorldRecord::decode(b).has_value(); });
  broken(history, [&](Bytes b) { return HistoryEntry::decode(where, b, 64).has_value(); });
  broken(length, [&](Bytes b) { return decode_length(where, b).has_value(); });
  broken(entry, [](Bytes b) { return decode_record(b).has_value(); });
  EXPECT_FALSE(HistoryEntry::decode(erase_key(morton_key({1, 1}), 8), history, 64));
  EXPECT_FALSE(HistoryEntry::decode(where, history, 63));
  EXPECT_FALSE(TileEntry::decode(std::vector<uint8_t>(16, 0xff)));
  EXPECT_FALSE(TileEntry::decode(std::vector<uint8_t>(15)));
}

TEST(StoreFormat, RunShapes) {
  const std::pair<uint32_t, uint64_t> slots[] = {{16, 256}, {17, 226}, {64, 16},
                                                 {255, 1},  {256, 1},  {1024, 1}};
  for (const auto& [size, most] : slots) {
    const RunShape shape(size);
    EXPECT_EQ(shape.max_slots, most) << size;
    EXPECT_EQ(shape.slots_of(shape.run_bytes(most)), most);
    EXPECT_EQ(shape.slots_of(shape.run_bytes(1)), 1u);
    EXPECT_EQ(shape.slots_of(0), std::nullopt);
    EXPECT_EQ(shape.slots_of(shape.run_bytes(1) + 1), std::nullopt);
    EXPECT_EQ(shape.slots_of(shape.run_bytes(most + 1)), std::nullopt);
  }
}

TEST(StoreFormat, BoxesOfARectangle) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min(), kMax = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(box_in_tile({-3, 5, 10, 2}, {0, 0}, 16), (TileBox{0, 5, 7, 7}));
  EXPECT_EQ(box_in_tile({-3, 5, 10, 2}, {-1, 0}, 16), (TileBox{13, 5, 16, 7}));
  EXPECT_EQ(box_in_tile({-3, 5, 10, 2}, {1, 0}, 16), std::nullopt);
  EXPECT_EQ(box_in_tile({0, 0, 0, 5}, {0, 0}, 16), std::nullopt);
  EXPECT_EQ(box_in_tile({kMin, kMin, ~uint64_t{0}, ~uint64_t{0}}, {kMax / 16, 3}, 16),
            (TileBox{0, 0, 15, 16}));
  EXPECT_EQ(box_in_tile({kMin, 0, 1, 1}, tile_at(kMin, 0, 1000), 1000), (TileBox{192, 0, 193, 1}));
  EXPECT_EQ(box_in_tile({0, 0, 5, 5}, {kMax, kMin}, 1024), std::nullopt);
}

TEST(StoreFormat, SubtractLeavesTheRest) {
  std::mt19937 random(1);
  const auto box = [&] {
    const auto edge = [&] { return static_cast<uint16_t>(random() % 9); };
    return TileBox{edge(), edge(), edge(), edge()};
  };
  const auto in = [](const TileBox& b, int x, int y) {
    return x >= b.x0 && x < b.x1 && y >= b.y0 && y < b.y1;
  };
  for (int round = 0; round < 2000; ++round) {
    const TileBox from = box(), hole = box();
    if (from.empty()) continue;
    const auto rest = subtract(from, hole);
    for (int x = 0; x < 9; ++x)
      for (int y = 0; y < 9; ++y) {
        const auto covered = std::ranges::count_if(rest, [&](const TileBox& b) { return in(b, x, y); });
        ASSERT_EQ(covered, in(from, x, y) && !in(hole, x, y)) << round;
      }
    ASSERT_TRUE(std::ranges::none_of(rest, &TileBox::empty));
  }
}

}  // namespace
}  // namespace pixellm
