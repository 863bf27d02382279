#include "model/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "model/test_model.h"
#include "tensor/cells.h"

namespace pixellm {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class WrittenModel : public ::testing::TestWithParam<uint64_t> {
 protected:
  void SetUp() override {
    const auto written =
        test_.write(folder_.path("m.png"), GetParam() ? std::optional(GetParam()) : std::nullopt);
    ASSERT_TRUE(written) << written.error().message;
  }
  Model open(VerifyLevel level = VerifyLevel::kSha256) {
    auto model =
        Model::open(folder_.path("m.png"), level, pool_, /*release_pages=*/level == VerifyLevel::kSha256);
    EXPECT_TRUE(model) << model.error().message;
    return std::move(*model);
  }
  TestFolder folder_;
  TestModel test_ = TestModel::every_type();
  ThreadPool pool_{2};
};

// 0: the width that the writer takes; small ones put many row ends into the tensors.
INSTANTIATE_TEST_SUITE_P(Widths, WrittenModel, ::testing::Values(0, 4224, 5760, 65472));

TEST_P(WrittenModel, GivesBackEveryByte) {
  const Model model = open();
  ASSERT_EQ(model.tensors().size(), test_.tensors.size());
  for (size_t i = 0; i < test_.tensors.size(); i++) {
    const TensorInfo &wanted = test_.tensors[i], &t = model.tensors()[i];
    EXPECT_EQ(t.name, wanted.name);
    EXPECT_EQ(t.type, wanted.type);
    EXPECT_EQ(t.dims, wanted.dims);
    EXPECT_EQ(t.n_dims, wanted.n_dims);
    EXPECT_EQ(t.source_offset, wanted.source_offset);
    EXPECT_EQ(t.offset % 64, 0u);
    EXPECT_EQ(source_bytes(model, t), test_.data[i]) << t.name;
    EXPECT_EQ(source_bytes(model, t, /*release=*/true), test_.data[i]) << t.name;
    EXPECT_EQ(t.sha256, sha256(test_.data[i])) << t.name;
    EXPECT_EQ(model.find(t.name), &t);
  }
  EXPECT_EQ(model.find("nothing"), nullptr);
  EXPECT_THAT(std::vector(model.metadata().encoded().begin(), model.metadata().encoded().end()),
              ::testing::ElementsAreArray(test_.pairs.bytes));
  EXPECT_EQ(model.source().file_bytes, test_.source.file_bytes);
  ASSERT_EQ(model.source().residues.size(), 2u);
  EXPECT_EQ(model.source().residues[0].offset, 4000u);
  EXPECT_THAT(model.source().residues[1].bytes, ElementsAre(9, 8));
}

TEST_P(WrittenModel, CellsAndFloatsAreReadInPlace) {
  const Model model = open(VerifyLevel::kCrc);
  for (size_t i = 0; i < model.tensors().size(); i++) {
    const TensorInfo& t = model.tensors()[i];
    const uint64_t row_bytes = gguf_row_bytes(t.type, t.k());
    std::vector<float> wanted(t.k()), found(t.k());
    for (uint64_t r = 0; r < t.n_rows(); r++) {
      dequantize_blocks(t.type, t.k(), test_.data[i].data() + r * row_bytes, wanted.data());
      if (t.layout == Layout::kCells)
        dequantize_row(model.matrix(t), r, found.data());
      else
        found = model.read_floats(t).value();
      ASSERT_EQ(std::memcmp(found.data(), wanted.data(), t.k() * sizeof(float)), 0) << t.name << " row " << r;
    }
  }
  EXPECT_EQ(model.read_floats(*model.find("row")).value().size(), 70u);
  for (const char* name : {"long", "vector.Q8_0", "vector.F16"}) {
    const TensorInfo& t = *model.find(name);
    const auto stored = source_bytes(model, t);
    EXPECT_EQ(model.decode_floats(t, stored).value(), model.read_floats(t).value()) << name;
    EXPECT_THAT(model.decode_floats(t, Bytes(stored).first(stored.size() - 1)).error().message, HasSubstr(name));
  }
  EXPECT_FALSE(model.decode_floats(*model.find("row"), source_bytes(model, *model.find("row"))));
  EXPECT_THAT(model.read_floats(*model.find("cube")).error().message, HasSubstr("21 rows"));
}

TEST_P(WrittenModel, TheHeadAloneSaysEverythingButTheWeights) {
  const Model whole = open();
  const auto file = read_file(folder_.path("m.png"), 1 << 30).value();
  const uint64_t held = whole.plane().chunk_range(0, whole.header().first_weight_row).second;
  const Bytes start = Bytes(file).first(held);
  auto plane = PixelPlane::open_start(start, file.size(), "start");
  ASSERT_TRUE(plane) << plane.error().message;
  const auto model = Model::from_plane(std::move(*plane));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->hash_head().value(), model->header().head_sha256);
  ASSERT_EQ(model->tensors().size(), whole.tensors().size());
  for (size_t i = 0; i < whole.tensors().size(); i++) {
    EXPECT_EQ(model->tensors()[i].name, whole.tensors()[i].name);
    EXPECT_EQ(model->picture_rows(model->tensors()[i]), whole.picture_rows(whole.tensors()[i]));
  }
  EXPECT_THAT(model->read_floats(*model->find("long")).error().message, HasSubstr("at hand"));
  // A row of the head less: no model.
  if (whole.header().first_weight_row < 2) return;
  auto shorter = PixelPlane::open_start(start.first(held - whole.plane().row_stride()), file.size(), "start");
  ASSERT_TRUE(shorter) << shorter.error().message;
  EXPECT_THAT(Model::from_plane(std::move(*shorter)).error().message, HasSubstr("at hand"));
}

