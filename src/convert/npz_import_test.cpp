// The v0 network as a picture: values exact, everything else refused by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "convert/gguf.h"
#include "convert/npz.h"
#include "convert/thumbnail.h"
#include "model/test_model.h"

namespace pixellm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

NpyArray array(std::vector<uint64_t> shape, float first) {
  NpyArray a{.shape = std::move(shape), .values = {}};
  uint64_t count = 1;
  for (const uint64_t n : a.shape) count *= n;
  for (uint64_t i = 0; i < count; i++) a.values.push_back(first + static_cast<float>(i) / 1024);
  return a;
}

std::vector<NpzFile::Entry> network(uint64_t v, uint64_t d) {
  return {{"embed", array({v, d}, 1)},
          {"hidden", array({d, d}, -2)},
          {"b_hidden", array({d}, 3)},
          {"out", array({d, v}, -4)},
          {"b_out", array({v}, 5)}};
}

class NpzImport : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_.path(name); }

  Result<ConvertSummary> import(std::span<const NpzFile::Entry> entries, const ImportOptions& options = {}) {
    EXPECT_TRUE(write_npz(path("tiny.npz"), entries));
    return import_model(path("tiny.npz"), path("model.png"), options, {});
  }

  Model open(const std::string& name) {
    auto model = Model::open(path(name), VerifyLevel::kSha256, pool_);
    EXPECT_TRUE(model) << model.error().message;
    return std::move(*model);
  }

  static std::vector<float> row(const Model& model, const char* tensor, uint64_t r) {
    const CellMatrixView m = model.matrix(*model.find(tensor));
    std::vector<float> out(m.k);
    dequantize_row(m, r, out.data());
    return out;
  }

  void expect_network(const Model& model, const std::vector<NpzFile::Entry>& entries) {
    const NpyArray &embed = entries[0].second, &hidden = entries[1].second, &out = entries[3].second;
    const uint64_t v = embed.shape[0], d = embed.shape[1];
    for (uint64_t r = 0; r < v; r++) {
      const auto first = embed.values.begin() + static_cast<ptrdiff_t>(r * d);
      ASSERT_EQ(row(model, "token_embd.weight", r),
                std::vector<float>(first, first + static_cast<ptrdiff_t>(d)));
      const std::vector<float> output = row(model, "output.weight", r);
      for (uint64_t i = 0; i < d; i++) ASSERT_EQ(output[i], out.values[i * v + r]);
    }
    for (uint64_t r = 0; r < d; r++) {
      const std::vector<float> up = row(model, "blk.0.ffn_up.weight", r);
      for (uint64_t i = 0; i < d; i++) ASSERT_EQ(up[i], hidden.values[i * d + r]);
    }
    EXPECT_EQ(*model.read_floats(*model.find("blk.0.ffn_up.bias")), entries[2].second.values);
    EXPECT_EQ(*model.read_floats(*model.find("output.bias")), entries[4].second.values);
  }

  void expect_error(std::span<const NpzFile::Entry> entries, ErrorCode code, const std::string& message) {
    const auto done = import(entries);
    ASSERT_FALSE(done) << message;
    EXPECT_EQ(done.error().code, code) << done.error().message;
    EXPECT_THAT(done.error().message, AllOf(HasSubstr("tiny.npz: "), HasSubstr(message)));
    EXPECT_FALSE(std::filesystem::exists(path("model.png")));
  }

  TestFolder folder_;
  ThreadPool pool_{1};
};

TEST_F(NpzImport, EveryValueIsTheArrays) {
  for (const auto& [v, d] : {std::pair<uint64_t, uint64_t>{1024, 128}, {37, 5}, {1, 1}, {16, 64}, {2, 100}}) {
    const auto entries = network(v, d);
    const auto done = import(entries);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->n_tensors, 5u);
    EXPECT_EQ(done->bytes_read, std::filesystem::file_size(path("tiny.npz")));
    EXPECT_EQ(done->bytes_written, std::filesystem::file_size(path("model.png")));
    expect_network(open("model.png"), entries);
  }
}

TEST_F(NpzImport, HeaderMetadataAndPlacement) {
  ASSERT_TRUE(import(network(300, 96)));
  const Model model = open("model.png");
  const ModelHeader& h = model.header();
  EXPECT_EQ(h.architecture, 5);
  EXPECT_EQ(h.vocab_size, 300u);
  EXPECT_EQ(h.n_layers, 1u);
  EXPECT_EQ(h.embedding_length, 96u);
  EXPECT_EQ(h.feed_forward_length, 96u);
  EXPECT_EQ(h.context_length, 65535u);
  EXPECT_EQ(h.n_heads, 0u);
  const Metadata& m = model.metadata();
  EXPECT_EQ(m.string("general.architecture"), "mlp");
  EXPECT_EQ(m.string("general.name"), "tiny");
  EXPECT_EQ(m.string("tokenizer.ggml.model"), "code-point");
  EXPECT_EQ(m.integer("mlp.vocab_size"), 300);
  const auto type = [&](const char* name) { return model.find(name)->layer_type; };
  EXPECT_EQ(type("token_embd.weight"), LayerType::kEmbedding);
  EXPECT_EQ(type("blk.0.ffn_up.weight"), LayerType::kFeedForward);
  EXPECT_EQ(type("output.weight"), LayerType::kOutput);
  EXPECT_LT(model.find("token_embd.weight")->offset, model.find("blk.0.ffn_up.weight")->offset);
  EXPECT_LT(model.find("blk.0.ffn_up.bias")->offset, model.find("output.weight")->offset);
  EXPECT_LT(model.find("blk.0.ffn_up.weight")->world.y, model.find("output.weight")->world.y);
  EXPECT_TRUE(model.source().format == 0);
}

