#include "infer/arena.h"

#include <gmock/gmock.h>

namespace pixellm {
namespace {

constexpr uint64_t kLargePage = 2 << 20;

TEST(Arena, ArraysBeginAsZeroAndLieApart) {
  for (const uint64_t n :
       {uint64_t{100}, uint64_t{5000}, kLargePage - 300, kLargePage, 3 * kLargePage + 12345}) {
    Arena arena;
    const uint64_t bytes = arena.add<uint8_t>(n), floats = arena.add<float>(9);
    ASSERT_TRUE(arena.reserve("test"));
    arena.prefer_large_pages(n);
    auto* a = arena.at<uint8_t>(bytes);
    auto* b = arena.at<float>(floats);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b) % 64, 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % (n < kLargePage ? 64 : kLargePage), 0u);
    for (uint64_t i = 0; i < n; i += 97) ASSERT_EQ(a[i]++, 0);
    a[n - 1] = 7;
    for (int i = 0; i < 9; i++) EXPECT_EQ(b[i], 0.0f);
    b[8] = 1;
    const Arena moved = std::move(arena);
    EXPECT_EQ(moved.at<uint8_t>(bytes)[n - 1], 7);
    EXPECT_EQ(moved.at<float>(floats)[8], 1.0f);
  }
}

TEST(Arena, SizesThatNoMemoryHasAreRefused) {
  for (const uint64_t n : {UINT64_MAX, uint64_t{1} << 62, uint64_t{1} << 46}) {
    Arena arena;
    arena.add<float>(n);
    const auto reserved = arena.reserve("KV cache");
    ASSERT_FALSE(reserved) << n;
    EXPECT_EQ(reserved.error().code, ErrorCode::kTooLarge);
    EXPECT_THAT(reserved.error().message, testing::HasSubstr("KV cache"));
  }
  Arena empty;
  EXPECT_TRUE(empty.reserve("nothing"));
}

}  // namespace
}  // namespace pixellm
