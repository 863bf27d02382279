#include "map/map_bench.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

namespace pixellm {
namespace {

class MapBenchTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "pixellm-bench-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

constexpr MapBenchOptions kSmall{.tiles = 100, .tiles_per_commit = 30, .rounds = 1, .region_size = 2048};

// Whether it works and tidies up; how fast is for `pixellm map bench`.
TEST_F(MapBenchTest, MeasuresEverythingAndLeavesNothing) {
  double last = 0;
  const auto m = bench_map(folder_ + "/new", kSmall, [&](double done) {
    EXPECT_GT(done, last);
    last = done;
    return true;
  });
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_EQ(last, 1);
  for (double value : {m->put_per_s, m->lmdb_put_per_s, m->put_ratio, m->get_per_s, m->lmdb_get_per_s,
                       m->get_ratio, m->lookup_per_s, m->pixel_per_s, m->pixel_set_per_s, m->region_gb_s,
                       m->memcpy_gb_s, m->region_memcpy_ratio})
    EXPECT_GT(value, 0);
  EXPECT_GT(m->world_bytes, 100u * 12288);
  EXPECT_GT(m->lmdb_bytes, 100u * 12288);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(MapBenchTest, InterruptedItLeavesNothing) {
  const auto m = bench_map(folder_, kSmall, [](double) { return false; });
  ASSERT_FALSE(m);
  EXPECT_EQ(m.error().code, ErrorCode::kBusy);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(MapBenchTest, RefusesWhatItCannotDo) {
  EXPECT_EQ(bench_map(folder_, {.tiles = 5}, [](double) { return true; }).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(bench_map(folder_ + "/no/such/folder", kSmall, [](double) { return true; }).error().code,
            ErrorCode::kIo);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

}  // namespace
}  // namespace pixellm
