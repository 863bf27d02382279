#include "gpu/device.h"

#include <gmock/gmock.h>

#include <numeric>

#include "gpu/gpu_test_world.h"

namespace pixellm::gpu {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kScale[] = R"(override FACTOR: u32 = 1;
@group(0) @binding(0) var<uniform> count: vec4<u32>;
@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < count.x) { output[id.x] = input[id.x] * FACTOR + count.y; }
})";

class DeviceTest : public GpuTest {
 protected:
  // What kScale needs, for `n` words.
  struct Scale {
    Buffer count, input, output;
    Pipeline pipeline;
    BindGroup group;
    uint32_t groups;
  };
  Result<Scale> make_scale(uint32_t n, double factor) {
    Scale s;
    s.count = PIXELLM_TRY(device().buffer(16, BufferUse::kUniform, "count"));
    s.input = PIXELLM_TRY(device().buffer(4 * n, BufferUse::kStorage, "input"));
    s.output = PIXELLM_TRY(device().buffer(4 * n, BufferUse::kStorage, "output"));
    const std::vector<uint32_t> count = {n, 7, 0, 0};
    PIXELLM_CHECK(device().write(s.count, 0, bytes_of(count)));
    const Constant constants[] = {{"FACTOR", factor}};
    s.pipeline = PIXELLM_TRY(device().pipeline("scale.wgsl", kScale, constants));
    const Binding bindings[] = {{0, s.count}, {1, s.input}, {2, s.output}};
    s.group = PIXELLM_TRY(device().bind(s.pipeline, bindings));
    s.groups = (n + 63) / 64;
    return s;
  }
};

TEST_F(DeviceTest, RunsAShader) {
  const uint32_t n = 1000;
  auto s = make_scale(n, 3);
  ASSERT_TRUE(s) << s.error().message;
  std::vector<uint32_t> in(n), out(n), want(n);
  std::iota(in.begin(), in.end(), 5u);
  for (uint32_t i = 0; i < n; i++) want[i] = in[i] * 3 + 7;
  ASSERT_TRUE(device().write(s->input, 0, bytes_of(in)));
  Commands commands;
  commands.dispatch(s->pipeline, s->group, s->groups);
  EXPECT_EQ(commands.dispatches(), 1u);
  const auto done = device().submit_read(commands, s->output, 0, bytes_of(out));
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(out, want);
}

TEST_F(DeviceTest, EachStepSeesWhatThoseBeforeItWrote) {
  const uint32_t n = 256;
  auto s = make_scale(n, 2);
  ASSERT_TRUE(s) << s.error().message;
  std::vector<uint32_t> in(n, 1), out(n);
  ASSERT_TRUE(device().write(s->input, 0, bytes_of(in)));
  Commands commands;
  for (int i = 0; i < 10; i++) {  // x -> 2x + 7, ten times
    commands.dispatch(s->pipeline, s->group, s->groups);
    commands.copy(s->output, 0, s->input, 0, 4 * n);
  }
  commands.zero(s->output, 0, 8);
  for (int round = 0; round < 2; round++) {  // the same list again
    ASSERT_TRUE(device().write(s->input, 0, bytes_of(in)));
    const auto done = device().submit_read(commands, s->output, 0, bytes_of(out));
    ASSERT_TRUE(done) << done.error().message;
    std::vector<uint32_t> want(n, 8 * 1024 - 7);
    want[0] = want[1] = 0;
    EXPECT_EQ(out, want);
  }
}