TEST_P(WrittenModel, HeaderRepeatsTheMetadata) {
  const Model model = open(VerifyLevel::kNone);
  const ModelHeader& h = model.header();
  EXPECT_EQ(h.architecture, 1);
  EXPECT_EQ(h.vocab_size, 3u);
  EXPECT_EQ(h.n_layers, 1u);
  EXPECT_EQ(h.embedding_length, 64u);
  EXPECT_EQ(h.n_heads, 2u);
  EXPECT_EQ(h.feed_forward_length, 96u);
  EXPECT_EQ(h.context_length, 128u);
  EXPECT_EQ(h.width * 3, model.plane().row_bytes());
  EXPECT_EQ(h.height, model.plane().rows());
}

// Order of use: embedding, layer (norm, Q, K, output, ffn), output norm, the rest.
TEST_P(WrittenModel, TensorsLieInTheOrderOfUse) {
  const Model model = open(VerifyLevel::kNone);
  const std::vector<std::string> order = {
      "token_embd.weight",        "blk.0.attn_norm.weight", "blk.0.attn_q.weight", "blk.0.attn_k.weight",
      "blk.0.attn_output.weight", "blk.0.ffn_down.weight",  "output_norm.weight",  "types.F32"};
  for (size_t i = 1; i < order.size(); i++)
    EXPECT_LT(model.find(order[i - 1])->offset, model.find(order[i])->offset) << order[i];
}

TEST_P(WrittenModel, NewestFileIsTheSameFile) {
  ASSERT_TRUE(test_.write(folder_.path("again.png"), GetParam() ? std::optional(GetParam()) : std::nullopt));
  EXPECT_EQ(*read_file(folder_.path("again.png"), 1 << 30), *read_file(folder_.path("m.png"), 1 << 30));
}

// ---- golden files

std::string fixture(const std::string& name) {
  return std::string(PIXELLM_SOURCE_DIR) + "/spec/fixtures/" + name;
}

TEST(Fixtures, Version2IsWhatTheWriterWrites) {
  const TestFolder folder;
  ASSERT_TRUE(TestModel::smallest().write(folder.path("m.png"), 768));
  EXPECT_EQ(*read_file(folder.path("m.png"), 1 << 20), *read_file(fixture("pxi-llm-2.0.png"), 1 << 20));
}

TEST(Fixtures, Version2) {
  ThreadPool pool(1);
  const auto model = Model::open(fixture("pxi-llm-2.0.png"), VerifyLevel::kSha256, pool);
  ASSERT_TRUE(model) << model.error().message;
  const TestModel wanted = TestModel::smallest();
  ASSERT_EQ(model->tensors().size(), 2u);
  for (size_t i = 0; i < 2; i++) EXPECT_EQ(source_bytes(*model, model->tensors()[i]), wanted.data[i]);
  EXPECT_EQ(model->header().first_weight_row, 2u);
}

TEST(Fixtures, Version1) {
  ThreadPool pool(1);
  const auto model = Model::open(fixture("pxi-llm-1.0.pxif"), VerifyLevel::kSha256, pool);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->tensors()[1].name, "layer.1.ffn");
}

