// One promise: the logits of a token depend on the tokens before it and on nothing else. Not on the number of
// threads, the batch, prefill or single tokens, or the instruction set.
#include <cstring>
#include <optional>

#include "infer/test_models.h"

namespace pixellm {
namespace {

struct Case {
  std::string name;
  TinySpec spec;
};

std::vector<Case> cases() {
  using enum Architecture;
  std::vector<Case> list;
  std::vector<TensorType> all;
  for (const TypeTraits& t : kTypes) all.push_back(t.type);
  for (const Architecture a : {kGpt2, kLlama, kQwen2, kQwen3, kGemma3, kMlp}) {
    const std::string name(architecture_name(a));
    for (const TypeTraits& t : kTypes)
      list.push_back({name + "_" + std::string(t.name), test_spec(a, {t.type})});
    list.push_back({name + "_mixed", test_spec(a, all)});
  }
  TinySpec narrow = test_spec(kLlama, {TensorType::kQ8_0});
  narrow.head_dim = 8;
  narrow.n_heads = 12;
  narrow.embedding_length = 96;
  list.push_back({"heads_of_8", narrow});
  return list;
}

class DeterminismTest : public testing::TestWithParam<Case> {
 protected:
  static constexpr uint32_t kTokens = 37;

  void SetUp() override {
    model_.emplace(open_tiny(make_tiny_model(GetParam().spec)));
    ids_ = test_tokens(kTokens, GetParam().spec.vocab_size);
  }

  void find_truth(ActivationKind activations) {
    auto scalar = Engine::create(*model_, &kScalarKernels);
    ASSERT_TRUE(scalar) << scalar.error().message;
    truth_ = run_each(*scalar, ids_, 1, 1, activations).logits;
    ASSERT_EQ(truth_.size(), kTokens);
  }

  static bool same(std::span<const float> a, std::span<const float> b) {
    return a.size() == b.size() && !a.empty() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
  }

  void expect_same(const TokenLogits& run) {
    EXPECT_EQ(run.error, "");
    ASSERT_EQ(run.logits.size(), truth_.size());
    for (size_t t = 0; t < truth_.size(); t++) ASSERT_TRUE(same(run.logits[t], truth_[t])) << "token " << t;
  }

  std::optional<Model> model_;
  std::vector<TokenId> ids_;
  std::vector<std::vector<float>> truth_;
};

TEST_P(DeterminismTest, EveryInstructionSetThreadCountAndBatch) {
  find_truth(ActivationKind::kInt8);
  for (const Kernels* kernels : available_kernels()) {
    SCOPED_TRACE(kernels->name);
    auto engine = Engine::create(*model_, kernels);
    ASSERT_TRUE(engine) << engine.error().message;
    const bool scalar = kernels->isa == Isa::kScalar;
    for (const auto& [threads, batch] :
         {std::pair(1, 1u), {2, 512u}, {3, 5u}, {5, 16u}, {2, 9u}, {2, 2u}, {2, 4u}}) {
      if (scalar && batch != 512) continue;  // slow, and the truth itself is scalar
      SCOPED_TRACE(testing::Message() << threads << " threads, batch " << batch);
      expect_same(run_each(*engine, ids_, threads, batch));
      EXPECT_TRUE(same(run_last(*engine, ids_, threads, batch), truth_.back()));
    }
  }
}

TEST_P(DeterminismTest, WithTwoPlanesOfActivations) {
  find_truth(ActivationKind::kInt16);
  for (const Kernels* kernels : available_kernels()) {
    SCOPED_TRACE(kernels->name);
    auto engine = Engine::create(*model_, kernels);
    ASSERT_TRUE(engine) << engine.error().message;
    for (const auto& [threads, batch] : {std::pair(2, 512u), {1, 1u}, {3, 2u}, {2, 3u}}) {
      if (kernels->isa == Isa::kScalar && batch != 512) continue;
      SCOPED_TRACE(testing::Message() << threads << " threads, batch " << batch);
      expect_same(run_each(*engine, ids_, threads, batch, ActivationKind::kInt16));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, DeterminismTest, testing::ValuesIn(cases()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace pixellm
