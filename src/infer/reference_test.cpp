// The engine against a binary64 forward pass over the dequantised weights: are the architectures right?
#include "infer/reference_forward.h"
#include "infer/test_models.h"

namespace pixellm {
namespace {

struct Case {
  std::string name;
  TinySpec spec;
  double allowed;
};

double allowed_for(TensorType type) { return is_float_type(type) ? 0.001 : 0.03; }

std::vector<Case> cases() {
  using enum Architecture;
  std::vector<Case> list;
  for (const Architecture a : {kGpt2, kLlama, kQwen2, kQwen3, kGemma3, kMlp})
    for (const TypeTraits& t : kTypes)
      list.push_back({std::string(architecture_name(a)) + "_" + std::string(t.name), test_spec(a, {t.type}),
                      allowed_for(t.type)});
  const auto add = [&](const char* name, Architecture a, auto change) {
    TinySpec spec = test_spec(a, {TensorType::kF32});
    change(spec);
    list.push_back({name, spec, 0.001});
  };
  add("heads_of_8", kLlama, [](TinySpec& s) { s.head_dim = 8; });
  add("heads_of_24_fused", kQwen3, [](TinySpec& s) { s.head_dim = 24, s.fused_qkv = true; });
  add("partial_rope", kQwen2, [](TinySpec& s) { s.n_rot = 20; });
  add("partial_rope_adjacent", kLlama, [](TinySpec& s) { s.n_rot = 12; });
  add("group_of_12", kLlama, [](TinySpec& s) { s.n_heads = 12, s.n_kv_heads = 1, s.head_dim = 16; });
  add("gpt2_own_output", kGpt2, [](TinySpec& s) { s.tied_output = false; });
  add("gemma3_window_of_1", kGemma3, [](TinySpec& s) { s.sliding_window = 1; });
  add("gemma3_no_window", kGemma3, [](TinySpec& s) { s.sliding_window = 0; });
  add("gemma3_scaled_rope", kGemma3, [](TinySpec& s) { s.rope_linear_factor = 8; });
  add("gemma3_default_pattern", kGemma3, [](TinySpec& s) { s.n_layers = 7, s.sliding_period = 0; });
  // Without attention's half-precision cache only roundings to binary32 are left.
  list.push_back({"mlp_exact", test_spec(kMlp, {TensorType::kF32}), 1e-6});
  return list;
}

class ReferenceTest : public testing::TestWithParam<Case> {};

TEST_P(ReferenceTest, LogitsAreNearTheTruth) {
  const Case& c = GetParam();
  const TinyModel tiny = make_tiny_model(c.spec);
  const Model model = open_tiny(tiny);
  auto engine = Engine::create(model);
  ASSERT_TRUE(engine) << engine.error().message;
  const std::vector<TokenId> ids = test_tokens(21, c.spec.vocab_size);
  const TokenLogits run = run_each(*engine, ids, 1, 8);
  ASSERT_EQ(run.error, "");
  const auto truth = reference_logits(c.spec, tiny, ids);
  ASSERT_EQ(run.logits.size(), truth.size());
  std::vector<double> all_truth;
  std::vector<float> all;
  for (size_t t = 0; t < truth.size(); t++) {
    all.insert(all.end(), run.logits[t].begin(), run.logits[t].end());
    all_truth.insert(all_truth.end(), truth[t].begin(), truth[t].end());
  }
  const double rms = relative_rms(all, all_truth);
  RecordProperty("relative_rms", std::to_string(rms));
  EXPECT_LT(rms, c.allowed);
  EXPECT_GT(rms, 0);
}

INSTANTIATE_TEST_SUITE_P(All, ReferenceTest, testing::ValuesIn(cases()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace pixellm
