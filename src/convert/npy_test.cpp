#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "convert/npz.h"

namespace pixellm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Buffer = std::vector<uint8_t>;

// An npy file of version 1.0 with this literal and these data bytes.
Buffer npy(std::string_view literal, const Buffer& data = {}) {
  Buffer out(10 + literal.size() + data.size());
  std::ranges::copy(std::string_view("\x93NUMPY\x01\0", 8), out.begin());
  store_le<uint16_t>(&out[8], static_cast<uint16_t>(literal.size()));
  std::ranges::copy(data, std::ranges::copy(literal, out.begin() + 10).out);
  return out;
}

template <class T>
Buffer encode(std::initializer_list<T> values, bool big_endian = false) {
  using U = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  Buffer out(values.size() * sizeof(T));
  uint8_t* p = out.data();
  for (const T v : values) {
    const U bits = std::bit_cast<U>(v);
    big_endian ? store_be<U>(p, bits) : store_le<U>(p, bits);
    p += sizeof(T);
  }
  return out;
}

void expect_error(const Buffer& file, ErrorCode code, const std::string& message) {
  const auto array = read_npy(file, "w");
  ASSERT_FALSE(array) << message;
  EXPECT_EQ(array.error().code, code) << array.error().message;
  EXPECT_THAT(array.error().message, testing::AllOf(HasSubstr("npy: 'w': "), HasSubstr(message)));
}

TEST(Npy, WritesTheBytesOfNumpySave) {
  const Buffer file = write_npy({.shape = {2, 3}, .values = {0, 1, 2, 3, 4, -5}});
  ASSERT_EQ(file.size(), 128u + 24);
  const std::string head(file.begin(), file.begin() + 128);
  EXPECT_EQ(head, std::string("\x93NUMPY\x01\0\x76\0", 10) +
                      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }" + std::string(58, ' ') +
                      "\n");
  EXPECT_EQ(Buffer(file.begin() + 128, file.end()), encode<float>({0, 1, 2, 3, 4, -5}));
}

TEST(Npy, HeaderOfEveryShape) {
  const auto head = [](std::vector<uint64_t> shape) {
    const Buffer h = npy_header(shape);
    EXPECT_EQ(h.size() % 64, 0u);
    return std::string(h.begin() + 10, h.end());
  };
  EXPECT_THAT(head({}), HasSubstr("'shape': (), }"));
  EXPECT_THAT(head({5}), HasSubstr("'shape': (5,), }"));
  EXPECT_THAT(head({UINT64_MAX, 1, 2}), HasSubstr("'shape': (18446744073709551615, 1, 2), }"));
}