TEST_F(NpzImport, OrderOfTheArraysAndElementTypesDoNotMatter) {
  auto entries = network(37, 5);
  ASSERT_TRUE(import(entries));
  const auto first = *read_file(path("model.png"), 1 << 20);
  std::ranges::reverse(entries);
  ASSERT_TRUE(import(entries));
  EXPECT_EQ(*read_file(path("model.png"), 1 << 20), first);
}

TEST_F(NpzImport, ContentCountsAndNotTheName) {
  const auto entries = network(37, 5);
  ASSERT_TRUE(write_npz(path("model.gguf"), entries));
  ASSERT_TRUE(import_model(path("model.gguf"), path("model.png"), {}, {}));
  expect_network(open("model.png"), entries);
  ASSERT_TRUE(write_file(path("x.npz"), std::vector<uint8_t>{'h', 'e', 'l', 'l', 'o'}));
  const auto other = import_model(path("x.npz"), path("no.png"), {}, {});
  EXPECT_EQ(other.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(other.error().message,
              HasSubstr("neither a GGUF nor an npz file (begins with 68656c6c in hexadecimal)"));
  EXPECT_EQ(import_model(path("model.gguf"), path("model.gguf"), {}, {}).error().code,
            ErrorCode::kInvalidArgument);
}

TEST_F(NpzImport, GoesOutAsGgufAndComesBack) {
  const auto entries = network(70, 33);
  ASSERT_TRUE(import(entries, {.row_bytes = 3 * 64 * 30}));
  ASSERT_TRUE(export_gguf(open("model.png"), path("out.gguf"), {}));
  ASSERT_TRUE(import_model(path("out.gguf"), path("again.png"), {}, {}));
  expect_network(open("again.png"), entries);
  EXPECT_TRUE(write_thumbnail(open("model.png"), path("thumb.png"), {}, {}));
}

TEST_F(NpzImport, RefusesArraysByName) {
  const auto changed = [](size_t index, const std::function<void(NpzFile::Entry&)>& change) {
    auto entries = network(12, 4);
    change(entries[index]);
    return entries;
  };
  for (size_t i = 0; i < 5; i++) {
    auto missing = network(12, 4);
    missing.erase(missing.begin() + static_cast<ptrdiff_t>(i));
    const std::string name = network(12, 4)[i].first;
    expect_error(missing, ErrorCode::kCorrupt, "array '" + name + "' is missing");
    expect_error(changed(i, [](auto& e) { e.second.values[3] = NAN; }), ErrorCode::kCorrupt,
                 "array '" + name + "' holds nan at element 3");
    expect_error(changed(i, [](auto& e) { e.second.values[0] = -INFINITY; }), ErrorCode::kCorrupt,
                 "array '" + name + "' holds -inf");
  }
  auto more = network(12, 4);
  more.emplace_back("extra", array({1}, 0));
  expect_error(more, ErrorCode::kUnsupported, "array 'extra' is no part of the v0 network");
}

TEST_F(NpzImport, RefusesShapesByName) {
  const auto shaped = [](size_t index, std::vector<uint64_t> shape) {
    auto entries = network(12, 4);
    entries[index].second = array(std::move(shape), 0);
    return entries;
  };
  expect_error(shaped(0, {48}), ErrorCode::kCorrupt, "array 'embed' has the shape [48], [V, D] is needed");
  expect_error(shaped(0, {0, 4}), ErrorCode::kCorrupt, "array 'embed' has the shape [0, 4]");
  expect_error(shaped(0, {12, 0}), ErrorCode::kCorrupt, "array 'embed' has the shape [12, 0]");
  expect_error(shaped(0, {1, 1048577}), ErrorCode::kTooLarge, "array 'embed' has the shape [1, 1048577]");
  expect_error(shaped(1, {4, 5}), ErrorCode::kCorrupt,
               "array 'hidden' has the shape [4, 5], beside embed [12, 4] it must be [4, 4]");
  expect_error(shaped(2, {4, 1}), ErrorCode::kCorrupt,
               "array 'b_hidden' has the shape [4, 1], beside embed [12, 4] it must be [4]");
  expect_error(shaped(3, {12, 4}), ErrorCode::kCorrupt,
               "array 'out' has the shape [12, 4], beside embed [12, 4] it must be [4, 12]");
  expect_error(shaped(4, {}), ErrorCode::kCorrupt,
               "array 'b_out' has the shape [], beside embed [12, 4] it must be [12]");
}

}  // namespace
}  // namespace pixellm
