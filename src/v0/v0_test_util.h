// A small network and a folder for the tests of src/v0.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/bytes.h"
#include "base/hash.h"
#include "v0/network.h"

namespace pixellm::v0_test {

// A new folder for each test, gone afterwards.
class FolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "pixellm-v0-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  size_t count_files() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }
  std::filesystem::path folder_;
};

inline std::string hash_prefix(Bytes bytes) { return to_hex(sha256(bytes)).substr(0, 16); }

// 50 tokens, 4 dimensions, random weights.
inline v0::Network small_network(uint32_t vocab = 50, uint32_t dim = 4) {
  NumpyRandom rng(7);
  v0::Network n;
  n.vocab_size = vocab;
  n.model_dim = dim;
  for (const v0::Tensor& t : n.tensors()) {
    uint64_t size = 1;
    for (const uint64_t side : t.shape) size *= side;
    for (uint64_t i = 0; i < size; i++)
      n.member(t.name)->push_back(static_cast<float>(rng.standard_normal()));
  }
  return n;
}

inline void expect_same(const v0::Network& a, const v0::Network& b) {
  EXPECT_EQ(a.vocab_size, b.vocab_size);
  EXPECT_EQ(a.model_dim, b.model_dim);
  EXPECT_EQ(a.embed, b.embed);
  EXPECT_EQ(a.hidden, b.hidden);
  EXPECT_EQ(a.b_hidden, b.b_hidden);
  EXPECT_EQ(a.out, b.out);
  EXPECT_EQ(a.b_out, b.b_out);
}

}  // namespace pixellm::v0_test
