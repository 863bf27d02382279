#include "v0/numpy_random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"

namespace pixellm {
namespace {

class DrawHash {
 public:
  void add(double x) {
    uint8_t bytes[8];
    store_le<double>(bytes, x);
    hash_.update(bytes);
  }
  void add(int64_t x) {
    uint8_t bytes[8];
    store_le<int64_t>(bytes, x);
    hash_.update(bytes);
  }
  std::string finish() { return to_hex(hash_.finish()); }

 private:
  Sha256 hash_;
};

// What numpy_random_check.py does with NumPy.
std::string hash_of_draws(uint64_t seed, int& tails) {
  constexpr int64_t kMin = INT64_MIN, kMax = INT64_MAX, k1 = 1;
  const std::pair<int64_t, int64_t> ranges[] = {{0, 1},
                                                {0, 2},
                                                {0, 500000},
                                                {-7, 11},
                                                {0, (k1 << 32) - 1},
                                                {0, k1 << 32},
                                                {5, (k1 << 32) + 6},
                                                {kMin, kMax},
                                                {0, 3 * (k1 << 30)},
                                                {0, 3 * (k1 << 61)},
                                                {-(k1 << 62), (k1 << 62) + 1}};
  NumpyRandom rng(seed);
  DrawHash hash;
  for (int i = 0; i < 1000000; i++) {
    const double x = rng.standard_normal();
    tails += std::abs(x) > 3.6541528853610088;
    hash.add(x);
  }
  for (int i = 0; i < 1001; i++) hash.add(rng.random());
  for (const auto& [low, high] : ranges) {
    for (const size_t size : {1, 1001}) {
      std::vector<int64_t> values(size);
      rng.integers(low, high, values);
      for (const int64_t v : values) hash.add(v);
    }
    hash.add(rng.integers(low, high));
    for (int i = 0; i < 3; i++) hash.add(rng.standard_normal());
  }
  return hash.finish();
}

TEST(NumpyRandom, GoldenDraws) {
  NumpyRandom rng(42);
  EXPECT_EQ(rng.next_uint64(), 14276969152011380360u);
  NumpyRandom normals(42);
  EXPECT_EQ(normals.standard_normal(), 0.30471707975443135);
  EXPECT_EQ(normals.standard_normal(), -1.0399841062404955);
  NumpyRandom uniform(0);
  EXPECT_EQ(uniform.random(), 0.6369616873214543);
  NumpyRandom integers(7);
  int64_t values[5];
  integers.integers(0, 10, values);
  EXPECT_EQ((std::vector<int64_t>(values, values + 5)), (std::vector<int64_t>{9, 6, 6, 8, 5}));
}

TEST(NumpyRandom, OnePossibleValueTakesNothing) {
  NumpyRandom a(1), b(1);
  EXPECT_EQ(a.integers(5, 6), 5);
  EXPECT_EQ(a.next_uint64(), b.next_uint64());
}

TEST(NumpyRandom, HalvesOfADrawComeLowFirst) {
  NumpyRandom a(3), b(3);
  const uint64_t both = a.next_uint64();
  EXPECT_EQ(b.next_uint32(), static_cast<uint32_t>(both));
  EXPECT_EQ(b.next_uint32(), both >> 32);
  EXPECT_EQ(a.next_uint32(), b.next_uint32());
}

TEST(NumpyRandom, EveryDrawIsNumpysOwn) {
  const std::vector<uint64_t> seeds = {
      0, 1, 42, UINT32_MAX, uint64_t{1} << 32, uint64_t{0x123456789abcdef0}, UINT64_MAX};
  std::string command =
      std::string("/usr/bin/python3 '") + PIXELLM_SOURCE_DIR + "/src/v0/numpy_random_check.py'";
  for (const uint64_t seed : seeds) command.append(" ").append(std::to_string(seed));
  FILE* pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  int tails = 0;
  for (const uint64_t seed : seeds) {
    char line[100] = {};
    ASSERT_NE(std::fgets(line, sizeof line, pipe), nullptr) << "python3-numpy is needed";
    EXPECT_EQ(hash_of_draws(seed, tails) + "\n", line) << "seed " << seed;
  }
  EXPECT_EQ(::pclose(pipe), 0);
  EXPECT_GT(tails, 1000) << "the tail's branch was taken";
}

}  // namespace
}  // namespace pixellm
