#include "infer/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "infer/tiny_model.h"

namespace pixellm {
namespace {

template <class T>
T value_of(Result<T> result) {
  if (!result) ADD_FAILURE() << result.error().message;
  return std::move(*result);
}

class EvaluateTest : public testing::Test {
 protected:
  EvaluateTest()
      : model_(value_of(make_tiny_model({.n_layers = 1,
                                         .embedding_length = 64,
                                         .n_heads = 2,
                                         .n_kv_heads = 1,
                                         .feed_forward_length = 64,
                                         .vocab_size = 260,
                                         .context_length = 64})
                            .open())),
        tokenizer_(value_of(Tokenizer::create(value_of(read_tokenizer_spec(model_.metadata()))))),
        engine_(value_of(Engine::create(model_))),
        session_(value_of(Session::create(engine_, pool_, {.context = 64, .batch = 7}))) {
    for (int i = 0; i < 100; i++) ids_.push_back((i * i * 31 + i * 7 + 5) % 256);
  }

  Result<Evaluation> run(uint32_t context, uint32_t stride = 0) {
    return evaluate(*session_, tokenizer_, ids_, context, stride, {});
  }

  // -log p of the token at `at`, given the tokens from `begin` on.
  double surprise(size_t begin, size_t at) {
    session_->truncate(0);
    EXPECT_TRUE(session_->feed(std::span(ids_).subspan(begin, at - begin)));
    double sum = 0;
    for (const float x : session_->logits()) sum += std::exp(static_cast<double>(x));
    return std::log(sum) - static_cast<double>(session_->logits()[static_cast<size_t>(ids_[at])]);
  }

  // The definition, window by window: positions [first, context) of each are scored.
  void expect(const Evaluation& e, uint32_t context, uint32_t stride, uint32_t first) {
    double total = 0;
    uint64_t tokens = 0;
    for (size_t begin = 0; begin + context < ids_.size(); begin += stride)
      for (size_t at = begin + first; at < begin + context; at++) total += surprise(begin, at), tokens++;
    EXPECT_EQ(e.tokens, tokens);
    EXPECT_EQ(e.bytes, tokens);  // every token is a byte here
    const double nll = total / static_cast<double>(tokens);
    EXPECT_NEAR(e.nll, nll, 1e-9);
    EXPECT_NEAR(e.perplexity / std::exp(nll), 1, 1e-9);
    EXPECT_NEAR(e.bits_per_byte, nll / std::log(2.0), 1e-9);
  }

  ThreadPool pool_{2};
  Model model_;
  Tokenizer tokenizer_;
  Engine engine_;
  std::unique_ptr<Session> session_;
  std::vector<TokenId> ids_;
};

TEST_F(EvaluateTest, WindowsWithoutOverlapScoreTheSecondHalf) {
  for (const uint32_t context : {3u, 4u, 20u, 25u, 33u, 64u})
    expect(value_of(run(context)), context, context, context / 2 + 1);
  expect(value_of(run(20, 20)), 20, 20, 11);
}

TEST_F(EvaluateTest, OverlappingWindowsScoreTheLastStride) {
  for (const uint32_t stride : {1u, 5u, 19u}) expect(value_of(run(20, stride)), 20, stride, 20 - stride);
}

TEST_F(EvaluateTest, AWindowNeedsATokenAfterIt) {
  ids_.resize(40);
  EXPECT_EQ(value_of(run(20)).tokens, 9u);  // one window: none follows the second
  ids_.resize(41, 1);
  EXPECT_EQ(value_of(run(20)).tokens, 18u);
}

TEST_F(EvaluateTest, Errors) {
  const auto message = [&](uint32_t context, uint32_t stride) {
    const auto e = run(context, stride);
    return e ? std::string() : e.error().message;
  };
  EXPECT_EQ(message(2, 0), "eval: context is 2, allowed from 3");
  EXPECT_EQ(message(20, 21), "eval: stride is 21, allowed 1 to the context's 20");
  EXPECT_EQ(message(100, 0), "eval: the text has 100 tokens, one window of 100 needs at least 101");
  ids_[19] = 260;
  EXPECT_EQ(message(20, 0), "eval: token 260 is outside the vocabulary of 260");
}

TEST_F(EvaluateTest, ReportsProgress) {
  std::vector<uint64_t> seen;
  ASSERT_TRUE(evaluate(*session_, tokenizer_, ids_, 20, 0, [&](uint64_t done, uint64_t total) {
    EXPECT_EQ(total, 4u);
    seen.push_back(done);
  }));
  EXPECT_EQ(seen, (std::vector<uint64_t>{1, 2, 3, 4}));
}

}  // namespace
}  // namespace pixellm
