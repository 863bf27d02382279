// Every lawful GGUF comes back bit for bit: import to a picture, open it, export.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "convert/gguf.h"
#include "convert/gguf_builder.h"

namespace pixellm {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class GgufRoundTrip : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "pixellm-gguf-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::vector<uint8_t> read_back(const std::string& name) const {
    auto bytes = read_file(path(name), uint64_t{1} << 30);
    EXPECT_TRUE(bytes.has_value());
    return bytes.value_or(std::vector<uint8_t>{});
  }

  void expect_round_trip(const std::vector<uint8_t>& bytes, const ImportOptions& options = {}) {
    ASSERT_TRUE(write_file(path("in.gguf"), bytes).has_value());
    const auto imported = import_model(path("in.gguf"), path("model.png"), options, {});
    ASSERT_TRUE(imported.has_value()) << imported.error().message;
    EXPECT_EQ(imported->bytes_read, bytes.size());
    EXPECT_EQ(imported->bytes_written, fs::file_size(path("model.png")));
    ThreadPool pool(2);
    const auto model = Model::open(path("model.png"), VerifyLevel::kSha256, pool);
    ASSERT_TRUE(model.has_value()) << model.error().message;
    EXPECT_EQ(model->tensors().size(), imported->n_tensors);
    const auto exported = export_gguf(*model, path("back.gguf"), {});
    ASSERT_TRUE(exported.has_value()) << exported.error().message;
    EXPECT_EQ(exported->bytes_written, bytes.size());
    const auto back = read_back("back.gguf");
    ASSERT_EQ(back.size(), bytes.size());
    const auto difference = std::ranges::mismatch(back, bytes);
    ASSERT_EQ(difference.in2, bytes.end()) << "byte " << difference.in2 - bytes.begin();
  }

  fs::path folder_;
};

GgufBuilder typical() {
  GgufBuilder b;
  b.string("general.architecture", "llama").scalar<uint32_t>("llama.block_count", 1);
  b.tensor("token_embd.weight", TensorType::kQ8_0, {64, 33})
      .tensor("blk.0.attn_q.weight", TensorType::kQ4_K, {256, 16})
      .tensor("blk.0.attn_norm.weight", TensorType::kF32, {64})
      .tensor("output_norm.weight", TensorType::kF32, {64});
  return b;
}

TEST_F(GgufRoundTrip, TypicalInBothVersions) {
  for (const uint32_t version : {2u, 3u}) {
    GgufBuilder b = typical();
    b.version = version;
    expect_round_trip(b.build());
  }
}

TEST_F(GgufRoundTrip, EveryTypeInOddShapes) {
  for (const TypeTraits& t : kTypes) {
    SCOPED_TRACE(t.name);
    GgufBuilder b;
    const uint64_t block = t.block_elements, odd = block == 1 ? 7 : block;
    b.tensor("one_dimension", t.type, {odd});
    b.tensor("long_vector", t.type, {block * 3001});
    b.tensor("one_row", t.type, {odd, 1});
    b.tensor("rows17", t.type, {odd * 3, 17});
    b.tensor("wide", t.type, {block == 1 ? 1001 : block * 13, 5});
    b.tensor("cube", t.type, {odd, 3, 7});
    b.tensor("four", t.type, {odd, 2, 3, 5});
    b.tensor("tall", t.type, {block, 1000});
    b.tensor("dotted.ones", t.type, {block, 1, 1, 1});
    expect_round_trip(b.build());
  }
}

TEST_F(GgufRoundTrip, Alignments) {
  for (const uint32_t alignment : {8u, 24u, 64u, 4096u}) {
    SCOPED_TRACE(alignment);
    GgufBuilder b = typical();
    b.alignment = alignment;
    b.tensor("odd", TensorType::kF16, {7, 3});
    expect_round_trip(b.build());
  }
}

TEST_F(GgufRoundTrip, EveryMetadataType) {
  GgufBuilder b;
  b.scalar<uint8_t>("u8", 200)
      .scalar<int8_t>("i8", -3)
      .scalar<uint16_t>("u16", 60000)
      .scalar<int16_t>("i16", -300);
  b.scalar<uint32_t>("u32", 4000000000)
      .scalar<int32_t>("i32", -5)
      .scalar<float>("f32", -0.0f)
      .boolean("no", false);
  b.boolean("yes", true)
      .scalar<uint64_t>("u64", ~uint64_t{0})
      .scalar<int64_t>("i64", -1)
      .scalar<double>("f64", 1e300);
  b.string("empty", "").string("not utf-8", "\xff\xfe\x00z").string("key with \x01 and \xff", "v");
  b.array<uint8_t>("a.u8", {1, 2})
      .array<int16_t>("a.i16", {-1})
      .array<float>("a.f32", {1.5f, -2})
      .array<double>("a.f64", {});
  b.array<uint64_t>("a.u64", {1, ~uint64_t{0}}).strings("a.string", {"", "x", std::string(70000, 'y')});
  std::vector<uint8_t> nested;  // [[1, 2], []] of uint16, then an array of strings in it
  GgufBuilder::append<uint32_t>(nested, 9);
  GgufBuilder::append<uint64_t>(nested, 3);
  for (const std::vector<uint16_t>& inner : {std::vector<uint16_t>{1, 2}, std::vector<uint16_t>{}}) {
    GgufBuilder::append<uint32_t>(nested, 2);
    GgufBuilder::append<uint64_t>(nested, inner.size());
    for (const uint16_t v : inner) GgufBuilder::append<uint16_t>(nested, v);
  }
  GgufBuilder::append<uint32_t>(nested, 8);
  GgufBuilder::append<uint64_t>(nested, 1);
  GgufBuilder::append_string(nested, "deep");
  b.raw("a.nested", MetadataType::kArray, nested);
  b.tensor("w", TensorType::kF32, {4});
  expect_round_trip(b.build());
}

