#include "tensor/cells.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "base/hash.h"
#include "tensor/test_pattern.h"

namespace pixellm {
namespace {

class CellsOfType : public ::testing::TestWithParam<TypeTraits> {};

INSTANTIATE_TEST_SUITE_P(All, CellsOfType, ::testing::ValuesIn(kTypes),
                         [](const auto& type) { return std::string(type.param.name); });

// Made by a second implementation of spec/cells.md (tools/pxi_reader.py's tables, run backwards).
std::string_view golden_cells(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return "b0d64b377037d5d216efbcaf8507d0b60c59ea84ec0b3b6fce0cf1f4ec5b4691";
    case TensorType::kF16:
      return "49f74342e6b0978a117946a238c69f5d878061a4b2ab68927f8c6b33616bd0f9";
    case TensorType::kBF16:
      return "ef6cb7528006313e9bfcf96c652cfc4e94bbf0301abbcfd14fa73124a9786885";
    case TensorType::kQ8_0:
      return "8a542e79b1dd39aab5fc356d3cdb2c8051d08faaba631822b997643de790b2e5";
    case TensorType::kQ4_0:
      return "c8b631f24a66af89167150d111b634184841c06a9bd8168db7c9dc6a3df26804";
    case TensorType::kQ4_1:
      return "0bf9f322dbd7d0bc5f5893cbf8eeaae2e6b731414390c07bea6587d5bf00601d";
    case TensorType::kQ5_0:
      return "d8ff990a5efd4e932957425a5a3944c0c86471829438ac4cc3630a494474e3d3";
    case TensorType::kQ5_1:
      return "abc034647406b9b0ce5cdaf4f625f56239d741c9555bb49677328ddcab479b27";
    case TensorType::kQ4_K:
      return "6c4917a64e0b16e8d884dc702336f5b9369fb270baf54d51432b61e0db707dee";
    case TensorType::kQ5_K:
      return "36e272d749028d7296cf9a6d0c1662ceb7bc501f38bfc60c13f54a32605d186b";
    case TensorType::kQ6_K:
      return "6512ab736a9a666596c0fa362eb01934756cd73d7f6b7fc1064793ff22bd1aad";
  }
  return {};
}

TEST_P(CellsOfType, GoldenBytes) {
  EXPECT_EQ(to_hex(sha256(PatternMatrix(GetParam().type).pack())), golden_cells(GetParam().type));
}

// Every number of rows and every possible width up to two cells and a bit comes back; nothing outside is
// written.
TEST_P(CellsOfType, RoundTripOfEveryShape) {
  const TypeTraits& t = GetParam();
  for (uint64_t k = t.block_elements; k <= 2 * t.cell_columns + t.block_elements; k += t.block_elements)
    for (uint32_t n = 1; n <= kCellRows; n += k % (3 * t.block_elements) == 0 ? 1 : 5) {
      const uint64_t row_bytes = gguf_row_bytes(t.type, k), stride = row_bytes + 3;
      const auto rows = pattern_bytes(n * stride, static_cast<uint32_t>(k + n));
      const uint64_t n_cells = ceil_div(k, t.cell_columns);
      std::vector<uint8_t> cells(n_cells * t.cell_bytes, 0xAA), back(n * stride, 0x55);
      pack_group(t.type, k, rows.data(), stride, n, cells.data());
      for (uint64_t c = 0; c < n_cells; c++)
        unpack_cell(t.type, k, c, cells.data() + c * t.cell_bytes, n, back.data(), stride);
      for (uint32_t r = 0; r < n; r++) {
        ASSERT_EQ(std::memcmp(back.data() + r * stride, rows.data() + r * stride, row_bytes), 0)
            << k << " " << n;
        ASSERT_EQ(back[r * stride + row_bytes], 0x55) << "byte behind row " << r;
      }
    }
}

// Padding is zero: the cell's bytes are the rows' bytes and otherwise zeros, so their counts agree.
TEST_P(CellsOfType, PaddingIsZero) {
  const TypeTraits& t = GetParam();
  const uint64_t k = t.block_elements == 256 ? 256 : t.block_elements;
  std::vector<uint8_t> row(gguf_row_bytes(t.type, k), 0xFF), cell(t.cell_bytes, 0xAA);
  pack_group(t.type, k, row.data(), row.size(), 1, cell.data());
  EXPECT_EQ(std::count(cell.begin(), cell.end(), 0xFF), static_cast<std::ptrdiff_t>(row.size()));
  EXPECT_EQ(std::count(cell.begin(), cell.end(), 0x00),
            static_cast<std::ptrdiff_t>(cell.size() - row.size()));
}

TEST_P(CellsOfType, DequantizeRowEqualsBlocks) {
  const PatternMatrix m(GetParam().type);
  const auto cells = m.pack();
  const CellMatrixView view = contiguous_cells(m.type, m.n_rows, m.k, cells.data());
  std::vector<float> from_cells(m.k), from_blocks(m.k);
  for (uint64_t r = 0; r < m.n_rows; r++) {
    dequantize_row(view, r, from_cells.data());
    dequantize_blocks(m.type, m.k, m.rows.data() + r * m.row_bytes, from_blocks.data());
    ASSERT_EQ(std::memcmp(from_cells.data(), from_blocks.data(), m.k * sizeof(float)), 0) << "row " << r;
  }
}

// One byte of the picture, by hand, for each rule of the table: the byte of `row`'s block at `source` stands
// at `cell`.
struct Place {
  TensorType type;
  uint32_t row, source, cell;
};

TEST(Cells, PlacesByHand) {
  const Place places[] = {
      {TensorType::kQ8_0, 3, 0, 6},                             // d of block 0
      {TensorType::kQ8_0, 3, 34 + 1, 32 + 7},                   // d of block 1
      {TensorType::kQ8_0, 5, 2 + 31, 64 + 64 * 7 + 4 * 5 + 3},  // last weight of block 0
      {TensorType::kQ8_0, 15, 34 + 2 + 4, 64 + 64 * 9 + 60},    // weight 4 of block 1
      {TensorType::kQ4_0, 2, 18 + 2 + 9, 64 + 64 * 6 + 8 + 1},  // qs byte 9 of block 1
      {TensorType::kQ4_1, 1, 2, 64 + 2},                        // m of block 0
      {TensorType::kQ4_1, 1, 20 + 3, 96 + 3},                   // m of block 1
      {TensorType::kQ4_1, 0, 4, 128},
      {TensorType::kQ5_0, 4, 22 + 2 + 3, 64 + 64 * 5 + 16 + 3},    // qh of block 1
      {TensorType::kQ5_0, 4, 6 + 5, 64 + 64 * 2 + 16 + 1},         // qs byte 5 of block 0
      {TensorType::kQ5_1, 7, 4, 128 + 28},                         // qh of block 0
      {TensorType::kQ5_1, 7, 24 + 8 + 15, 128 + 64 * 9 + 28 + 3},  // last qs byte of block 1
      {TensorType::kQ4_K, 6, 4 + 11, 128 + 24 + 3},                // last scale byte
      {TensorType::kQ4_K, 6, 1, 192 + 13},                         // d
      {TensorType::kQ4_K, 6, 2, 224 + 12},                         // dmin
      {TensorType::kQ4_K, 6, 16 + 127, 256 + 64 * 31 + 27},
      {TensorType::kQ5_K, 8, 16 + 4, 256 + 64 * 5 + 32},        // qh dword 1
      {TensorType::kQ5_K, 8, 48 + 4 * 17, 256 + 64 * 8 + 32},   // qs dword 8c+j, c = 2, j = 1
      {TensorType::kQ6_K, 9, 208, 18},                          // d
      {TensorType::kQ6_K, 9, 192 + 15, 64 + 192 + 36 + 3},      // last scale
      {TensorType::kQ6_K, 9, 4 * 17, 320 + 64 * 27 + 36},       // ql dword 16h+j, h = 1, j = 1
      {TensorType::kQ6_K, 9, 4 * 25, 320 + 64 * 28 + 36},       // ql dword 16h+8+j
      {TensorType::kQ6_K, 9, 128 + 4 * 9, 320 + 64 * 29 + 36},  // qh dword 8h+j
      {TensorType::kF16, 10, 2 * 5 + 1, 32 * 5 + 21},
      {TensorType::kBF16, 10, 2 * 63, 32 * 63 + 20},
      {TensorType::kF32, 11, 4 * 63 + 2, 64 * 63 + 46},
  };
  for (const Place& p : places) {
    const TypeTraits& t = traits(p.type);
    const uint64_t row_bytes = gguf_row_bytes(p.type, t.cell_columns);
    std::vector<uint8_t> rows(kCellRows * row_bytes), cell(t.cell_bytes);
    rows[p.row * row_bytes + p.source] = 0xC3;
    pack_group(p.type, t.cell_columns, rows.data(), row_bytes, kCellRows, cell.data());
    const auto at = std::find(cell.begin(), cell.end(), 0xC3) - cell.begin();
    EXPECT_EQ(static_cast<uint32_t>(at), p.cell) << t.name << " source " << p.source;
  }
}

TEST(Cells, ViewFindsCellsAcrossRowsOfThePicture) {
  const std::vector<uint8_t> picture(20000);
  const uint8_t* memory = picture.data();
  const CellMatrixView v{.type = TensorType::kQ4_0,
                         .n_rows = 40,
                         .k = 200,
                         .first = memory,
                         .first_cells = 2,
                         .next_row = memory + 5000,
                         .cells_per_row = 3,
                         .row_stride = 2000};
  EXPECT_EQ(v.cells_along_k(), 4u);
  EXPECT_EQ(v.n_groups(), 3u);
  EXPECT_EQ(v.cell(1) - memory, 576);
  EXPECT_EQ(v.cell(2) - memory, 5000);
  EXPECT_EQ(v.cell(4) - memory, 5000 + 2 * 576);
  EXPECT_EQ(v.cell(5) - memory, 7000);
  EXPECT_EQ(v.cell(11) - memory, 5000 + 3 * 2000);
}

TEST(Types, NamesAndIds) {
  for (const TypeTraits& t : kTypes) {
    EXPECT_EQ(ggml_type_name(static_cast<uint32_t>(t.type)), t.name);
    EXPECT_EQ(type_from_id(static_cast<uint32_t>(t.type)), t.type);
  }
  EXPECT_EQ(ggml_type_name(23), "IQ4_XS");
  EXPECT_EQ(ggml_type_name(39), "MXFP4");
  EXPECT_EQ(ggml_type_name(77), "");
  EXPECT_EQ(type_from_id(23), std::nullopt);
}

}  // namespace
}  // namespace pixellm
