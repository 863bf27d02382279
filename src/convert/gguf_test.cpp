#include "convert/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convert/gguf_builder.h"

namespace pixellm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Result<GgufFile> read(const std::vector<uint8_t>& bytes) {
  return GgufFile::read(MemorySource(bytes, "test.gguf"));
}

void expect_error(const std::vector<uint8_t>& bytes, ErrorCode code,
                  const testing::Matcher<const std::string&>& message) {
  const auto gguf = read(bytes);
  ASSERT_FALSE(gguf.has_value());
  EXPECT_EQ(gguf.error().code, code) << gguf.error().message;
  EXPECT_THAT(gguf.error().message, AllOf(HasSubstr("test.gguf: "), message));
}

GgufBuilder small() {
  GgufBuilder b;
  b.string("general.architecture", "llama").scalar<uint32_t>("llama.block_count", 2);
  b.tensor("token_embd.weight", TensorType::kQ8_0, {64, 17})
      .tensor("output_norm.weight", TensorType::kF32, {64});
  return b;
}

TEST(Gguf, ReadsStructure) {
  const auto bytes = small().build();
  const auto gguf = read(bytes);
  ASSERT_TRUE(gguf.has_value()) << gguf.error().message;
  EXPECT_EQ(gguf->version, 3u);
  EXPECT_EQ(gguf->alignment, 32u);
  EXPECT_EQ(gguf->data_offset % 32, 0u);
  EXPECT_LE(gguf->head_bytes, gguf->data_offset);
  EXPECT_EQ(gguf->metadata.string("general.architecture"), "llama");
  EXPECT_EQ(gguf->metadata.integer("llama.block_count"), 2);
  ASSERT_EQ(gguf->tensors.size(), 2u);
  EXPECT_EQ(gguf->tensors[0].name, "token_embd.weight");
  EXPECT_EQ(gguf->tensors[0].type, TensorType::kQ8_0);
  EXPECT_EQ(gguf->tensors[0].n_dims, 2u);
  EXPECT_EQ(gguf->tensors[0].dims, (std::array<uint64_t, 4>{64, 17, 1, 1}));
  EXPECT_EQ(gguf->tensors[0].source_bytes(), 68u * 17);
  EXPECT_EQ(gguf->tensors[1].source_offset, round_up(68 * 17, 32));
}

TEST(Gguf, RefusesWhatIsNotGguf) {
  expect_error({}, ErrorCode::kCorrupt, HasSubstr("empty"));
  expect_error({'P', 'K', 3, 4, 0, 0, 0, 0}, ErrorCode::kCorrupt,
               HasSubstr("is not a GGUF file (begins with 504b0304 in hexadecimal)"));
  expect_error({'G', 'G'}, ErrorCode::kCorrupt, HasSubstr("is not a GGUF file"));
}

TEST(Gguf, RefusesVersions) {
  for (const uint32_t version : {0u, 1u, 4u, 0xffffffffu}) {
    GgufBuilder b = small();
    b.version = version;
    expect_error(b.build(), ErrorCode::kUnsupported, HasSubstr("version"));
  }
  for (const uint32_t version : {0x02000000u, 0x03000000u}) {
    GgufBuilder b = small();
    b.version = version;
    expect_error(b.build(), ErrorCode::kUnsupported, HasSubstr("big-endian"));
  }
}

TEST(Gguf, EveryTruncationIsAnError) {
  GgufBuilder b = small();
  b.strings("tokens", {"a", "bc"}).array<float>("scores", {1, 2});
  b.pad_end = false;
  const auto bytes = b.build();
  ASSERT_TRUE(read(bytes).has_value());
  for (size_t n = 0; n < bytes.size(); n++) {
    const std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n));
    const auto gguf = read(cut);
    ASSERT_FALSE(gguf.has_value()) << n;
    EXPECT_EQ(gguf.error().code, ErrorCode::kCorrupt) << n << ": " << gguf.error().message;
  }
}

