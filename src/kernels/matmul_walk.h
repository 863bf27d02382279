// Where the cells of a product lie: the step from a row of the picture to the next, taken out of the inner
// loops.
#pragma once
#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/target.h"

namespace pixellm {

// Gives the addresses of consecutive cells of a matrix.
class CellWalk {
 public:
  CellWalk() = default;
  // Starts at cell `index`, which exists.
  CellWalk(const CellMatrixView& w, uint64_t index)
      : cell_bytes_(traits(w.type).cell_bytes), cells_per_row_(w.cells_per_row), row_stride_(w.row_stride) {
    if (index < w.first_cells) {
      cell_ = w.first + index * cell_bytes_;
      left_ = w.first_cells - index;
      next_row_ = w.next_row;
      return;
    }
    index -= w.first_cells;
    const uint8_t* row = w.next_row + index / w.cells_per_row * w.row_stride;
    cell_ = row + index % w.cells_per_row * cell_bytes_;
    left_ = w.cells_per_row - index % w.cells_per_row;
    next_row_ = row + w.row_stride;
  }

  // The next n cells' addresses, to out[0], out[step], ...
  PIXELLM_INLINE void next(uint64_t n, const uint8_t** out, uint64_t step) {
    for (uint64_t i = 0; i < n; i++) {
      if (left_ == 0) {
        cell_ = next_row_;
        left_ = cells_per_row_;
        next_row_ += row_stride_;
      }
      out[i * step] = cell_;
      cell_ += cell_bytes_;
      left_--;
    }
  }

 private:
  uint64_t cell_bytes_ = 0, cells_per_row_ = 0, row_stride_ = 0;
  const uint8_t* cell_ = nullptr;
  uint64_t left_ = 0;                  // cells up to the end of the row
  const uint8_t* next_row_ = nullptr;  // the next row's first cell
};

// The cells of R row groups at a time, chunk by chunk along k.
template <int R, uint64_t kCells>
struct CellChunk {
  uint64_t group = 0;  // the first of R
  uint64_t first = 0;  // cells along k before this chunk
  uint64_t n = 0;      // cells along k in this chunk; 0: there is none
  const uint8_t* cells[kCells][R];
};

template <int R, uint64_t kCells>
class ChunkWalk {
 public:
  // Groups begin..end-1, a multiple of R.
  ChunkWalk(const CellMatrixView& w, uint64_t begin, uint64_t end)
      : w_(w), n_cells_(w.cells_along_k()), group_(begin), end_(end) {}

  PIXELLM_INLINE void next(CellChunk<R, kCells>& chunk) {
    chunk.n = 0;
    if (group_ >= end_) return;
    if (first_ == 0)
      for (uint64_t r = 0; r < R; r++) walk_[r] = CellWalk(w_, (group_ + r) * n_cells_);
    chunk.group = group_;
    chunk.first = first_;
    chunk.n = n_cells_ - first_ < kCells ? n_cells_ - first_ : kCells;
    for (uint64_t r = 0; r < R; r++) walk_[r].next(chunk.n, &chunk.cells[0][r], R);
    first_ += chunk.n;
    if (first_ == n_cells_) {
      first_ = 0;
      group_ += R;
    }
  }

 private:
  const CellMatrixView& w_;
  uint64_t n_cells_, group_, end_, first_ = 0;
  CellWalk walk_[R];
};

}  // namespace pixellm
