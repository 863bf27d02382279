#include "tensor/cells.h"

#include <algorithm>
#include <cstring>

#include "tensor/cell_layout.h"

namespace pixellm {
namespace {

// Moves one field of `n` rows into a cell. Written out for n = 16, so that the loop unrolls.
template <uint32_t kWidth>
void pack_field(const CellField& f, uint32_t block_bytes, const uint8_t* rows, uint64_t row_stride,
                uint32_t n, uint8_t* cell) {
  const uint8_t* source = rows + uint64_t{f.block} * block_bytes + f.source;
  uint8_t* target = cell + f.cell;
  if (n == kCellRows) {
    for (uint32_t r = 0; r < kCellRows; r++)
      std::memcpy(target + kWidth * r, source + r * row_stride, kWidth);
  } else {
    for (uint32_t r = 0; r < n; r++) std::memcpy(target + kWidth * r, source + r * row_stride, kWidth);
  }
}

template <uint32_t kWidth>
void unpack_field(const CellField& f, uint32_t block_bytes, const uint8_t* cell, uint32_t n, uint8_t* rows,
                  uint64_t row_stride) {
  uint8_t* target = rows + uint64_t{f.block} * block_bytes + f.source;
  const uint8_t* source = cell + f.cell;
  if (n == kCellRows) {
    for (uint32_t r = 0; r < kCellRows; r++)
      std::memcpy(target + r * row_stride, source + kWidth * r, kWidth);
  } else {
    for (uint32_t r = 0; r < n; r++) std::memcpy(target + r * row_stride, source + kWidth * r, kWidth);
  }
}

// Calls the visitors for every field whose block lies below `n_blocks`.
template <class Half, class Word>
void for_each_field(const CellLayout& layout, uint32_t n_blocks, const Half& half, const Word& word) {
  for (uint32_t i = 0; i < layout.n_halves; i++)
    if (layout.halves[i].block < n_blocks) half(layout.halves[i]);
  for (uint32_t i = 0; i < layout.n_words; i++)
    if (layout.words[i].block < n_blocks) word(layout.words[i]);
}

// Blocks of a row that fall into the cell.
uint32_t blocks_in_cell(const TypeTraits& t, uint64_t k, uint64_t cell_index) {
  const uint64_t first = cell_index * t.cell_columns;
  return static_cast<uint32_t>(std::min<uint64_t>(t.cell_columns, k - first) / t.block_elements);
}

// The GGUF bytes of one row of a cell.
void unpack_row(const TypeTraits& t, const CellLayout& layout, uint32_t n_blocks, const uint8_t* cell,
                uint32_t row, uint8_t* out) {
  for_each_field(
      layout, n_blocks,
      [&](const CellField& f) {
        std::memcpy(out + f.block * t.block_bytes + f.source, cell + f.cell + 2 * row, 2);
      },
      [&](const CellField& f) {
        std::memcpy(out + f.block * t.block_bytes + f.source, cell + f.cell + 4 * row, 4);
      });
}

}  // namespace

CellMatrixView contiguous_cells(TensorType type, uint64_t n_rows, uint64_t k, const uint8_t* cells) {
  CellMatrixView view{.type = type, .n_rows = n_rows, .k = k, .first = cells};
  view.first_cells = view.cells_per_row = view.n_cells();
  view.next_row = cells + view.first_cells * traits(type).cell_bytes;
  return view;
}

uint64_t gguf_row_bytes(TensorType type, uint64_t k) {
  const TypeTraits& t = traits(type);
  return k / t.block_elements * t.block_bytes;
}

void pack_group(TensorType type, uint64_t k, const uint8_t* rows, uint64_t row_stride, uint32_t n,
                uint8_t* cells) {
  const TypeTraits& t = traits(type);
  const CellLayout& layout = kCellLayouts[type_index(type)];
  const uint32_t blocks_per_cell = t.cell_columns / t.block_elements;
  const uint64_t n_cells = ceil_div(k, t.cell_columns);
  for (uint64_t c = 0; c < n_cells; c++, cells += t.cell_bytes, rows += blocks_per_cell * t.block_bytes) {
    const uint32_t n_blocks = blocks_in_cell(t, k, c);
    const bool full =
        n == kCellRows && n_blocks == blocks_per_cell && cell_data_bytes(layout) == t.cell_bytes;
    if (!full) std::memset(cells, 0, t.cell_bytes);
    for_each_field(
        layout, n_blocks,
        [&](const CellField& f) { pack_field<2>(f, t.block_bytes, rows, row_stride, n, cells); },
        [&](const CellField& f) { pack_field<4>(f, t.block_bytes, rows, row_stride, n, cells); });
  }
}

void unpack_cell(TensorType type, uint64_t k, uint64_t cell_index, const uint8_t* cell, uint32_t n,
                 uint8_t* rows, uint64_t row_stride) {
  const TypeTraits& t = traits(type);
  const CellLayout& layout = kCellLayouts[type_index(type)];
  const uint32_t n_blocks = blocks_in_cell(t, k, cell_index);
  rows += gguf_row_bytes(type, cell_index * t.cell_columns);
  if (is_float_type(type)) {  // row by row: 16 rows a power of two apart share few cache sets
    for (uint32_t r = 0; r < n; r++) unpack_row(t, layout, n_blocks, cell, r, rows + r * row_stride);
    return;
  }
  for_each_field(
      layout, n_blocks,
      [&](const CellField& f) { unpack_field<2>(f, t.block_bytes, cell, n, rows, row_stride); },
      [&](const CellField& f) { unpack_field<4>(f, t.block_bytes, cell, n, rows, row_stride); });
}

void dequantize_row(const CellMatrixView& matrix, uint64_t row, float* out) {
  const TypeTraits& t = traits(matrix.type);
  const CellLayout& layout = kCellLayouts[type_index(matrix.type)];
  const uint64_t along_k = matrix.cells_along_k();
  uint8_t blocks[256];  // one row of one cell; the longest are 64 floats
  for (uint64_t c = 0; c < along_k; c++) {
    const uint32_t n_blocks = blocks_in_cell(t, matrix.k, c);
    const uint8_t* cell = matrix.cell(row / kCellRows * along_k + c);
    unpack_row(t, layout, n_blocks, cell, static_cast<uint32_t>(row % kCellRows), blocks);
    dequantize_blocks(matrix.type, uint64_t{n_blocks} * t.block_elements, blocks, out + c * t.cell_columns);
  }
}

}  // namespace pixellm