// A flipped bit may leave a lawful file; whatever is accepted must keep every promise of the structure.
TEST(Gguf, EveryBitFlipKeepsThePromises) {
  const auto bytes = small().build();
  const auto head = read(bytes)->head_bytes;
  size_t refused = 0;
  for (size_t bit = 0; bit < head * 8; bit++) {
    auto flipped = bytes;
    flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const auto gguf = read(flipped);
    if (!gguf) {
      refused++;
      EXPECT_FALSE(gguf.error().message.empty());
      continue;
    }
    uint64_t total = 0;
    for (const TensorInfo& t : gguf->tensors) {
      EXPECT_LE(gguf->data_offset + t.source_offset + t.source_bytes(), flipped.size());
      total += t.source_bytes();
    }
    EXPECT_LE(total, flipped.size() - gguf->head_bytes) << "tensors overlap";
  }
  EXPECT_GT(refused, head * 4);
}

TEST(Gguf, CountsBeyondTheFile) {
  for (const uint64_t count : {uint64_t{3}, uint64_t{1} << 40, ~uint64_t{0}}) {
    GgufBuilder b = small();
    b.tensor_count = count;
    EXPECT_FALSE(read(b.build()).has_value()) << count;
    GgufBuilder c = small();
    c.pair_count = count;
    EXPECT_FALSE(read(c.build()).has_value()) << count;
  }
  GgufBuilder b = small();
  b.tensor_count = uint64_t{1} << 60;
  expect_error(b.build(), ErrorCode::kTooLarge, HasSubstr("1152921504606846976 tensors"));
}

TEST(Gguf, MetadataLengthsBeyondTheFile) {
  for (const uint64_t length : {uint64_t{1} << 20, uint64_t{1} << 63, ~uint64_t{0}}) {
    std::vector<uint8_t> value;
    GgufBuilder::append<uint64_t>(value, length);
    GgufBuilder b;
    expect_error(b.raw("long", MetadataType::kString, value).build(), ErrorCode::kCorrupt,
                 HasSubstr("'long'"));
    for (const uint32_t element : {0u, 4u, 8u, 9u, 12u}) {
      std::vector<uint8_t> array;
      GgufBuilder::append<uint32_t>(array, element);
      GgufBuilder::append<uint64_t>(array, length);
      GgufBuilder c;
      expect_error(c.raw("many", MetadataType::kArray, array).build(), ErrorCode::kCorrupt,
                   HasSubstr("'many'"));
    }
  }
}

TEST(Gguf, DeepArraysAreRefused) {
  std::vector<uint8_t> value;
  for (int i = 0; i < 100000; i++) {
    GgufBuilder::append<uint32_t>(value, 9);
    GgufBuilder::append<uint64_t>(value, 1);
  }
  GgufBuilder b;
  expect_error(b.raw("deep", MetadataType::kArray, value).build(), ErrorCode::kCorrupt, HasSubstr("deep"));
}

TEST(Gguf, UnknownMetadataType) {
  GgufBuilder b;
  expect_error(b.raw("odd", static_cast<MetadataType>(13), {0}).build(), ErrorCode::kCorrupt,
               HasSubstr("type 13"));
}

TEST(Gguf, Alignment) {
  for (const uint32_t lawful : {8u, 16u, 24u, 64u, 4096u}) {
    GgufBuilder b = small();
    b.alignment = lawful;
    const auto gguf = read(b.build());
    ASSERT_TRUE(gguf.has_value()) << gguf.error().message;
    EXPECT_EQ(gguf->alignment, lawful);
    EXPECT_EQ(gguf->data_offset % lawful, 0u);
  }
  for (const uint32_t unlawful : {0u, 1u, 4u, 12u, 33u}) {
    GgufBuilder b = small();
    b.alignment = unlawful;
    expect_error(b.build(), ErrorCode::kCorrupt, HasSubstr("general.alignment"));
  }
  GgufBuilder b = small();
  expect_error(b.scalar<int32_t>("general.alignment", 32).build(), ErrorCode::kCorrupt,
               HasSubstr("not a uint32"));
  GgufBuilder huge = small();
  huge.scalar<uint32_t>("general.alignment", 0xfffffff8);
  expect_error(huge.build(), ErrorCode::kCorrupt, HasSubstr("multiple of 4294967288"));
}

