// Cells: how a matrix lies in a picture. [n_rows, k] is cut into cells of 16 rows by 64 columns (256 for the K
// types), along k first; a cell is a byte permutation of the GGUF blocks of its 16 rows, arranged for SIMD.
// Rows and columns that do not fill a cell are padded with zero bytes. Layout to the byte: spec/cells.md.
#pragma once
#include <cstdint>

#include "base/bytes.h"
#include "tensor/dtype.h"

namespace pixellm {

// A matrix whose cells lie in rows of a picture: `first_cells` cells from `first` on, then `cells_per_row` from
// `next_row` on, and so on at `row_stride`. Borrows the plane. n_rows and k are the matrix's own, without padding.
struct CellMatrixView {
  TensorType type = TensorType::kF32;
  uint64_t n_rows = 0, k = 0;
  const uint8_t* first = nullptr;
  uint64_t first_cells = 0;
  const uint8_t* next_row = nullptr;
  uint64_t cells_per_row = 0;
  uint64_t row_stride = 0;

  uint64_t cells_along_k() const { return ceil_div(k, traits(type).cell_columns); }
  uint64_t n_groups() const { return ceil_div(n_rows, kCellRows); }   // of 16 rows
  uint64_t n_cells() const { return n_groups() * cells_along_k(); }
  const uint8_t* cell(uint64_t index) const {
    const uint64_t bytes = traits(type).cell_bytes;
    if (index < first_cells) return first + index * bytes;
    index -= first_cells;
    return next_row + index / cells_per_row * row_stride + index % cells_per_row * bytes;
  }
};

// A matrix whose cells lie one after the other in memory (tests, tools).
CellMatrixView contiguous_cells(TensorType type, uint64_t n_rows, uint64_t k, const uint8_t* cells);

// Bytes of one row of k elements in GGUF blocks. k must be a multiple of the block's elements.
uint64_t gguf_row_bytes(TensorType type, uint64_t k);

// One group: `rows` holds n (1..16) rows of gguf_row_bytes(type, k) each, `row_stride` apart; `cells` receives
// ceil(k / cell_columns) cells. Missing rows and columns become zero bytes.
void pack_group(TensorType type, uint64_t k, const uint8_t* rows, uint64_t row_stride, uint32_t n, uint8_t* cells);

// The inverse for one cell: writes the GGUF bytes of its rows 0..n-1, each to rows + r * row_stride (+ the cell's own
// offset along k), only the columns below `k`. `cell_index` counts along k.
void unpack_cell(TensorType type, uint64_t k, uint64_t cell_index, const uint8_t* cell, uint32_t n, uint8_t* rows,
                 uint64_t row_stride);

// k floats of GGUF blocks: the values that the type defines, each operation rounded to f32 as in spec/cells.md.
void dequantize_blocks(TensorType type, uint64_t k, const uint8_t* blocks, float* out);

// Row `row` of a matrix in cells, k floats. The embedding look-up.
void dequantize_row(const CellMatrixView& matrix, uint64_t row, float* out);

}  // namespace pixellm