TEST(Npy, ReadsEveryOrder) {
  const auto values = [](std::string_view literal, const Buffer& data) {
    const auto array = read_npy(npy(literal, data), "w");
    EXPECT_TRUE(array) << array.error().message;
    return array ? *array : NpyArray{};
  };
  const Buffer six = encode<float>({1, 2, 3, 4, 5, 6});
  EXPECT_THAT(values("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", six).values,
              ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(values("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", six).values,
              ElementsAre(1, 3, 5, 2, 4, 6));
  EXPECT_THAT(values("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2, 3), }\n", six).values,
              ElementsAre(1, 3, 5, 2, 4, 6));
  EXPECT_THAT(
      values("{'descr': '>f4', 'fortran_order': False, 'shape': (3,), }\n", encode<float>({1, -2, 3.5}, true))
          .values,
      ElementsAre(1, -2, 3.5));
  EXPECT_THAT(
      values("{'descr': '>f8', 'fortran_order': False, 'shape': (2,), }\n", encode<double>({1.1, -2}, true))
          .values,
      ElementsAre(1.1f, -2));
  const NpyArray scalar =
      values("{'descr': '<f8', 'fortran_order': False, 'shape': (), }\n", encode<double>({0.1}));
  EXPECT_THAT(scalar.shape, IsEmpty());
  EXPECT_THAT(scalar.values, ElementsAre(0.1f));
  EXPECT_THAT(values("{'descr': '<f4', 'fortran_order': True, 'shape': (0, 7), }\n", {}).shape,
              ElementsAre(0, 7));
}

TEST(Npy, ReadsEveryLawfulLiteral) {
  for (const char* literal :
       {"{'descr':'<f4','fortran_order':False,'shape':(1,)}",
        "  { \"shape\" : ( 1 , ) , \"descr\" : \"<f4\" , \"fortran_order\" : True , } \n ",
        "{'shape': (1L,), 'fortran_order': False, 'descr': '<f4'}",
        "{'shape': (1, 1), 'fortran_order': False, 'descr': '=f4'}"}) {
    const auto array = read_npy(npy(literal, encode<float>({7})), "w");
    ASSERT_TRUE(array) << literal << ": " << array.error().message;
    EXPECT_THAT(array->values, ElementsAre(7));
  }
}

TEST(Npy, Float64RoundsToNearestAndRefusesWhatDoesNotFit) {
  const auto head = "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }";
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const auto array = read_npy(npy(head, encode<double>({1 + 0x1.8p-24, kInf, 1e-60})), "w");
  ASSERT_TRUE(array);
  EXPECT_THAT(array->values, ElementsAre(1 + 0x1p-23f, static_cast<float>(kInf), 0));
  expect_error(npy(head, encode<double>({1, 1e39, 2})), ErrorCode::kUnsupported, "too large for float32");
  const auto nan = read_npy(npy(head, encode<double>({std::nan(""), 0, 0})), "w");
  ASSERT_TRUE(nan);
  EXPECT_TRUE(std::isnan(nan->values[0]));
}

TEST(Npy, RefusesOtherTypesByName) {
  const std::pair<const char*, const char*> types[] = {
      {"'<i8'", "int64"},
      {"'|u1'", "uint8"},
      {"'<f2'", "float16"},
      {"'<f16'", "float128"},
      {"'<c8'", "complex64"},
      {"'|b1'", "bool"},
      {"'|O'", "Python objects (pickle)"},
      {"'<U5'", "text"},
      {"'|S3'", "byte strings"},
      {"'|V2'", "raw bytes"},
      {"'<M8[ns]'", "dates"},
      {"'|f4'", "float32"},
      {"'f4'", "'f4'"},
      {"''", "''"},
      {"'?'", "'?'"},
      {"[('a', '<f4'), ('b', [('c', '<i4')])]", "a structured type"}};
  for (const auto& [descr, name] : types)
    expect_error(npy(std::string("{'descr': ") + descr + ", 'fortran_order': False, 'shape': (1,), }",
                     encode<float>({1})),
                 ErrorCode::kUnsupported,
                 std::string(name) == "'f4'" || std::string(name) == "float32" ? "arrays of" : name);
}

TEST(Npy, RefusesHostileHeaders) {
  const auto literal = [](const std::string& text, const std::string& message) {
    expect_error(npy(text, encode<float>({1})), ErrorCode::kCorrupt, message);
  };
  const std::string head = "{'descr': '<f4', 'fortran_order': False, 'shape': ";
  literal("", "no '{'");
  literal("{", "no string");
  literal("{}", "no key 'descr'");
  literal(head + "(1,)", "something else than ',' or '}'");
  literal(head + "(1,), 'shape': (1,)}", "the key 'shape' twice");
  literal(head + "(1,), 'x': 1}", "the key 'x'");
  literal(head + "(1,)} + 1", "text behind");
  literal(head + "(1,)}{}", "text behind");
  literal(head + "1}", "no '('");
  literal(head + "(1)}", "no ','");
  literal(head + "(,)}", "a dimension that is no number");
  literal(head + "(-1,)}", "a dimension that is no number");
  literal(head + "(1.5,)}", "no ','");
  literal(head + "(18446744073709551616,)}", "a dimension that is no number");
  literal(head + "((1,),)}", "a dimension that is no number");
  literal(head + "(__import__('os').abort(),)}", "a dimension that is no number");
  literal("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", "neither True nor False");
  literal("{'descr': '<f4, 'fortran_order': False, 'shape': (1,)}", "something else");
  literal("{'descr': '\\x3cf4', 'fortran_order': False, 'shape': (1,)}", "a backslash");
  literal("{'descr': " + std::string(60000, '[') + ", 'fortran_order': False, 'shape': (1,)}",
          "a list without an end");
  literal(std::string(60000, '{'), "no string");
  std::string many = head + "(";
  for (int i = 0; i < 33; i++) many += "1, ";
  literal(many + ")}", "more than 32 dimensions");
}

TEST(Npy, RefusesHugeAndWrongSizes) {
  const auto with_shape = [](const std::string& shape) {
    return npy("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }", encode<float>({1, 2}));
  };
  expect_error(with_shape("(3,)"), ErrorCode::kCorrupt, "3 elements of 4 bytes, but 8 bytes of data");
  expect_error(with_shape("(1,)"), ErrorCode::kCorrupt, "1 elements of 4 bytes, but 8 bytes of data");
  expect_error(with_shape("(0,)"), ErrorCode::kCorrupt, "0 elements");
  expect_error(with_shape("(1000000000,)"), ErrorCode::kCorrupt, "1000000000 elements of 4 bytes, but 8");
  expect_error(with_shape("(2147483649,)"), ErrorCode::kTooLarge, "more than 2147483648 elements");
  expect_error(with_shape("(4294967296, 4294967296)"), ErrorCode::kTooLarge, "elements");
  expect_error(with_shape("(18446744073709551615, 2)"), ErrorCode::kTooLarge, "elements");
  expect_error(with_shape("(9223372036854775808, 2, 1)"), ErrorCode::kTooLarge, "elements");
  EXPECT_EQ(read_npy(with_shape("(2,)"), "w", 1).error().code, ErrorCode::kTooLarge);
}

TEST(Npy, Versions) {
  const std::string literal = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n";
  for (const uint8_t major : {2, 3}) {
    Buffer file = {0x93, 'N', 'U', 'M', 'P', 'Y', major, 0, static_cast<uint8_t>(literal.size()), 0, 0, 0};
    file.insert(file.end(), literal.begin(), literal.end());
    const Buffer data = encode<float>({4});
    file.insert(file.end(), data.begin(), data.end());
    const auto array = read_npy(file, "w");
    ASSERT_TRUE(array) << array.error().message;
    EXPECT_THAT(array->values, ElementsAre(4));
    for (size_t n = 0; n < file.size(); n++)
      EXPECT_EQ(read_npy(Bytes(file).first(n), "w").error().code, ErrorCode::kCorrupt) << n;
    file[11] = 0xff;
    expect_error(file, ErrorCode::kTooLarge, "a header of");
  }
  Buffer file = npy(literal, encode<float>({1}));
  file[6] = 4;
  expect_error(file, ErrorCode::kUnsupported, "npy version 4.0");
  file[6] = 0;
  expect_error(file, ErrorCode::kUnsupported, "npy version 0.0");
  file[6] = 1, file[7] = 1;
  expect_error(file, ErrorCode::kUnsupported, "npy version 1.1");
}

TEST(Npy, EveryTruncationIsAnErrorAndNoFlippedBitCrashes) {
  const Buffer good = write_npy({.shape = {2, 3}, .values = {0, 1, 2, 3, 4, 5}});
  for (size_t n = 0; n < good.size(); n++)
    EXPECT_EQ(read_npy(Bytes(good).first(n), "w").error().code, ErrorCode::kCorrupt) << n;
  for (size_t bit = 0; bit < 128 * 8; bit++) {
    Buffer file = good;
    file[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const auto array = read_npy(file, "w");
    if (array) {
      EXPECT_EQ(array->values.size(), 6u) << "byte " << bit / 8;
    } else {
      EXPECT_THAT(array.error().message, HasSubstr("npy: 'w': "));
    }
  }
}

}  // namespace
}  // namespace pixellm