TEST_F(DeviceTest, ReadsAnyBytesOfAnySize) {
  const uint64_t size = (33 << 20) + 6;  // more than the staging buffer takes at once, not a multiple of 4
  auto buffer = device().buffer(size, BufferUse::kStorage, "large");
  ASSERT_TRUE(buffer) << buffer.error().message;
  std::vector<uint8_t> in(size + 2), out(size);
  for (size_t i = 0; i < in.size(); i++) in[i] = static_cast<uint8_t>(i * 2654435761u >> 24);
  ASSERT_TRUE(device().write(*buffer, 0, in));
  const auto read = device().read(*buffer, 0, out);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(std::equal(out.begin(), out.end(), in.begin()));
  std::vector<uint8_t> few(5);
  ASSERT_TRUE(device().read(*buffer, 12345677, few));
  EXPECT_TRUE(std::equal(few.begin(), few.end(), in.begin() + 12345677));
  EXPECT_FALSE(device().read(*buffer, size - 1, few));
  EXPECT_FALSE(device().write(*buffer, 2, Bytes(in).first(4)));
  EXPECT_FALSE(device().write(*buffer, size, Bytes(in).first(8)));
}

TEST_F(DeviceTest, ABufferIsZeroAtFirst) {
  auto buffer = device().buffer(4096, BufferUse::kStorage, "zeros");
  ASSERT_TRUE(buffer);
  std::vector<uint8_t> out(4096, 1);
  ASSERT_TRUE(device().read(*buffer, 0, out));
  EXPECT_EQ(out, std::vector<uint8_t>(4096));
}

TEST_F(DeviceTest, TimesEachDispatch) {
  auto s = make_scale(1 << 16, 3);
  ASSERT_TRUE(s) << s.error().message;
  Commands commands;
  for (int i = 0; i < 5; i++) {
    commands.dispatch(s->pipeline, s->group, s->groups);
    commands.copy(s->output, 0, s->input, 0, 4 << 16);
  }
  const auto times = device().submit_timed(commands);
  if (!device().adapter().timestamps) {
    ASSERT_FALSE(times);
    EXPECT_EQ(times.error().code, ErrorCode::kUnsupported);
    return;
  }
  ASSERT_TRUE(times) << times.error().message;
  EXPECT_EQ(times->size(), 5u);
  EXPECT_GT(std::accumulate(times->begin(), times->end(), uint64_t{0}), 0u);
}

TEST_F(DeviceTest, ManyTimedDispatchesNeedSeveralQuerySets) {
  if (!device().adapter().timestamps) GTEST_SKIP() << device().adapter().name << " has no timestamps";
  auto s = make_scale(64, 3);
  ASSERT_TRUE(s) << s.error().message;
  Commands commands;
  for (int i = 0; i < 2100; i++) commands.dispatch(s->pipeline, s->group, 1);
  const auto times = device().submit_timed(commands);
  ASSERT_TRUE(times) << times.error().message;
  EXPECT_EQ(times->size(), 2100u);
}

TEST_F(DeviceTest, WaitsForSubmissions) {
  auto s = make_scale(64, 3);
  ASSERT_TRUE(s) << s.error().message;
  Commands commands;
  commands.dispatch(s->pipeline, s->group, 1);
  const auto first = device().submit(commands), second = device().submit(commands);
  ASSERT_TRUE(first && second);
  EXPECT_LT(*first, *second);
  EXPECT_TRUE(device().wait(*first));
  EXPECT_TRUE(device().wait(*second));
  EXPECT_TRUE(device().wait(*first));
  EXPECT_FALSE(device().wait(*second + 1));
  EXPECT_TRUE(device().wait());
}

TEST_F(DeviceTest, AShaderThatDoesNotCompileGivesTheCompilersWords) {
  const auto bad = device().pipeline(
      "bad.wgsl", "@compute @workgroup_size(1) fn main() {\n  let x = y_is_unknown;\n}", {});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(bad.error().message, AllOf(HasSubstr("bad.wgsl"), HasSubstr("y_is_unknown"), HasSubstr("2:")));
  EXPECT_EQ(bad.error().message.find('\n'), std::string::npos);
  const Constant constants[] = {{"NO_SUCH", 1}};
  const auto unknown = device().pipeline("scale.wgsl", kScale, constants);
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("NO_SUCH"));
  const auto nothing = device().pipeline("empty.wgsl", "", {});
  ASSERT_FALSE(nothing);
  EXPECT_TRUE(make_scale(4, 1)) << "the device lives on";
}

