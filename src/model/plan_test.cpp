#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "model/placement.h"
#include "model/test_model.h"
#include "pixel/flat_png.h"

namespace pixellm {
namespace {

using ::testing::HasSubstr;
using T = TensorType;

uint64_t worst_left_over(const std::vector<T>& types, uint64_t row_bytes) {
  uint64_t worst = 0;
  for (const T t : types) worst = std::max<uint64_t>(worst, row_bytes % traits(t).cell_bytes);
  return worst;
}

const std::vector<std::vector<T>> kMixes = {{T::kQ4_1},
                                            {T::kQ8_0},
                                            {T::kF16},
                                            {T::kF32},
                                            {T::kQ4_1, T::kQ8_0},
                                            {T::kQ4_K, T::kQ6_K},
                                            {T::kQ4_K, T::kQ5_0, T::kQ6_K, T::kQ8_0},
                                            {T::kQ5_K, T::kQ6_K},
                                            {T::kBF16, T::kQ8_0}};

TEST(RowBytes, HaveSmallLeftOversAndLittleOverhead) {
  for (const auto& mix : kMixes)
    for (const uint64_t payload :
         {uint64_t{100'000}, uint64_t{5'000'000}, uint64_t{90'000'000}, uint64_t{3'000'000'000}}) {
      const uint64_t r = choose_row_bytes(mix, payload), left = worst_left_over(mix, r);
      EXPECT_EQ(r % kFlatRowUnit, 0u);
      EXPECT_LE(r, kFlatMaxRowBytes);
      EXPECT_LE(left, 256u) << traits(mix[0]).name << " " << payload << ": " << r;
      const double overhead = static_cast<double>(kFlatRowOverhead + left) / static_cast<double>(r - left);
      EXPECT_LE(overhead, payload >= 50'000'000 ? 0.0121 : 1.0) << traits(mix[0]).name << " " << r;
    }
}

TEST(RowBytes, AreTheLeastRibbonThatIsAllowed) {
  // Q4_1 has many widths with small left-overs: a picture of 90 MB comes close to a square.
  const double width = static_cast<double>(choose_row_bytes(std::vector{T::kQ4_1}, 90'000'000)) / 3;
  const double rows = 90e6 / 3 / width;
  EXPECT_LT(std::abs(std::log(width / rows)), 0.1);
  // Only one width suits these four.
  EXPECT_EQ(choose_row_bytes(std::vector{T::kQ4_K, T::kQ5_0, T::kQ6_K, T::kQ8_0}, 90'000'000), 57792u);
  EXPECT_EQ(choose_row_bytes(std::vector{T::kQ4_K, T::kQ5_0, T::kQ6_K, T::kQ8_0}, 100'000), 57792u);
}

TEST(RowBytes, ExistForEveryMixAndSize) {
  std::vector<T> all;
  for (const TypeTraits& t : kTypes) all.push_back(t.type);
  EXPECT_EQ(choose_row_bytes(all, 1'000'000), 37440u);  // no small left-over exists: the smallest worst one
  EXPECT_EQ(choose_row_bytes({}, 0) % kFlatRowUnit, 0u);
  EXPECT_GE(choose_row_bytes(std::vector{T::kF32}, 10), 4096u);
  EXPECT_GE(choose_row_bytes(std::vector{T::kQ4_1}, 60'000'000'000) * kFlatMaxRows, 60'000'000'000u);
}

TEST(Plan, LargeModelsCostAtMostTwoPercent) {
  for (const auto& mix : kMixes) {
    TestModel m;
    m.source = {};
    std::vector<TensorInfo> tensors;
    uint64_t source_bytes = 0;
    for (size_t i = 0; i < 40 || source_bytes < 60'000'000; i++) {
      TensorInfo t;
      t.name = "blk." + std::to_string(i) + ".ffn_up.weight";
      t.type = mix[i % mix.size()];
      t.n_dims = 2;
      t.dims = {768, 2304, 1, 1};
      t.source_offset = source_bytes;
      source_bytes += t.source_bytes();
      tensors.push_back(t);
      t.name = "blk." + std::to_string(i) + ".ffn_norm.weight";
      t.type = T::kF32;
      t.n_dims = 1;
      t.dims = {768, 1, 1, 1};
      source_bytes += t.source_bytes();
      tensors.push_back(t);
    }
    const auto plan = plan_model(tensors, m.pairs.parse(), {});
    ASSERT_TRUE(plan) << plan.error().message;
    const uint64_t file = flat_png_file_bytes(plan->row_bytes, plan->rows);
    EXPECT_LE(static_cast<double>(file), 1.02 * static_cast<double>(source_bytes)) << traits(mix[0]).name;
  }
}

std::string error_of(const Result<ModelPlan>& plan) { return plan ? "" : plan.error().message; }

TEST(Plan, Refusals) {
  const TestModel empty;
  const auto plan_of = [&](auto change) {
    TestModel m;
    m.add("a", T::kQ8_0, {64, 64}).add("b", T::kF32, {64});
    change(m);
    return error_of(m.plan());
  };
  EXPECT_EQ(plan_of([](TestModel&) {}), "");
  EXPECT_THAT(plan_of([](TestModel& m) { m.tensors[1].name = "a"; }), HasSubstr("two tensors are named 'a'"));
  EXPECT_THAT(plan_of([](TestModel& m) { m.tensors[1].name = ""; }), HasSubstr("a name of 0 bytes"));
  EXPECT_THAT(plan_of([](TestModel& m) { m.tensors[1].name = std::string(1025, 'n'); }),
              HasSubstr("a name of 1025 bytes"));
  EXPECT_THAT(plan_of([](TestModel& m) { m.tensors[0].dims[0] = 65; }),
              HasSubstr("Q8_0 needs a multiple of 32"));
  EXPECT_THAT(plan_of([](TestModel& m) { m.tensors[0].dims[1] = uint64_t{1} << 55; }), HasSubstr("elements"));
  EXPECT_THAT(plan_of([](TestModel& m) { m.tensors[0].dims[1] = uint64_t{1} << 32; }),
              HasSubstr("the weights exceed"));
  EXPECT_THAT(plan_of([](TestModel& m) { m.tensors[0].dims[1] = 0; }), HasSubstr("dimension 1 is 0"));
  EXPECT_THAT(plan_of([](TestModel& m) { m.source.file_bytes = uint64_t{1} << 40; }),
              HasSubstr("a source file of"));
  EXPECT_THAT(plan_of([](TestModel& m) { m.source.file_bytes -= 1; }), HasSubstr("of the source's data"));
  TestModel m;
  m.add("a", T::kF32, {64, 64});
  EXPECT_THAT(error_of(m.plan(192)), HasSubstr("multiples of 192 from 4096 to 65472"));
  EXPECT_THAT(error_of(m.plan(4225)), HasSubstr("multiples of 192"));
  EXPECT_THAT(error_of(m.plan(65664)), HasSubstr("multiples of 192"));
  EXPECT_EQ(error_of(m.plan(4224)), "");
  EXPECT_EQ(error_of(TestModel().plan()), "") << "a model without tensors";
}

// ---- world

TEST(World, RolesFromNames) {
  const auto role = [](std::string_view n) { return classify_tensor(n); };
  EXPECT_EQ(role("blk.12.attn_q.weight").layer, 12);
  EXPECT_EQ(role("blk.12.attn_q.weight").layer_type, LayerType::kAttention);
  EXPECT_EQ(role("blk.0.attn_q_norm.weight").layer_type, LayerType::kNorm);
  EXPECT_EQ(role("blk.0.ffn_gate.weight").layer_type, LayerType::kFeedForward);
  EXPECT_EQ(role("token_embd.weight").layer_type, LayerType::kEmbedding);
  EXPECT_EQ(role("output.weight").layer_type, LayerType::kOutput);
  EXPECT_EQ(role("output_norm.bias").layer_type, LayerType::kNorm);
  EXPECT_EQ(role("rope_freqs.weight").layer_type, LayerType::kOther);
  for (const std::string_view n :
       {"blk.attn_q.weight", "blk..x", "blk.65535.x", "blk.99999999999.x", "blk.1", "blk.1x.y", "blk"})
    EXPECT_EQ(role(n).layer, kNoLayer) << n;
  EXPECT_EQ(role("blk.65534.attn_q.weight").layer, 65534);
}

TEST(World, SizeOfARectangle) {
  const auto size = [](uint64_t bytes, uint16_t parts) {
    const Rect r = world_size(bytes, parts);
    return std::pair(r.w, r.h);
  };
  EXPECT_EQ(size(1, 1), std::pair(64u, 64u));
  EXPECT_EQ(size(3 * 64 * 64, 1), std::pair(64u, 64u));
  EXPECT_EQ(size(3 * 64 * 64 + 1, 1), std::pair(64u, 128u));
  EXPECT_EQ(size(3 * 96 * 96, 1), std::pair(128u, 128u));       // isqrt 96, +32 = 128
  EXPECT_EQ(size(3 * (96 * 96 - 1), 1), std::pair(64u, 192u));  // isqrt 95
  EXPECT_EQ(size(30'000'000, 1), std::pair(3136u, 3200u));
  EXPECT_EQ(size(32 * 3 * 64 * 64, 32), std::pair(512u, 256u));  // 8 x 4 heads
  EXPECT_EQ(size(9 * 3 * 64 * 64, 9), std::pair(512u, 128u));
  EXPECT_EQ(size(3 * 3 * 64 * 64, 3), std::pair(192u, 64u));
}

TEST(World, HeadsAndBands) {
  TestModel m("llama", 32, 8);
  m.add("blk.0.ffn_up.weight", T::kQ8_0, {64, 128}).add("blk.0.attn_v.weight", T::kQ8_0, {64, 128});
  m.add("blk.0.attn_k.weight", T::kQ8_0, {64, 128}).add("blk.0.attn_q.weight", T::kQ8_0, {64, 512});
  m.add("blk.0.attn_q.bias", T::kF32, {512}).add("blk.0.attn_norm.weight", T::kF32, {64});
  m.add("output.weight", T::kQ8_0, {64, 512}).add("token_embd.weight", T::kQ8_0, {64, 512});
  m.add("blk.1.attn_q.weight", T::kQ8_0, {64, 64}).add("blk.1.attn_output.weight", T::kQ8_0, {512, 64});
  m.add("blk.0.attn_qkv.weight", T::kQ8_0, {64, 48 * 16});
  const auto plan = m.plan();
  ASSERT_TRUE(plan) << plan.error().message;
  const auto of = [&](std::string_view name) -> const TensorInfo& {
    return *std::ranges::find(plan->tensors, name, &TensorInfo::name);
  };
  EXPECT_EQ(of("blk.0.attn_q.weight").world_parts, 32);
  EXPECT_EQ(of("blk.0.attn_k.weight").world_parts, 8);
  EXPECT_EQ(of("blk.0.attn_v.weight").world_parts, 8);
  EXPECT_EQ(of("blk.0.attn_qkv.weight").world_parts, 48);
  EXPECT_EQ(of("blk.0.attn_q.bias").world_parts, 1);
  EXPECT_EQ(of("blk.1.attn_q.weight").world_parts, 1) << "64 rows are not 32 heads of whole groups";
  EXPECT_EQ(of("blk.1.attn_output.weight").world_parts, 1);

  const auto rect = [&](std::string_view n) { return of(n).world; };
  EXPECT_EQ(rect("token_embd.weight").y, 0u);
  const uint32_t band = rect("token_embd.weight").h + 64;
  const std::string_view across[] = {"blk.0.attn_norm.weight", "blk.0.attn_q.weight", "blk.0.attn_q.bias",
                                     "blk.0.attn_k.weight",    "blk.0.attn_v.weight", "blk.0.attn_qkv.weight",
                                     "blk.0.ffn_up.weight"};
  uint32_t x = 0, height = 0;
  // Inside a rank (Q and its bias, V and QKV) the source's order counts.
  std::vector<std::string_view> sorted(std::begin(across), std::end(across));
  std::ranges::sort(sorted, {}, [&](std::string_view n) { return rect(n).x; });
  EXPECT_EQ(sorted.front(), "blk.0.attn_norm.weight");
  EXPECT_EQ(sorted.back(), "blk.0.ffn_up.weight");
  for (const std::string_view n : sorted) {
    EXPECT_EQ(rect(n).y, band) << n;
    EXPECT_EQ(rect(n).x, x) << n;
    x += rect(n).w + 64;
    height = std::max(height, rect(n).h);
  }
  EXPECT_EQ(rect("blk.1.attn_q.weight").y, band + height + 64);
  EXPECT_GT(rect("output.weight").y, rect("blk.1.attn_q.weight").y);
  EXPECT_EQ(plan->header.world_width, x - 64);
  EXPECT_EQ(plan->header.world_height, rect("output.weight").y + rect("output.weight").h);
}

// ---- writer

TEST(Writer, WantsThePlansOrder) {
  const TestFolder folder;
  TestModel m;
  m.add("b", T::kF32, {64}).add("token_embd.weight", T::kF32, {64});
  {
    auto writer = ModelWriter::create(folder.path("m.png"), *m.plan());
    ASSERT_TRUE(writer);
    EXPECT_EQ(writer->order(), (std::vector<size_t>{1, 0}));
    const auto read = [](uint64_t, MutableBytes) -> Result<void> { return {}; };
    EXPECT_THAT(writer->write_tensor(0, read).error().message, HasSubstr("not the next one"));
    EXPECT_THAT(writer->write_tensor(1, read).error().message, HasSubstr("an earlier write failed"));
    EXPECT_THAT(writer->finish().error().message, HasSubstr("0 of 2 tensors"));
  }
  EXPECT_TRUE(folder.is_empty());
}

TEST(Writer, LeavesNoFileWhenReadingFails) {
  const TestFolder folder;
  TestModel m;
  m.add("a", T::kQ4_0, {64, 40});
  {
    auto writer = ModelWriter::create(folder.path("m.png"), *m.plan());
    ASSERT_TRUE(writer);
    const auto read = [](uint64_t offset, MutableBytes) -> Result<void> {
      if (offset > 0) return fail(ErrorCode::kIo, "gone");
      return {};
    };
    EXPECT_EQ(writer->write_tensor(0, read).error().message, "gone");
    EXPECT_FALSE(writer->finish());
  }
  EXPECT_TRUE(folder.is_empty());
}

TEST(Writer, ModelWithoutTensors) {
  const TestFolder folder;
  ThreadPool pool(1);
  TestModel m;
  m.source = {};
  ASSERT_TRUE(m.write(folder.path("m.png")));
  const auto model = Model::open(folder.path("m.png"), VerifyLevel::kSha256, pool);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_TRUE(model->tensors().empty());
  EXPECT_EQ(model->source().format, 0u);
  EXPECT_EQ(model->metadata().string("general.architecture"), "llama");
}

}  // namespace
}  // namespace pixellm
