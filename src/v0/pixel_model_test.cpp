#include "v0/pixel_model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/file.h"
#include "pixel/flat_png.h"
#include "pixel/plane.h"
#include "pixel/png_encode.h"
#include "v0/v0_test_util.h"

namespace pixellm::v0 {
namespace {

using v0_test::hash_prefix;

class V0Picture : public v0_test::FolderTest {
 protected:
  std::string text_of(const std::string& name) const {
    const auto bytes = read_file(path(name), 1 << 20);
    return {bytes->begin(), bytes->end()};
  }
};

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

TEST_F(V0Picture, TheUntrainedModelIsTheOriginalsToTheByte) {
  const Network network = initial_network(42).network;
  const PixelPicture picture = *encode_pixels(network);
  const Bytes rgb = picture.rgb;
  EXPECT_EQ(picture.meta.image_width, 306u);
  EXPECT_EQ(picture.meta.image_height, 305u);
  EXPECT_EQ(to_hex(sha256(rgb.first(279680))),
            "f77294468191591f51aa9d3b8b02cf27ab1748fc71ef4bb8b62e57d05e3af12c");
  EXPECT_EQ(to_hex(sha256(rgb)), "73e7f9edff5e6e4a9332d58828073403a763400362e724b55ea0c5a55e3e47ba");
  EXPECT_EQ(hash_prefix(rgb.subspan(1152, 131072)), "72ec24111283350f");
  EXPECT_EQ(hash_prefix(rgb.subspan(132224, 16384)), "c6be52ab542332f1");
  EXPECT_EQ(hash_prefix(rgb.subspan(148608, 131072)), "7290b5f542c1df55");
  const std::vector<uint8_t> first = {127, 91, 139, 145, 66, 84, 123, 111};
  EXPECT_TRUE(std::ranges::equal(rgb.subspan(1152, 8), first));

  ASSERT_TRUE(write_pixel_model(network, path("pixellm_v0.pxi"), "pixellm_v0"));
  EXPECT_EQ(count_files(), 2u);
  // SHA-256 of json.dump(meta, file, indent=2) with the original's values.
  EXPECT_EQ(hash_prefix(*read_file(path("pixellm_v0.meta.json"), 1 << 20)), "f2c056801639402c");
  const auto plane = PixelPlane::open(path("pixellm_v0.pxi"));
  ASSERT_TRUE(plane);
  std::vector<uint8_t> pixels(plane->payload_bytes());
  ASSERT_TRUE(plane->read(0, pixels));
  EXPECT_EQ(pixels, picture.rgb);

  const PixelModel model = *PixelModel::open(path("pixellm_v0.pxi"));
  const auto worst = [](const std::vector<float>& a, const std::vector<float>& b) {
    float difference = 0;
    for (size_t i = 0; i < a.size(); i++) difference = std::max(difference, std::abs(a[i] - b[i]));
    return difference;
  };
  EXPECT_NEAR(worst(model.network.embed, network.embed), 0.000814, 5e-7);
  EXPECT_NEAR(worst(model.network.hidden, network.hidden), 0.002304, 5e-7);
  EXPECT_NEAR(worst(model.network.out, network.out), 0.002432, 5e-7);
  EXPECT_EQ(model.network.b_out, network.b_out);
  EXPECT_EQ(model.network.b_hidden, network.b_hidden);
}

TEST_F(V0Picture, OtherSizesComeBack) {
  for (const auto& [vocab, dim] : {std::pair{1u, 1u}, {2u, 1u}, {50u, 4u}, {7u, 9u}}) {
    const Network n = v0_test::small_network(vocab, dim);
    ASSERT_TRUE(write_pixel_model(n, path("a.pxi"), "Größe \"1\""));
    const auto model = PixelModel::open(path("a.pxi"));
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(model->meta.model_name, "Größe \"1\"");
    EXPECT_NE(text_of("a.meta.json").find("Gr\\u00f6\\u00dfe \\\"1\\\""), std::string::npos);
    EXPECT_EQ(model->meta.to_json(), text_of("a.meta.json"));
    for (size_t t = 0; t < 5; t++) {
      const Tensor a = n.tensors()[t], b = model->network.tensors()[t];
      ASSERT_EQ(a.shape, b.shape);
      const auto [low, high] = std::ranges::minmax(a.values);
      for (size_t i = 0; i < a.values.size(); i++)
        ASSERT_NEAR(a.values[i], b.values[i], (high - low) / 255 * 0.51 + 1e-6);
    }
  }
}

TEST(V0Quantize, TheEndsOfTheRange) {
  Network n = v0_test::small_network();
  n.embed.assign(n.embed.size(), 0.25f);
  n.hidden.assign(n.hidden.size(), 3e20f);  // 1e-6 more is the same number
  n.out[5] = 1e9f;
  const PixelPicture p = *encode_pixels(n);
  const auto tensor = [&](std::string_view name) {
    return *std::ranges::find(p.meta.tensors, name, &PixelTensor::name);
  };
  EXPECT_EQ(tensor("embed").w_max, 0.25 + 1e-6);
  EXPECT_EQ(tensor("hidden").w_min, tensor("hidden").w_max);
  EXPECT_EQ(p.rgb[tensor("out").offset + 5], 255);
  EXPECT_EQ(p.rgb[tensor("embed").offset], 0);
  n.out[5] = 3e38f;
  n.out[6] = -3e38f;
  EXPECT_EQ(encode_pixels(n).error().code, ErrorCode::kInvalidArgument);
  n.out[6] = NAN;
  EXPECT_NE(encode_pixels(n).error().message.find("tensor out: element 6 is nan"), std::string::npos);
}

TEST(V0Quantize, HalvesGoToTheEvenByte) {
  Network n = v0_test::small_network();
  n.b_hidden = {0, 255, 0.5f, 1.5f};
  const PixelPicture p = *encode_pixels(n);
  EXPECT_EQ(std::vector<uint8_t>(p.rgb.begin(), p.rgb.begin() + 4), (std::vector<uint8_t>{0, 255, 0, 2}));
}

TEST_F(V0Picture, AFailedWriteLeavesWhatWasThere) {
  const Network n = v0_test::small_network();
  ASSERT_TRUE(write_pixel_model(n, path("a.pxi"), "old"));
  const std::string old = text_of("a.meta.json");
  std::filesystem::remove(path("a.meta.json"));
  std::filesystem::create_directory(path("a.meta.json"));  // the meta cannot be written
  const auto picture = read_file(path("a.pxi"), 1 << 20);
  EXPECT_FALSE(write_pixel_model(v0_test::small_network(9, 9), path("a.pxi"), "new"));
  EXPECT_EQ(*read_file(path("a.pxi"), 1 << 20), *picture);
  EXPECT_EQ(count_files(), 2u);
  EXPECT_FALSE(write_pixel_model(n, path("none/a.pxi"), "new"));
}

TEST_F(V0Picture, AnyPlaneWillDo) {
  const PixelPicture p = *encode_pixels(v0_test::small_network(30, 32));
  PixelMeta meta = p.meta;
  meta.image_width = 64;
  meta.image_height = static_cast<uint32_t>(ceil_div(meta.total_bytes, 192));
  auto png = FlatPngWriter::create(path("flat.pxi"), 192, meta.image_height);
  std::vector<uint8_t> bytes = p.rgb;
  bytes.resize(meta.image_height * 192);
  for (uint64_t y = 0; y < meta.image_height; y++)
    ASSERT_TRUE(png->write_row(Bytes(bytes).subspan(y * 192, 192)));
  ASSERT_TRUE(png->finish());
  const std::string json = meta.to_json();
  ASSERT_TRUE(
      write_file(path("flat.meta.json"), {reinterpret_cast<const uint8_t*>(json.data()), json.size()}));
  EXPECT_TRUE(PixelModel::open(path("flat.pxi")));
}

// ---- what the reader refuses

class V0Meta : public V0Picture {
 protected:
  void SetUp() override {
    V0Picture::SetUp();
    ASSERT_TRUE(write_pixel_model(v0_test::small_network(), path("a.pxi"), "small"));
    json_ = text_of("a.meta.json");
    picture_ = *read_file(path("a.pxi"), 1 << 20);
  }
  Error error_of(const std::string& json) {
    const auto model = PixelModel::from_memory(picture_, json, "a.pxi");
    return model ? Error{ErrorCode::kInternal, "it was read"} : model.error();
  }
  void expect(std::string_view from, std::string_view to, ErrorCode code, std::string_view part) {
    const Error e = error_of(replaced(json_, from, to));
    EXPECT_EQ(e.code, code) << from << " -> " << to << ": " << e.message;
    EXPECT_NE(e.message.find(part), e.message.npos) << to << ": " << e.message;
  }
  std::string json_;
  std::vector<uint8_t> picture_;
};

TEST_F(V0Meta, ItselfIsRead) {
  EXPECT_TRUE(PixelModel::from_memory(picture_, json_, "a.pxi"));
  EXPECT_TRUE(PixelModel::from_memory(picture_, replaced(json_, "a.pxi", "../elsewhere.pxi"), "a.pxi"));
  EXPECT_TRUE(PixelModel::from_memory(picture_, replaced(json_, "{", "{\"more\": [1, {}],"), "a.pxi"));
  EXPECT_TRUE(PixelModel::from_memory(picture_, replaced(json_, "small", "another name"), "a.pxi"));
}

TEST_F(V0Meta, EveryFieldIsNeededAndOfItsKind) {
  for (const std::string field :
       {"model_name",   "version",    "architecture", "type",         "vocab_size",  "model_dim",
        "layers",       "image_path", "image_width",  "image_height", "total_bytes", "total_params",
        "quantization", "tensors",    "name",         "shape",        "dtype",       "w_min",
        "w_max",        "offset",     "length"}) {
    const std::string quoted = "\"" + field + "\":";
    expect(quoted, "\"x\":", ErrorCode::kCorrupt, field + " is missing");
    for (const std::string other : {"null", "true", "{}", "[[]]", "-1e99"}) {
      const Error e = error_of(replaced(json_, quoted, quoted + " " + other + ", \"rest\":"));
      EXPECT_TRUE(e.code == ErrorCode::kCorrupt || e.code == ErrorCode::kUnsupported)
          << field << " = " << other;
      EXPECT_NE(e.message.find(field), e.message.npos) << field << " = " << other << ": " << e.message;
    }
  }
}

TEST_F(V0Meta, RefusesWhatItDoesNotRead) {
  expect("\"mlp\"", "\"transformer\"", ErrorCode::kUnsupported, "architecture.type is \"transformer\"");
  expect("\"embed\",", "", ErrorCode::kUnsupported,
         "layers is [\"hidden\",\"out\"]; [\"embed\",\"hidden\",\"out\"] is read");
  expect("uint8_per_tensor", "int4", ErrorCode::kUnsupported, "quantization is \"int4\"");
  expect("\"float32\"", "\"float16\"", ErrorCode::kUnsupported, "tensors[0].dtype");
  expect("\"b_hidden\"", "\"c_hidden\"", ErrorCode::kUnsupported, "c_hidden");
}

TEST_F(V0Meta, RefusesContradictions) {
  expect("\"vocab_size\": 50", "\"vocab_size\": 51", ErrorCode::kCorrupt, "shape");
  expect("\"vocab_size\": 50", "\"vocab_size\": 0", ErrorCode::kCorrupt, "vocab_size is 0");
  expect("\"vocab_size\": 50", "\"vocab_size\": 65537", ErrorCode::kCorrupt, "1 to 65536");
  expect("\"model_dim\": 4", "\"model_dim\": 8193", ErrorCode::kCorrupt, "model_dim");
  expect("\"image_width\": 13", "\"image_width\": 12", ErrorCode::kCorrupt, "image_height");
  expect("\"image_height\": 13", "\"image_height\": 2147483647", ErrorCode::kCorrupt, "image_height");
  expect("\"total_params\": 470", "\"total_params\": 471", ErrorCode::kCorrupt, "total_params is 471");
  expect("\"total_bytes\": 471", "\"total_bytes\": 469", ErrorCode::kCorrupt, "total_bytes is 469");
  expect("\"total_bytes\": 471", "\"total_bytes\": 18446744073709551615", ErrorCode::kCorrupt, "total_bytes");
  expect("\"length\": 50", "\"length\": 49", ErrorCode::kCorrupt, "length 49");
  expect("\"offset\": 4,", "\"offset\": 3,", ErrorCode::kCorrupt, "begins at byte 3");
  expect("\"offset\": 270,", "\"offset\": 272,", ErrorCode::kCorrupt, "total_bytes");
  expect("\"offset\": 4,", "\"offset\": 4294967295,", ErrorCode::kCorrupt, "total_bytes");
  expect("\"name\": \"b_out\"", "\"name\": \"b_hidden\"", ErrorCode::kCorrupt, "shape");
  expect("        4\n      ]", "        4,\n        1\n      ]", ErrorCode::kCorrupt,
         "tensors[0].shape is [4,1]; [4] is needed");
  expect("        4\n      ]", "        4.0\n      ]", ErrorCode::kCorrupt,
         "tensors[0].shape is [4.0]; [4] is needed");
  expect("        4\n      ]", "        true\n      ]", ErrorCode::kCorrupt,
         "tensors[0].shape is [true]; [4] is needed");
  expect("\"total_bytes\": 471", "\"total_bytes\": 470", ErrorCode::kCorrupt,
         "total_bytes is 470; a multiple of 3");
  expect("\"total_bytes\": 471", "\"total_bytes\": 472", ErrorCode::kCorrupt,
         "total_bytes is 472; a multiple of 3");
  expect("\"total_bytes\": 471", "\"total_bytes\": 471.0", ErrorCode::kCorrupt,
         "total_bytes is 471.0; a whole number");
  expect("\"w_min\": ", "\"w_min\": 1e38, \"x\": ", ErrorCode::kCorrupt, "w_min");
  expect("\"w_max\": ", "\"w_max\": -1e38, \"x\": ", ErrorCode::kCorrupt, "w_min");
  expect("\"w_max\": ", "\"w_max\": 1e39, \"x\": ", ErrorCode::kCorrupt, "w_max");
  expect("\"tensors\": [", "\"tensors\": [{},", ErrorCode::kCorrupt, "array of 6");
}

TEST_F(V0Meta, ATensorTwiceIsRefused) {
  // A network whose two matrices have one shape, so that only the name is wrong.
  ASSERT_TRUE(write_pixel_model(v0_test::small_network(6, 6), path("b.pxi"), "square"));
  picture_ = *read_file(path("b.pxi"), 1 << 20);
  json_ = text_of("b.meta.json");
  expect("\"name\": \"hidden\"", "\"name\": \"embed\"", ErrorCode::kCorrupt, "twice");
}

TEST_F(V0Meta, ANameTwiceIsRefused) {
  expect("{", "{\"version\": \"0\",", ErrorCode::kCorrupt, "the name \"version\" stands twice");
  expect("\"w_min\":", "\"w_min\": 0, \"w_min\":", ErrorCode::kCorrupt, "the name \"w_min\" stands twice");
  expect("{", "{\"more\": [{\"a\": 1, \"\\u0061\": 1}],", ErrorCode::kCorrupt, "the name \"a\" stands twice");
  // In two objects it may.
  EXPECT_TRUE(PixelModel::from_memory(
      picture_, replaced(json_, "{", "{\"more\": {\"version\": [{}, {\"version\": 1}]},"), "a.pxi"));
}

TEST_F(V0Meta, TextThatIsNotJson) {
  EXPECT_EQ(error_of("").code, ErrorCode::kCorrupt);
  EXPECT_EQ(error_of("[]").code, ErrorCode::kCorrupt);
  EXPECT_EQ(error_of(json_ + "}").code, ErrorCode::kCorrupt);
  EXPECT_NE(error_of("\xef\xbb\xbf" + json_).message.find("byte order mark"), std::string::npos);
  EXPECT_EQ(error_of(std::string(1 << 20, '[')).code, ErrorCode::kCorrupt);
  EXPECT_EQ(error_of(json_ + std::string(1 << 20, ' ')).code, ErrorCode::kTooLarge);
  EXPECT_EQ(error_of(std::string(1 << 19, '[') + std::string(1 << 19, ']')).code, ErrorCode::kCorrupt);
  for (size_t n = 0; n < json_.size(); n++)
    ASSERT_NE(error_of(json_.substr(0, n)).message, "it was read") << n;
}

TEST_F(V0Meta, ThePictureMustFit) {
  ASSERT_TRUE(write_rgb_png(path("c.png"), 13, 12, std::vector<uint8_t>(13 * 12 * 3)));
  picture_ = *read_file(path("c.png"), 1 << 20);
  EXPECT_NE(error_of(json_).message.find("13 x 12 pixels, its meta.json says 13 x 13"), std::string::npos);
  picture_[40] ^= 1;
  EXPECT_EQ(error_of(json_).code, ErrorCode::kCorrupt);
  picture_.assign(100, 'x');
  EXPECT_EQ(error_of(json_).code, ErrorCode::kUnsupported);
  std::filesystem::remove(path("a.meta.json"));
  const auto missing = PixelModel::open(path("a.pxi"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find("a.meta.json"), std::string::npos);
}

TEST(V0PythonFloat, WritesAsReprDoes) {
  const std::pair<double, const char*> cases[] = {{0.0, "0.0"},
                                                  {-0.0, "-0.0"},
                                                  {1.0, "1.0"},
                                                  {-0.19397328794002533, "-0.19397328794002533"},
                                                  {1e-06, "1e-06"},
                                                  {0.0001, "0.0001"},
                                                  {0.00001, "1e-05"},
                                                  {1.5e-7, "1.5e-07"},
                                                  {1e15, "1000000000000000.0"},
                                                  {1e16, "1e+16"},
                                                  {123456789012345680.0, "1.2345678901234568e+17"},
                                                  {9999999999999998.0, "9999999999999998.0"},
                                                  {5e-324, "5e-324"},
                                                  {1.7976931348623157e308, "1.7976931348623157e+308"},
                                                  {0.1, "0.1"},
                                                  {100.0, "100.0"},
                                                  {2.5, "2.5"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(python_float(value), text);
}

TEST(V0MetaPath, ReplacesTheLastExtension) {
  EXPECT_EQ(meta_path("pixellm_v0.pxi"), "pixellm_v0.meta.json");
  EXPECT_EQ(meta_path("a/b.c/brain.v2.png"), "a/b.c/brain.v2.meta.json");
  EXPECT_EQ(meta_path("a.b/brain"), "a.b/brain.meta.json");
}

}  // namespace
}  // namespace pixellm::v0