TEST_F(DeviceTest, DirectivesFitTheCompiler) {
  if (!device().adapter().f16) GTEST_SKIP() << device().adapter().name << " has no f16";
  const auto pipeline = device().pipeline("half.wgsl", R"(alias hf = f16;
@group(0) @binding(0) var<storage, read_write> data: array<f32>;
@compute @workgroup_size(1) fn main() { data[0] = f32(hf(data[0]) * hf(2)); })",
                                          {});
  ASSERT_TRUE(pipeline) << pipeline.error().message;
}

TEST_F(DeviceTest, BindingsThatDoNotFitAreErrors) {
  auto s = make_scale(64, 3);
  ASSERT_TRUE(s) << s.error().message;
  const Binding few[] = {{0, s->count}, {1, s->input}};
  EXPECT_FALSE(device().bind(s->pipeline, few));
  const Binding wrong[] = {{0, s->input}, {1, s->input}, {2, s->output}};
  const auto kind = device().bind(s->pipeline, wrong);
  ASSERT_FALSE(kind);
  EXPECT_THAT(kind.error().message, HasSubstr("scale.wgsl"));
  const Binding outside[] = {{0, s->count}, {1, s->input, 256, 4}, {2, s->output}};
  EXPECT_FALSE(device().bind(s->pipeline, outside));
  EXPECT_TRUE(device().wait());
}

TEST_F(DeviceTest, ReadingAndWritingABufferInOneDispatchIsAnError) {
  auto s = make_scale(64, 3);
  ASSERT_TRUE(s) << s.error().message;
  const Binding same[] = {{0, s->count}, {1, s->output}, {2, s->output}};
  auto group = device().bind(s->pipeline, same);
  if (group) {
    Commands commands;
    commands.dispatch(s->pipeline, *group, 1);
    EXPECT_FALSE(device().submit(commands));
  }
  EXPECT_TRUE(device().wait()) << "the device lives on";
}

TEST_F(DeviceTest, RequestsOverTheLimitsSayWhatThereIs) {
  DeviceOptions low;
  low.at_most.max_buffer_bytes = 1 << 20;
  low.at_most.max_binding_bytes = 1 << 16;
  low.at_most.max_texture_size = 512;
  low.at_most.max_texture_layers = 4;
  low.at_most.max_workgroups = 16;
  low.at_most.max_workgroup_size = 32;
  open(low);
  if (HasFatalFailure() || IsSkipped()) return;
  EXPECT_EQ(device().limits().max_texture_layers, 4u);
  const auto buffer = device().buffer((1 << 20) + 1, BufferUse::kStorage, "cache");
  ASSERT_FALSE(buffer);
  EXPECT_EQ(buffer.error().code, ErrorCode::kTooLarge);
  EXPECT_THAT(buffer.error().message, AllOf(HasSubstr("cache"), HasSubstr("1048577"), HasSubstr("1048576")));
  const auto wide = device().texture(513, 1, 1, "t");
  ASSERT_FALSE(wide);
  EXPECT_THAT(wide.error().message, AllOf(HasSubstr("513"), HasSubstr("512")));
  const auto deep = device().texture(1, 1, 5, "t");
  ASSERT_FALSE(deep);
  EXPECT_THAT(deep.error().message, AllOf(HasSubstr("5 layers"), HasSubstr("4")));
  const auto group = make_scale(4, 1);
  if (device().adapter().library.find("wgpu_native") == std::string::npos)
    return;  // WebGPU lets others grant more
  ASSERT_FALSE(group) << "a workgroup of 64 on a device that allows 32";
  EXPECT_THAT(group.error().message, HasSubstr("64"));
}

