// Where textures are cut: arithmetic, no device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "gpu/weight_textures.h"

namespace pixellm::gpu {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(CutRows, OneTextureWhenAllFits) {
  const RowRange tensors[] = {{5, 9}, {2, 6}, {8, 20}};
  const auto cut = cut_rows(tensors, 18);
  ASSERT_TRUE(cut);
  EXPECT_THAT(cut->textures, ElementsAre(RowRange{2, 20}));
  EXPECT_EQ(cut->tensors[0].row, 3u);
  EXPECT_EQ(cut->tensors[1].row, 0u);
  EXPECT_EQ(cut->tensors[2].row, 6u);
}

TEST(CutRows, NeighboursShareTheRowAtTheBorder) {
  const RowRange tensors[] = {{0, 5}, {4, 9}, {8, 12}};
  const auto cut = cut_rows(tensors, 9);
  ASSERT_TRUE(cut);
  EXPECT_THAT(cut->textures, ElementsAre(RowRange{0, 9}, RowRange{8, 12}));
  EXPECT_EQ(cut->tensors[2].texture, 1u);
  EXPECT_EQ(cut->tensors[2].row, 0u);
}

TEST(CutRows, TensorsThatCannotLieInATextureAreErrors) {
  const RowRange large[] = {{0, 5}, {5, 15}};
  const auto cut = cut_rows(large, 9);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, ErrorCode::kTooLarge);
  EXPECT_THAT(cut.error().message, AllOf(HasSubstr("tensor 1"), HasSubstr("10 rows"), HasSubstr("9")));
  const RowRange empty[] = {{3, 3}};
  EXPECT_FALSE(cut_rows(empty, 9));
  EXPECT_TRUE(cut_rows({}, 9)->textures.empty());
}

TEST(CutRows, TensorsNeverStraddle) {
  std::mt19937 random(7);
  for (int round = 0; round < 500; round++) {
    const uint64_t most = 1 + random() % 40;
    std::vector<RowRange> tensors;
    for (uint64_t i = 0, row = 0, n = 1 + random() % 30; i < n; i++) {
      const uint64_t first = row - (row != 0 && random() % 2 != 0 ? 1 : 0) + random() % 3;
      tensors.push_back({first, first + 1 + random() % most});
      row = tensors.back().end;
    }
    std::ranges::shuffle(tensors, random);
    const auto cut = cut_rows(tensors, most);
    ASSERT_TRUE(cut) << cut.error().message;
    for (size_t i = 0; i < tensors.size(); i++) {
      const RowRange& texture = cut->textures.at(cut->tensors[i].texture);
      EXPECT_LE(texture.end - texture.first, most);
      EXPECT_EQ(texture.first + cut->tensors[i].row, tensors[i].first);
      EXPECT_LE(tensors[i].end, texture.end);
    }
  }
}

TEST(MaxTextureRows, FollowsTheLimits) {
  Limits limits;
  limits.max_texture_size = 8192;
  limits.max_texture_layers = 256;
  limits.max_buffer_bytes = uint64_t{1} << 30;
  EXPECT_EQ(max_texture_rows(limits, 16384, 1024), 65536u);  // 1 GiB
  limits.max_buffer_bytes = uint64_t{1} << 40;
  EXPECT_EQ(max_texture_rows(limits, 16384, 1024), 256u * 1024);  // layers
  limits.max_buffer_bytes = 16384 * 100;
  EXPECT_EQ(max_texture_rows(limits, 16384, 1024), 100u);    // not even one whole layer
  EXPECT_EQ(max_texture_rows(limits, 16 * 8193, 1024), 0u);  // too wide
  EXPECT_EQ(max_texture_rows(limits, 16384, 8193), 0u);      // too high
}

}  // namespace
}  // namespace pixellm::gpu