TEST(Gguf, TensorNames) {
  GgufBuilder b;
  b.tensor(std::string(64, 'n'), TensorType::kF32, {8});
  EXPECT_TRUE(read(b.build()).has_value());
  b.tensors[0].name = std::string(65, 'n');
  expect_error(b.build(), ErrorCode::kCorrupt, HasSubstr("65 bytes, at most 64"));
  b.tensors[0].name = "";
  expect_error(b.build(), ErrorCode::kCorrupt, HasSubstr("empty name"));
  GgufBuilder twice;
  twice.tensor("same", TensorType::kF32, {8})
      .tensor("other", TensorType::kF32, {8})
      .tensor("same", TensorType::kF32, {8});
  expect_error(twice.build(), ErrorCode::kCorrupt, HasSubstr("'same'"));
}

TEST(Gguf, TypesThatAreNotStored) {
  GgufBuilder b = small();
  b.tensors[0].type = 17;
  expect_error(b.build(), ErrorCode::kUnsupported,
               AllOf(HasSubstr("'token_embd.weight'"), HasSubstr("IQ2_XS")));
  b.tensors[0].type = 12345;
  expect_error(b.build(), ErrorCode::kUnsupported,
               AllOf(HasSubstr("'token_embd.weight'"), HasSubstr("12345")));
}

TEST(Gguf, Shapes) {
  const auto with = [](TensorType type, std::vector<uint64_t> dims) {
    GgufBuilder b;
    b.tensor("t", type, {256});
    b.tensors[0].dims = std::move(dims);
    return b.build();
  };
  expect_error(with(TensorType::kF32, {}), ErrorCode::kUnsupported, HasSubstr("0 dimensions"));
  expect_error(with(TensorType::kF32, {1, 1, 1, 1, 1}), ErrorCode::kUnsupported, HasSubstr("5 dimensions"));
  expect_error(with(TensorType::kF32, {8, 0}), ErrorCode::kCorrupt, HasSubstr("dimension 1 is 0"));
  expect_error(with(TensorType::kQ8_0, {33}), ErrorCode::kCorrupt, HasSubstr("multiple of 32"));
  expect_error(with(TensorType::kQ4_K, {32, 8}), ErrorCode::kCorrupt, HasSubstr("multiple of 256"));
  const uint64_t big = uint64_t{1} << 60;
  expect_error(with(TensorType::kF32, {big}), ErrorCode::kCorrupt, HasSubstr("file ends"));
  expect_error(with(TensorType::kF32, {big, 2}), ErrorCode::kCorrupt, HasSubstr("2^60"));
  expect_error(with(TensorType::kF32, {uint64_t{1} << 32, uint64_t{1} << 32}), ErrorCode::kCorrupt,
               HasSubstr("2^60"));
  expect_error(with(TensorType::kF32, {~uint64_t{0}}), ErrorCode::kCorrupt, HasSubstr("2^60"));
}

TEST(Gguf, Offsets) {
  GgufBuilder b = small();
  b.tensors[1].offset = 0;
  expect_error(b.build(), ErrorCode::kCorrupt, AllOf(HasSubstr("overlap"), HasSubstr("output_norm.weight")));
  b.tensors[1].offset = 32 * 36;  // one byte row before the first one's end
  expect_error(b.build(), ErrorCode::kCorrupt, HasSubstr("overlap"));
  b.tensors[1].offset = 68 * 17;
  expect_error(b.build(), ErrorCode::kCorrupt, HasSubstr("multiple of 32"));
  auto bytes = small().build();
  const auto head = read(bytes)->head_bytes;
  for (const uint64_t offset : {uint64_t{1} << 40, uint64_t{1} << 63, ~uint64_t{31}}) {
    store_le<uint64_t>(bytes.data() + head - 8, offset);
    expect_error(bytes, ErrorCode::kCorrupt,
                 AllOf(HasSubstr("'output_norm.weight'"), HasSubstr("file ends")));
  }
}

TEST(Gguf, NoTensors) {
  for (const bool padded : {false, true}) {
    GgufBuilder b;
    b.pad_end = padded;
    b.string("general.name", "x");
    const auto bytes = b.build();
    const auto gguf = read(bytes);
    ASSERT_TRUE(gguf.has_value()) << gguf.error().message;
    EXPECT_TRUE(gguf->tensors.empty());
    EXPECT_EQ(gguf->data_offset > bytes.size(), !padded);
  }
}

}  // namespace
}  // namespace pixellm
