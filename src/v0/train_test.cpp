#include "v0/train.h"

#include <gtest/gtest.h>

#include <cmath>

#include "v0/products.h"
#include "v0/softmax.h"
#include "v0/v0_test_util.h"

namespace pixellm::v0 {
namespace {

std::vector<TokenId> some_text(size_t n) {
  NumpyRandom rng(3);
  std::vector<TokenId> ids(n);
  for (TokenId& id : ids) id = static_cast<TokenId>(rng.integers(0, 40));
  return ids;
}

TrainOptions short_run(Objective objective) {
  TrainOptions o = default_options(objective);
  o.steps = 20;
  o.batch = 7;
  o.window = 5;
  return o;
}

Result<Network> run(const std::vector<TokenId>& tokens, const TrainOptions& options, int threads = 1) {
  ThreadPool pool(threads);
  return train(tokens, options, pool, {});
}

TEST(V0Train, TheBitsDoNotDependOnThreads) {
  const auto tokens = some_text(500);
  for (const Objective objective : {Objective::kNext, Objective::kOriginal}) {
    const Network one = *run(tokens, short_run(objective), 1);
    for (const int threads : {2, 3, 5})
      v0_test::expect_same(*run(tokens, short_run(objective), threads), one);
  }
}

TEST(V0Train, EveryArgumentMatters) {
  const auto tokens = some_text(500);
  const Network base = *run(tokens, short_run(Objective::kNext));
  EXPECT_NE(run(tokens, short_run(Objective::kOriginal))->out, base.out);
  const auto differs = [&](auto change) {
    TrainOptions o = short_run(Objective::kNext);
    change(o);
    return run(tokens, o)->out != base.out;
  };
  EXPECT_TRUE(differs([](TrainOptions& o) { o.steps++; }));
  EXPECT_TRUE(differs([](TrainOptions& o) { o.lr *= 2; }));
  EXPECT_TRUE(differs([](TrainOptions& o) { o.batch++; }));
  EXPECT_TRUE(differs([](TrainOptions& o) { o.window++; }));
  EXPECT_TRUE(differs([](TrainOptions& o) { o.seed++; }));
  EXPECT_FALSE(differs([](TrainOptions&) {}));
}

// A text that repeats itself after seven tokens, seen through windows of one: the next token is certain.
TEST(V0Train, LearnsWhatCanBeKnown) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < 700; i++) tokens.push_back(static_cast<TokenId>("pixels "[i % 7]));
  TrainOptions o = default_options(Objective::kNext);
  o.steps = 500;
  o.window = 1;
  ThreadPool pool(2);
  const Network n = *run(tokens, o, 2);
  const Evaluation e = *evaluate(n, tokens, o.objective, o.window, pool);
  EXPECT_EQ(e.windows, 699u);
  EXPECT_NEAR(e.constant, std::log(7.0), 0.01);
  EXPECT_LT(e.loss, 0.1);
  const TokenId x[] = {'x'};
  const auto logits = forward(n, x).logits;
  EXPECT_EQ(std::ranges::max_element(logits) - logits.begin(), 'e');
}

TEST(V0Train, ReportsEveryStepAndStopsWhenAsked) {
  const auto tokens = some_text(100);
  ThreadPool pool(1);
  uint32_t seen = 0;
  double first = 0;
  const auto stopped =
      train(tokens, short_run(Objective::kNext), pool, [&](uint32_t step, double loss) -> Result<void> {
        EXPECT_EQ(step, ++seen);
        if (step == 1) first = loss;
        if (step == 3) return fail(ErrorCode::kIo, "stop");
        return {};
      });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().message, "stop");
  EXPECT_EQ(seen, 3u);
  EXPECT_NEAR(first, std::log(1024.0), 0.1) << "untrained, all tokens are about equally likely";
}

TEST(V0Train, TheShortestCorpusHasOneWindow) {
  TrainOptions o = short_run(Objective::kNext);
  EXPECT_TRUE(run(some_text(o.window + 2), o));
  const auto refused = run(some_text(o.window + 1), o);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "v0: the corpus has 6 tokens; a window of 5 needs at least 7");
  EXPECT_FALSE(run({}, o));
}