TEST_F(DeviceTest, BindingsAndDispatchesOverTheLimitsAreErrors) {
  DeviceOptions low;
  low.at_most.max_buffer_bytes = 1 << 20;
  low.at_most.max_binding_bytes = 1 << 16;
  low.at_most.max_workgroups = 16;
  open(low);
  if (HasFatalFailure() || IsSkipped()) return;
  auto s = make_scale(1024, 1);
  ASSERT_TRUE(s) << s.error().message;
  Commands commands;
  commands.dispatch(s->pipeline, s->group, 17);
  const auto submitted = device().submit(commands);
  ASSERT_FALSE(submitted);
  EXPECT_THAT(submitted.error().message, AllOf(HasSubstr("scale.wgsl"), HasSubstr("17"), HasSubstr("16")));
  const auto large = make_scale(1 << 15, 1);
  ASSERT_FALSE(large);
  EXPECT_THAT(large.error().message, AllOf(HasSubstr("131072"), HasSubstr("65536")));
  EXPECT_TRUE(device().wait());
}

TEST_F(DeviceTest, MoreThanTheMachineHasIsAnError) {
  const uint64_t most = device().limits().max_buffer_bytes;
  std::vector<Buffer> held;
  for (int i = 0; i < 64; i++) {
    auto buffer = device().buffer(std::min<uint64_t>(most, uint64_t{1} << 46), BufferUse::kStorage, "huge");
    if (!buffer) {
      EXPECT_EQ(buffer.error().code, ErrorCode::kTooLarge) << buffer.error().message;
      EXPECT_THAT(buffer.error().message, HasSubstr("huge"));
      return;
    }
    held.push_back(std::move(*buffer));
  }
  GTEST_SKIP() << device().adapter().name << " gave " << held.size() << " buffers of " << most << " bytes";
}

TEST_F(DeviceTest, AfterALossEveryCallSaysSo) {
  auto s = make_scale(64, 3);
  ASSERT_TRUE(s) << s.error().message;
  Commands commands;
  commands.dispatch(s->pipeline, s->group, 1);
  ASSERT_TRUE(device().submit(commands));
  device().lose();
  std::vector<uint8_t> out(16);
  std::vector<Error> errors;
  const auto note = [&](auto result) {
    ASSERT_FALSE(result);
    errors.push_back(result.error());
  };
  note(device().submit(commands));
  note(device().submit_read(commands, s->output, 0, out));
  note(device().submit_timed(commands));
  note(device().read(s->output, 0, out));
  note(device().write(s->input, 0, out));
  note(device().wait());
  note(device().buffer(16, BufferUse::kStorage, "b"));
  note(device().texture(1, 1, 1, "t"));
  note(device().pipeline("scale.wgsl", kScale, {}));
  note(device().bind(s->pipeline, {}));
  for (const Error& error : errors) {
    EXPECT_EQ(error.code, ErrorCode::kIo);
    EXPECT_THAT(error.message, AllOf(HasSubstr("lost"), HasSubstr(device().adapter().name)));
  }
}

TEST_F(DeviceTest, HandlesMayOutliveTheDevice) {
  std::optional<Buffer> buffer;
  {
    auto second = Device::open({});
    ASSERT_TRUE(second) << second.error().message;
    buffer = std::move(*second->buffer(64, BufferUse::kStorage, "b"));
  }
  EXPECT_EQ(buffer->bytes(), 64u);
}

TEST_F(DeviceTest, AdaptersAreChosenByIndexOrName) {
  const auto all = adapters();
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_FALSE(all->empty());
  EXPECT_EQ(all->front().name, device().adapter().name);
  const std::string last = std::to_string(all->size() - 1);
  const auto by_index = Device::open({.adapter = last, .at_most = {}});
  ASSERT_TRUE(by_index) << by_index.error().message;
  EXPECT_EQ(by_index->adapter().name, all->back().name);
  std::string name = all->back().name.substr(0, 5);
  std::ranges::transform(name, name.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  EXPECT_TRUE(Device::open({.adapter = name, .at_most = {}}));
  for (const std::string& none : {std::to_string(all->size()), std::string("no such card")}) {
    const auto opened = Device::open({.adapter = none, .at_most = {}});
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().message, AllOf(HasSubstr(none), HasSubstr(all->front().name)));
  }
}

}  // namespace
}  // namespace pixellm::gpu
