#include "model/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "model/test_pairs.h"

namespace pixellm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Type = MetadataType;

// One pair of every kind.
Pairs all_kinds() {
  Pairs p;
  p.key("u8", Type::kUint8).raw<uint8_t>(200);
  p.key("i8", Type::kInt8).raw<int8_t>(-100);
  p.key("u16", Type::kUint16).raw<uint16_t>(60000);
  p.key("i16", Type::kInt16).raw<int16_t>(-30000);
  p.u32("u32", 4000000000u);
  p.key("i32", Type::kInt32).raw<int32_t>(-2000000000);
  p.key("f32", Type::kFloat32).raw<float>(1.5f);
  p.key("bool", Type::kBool).raw<uint8_t>(1);
  p.string("string", "hello");
  p.key("u64", Type::kUint64).raw<uint64_t>(uint64_t{1} << 62);
  p.key("big", Type::kUint64).raw<uint64_t>(uint64_t{1} << 63);
  p.key("i64", Type::kInt64).raw<int64_t>(-5);
  p.key("f64", Type::kFloat64).raw<double>(-0.25);
  p.array("strings", Type::kString, 3).text("a").text("").text("ccc");
  p.array("ints", Type::kInt16, 2).raw<int16_t>(-1).raw<int16_t>(7);
  p.array("bools", Type::kBool, 2).raw<uint8_t>(0).raw<uint8_t>(1);
  p.array("floats", Type::kFloat32, 2).raw<float>(0.5f).raw<float>(2.0f);
  p.array("none", Type::kString, 0);
  p.array("nested", Type::kArray, 2);
  p.raw<uint32_t>(4).raw<uint64_t>(1).raw<uint32_t>(9);
  p.raw<uint32_t>(8).raw<uint64_t>(1).text("deep");
  return p;
}

TEST(Metadata, EveryType) {
  const Pairs p = all_kinds();
  const Metadata m = p.parse();
  EXPECT_EQ(m.entries().size(), p.count);
  EXPECT_EQ(m.integer("u8"), 200);
  EXPECT_EQ(m.integer("i8"), -100);
  EXPECT_EQ(m.integer("u16"), 60000);
  EXPECT_EQ(m.integer("i16"), -30000);
  EXPECT_EQ(m.integer("u32"), 4000000000);
  EXPECT_EQ(m.integer("i32"), -2000000000);
  EXPECT_EQ(m.integer("u64"), int64_t{1} << 62);
  EXPECT_EQ(m.integer("i64"), -5);
  EXPECT_EQ(m.integer("big"), std::nullopt);
  EXPECT_EQ(m.number("big"), 0x1p63);
  EXPECT_EQ(m.integer("f32"), std::nullopt);
  EXPECT_EQ(m.integer("bool"), std::nullopt);
  EXPECT_EQ(m.integer("absent"), std::nullopt);
  EXPECT_EQ(m.number("f32"), 1.5);
  EXPECT_EQ(m.number("f64"), -0.25);
  EXPECT_EQ(m.number("i8"), -100.0);
  EXPECT_EQ(m.number("string"), std::nullopt);
  EXPECT_EQ(m.boolean("bool"), true);
  EXPECT_EQ(m.boolean("u8"), std::nullopt);
  EXPECT_EQ(m.string("string"), "hello");
  EXPECT_EQ(m.string("u8"), std::nullopt);
  EXPECT_THAT(*m.strings("strings"), ElementsAre("a", "", "ccc"));
  EXPECT_TRUE(m.strings("none")->empty());
  EXPECT_EQ(m.strings("string"), std::nullopt);
  EXPECT_THAT(*m.integers("ints"), ElementsAre(-1, 7));
  EXPECT_THAT(*m.integers("bools"), ElementsAre(0, 1));
  EXPECT_EQ(m.integers("strings"), std::nullopt);
  EXPECT_THAT(*m.floats("floats"), ElementsAre(0.5f, 2.0f));
  EXPECT_EQ(m.find("nested")->element_type, Type::kArray);
  EXPECT_EQ(m.find("nested")->value.size(), 12u + 4 + 12 + 8 + 4);
}

TEST(Metadata, ACopyOutlivesItsOriginal) {
  auto original = std::make_unique<Metadata>(all_kinds().parse());
  const Metadata copy = *original;
  original.reset();
  EXPECT_EQ(copy.string("string"), "hello");
}

