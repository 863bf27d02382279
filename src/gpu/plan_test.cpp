#include "gpu/plan.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <set>

#include "gpu/shaders.h"
#include "infer/test_models.h"

namespace pixellm::gpu {
namespace {

using ::testing::HasSubstr;
using enum Architecture;
using enum TensorType;

Plan plan_of(const TinySpec& spec, const PlanOptions& options = {}) {
  const Model model = make_tiny_model(spec).open().value();
  auto plan = build_plan(model, options);
  EXPECT_TRUE(plan) << plan.error().message;
  return std::move(*plan);
}

TEST(Plan, SixDispatchesALayer) {
  EXPECT_EQ(plan_of(test_spec(kLlama, {kQ4_0})).dispatches_a_layer(), 6u);
  EXPECT_EQ(plan_of(test_spec(kQwen2, {kQ8_0})).dispatches_a_layer(), 6u);
  EXPECT_EQ(plan_of(test_spec(kQwen3, {kF16})).dispatches_a_layer(), 6u);
  EXPECT_EQ(plan_of(test_spec(kGemma3, {kQ4_0})).dispatches_a_layer(), 8u);
  EXPECT_EQ(plan_of(test_spec(kGpt2, {kQ4_0})).dispatches_a_layer(), 8u);
}

TEST(Plan, NamesOnlyWhatExists) {
  for (const Architecture a : {kLlama, kQwen2, kQwen3, kGpt2, kGemma3}) {
    const Plan plan = plan_of(test_spec(a, {kQ4_K}));
    for (const auto* list : {&plan.decode, &plan.prefill, &plan.logits, &plan.argmax, &plan.top_k}) {
      ASSERT_FALSE(list->empty());
      for (const Dispatch& d : *list) {
        EXPECT_FALSE(shader_text(d.shader).empty()) << d.shader;
        std::set<uint32_t> numbers;
        std::set<std::pair<int, uint32_t>> things;
        for (const PlanBinding& b : d.bindings) {
          EXPECT_TRUE(numbers.insert(b.binding).second) << d.shader;
          EXPECT_TRUE(things.insert({static_cast<int>(b.kind), b.index}).second)
              << d.shader << " binds a buffer twice";
          if (b.kind == PlanBinding::Kind::kTexture) {
            EXPECT_LT(b.index, plan.textures.size());
          }
        }
      }
    }
  }
}

TEST(Plan, VectorsDoNotOverlap) {
  const Plan plan = plan_of(test_spec(kLlama, {kQ8_0}));
  uint64_t end = 0;
  for (const Plan::Vector& v : plan.vectors) {
    EXPECT_EQ(v.at % 64, 0u);
    EXPECT_GE(v.at, end);
    end = v.at + v.count;
  }
  EXPECT_LE(4 * end, plan.buffers[plan.buffer("vectors")].bytes);
}

TEST(Plan, Json) {
  const auto json =
      nlohmann::json::parse(plan_json(plan_of(test_spec(kLlama, {kQ8_0}), {.context = 40, .batch = 8})));
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["layers"], 2);
  EXPECT_EQ(json["model"]["context"], 40);
  EXPECT_EQ(json["model"]["batch"], 8);
  const auto& first = json["decode"][0];
  EXPECT_EQ(first["shader"], "embed.wgsl");
  EXPECT_EQ(first["layer"], -1);
  EXPECT_EQ(first["bindings"][0]["buffer"], "step");
  EXPECT_EQ(json["decode"].back()["shader"], "matvec_q.wgsl");
  EXPECT_EQ(json["prefill"][0]["workgroups"][1]["of"], "tokens");
  EXPECT_EQ(json["dispatches_a_layer"], 6);
}

TEST(Plan, SaysWhatItDoesNotCover) {
  const Model mlp = make_tiny_model(test_spec(kMlp, {kF32})).open().value();
  const auto refused = build_plan(mlp, {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("mlp"));

  const Model model = make_tiny_model(test_spec(kLlama, {kF32})).open().value();
  const auto large = build_plan(model, {.context = 1000000});
  ASSERT_FALSE(large);
  EXPECT_THAT(large.error().message, HasSubstr("1000000"));
  const auto small = build_plan(model, {.max_texture_rows = 1});
  ASSERT_FALSE(small);
  EXPECT_EQ(small.error().code, ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace pixellm::gpu
