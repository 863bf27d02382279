#include "v0/protocol.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <tuple>

#include "pixel/png_encode.h"
#include "v0/pixel_model.h"
#include "v0/v0_test_util.h"

namespace pixellm::v0 {
namespace {

class V0Protocol : public v0_test::FolderTest {
 protected:
  // The error of reading a picture with these bytes, or "read".
  std::string reading(uint32_t width, uint32_t height, const std::vector<uint8_t>& rgb,
                      uint32_t vocab = 1024) {
    EXPECT_TRUE(write_rgb_png(path("t.pxi"), width, height, rgb));
    const auto ids = read_tokens(path("t.pxi"), vocab);
    EXPECT_TRUE(ids || ids.error().code == ErrorCode::kCorrupt);
    return ids ? "read" : ids.error().message;
  }
};

TEST_F(V0Protocol, TokensAreTheOriginalsPicture) {
  const auto ids = *tokenize("pxOS", 1024);
  const Picture p = *token_picture(ids);
  EXPECT_EQ(p.width, 5u);
  EXPECT_EQ(p.height, 1u);
  EXPECT_EQ(p.rgb, (std::vector<uint8_t>{4, 0, 1, 112, 0, 0, 120, 0, 0, 79, 0, 0, 83, 0, 0}));
  ASSERT_TRUE(write_picture(p, path("a.pxi")));
  EXPECT_EQ(*read_tokens(path("a.pxi"), 1024), ids);
}

TEST_F(V0Protocol, LargeIdsAndManyTokens) {
  std::vector<TokenId> ids(kProtocolMaxTokens);
  for (size_t i = 0; i < ids.size(); i++) ids[i] = static_cast<TokenId>(i % 1024);
  const Picture p = *token_picture(ids);
  EXPECT_EQ(p.rgb[0], 255);
  EXPECT_EQ(p.rgb[1], 255);
  EXPECT_EQ(p.rgb[(1 + 1000) * 3 + 1], 3) << "1000 = 3 * 256 + 232";
  ASSERT_TRUE(write_picture(p, path("a.pxi")));
  EXPECT_EQ(*read_tokens(path("a.pxi"), 1024), ids);
  ids.push_back(0);
  EXPECT_EQ(token_picture(ids).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(token_picture({}).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(V0Protocol, ReadingChecksEverything) {
  EXPECT_EQ(reading(3, 1, {2, 0, 1, 5, 0, 0, 255, 3, 0}), "read");
  EXPECT_NE(reading(3, 1, {2, 0, 2, 5, 0, 0, 6, 0, 0}).find("version 2, 1 is read"), std::string::npos);
  EXPECT_NE(reading(3, 1, {2, 0, 0, 5, 0, 0, 6, 0, 0}).find("version 0"), std::string::npos);
  EXPECT_NE(reading(3, 1, {3, 0, 1, 5, 0, 0, 6, 0, 0}).find("announces 3 tokens and has 2"),
            std::string::npos);
  EXPECT_NE(reading(3, 1, {1, 0, 1, 5, 0, 0, 6, 0, 0}).find("announces 1 tokens and has 2"),
            std::string::npos);
  EXPECT_NE(reading(3, 1, {2, 1, 1, 5, 0, 0, 6, 0, 0}).find("announces 258"), std::string::npos);
  EXPECT_NE(reading(3, 1, {2, 0, 1, 5, 0, 0, 0, 4, 0}).find("token 1 is 1024"), std::string::npos);
  EXPECT_NE(reading(3, 1, {2, 0, 1, 5, 0, 0, 6, 0, 0}, 6).find("token 1 is 6"), std::string::npos);
  EXPECT_NE(reading(3, 1, {2, 0, 1, 5, 0, 9, 6, 0, 0}).find("token 0 has 9"), std::string::npos);
  EXPECT_NE(reading(1, 1, {0, 0, 1}).find("1 x 1 pixels"), std::string::npos);
  EXPECT_NE(reading(3, 2, std::vector<uint8_t>(18)).find("3 x 2 pixels"), std::string::npos);
  EXPECT_EQ(read_tokens(path("none.pxi"), 1024).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(write_rgb_png(path("t.pxi"), 65537, 1, std::vector<uint8_t>(65537 * 3)));
  EXPECT_EQ(read_tokens(path("t.pxi"), 1024).error().code, ErrorCode::kTooLarge);
}

TEST(V0ProtocolPictures, Predictions) {
  const Ranked ranked[] = {{.id = 971, .logit = 2, .prob_top_k = 1.0f, .prob = 0.5},
                           {.id = 8, .logit = 1, .prob_top_k = 0.2f, .prob = 0.1},
                           {.id = 0, .logit = 0, .prob_top_k = 0.999f, .prob = 0.1}};
  const Picture p = prediction_picture(ranked);
  EXPECT_EQ(p.width, 3u);
  EXPECT_EQ(p.rgb, (std::vector<uint8_t>{203, 3, 255, 8, 0, 51, 0, 0, 254})) << "cut, not rounded";
}

TEST(V0ProtocolPictures, Heatmap) {
  std::vector<float> logits(70);
  std::iota(logits.begin(), logits.end(), -10.0f);
  const Picture p = heatmap_picture(logits);
  EXPECT_EQ(p.width, 32u);
  EXPECT_EQ(p.height, 3u);
  EXPECT_EQ(p.rgb.size(), 32u * 3 * 3);
  EXPECT_EQ(p.rgb[0], 0);
  EXPECT_EQ(p.rgb[69 * 3 + 2], 255);
  EXPECT_EQ(p.rgb[30 * 3 + 1], static_cast<int>(30.0 / 69 * 255));
  EXPECT_EQ(p.rgb[70 * 3], 0) << "the tail";
  EXPECT_EQ(heatmap_picture(std::vector<float>(32, 1.5f)).rgb, std::vector<uint8_t>(96, 128));
}

TEST(V0Ranking, EqualLogitsInTheOrderOfIds) {
  const std::vector<float> logits = {1, 3, 2, 3, -1, 3};
  const auto top = top_tokens(logits, 4);
  std::vector<TokenId> ids;
  double sum_k = 0;
  for (const Ranked& t : top) {
    ids.push_back(t.id);
    sum_k += t.prob_top_k;
  }
  EXPECT_EQ(ids, (std::vector<TokenId>{1, 3, 5, 2}));
  EXPECT_NEAR(sum_k, 1, 1e-6);
  double all = 0;
  for (const Ranked& t : top_tokens(logits, 6)) all += t.prob;
  EXPECT_NEAR(all, 1, 1e-12);
  EXPECT_LT(top[0].prob, top[0].prob_top_k);
}

TEST(V0Ranking, CosineOfNothingIsZero) {
  const std::vector<float> zero(3), a = {1, 2, 2}, b = {-2, -4, -4}, c = {2, -1, 0};
  EXPECT_EQ(cosine_similarity(zero, a), 0);
  EXPECT_NEAR(cosine_similarity(a, a), 1, 1e-15);
  EXPECT_NEAR(cosine_similarity(a, b), -1, 1e-15);
  EXPECT_EQ(cosine_similarity(a, c), 0);
}

// The original's predictions from its untrained picture.
TEST_F(V0Protocol, GoldenPredictions) {
  ASSERT_TRUE(write_pixel_model(initial_network(42).network, path("a.pxi"), "pixellm_v0"));
  const Network n = PixelModel::open(path("a.pxi"))->network;
  const auto run = [&](std::string_view text) { return forward(n, *tokenize(text, 1024)); };
  const auto active = [](const Activations& a) {
    return a.hidden.size() - std::ranges::count(a.hidden, 0.0f);
  };

  const Activations hello = run("hello pixels");
  const auto [low, high] = std::ranges::minmax(hello.logits);
  EXPECT_NEAR(low, -0.0773, 5e-5);
  EXPECT_NEAR(high, 0.0826, 5e-5);
  EXPECT_EQ(active(hello), 67);
  const auto top = top_tokens(hello.logits, 10);
  const std::tuple<int, double, double> wanted[] = {
      {971, .0826, .1012}, {702, .0794, .1009}, {665, .0764, .1006}, {8, .0718, .1001}, {680, .0712, .1000}};
  for (size_t i = 0; i < 5; i++) {
    EXPECT_EQ(top[i].id, std::get<0>(wanted[i]));
    EXPECT_NEAR(top[i].logit, std::get<1>(wanted[i]), 5e-5);
    EXPECT_NEAR(top[i].prob_top_k, std::get<2>(wanted[i]), 5e-5);
  }
  const Activations pxos = run("pxOS"), test = run("test");
  EXPECT_EQ(top_tokens(pxos.logits, 1)[0].id, 160);
  EXPECT_NEAR(std::ranges::max(pxos.logits), .0994, 5e-5);
  EXPECT_EQ(active(pxos), 66);
  EXPECT_EQ(top_tokens(test.logits, 1)[0].id, 537);
  EXPECT_NEAR(std::ranges::max(test.logits), .1047, 5e-5);
  EXPECT_EQ(active(test), 63);
}

}  // namespace
}  // namespace pixellm::v0
