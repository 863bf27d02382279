// The GPU's logits beside the CPU's, for every architecture and type, over prompts, single tokens and both in
// turn.
#include "gpu/backend.h"

#include <gmock/gmock.h>

#include <cmath>

#include "gpu/gpu_test_world.h"
#include "infer/sampler.h"
#include "infer/test_models.h"

namespace pixellm::gpu {
namespace {

using ::testing::HasSubstr;

// Root of the mean of squared differences over that of the squares.
double distance(std::span<const float> a, std::span<const float> b) {
  double difference = 0, squares = 0;
  for (size_t i = 0; i < a.size(); i++) {
    difference += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    squares += double{b[i]} * b[i];
  }
  return std::sqrt(difference / squares);
}

class BackendTest : public GpuTest {
 protected:
  void load(const TinySpec& spec, const DeviceOptions& options = {}) {
    model_.emplace(make_tiny_model(spec).open().value());
    engine_.emplace(Engine::create(*model_).value());
    open(options);
    if (IsSkipped() || HasFatalFailure()) return;
    auto made = make_backend(std::move(device()), *engine_, {});
    ASSERT_TRUE(made) << made.error().message;
    backend_ = std::move(*made);
  }
  std::unique_ptr<Session> session(Backend* backend, SessionOptions options = {}) {
    options.backend = backend;
    auto made = Session::create(*engine_, pool_, options);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  // Feeds `pieces` of the tokens to both and compares every token's logits.
  void compare(const std::vector<size_t>& pieces, double tolerance, SessionOptions options = {}) {
    size_t total = 0;
    for (const size_t n : pieces) total += n;
    const auto ids = test_tokens(static_cast<uint32_t>(total), engine_->config().vocab_size);
    const auto cpu = session(nullptr, options), gpu = session(backend_.get(), options);
    std::vector<std::vector<float>> expected;
    ASSERT_TRUE(cpu->feed_each(ids, [&](uint32_t, std::span<const float> l) -> Result<void> {
      expected.emplace_back(l.begin(), l.end());
      return {};
    }));
    size_t at = 0;
    for (const size_t n : pieces) {
      const auto fed = gpu->feed(std::span(ids).subspan(at, n));
      ASSERT_TRUE(fed) << fed.error().message;
      at += n;
      EXPECT_LT(distance(gpu->logits(), expected[at - 1]), tolerance) << "after " << at << " tokens";
    }
  }

  ThreadPool pool_{2};
  std::optional<Model> model_;
  std::optional<Engine> engine_;
  std::unique_ptr<GpuBackend> backend_;
};

struct Case {
  Architecture architecture;
  std::vector<TensorType> types;
};

class EveryModel : public BackendTest, public ::testing::WithParamInterface<Case> {};

// Quantised: one value that rounds to the other side moves a logit by about 1/127 of an activation.
TEST_P(EveryModel, AgreesWithTheCpu) {
  load(test_spec(GetParam().architecture, GetParam().types));
  if (IsSkipped() || HasFatalFailure()) return;
  bool quantised = false;
  for (const TensorType t : GetParam().types) quantised |= !is_float_type(t);
  const double tolerance = quantised ? 0.02 : 0.001;
  compare({1, 1, 1}, tolerance);
  compare({21, 1, 40, 1, 1}, tolerance);
  compare({64}, tolerance, {.batch = 16});
}

using enum Architecture;
using enum TensorType;
INSTANTIATE_TEST_SUITE_P(All, EveryModel,
                         ::testing::Values(Case{kLlama, {kF32}}, Case{kLlama, {kF16}}, Case{kLlama, {kBF16}},
                                           Case{kLlama, {kQ8_0}}, Case{kLlama, {kQ4_0}},
                                           Case{kLlama, {kQ4_1}}, Case{kLlama, {kQ5_0}},
                                           Case{kLlama, {kQ5_1}}, Case{kLlama, {kQ4_K}},
                                           Case{kLlama, {kQ5_K}}, Case{kLlama, {kQ6_K}},
                                           Case{kQwen2, {kQ4_1}}, Case{kQwen2, {kF32}}, Case{kQwen3, {kQ8_0}},
                                           Case{kQwen3, {kF32}}, Case{kGpt2, {kQ8_0}}, Case{kGpt2, {kF32}},
                                           Case{kGemma3, {kQ4_0}}, Case{kGemma3, {kF32}}),
                         [](const auto& test) {
                           return std::string(architecture_name(test.param.architecture)) + "_" +
                                  std::string(traits(test.param.types[0]).name);
                         });

TEST_F(BackendTest, LogitsOfEveryToken) {
  load(test_spec(kLlama, {kF32}));
  if (IsSkipped() || HasFatalFailure()) return;
  const auto ids = test_tokens(50, engine_->config().vocab_size);
  std::vector<std::vector<float>> rows[2];
  for (int i = 0; i < 2; i++) {
    const auto s = session(i == 0 ? nullptr : backend_.get(), {.batch = 40});
    ASSERT_TRUE(s->feed_each(ids, [&](uint32_t, std::span<const float> l) -> Result<void> {
      rows[i].emplace_back(l.begin(), l.end());
      return {};
    }));
  }
  ASSERT_EQ(rows[1].size(), ids.size());
  for (size_t t = 0; t < ids.size(); t++) EXPECT_LT(distance(rows[1][t], rows[0][t]), 0.001) << t;
}

TEST_F(BackendTest, TheLikeliestTokenIsThatOfTheLogits) {
  load(test_spec(kQwen3, {kQ8_0}));
  if (IsSkipped() || HasFatalFailure()) return;
  const auto ids = test_tokens(12, engine_->config().vocab_size);
  const auto a = session(backend_.get()), b = session(backend_.get());
  for (const TokenId& id : ids) {
    const auto best = a->feed_best({&id, 1});
    ASSERT_TRUE(best) << best.error().message;
    EXPECT_TRUE(a->logits().empty());
    ASSERT_TRUE(b->feed({&id, 1}));
    EXPECT_EQ(*best, argmax(b->logits()));
  }
}

TEST_F(BackendTest, GoesBackAndCopies) {
  load(test_spec(kLlama, {kF32}));
  if (IsSkipped() || HasFatalFailure()) return;
  const auto ids = test_tokens(30, engine_->config().vocab_size);
  const auto a = session(backend_.get()), b = session(backend_.get());
  ASSERT_TRUE(a->feed(ids));
  const std::vector<float> expected(a->logits().begin(), a->logits().end());
  b->copy_from(*a);
  EXPECT_EQ(std::vector<float>(b->logits().begin(), b->logits().end()), expected);
  b->truncate(20);
  ASSERT_TRUE(b->feed(std::span(ids).subspan(20)));
  EXPECT_LT(distance(b->logits(), expected), 1e-4);
}

TEST_F(BackendTest, SeveralTextures) {
  // Rows of a picture fill more than one layer and texture when these are small.
  TinySpec spec = test_spec(kLlama, {kF32});
  DeviceOptions small;
  small.at_most.max_texture_size = 4096;
  small.at_most.max_texture_layers = 1;
  load(spec, small);
  if (IsSkipped() || HasFatalFailure()) return;
  compare({5, 1}, 0.001);
}

TEST_F(BackendTest, ALostDeviceIsAnErrorOfEveryStepFromThenOn) {
  load(test_spec(kLlama, {kQ8_0}));
  if (IsSkipped() || HasFatalFailure()) return;
  const auto ids = test_tokens(3, engine_->config().vocab_size);
  const auto s = session(backend_.get());
  ASSERT_TRUE(s->feed(ids));
  backend_->device().lose();
  for (int i = 0; i < 2; i++) {
    const auto fed = s->feed(ids);
    ASSERT_FALSE(fed);
    EXPECT_THAT(fed.error().message, HasSubstr("lost"));
    EXPECT_EQ(s->position(), 3u);
    EXPECT_FALSE(s->feed_best(ids));
  }
}

TEST_F(BackendTest, ValuesThatAreNotFiniteAreFound) {
  TinySpec spec = test_spec(kLlama, {kF32});
  TinyModel tiny = make_tiny_model(spec);
  std::vector<uint8_t>& norm = tiny.find("output_norm.weight")->bytes;
  const float nan = std::nanf("");
  std::memcpy(norm.data() + 40, &nan, sizeof nan);
  model_.emplace(tiny.open().value());
  engine_.emplace(Engine::create(*model_).value());
  open({});
  if (IsSkipped() || HasFatalFailure()) return;
  auto made = make_backend(std::move(device()), *engine_, {});
  ASSERT_TRUE(made) << made.error().message;
  backend_ = std::move(*made);
  const auto s = session(backend_.get());
  const auto ids = test_tokens(3, engine_->config().vocab_size);
  const auto fed = s->feed(ids);
  ASSERT_FALSE(fed);
  EXPECT_THAT(fed.error().message, HasSubstr("not finite"));
  EXPECT_FALSE(s->feed_best(ids));
  EXPECT_EQ(s->position(), 0u);
}

}  // namespace
}  // namespace pixellm::gpu