TEST(V0Train, RefusesAbsurdOptions) {
  const auto tokens = some_text(100);
  const auto refused = [&](auto change, std::string_view part, Objective objective = Objective::kNext) {
    TrainOptions o = short_run(objective);
    change(o);
    const auto network = run(tokens, o);
    return !network && network.error().code == ErrorCode::kInvalidArgument &&
           network.error().message.find(part) != std::string::npos;
  };
  EXPECT_TRUE(refused([](TrainOptions& o) { o.steps = 0; }, "0 steps"));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.steps = kMaxSteps + 1; }, "steps"));
  for (const double lr : {0.0, -1.0, 1e4, std::nan(""), HUGE_VAL})
    EXPECT_TRUE(refused([&](TrainOptions& o) { o.lr = lr; }, "learning rate")) << lr;
  EXPECT_TRUE(refused([](TrainOptions& o) { o.batch = 0; }, "batch"));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.batch = kMaxBatch + 1; }, "batch"));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.window = 0; }, "window"));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.window = kMaxWindow + 1; }, "window"));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.window = 1; }, "window", Objective::kOriginal));
}

TEST(V0Train, ALossThatIsNotFiniteIsAnError) {
  TrainOptions o = short_run(Objective::kNext);
  o.lr = 1000;
  o.steps = 2000;
  const auto network = run(some_text(500), o);
  ASSERT_FALSE(network);
  EXPECT_NE(network.error().message.find("the loss is no finite number"), std::string::npos)
      << network.error().message;
}

// ---- the parts

TEST(V0Products, OneOrderOfSummationOnEveryCpu) {
  NumpyRandom rng(1);
  const auto random = [&](size_t n) {
    std::vector<float> v(n);
    for (float& x : v) x = static_cast<float>(rng.standard_normal());
    return v;
  };
  for (const size_t m : {1, 3, 4, 5, 9}) {
    for (const size_t n : {1, 7, 8, 15, 16, 17, 33}) {
      for (const size_t k : {1, 2, 31}) {
        const auto a = random(m * k), a_t = random(m * k), b = random(k * n), before = random(m * n);
        std::vector<float> c(m * n), base(m * n), t(m * n), updated = before;
        multiply({0, m}, n, k, {a.data(), k, 1}, b.data(), n, c.data(), n);
        multiply_baseline({0, m}, n, k, {a.data(), k, 1}, b.data(), n, base.data(), n);
        multiply({0, m}, n, k, {a_t.data(), 1, m}, b.data(), n, t.data(), n);
        multiply_subtract({0, m}, n, k, {a.data(), k, 1}, b.data(), n, updated.data(), n, 0.3f);
        EXPECT_EQ(c, base);
        for (size_t i = 0; i < m; i++) {
          for (size_t j = 0; j < n; j++) {
            float sum = 0, sum_t = 0;
            for (size_t p = 0; p < k; p++) {
              sum += a[i * k + p] * b[p * n + j];
              sum_t += a_t[p * m + i] * b[p * n + j];
            }
            ASSERT_EQ(c[i * n + j], sum) << m << " " << n << " " << k;
            ASSERT_EQ(t[i * n + j], sum_t);
            ASSERT_EQ(updated[i * n + j], before[i * n + j] - 0.3f * sum);
          }
        }
      }
    }
  }
}

TEST(V0Products, OnlyTheRowsThatWereAsked) {
  const std::vector<float> a(10, 1), b(32, 2);
  std::vector<float> c(10 * 32, -1);
  multiply({3, 8}, 32, 1, {a.data(), 1, 1}, b.data(), 32, c.data(), 32);
  for (size_t i = 0; i < c.size(); i++) ASSERT_EQ(c[i], i >= 3 * 32 && i < 8 * 32 ? 2 : -1) << i;
}

TEST(V0Softmax, ExpIsAccurate) {
  for (double x = 0; x > -110; x -= 0.0137) {
    const auto f = static_cast<float>(x);
    const double exact = std::exp(static_cast<double>(f));
    EXPECT_NEAR(exp_nonpositive(f), exact, exact * 0x1p-23 + 1e-45) << x;
  }
  EXPECT_EQ(exp_nonpositive(0), 1.0f);
  EXPECT_EQ(exp_nonpositive(-1e30f), 0.0f);
  EXPECT_EQ(exp_nonpositive(-HUGE_VALF), 0.0f);
}

TEST(V0Softmax, PairwiseSumsTakeEveryElementOnce) {
  for (const size_t n : {0, 1, 7, 8, 9, 127, 128, 129, 136, 1000, 1024}) {
    std::vector<float> x(n);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] = static_cast<float>(i * i % 97);
    EXPECT_EQ(pairwise_sum(x), static_cast<float>(sum)) << n;
  }
}

}  // namespace
}  // namespace pixellm::v0
