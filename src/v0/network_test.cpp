#include "v0/network.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/hash.h"
#include "v0/v0_test_util.h"

namespace pixellm::v0 {
namespace {

using v0_test::FolderTest;
using v0_test::hash_prefix;

std::vector<uint8_t> le_bytes(std::span<const float> values) {
  std::vector<uint8_t> bytes(values.size() * 4);
  for (size_t i = 0; i < values.size(); i++) store_le<float>(&bytes[i * 4], values[i]);
  return bytes;
}

TEST(V0Network, InitialWeightsAreTheOriginals) {
  InitialNetwork initial = initial_network(42);
  const Network& n = initial.network;
  EXPECT_EQ(hash_prefix(le_bytes(n.embed)), "6d7cf80e1a25e076");
  EXPECT_EQ(hash_prefix(le_bytes(n.hidden)), "2a33982c9bbdfecd");
  EXPECT_EQ(hash_prefix(le_bytes(n.out)), "488d6fb1f3257cba");
  const double first[][4] = {{0.013466719538, -0.045961238444, 0.033165570349, 0.041567482054},
                             {-0.054979264736, 0.042402312160, 0.003230889561, -0.015901431441},
                             {-0.180010721087, -0.103917501867, 0.127718284726, 0.130544885993}};
  for (int i = 0; i < 4; i++) {
    EXPECT_NEAR(n.embed[i], first[0][i], 1e-12);
    EXPECT_NEAR(n.hidden[i], first[1][i], 1e-12);
    EXPECT_NEAR(n.out[i], first[2][i], 1e-12);
  }
  EXPECT_EQ(n.b_hidden, std::vector<float>(128));
  EXPECT_EQ(n.b_out, std::vector<float>(1024));
  EXPECT_EQ(n.parameters(), 279680u);
  int64_t starts[5];
  initial.rng.integers(0, 500000, starts);
  EXPECT_EQ(std::vector<int64_t>(starts, starts + 5),
            (std::vector<int64_t>{51271, 106530, 366462, 247952, 101581}));
}

TEST(V0Network, SeedsDiffer) {
  EXPECT_NE(initial_network(1).network.embed, initial_network(2).network.embed);
}

TEST(V0Network, TokensAreCodePointsModuloTheVocabulary) {
  EXPECT_EQ(*tokenize("pxOS", 1024), (std::vector<TokenId>{112, 120, 79, 83}));
  EXPECT_EQ(*tokenize("\u00e9\u0416\u20ac\U0001f600", 1024),
            (std::vector<TokenId>{0xe9, 0x416 % 1024, 0x20ac % 1024, 0x1f600 % 1024}));
  EXPECT_EQ(*tokenize("a\r\n\xef\xbb\xbf", 65536), (std::vector<TokenId>{'a', '\r', '\n', 0xfeff}));
  EXPECT_EQ(*tokenize(std::string_view("\0", 1), 1024), (std::vector<TokenId>{0}));
  EXPECT_TRUE(tokenize("", 1024)->empty());
  EXPECT_EQ(token_char('a'), 'a');
  EXPECT_EQ(token_char(128), '?');
}

TEST(V0Network, TextThatIsNotUtf8IsRefusedWithItsOffset) {
  for (const std::string bad : {"ab\x80", "ab\xc0\xaf", "ab\xc3", "ab\xe0\x80\x80", "ab\xed\xa0\x80",
                                "ab\xf0\x80\x80\x80", "ab\xf4\x90\x80\x80", "ab\xff", "ab\xe2\x82"}) {
    const auto ids = tokenize(bad, 1024);
    ASSERT_FALSE(ids) << bad;
    EXPECT_NE(ids.error().message.find("byte 2"), std::string::npos) << ids.error().message;
  }
}

TEST(V0Network, ForwardOfATinyNetworkByHand) {
  Network n;
  n.vocab_size = 3;
  n.model_dim = 2;
  n.embed = {1, 2, 3, 4, -5, 6};
  n.hidden = {1, -1, 0.5f, 2};
  n.b_hidden = {0.5f, -7};
  n.out = {1, 2, 3, 4, 5, 6};
  n.b_out = {0, 0, -1};
  const TokenId ids[] = {0, 1};
  const Activations a = forward(n, ids);
  EXPECT_EQ(a.pooled, (std::vector<float>{2, 3}));
  EXPECT_EQ(a.hidden, (std::vector<float>{4, 0})) << "2 + 1.5 + 0.5; -2 + 6 - 7 is negative";
  EXPECT_EQ(a.logits, (std::vector<float>{4, 8, 11}));
}

class V0NetworkFile : public FolderTest {
 protected:
  using Entries = std::vector<NpzFile::Entry>;
  static Entries entries(const Network& n) {
    Entries out;
    for (const Tensor& t : n.tensors())
      out.emplace_back(t.name, NpyArray{t.shape, {t.values.begin(), t.values.end()}});
    return out;
  }
  Result<Network> read(const Entries& arrays) {
    EXPECT_TRUE(write_npz(path("a.npz"), arrays));
    return read_network(path("a.npz"));
  }
  void expect_refused(const Entries& arrays, std::string_view part) {
    const auto network = read(arrays);
    ASSERT_FALSE(network) << part;
    EXPECT_NE(network.error().message.find(part), std::string::npos) << network.error().message;
  }
};

TEST_F(V0NetworkFile, RoundTripInAnyOrder) {
  const Network n = v0_test::small_network();
  ASSERT_TRUE(write_network(path("a.npz"), n));
  v0_test::expect_same(*read_network(path("a.npz")), n);
  Entries reversed = entries(n);
  std::ranges::reverse(reversed);
  v0_test::expect_same(*read(reversed), n);
}

TEST_F(V0NetworkFile, TheOriginalsFileHasItsSize) {
  ASSERT_TRUE(write_network(path("a.npz"), initial_network(42).network));
  EXPECT_EQ(std::filesystem::file_size(path("a.npz")), 1119956u);
}

TEST_F(V0NetworkFile, RefusesWhatIsNoV0Network) {
  const Entries good = entries(v0_test::small_network());
  for (size_t i = 0; i < good.size(); i++) {
    Entries missing = good;
    missing.erase(missing.begin() + static_cast<ptrdiff_t>(i));
    expect_refused(missing, "array '" + good[i].first + "' is missing");
    Entries reshaped = good;
    reshaped[i].second.shape.push_back(1);
    expect_refused(reshaped, "array '" + good[i].first + "' has the shape");
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      Entries broken = good;
      broken[i].second.values.back() = bad;
      expect_refused(broken, "array '" + good[i].first + "' holds ");
    }
  }
  Entries more = good;
  more.emplace_back("extra", NpyArray{{1}, {0}});
  expect_refused(more, "'extra'");
  Entries swapped = good;
  std::swap(swapped[0].first, swapped[3].first);  // embed and out, which are not square
  expect_refused(swapped, "shape");
  Entries empty = good;
  empty[0].second = NpyArray{{0, 4}, {}};
  expect_refused(empty, "'embed' has the shape [0, 4]");
  Entries wide = entries(v0_test::small_network(1, 8193));
  expect_refused(wide, "'embed' has the shape [1, 8193], at most [65536, 8192] is allowed");
  EXPECT_EQ(read_network(path("none.npz")).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace pixellm::v0