// ---- damage

class Damage : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(test_.write(path_, 4224));
    auto model = Model::open(path_, VerifyLevel::kSha256, pool_);
    ASSERT_TRUE(model);
    model_.emplace(std::move(*model));
    file_ = *read_file(path_, 1 << 30);
  }
  // Flips one bit of the payload, in the file, and opens.
  Error open_with_flip(uint64_t payload_byte, VerifyLevel level) {
    const PixelPlane& plane = model_->plane();
    auto bytes = file_;
    bytes[plane.base_offset() + payload_byte / plane.row_bytes() * plane.row_stride() +
          payload_byte % plane.row_bytes()] ^= 4;
    PIXELLM_ASSERT(write_file(folder_.path("bad.png"), bytes));
    auto bad = Model::open(folder_.path("bad.png"), level, pool_);
    return bad ? Error{ErrorCode::kInternal, "opened"} : bad.error();
  }
  TestFolder folder_;
  std::string path_ = folder_.path("m.png");
  TestModel test_ = TestModel::every_type();
  ThreadPool pool_{2};
  std::optional<Model> model_;
  std::vector<uint8_t> file_;
};

TEST_F(Damage, IsNamedByRowAndTensor) {
  for (const VerifyLevel level : {VerifyLevel::kCrc, VerifyLevel::kSha256})
    for (const TensorInfo& t : model_->tensors()) {
      const auto [first, last] = model_->picture_rows(t);
      const Error e = open_with_flip(t.offset, level);
      EXPECT_EQ(e.code, ErrorCode::kCorrupt);
      EXPECT_THAT(e.message, HasSubstr("damaged: row " + std::to_string(first) + ": "));
      EXPECT_THAT(e.message, HasSubstr(t.name));
      EXPECT_LE(first, last);
    }
}

TEST_F(Damage, InTheHeadIsNamed) {
  const ModelHeader& h = model_->header();
  EXPECT_THAT(open_with_flip(0, VerifyLevel::kCrc).message,
              HasSubstr("row 0: header; so pxim: the picture does not begin"));
  EXPECT_THAT(open_with_flip(0x40, VerifyLevel::kCrc).message, HasSubstr("row 0: header, directory"));
  EXPECT_THAT(open_with_flip(h.metadata_offset + 60, VerifyLevel::kCrc).message, HasSubstr("metadata"));
  EXPECT_THAT(open_with_flip(h.directory_offset + 0x70, VerifyLevel::kCrc).message, HasSubstr("directory"));
}

TEST_F(Damage, SurvivesDescribeOfAnyRows) {
  const uint64_t last = model_->plane().rows() - 1;
  const auto lines = model_->describe({.rows = {{0, last}, {last, last}}, .other = {"something else"}});
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], StartsWith("rows 0-" + std::to_string(last) +
                                   ": header, directory, names, metadata, source record, "));
  for (const TensorInfo& t : model_->tensors()) EXPECT_THAT(lines[0], HasSubstr(t.name));
  EXPECT_EQ(lines[2], "something else");
}

// A container without checksums of rows: the model's own hashes find every flipped bit.
TEST_F(Damage, HashesOfTheModelFindIt) {
  const auto payload = test_.payload(4224);
  for (uint64_t at = 256; at < payload.size(); at += at < 8192 ? 11 : 499) {
    auto bad = payload;
    bad[at] ^= 1;
    const auto file = wrap_in_pxif(bad, 4224);
    auto model = open_wrapped(file);
    if (!model) continue;  // refused already
    ASSERT_THAT(*model->verify(VerifyLevel::kSha256, pool_), ::testing::Not(IsEmpty())) << at;
  }
  const auto file = wrap_in_pxif(payload, 4224);
  EXPECT_THAT(*open_wrapped(file)->verify(VerifyLevel::kSha256, pool_), IsEmpty());
}

TEST_F(Damage, OfATensorIsFoundByItsOwnHash) {
  auto payload = test_.payload(4224);
  const TensorInfo& t = *model_->find("types.Q6_K");
  payload[t.offset + 400] ^= 1;
  const auto file = wrap_in_pxif(payload, 4224);
  const auto lines = *open_wrapped(file)->verify(VerifyLevel::kSha256, pool_);
  EXPECT_THAT(lines, ElementsAre(StartsWith("weights: its SHA-256"), StartsWith("types.Q6_K: its SHA-256")));
}

}  // namespace
}  // namespace pixellm