TEST(Metadata, MeasureFindsTheEnd) {
  Pairs p = all_kinds();
  const uint64_t size = p.bytes.size();
  p.raw<uint64_t>(0xfeedface);
  EXPECT_EQ(*Metadata::measure(p.bytes, p.count), size);
  EXPECT_THAT(Metadata::parse(p.bytes, p.count).error().message, HasSubstr("pairs end at byte"));
  EXPECT_EQ(*Metadata::measure({}, 0), 0u);
}

TEST(Metadata, EveryTruncationIsAnError) {
  const Pairs p = all_kinds();
  for (size_t n = 0; n < p.bytes.size(); n++) {
    const std::vector<uint8_t> head(p.bytes.begin(), p.bytes.begin() + static_cast<ptrdiff_t>(n));
    ASSERT_FALSE(Metadata::parse(head, p.count)) << n;
    ASSERT_FALSE(Metadata::measure(head, p.count)) << n;
  }
}

// Every bit flipped: an error, or pairs that still use up the bytes and can be read through every accessor.
TEST(Metadata, EveryBitFlip) {
  Pairs p = all_kinds();
  size_t refused = 0;
  for (size_t bit = 0; bit < p.bytes.size() * 8; bit++) {
    p.bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const auto m = Metadata::parse(p.bytes, p.count);
    refused += !m;
    if (m)
      for (const auto& e : m->entries()) {
        ASSERT_LE(e.value.data() + e.value.size(), m->encoded().data() + m->encoded().size());
        m->string(e.key), m->integer(e.key), m->number(e.key), m->boolean(e.key);
        m->strings(e.key), m->integers(e.key), m->floats(e.key);
      }
    p.bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  }
  EXPECT_GT(refused, 2500u);
}

std::string error_of(const Pairs& p) {
  const auto m = Metadata::parse(p.bytes, p.count);
  return m ? "" : m.error().message;
}

TEST(Metadata, Refusals) {
  EXPECT_THAT(error_of(Pairs().u32("", 1)), HasSubstr("key of 0 bytes"));
  EXPECT_THAT(error_of(Pairs().u32(std::string(65536, 'k'), 1)), HasSubstr("key of 65536 bytes"));
  EXPECT_EQ(error_of(Pairs().u32(std::string(65535, 'k'), 1)), "");
  EXPECT_THAT(error_of(Pairs().u32("twice", 1).u32("b", 1).u32("twice", 2)),
              HasSubstr("'twice' stands twice"));
  EXPECT_THAT(error_of(Pairs().key("t", static_cast<Type>(13)).raw<uint64_t>(0)), HasSubstr("'t': type 13"));
  EXPECT_THAT(error_of(Pairs().key("t", Type::kBool).raw<uint8_t>(2)), HasSubstr("neither 0 nor 1"));
  EXPECT_THAT(error_of(Pairs().array("t", Type::kBool, 2).raw<uint8_t>(0).raw<uint8_t>(255)),
              HasSubstr("neither"));
  EXPECT_THAT(error_of(Pairs().array("t", Type::kUint64, uint64_t{1} << 61).raw<uint64_t>(0)),
              HasSubstr("elements"));
  EXPECT_THAT(error_of(Pairs().array("t", Type::kUint8, uint64_t{1} << 60)), HasSubstr("0 are left"));
  EXPECT_THAT(error_of(Pairs().array("t", Type::kString, uint64_t{1} << 60)), HasSubstr("string length"));
  EXPECT_THAT(error_of(Pairs().string("bad\n\x1b[2J", "x").u32("bad\n\x1b[2J", 1)), HasSubstr("'bad??[2J'"));

  Pairs deep, too_deep;
  deep.array("t", Type::kArray, 1).raw<uint32_t>(9).raw<uint64_t>(1).raw<uint32_t>(9).raw<uint64_t>(1);
  too_deep = deep;
  deep.raw<uint32_t>(0).raw<uint64_t>(1).raw<uint8_t>(5);
  too_deep.raw<uint32_t>(9).raw<uint64_t>(1).raw<uint32_t>(0).raw<uint64_t>(1).raw<uint8_t>(5);
  EXPECT_EQ(error_of(deep), "");
  EXPECT_THAT(error_of(too_deep), HasSubstr("nested more than 4 deep"));

  EXPECT_EQ(Metadata::parse({}, uint64_t{1} << 60).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(Metadata::parse({}, 1).error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace pixellm