TEST_F(GgufRoundTrip, NoTensorsOrNoMetadata) {
  for (const bool padded : {false, true}) {
    GgufBuilder empty;
    empty.pad_end = padded;
    expect_round_trip(empty.build());
    GgufBuilder metadata_only;
    metadata_only.pad_end = padded;
    metadata_only.string("general.name", "nothing");
    expect_round_trip(metadata_only.build());
  }
  GgufBuilder tensors_only;
  tensors_only.tensor("w", TensorType::kBF16, {3, 3});
  expect_round_trip(tensors_only.build());
}

TEST_F(GgufRoundTrip, MissingEndPadding) {
  GgufBuilder b = typical();
  b.tensor("odd", TensorType::kF16, {7});
  b.pad_end = false;
  const auto bytes = b.build();
  ASSERT_NE(bytes.size() % 32, 0u);
  expect_round_trip(bytes);
}

TEST_F(GgufRoundTrip, TensorsOutOfOrderWithGaps) {
  GgufBuilder b;
  b.tensor("first.in.list", TensorType::kF32, {64}, 64000);
  b.tensor("second", TensorType::kQ4_0, {32, 17}, 3200);
  b.tensor("third", TensorType::kF16, {5}, 0);
  expect_round_trip(b.build());
}

TEST_F(GgufRoundTrip, BytesBetweenTensorsThatAreNotZero) {
  GgufBuilder b = typical();
  b.tensor("odd", TensorType::kF16, {7}).tensor("far", TensorType::kF16, {7}, 100000 / 32 * 32);
  b.padding = 0xa5;
  b.trailing = {0, 0, 1, 0, 2};
  b.trailing.resize(200);
  b.trailing.push_back(3);
  b.trailing.resize(300);
  expect_round_trip(b.build());
}

TEST_F(GgufRoundTrip, TooManyBytesBetweenTensors) {
  GgufBuilder b = typical();
  b.trailing.assign((1 << 20) - 16, 7);  // one run: its place costs 16
  expect_round_trip(b.build());
  b.trailing.push_back(7);
  ASSERT_TRUE(write_file(path("in.gguf"), b.build()).has_value());
  const auto imported = import_model(path("in.gguf"), path("no.png"), {}, {});
  ASSERT_FALSE(imported.has_value());
  EXPECT_EQ(imported.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(imported.error().message, HasSubstr("between the tensors"));
  EXPECT_FALSE(fs::exists(path("no.png")));
}

TEST_F(GgufRoundTrip, ForcedWidths) {
  for (const uint64_t row_bytes : {4224u, 9600u, 57792u, 65472u}) {
    SCOPED_TRACE(row_bytes);
    expect_round_trip(typical().build(), {.row_bytes = row_bytes});
  }
}

TEST_F(GgufRoundTrip, TheInputIsNeverOverwritten) {
  const auto bytes = typical().build();
  ASSERT_TRUE(write_file(path("in.gguf"), bytes).has_value());
  fs::create_symlink("in.gguf", path("link"));
  for (const char* same : {"in.gguf", "link", "./in.gguf"}) {
    const auto imported = import_model(path("in.gguf"), path(same), {}, {});
    ASSERT_FALSE(imported.has_value()) << same;
    EXPECT_EQ(imported.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(read_back("in.gguf"), bytes);
}

TEST_F(GgufRoundTrip, ErrorsLeaveNoFile) {
  auto bytes = typical().build();
  bytes.resize(bytes.size() - 300);
  ASSERT_TRUE(write_file(path("in.gguf"), bytes).has_value());
  EXPECT_FALSE(import_model(path("in.gguf"), path("out.png"), {}, {}).has_value());
  EXPECT_FALSE(import_model(path("absent.gguf"), path("out.png"), {}, {}).has_value());
  EXPECT_FALSE(import_model(path("in.gguf"), path("no/such/out.png"), {}, {}).has_value());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(GgufRoundTrip, ProgressGoesUpToTheWholeFile) {
  const auto bytes = typical().build();
  ASSERT_TRUE(write_file(path("in.gguf"), bytes).has_value());
  uint64_t last = 0, calls = 0, whole = 0;
  const Progress progress = [&](uint64_t done, uint64_t total) {
    EXPECT_GE(done, last);
    EXPECT_EQ(total, bytes.size());
    last = done;
    calls++;
    whole += done == total;
  };
  ASSERT_TRUE(import_model(path("in.gguf"), path("model.png"), {}, progress).has_value());
  EXPECT_GE(calls, 5u);
  EXPECT_EQ(whole, 1u);
  last = calls = whole = 0;
  ThreadPool pool(1);
  const auto model = Model::open(path("model.png"), VerifyLevel::kNone, pool);
  ASSERT_TRUE(model.has_value()) << model.error().message;
  ASSERT_TRUE(export_gguf(*model, path("back.gguf"), progress).has_value());
  EXPECT_GE(calls, 5u);
  EXPECT_EQ(whole, 1u);
}

}  // namespace
}  // namespace pixellm
