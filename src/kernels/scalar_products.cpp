#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/scalar.h"
#include "tensor/float16.h"

namespace pixellm::scalar {
namespace {

// ---- Activations

// |x| by its bits: as ordered as the values, and a NaN stays on top.
uint32_t magnitude_bits(float x) { return std::bit_cast<uint32_t>(x) & 0x7fffffff; }

// One slot of a block from 32 columns in steps of dx. Returns the sum of q; `rest`, if asked for, is what
// rounding left.
template <int P>
int32_t quantize_slot(const float (&x)[32], float dx, float inverse, ActBlock<P>& block, int s, float* rest) {
  int32_t sum[2] = {0, 0};
  for (int c = 0; c < 32; c++) {
    float q = std::nearbyint(x[c] * inverse);
    q = q > -127.0f ? q : -127.0f;  // a NaN becomes -127; its dx tells
    q = q < 127.0f ? q : 127.0f;
    block.q[c / 4][s][c % 4] = static_cast<int8_t>(q);
    sum[c / 16] += static_cast<int32_t>(q);
    if (rest != nullptr) rest[c] = std::fma(-q, dx, x[c]);
  }
  const int32_t all = sum[0] + sum[1];
  block.dx[s] = dx;
  block.sx[s] = dx * static_cast<float>(all);
  block.start_128[s] = 0x4B400000 - 128 * all;
  block.start_8[s] = 0x4B400000 - 8 * all;
  block.start_16[s] = 0x4B400000 - 16 * all;
  block.start_32[0][s] = 0x4B400000 - 32 * sum[0];
  block.start_32[1][s] = 0x4B400000 - 32 * sum[1];
  return all;
}

// The slots of one token, from s on.
template <int P>
void quantize(const float (&x)[32], ActBlock<P>& block, int s, int planes) {
  uint32_t largest = 0;
  for (const float v : x) largest = std::max(largest, magnitude_bits(v));
  const float amax = std::bit_cast<float>(largest);
  const bool empty = amax < 0x1p-90f;
  const float dx = empty ? 0.0f : amax / 127.0f;
  const float inverse = empty ? 0.0f : 127.0f / amax;
  float rest[32];
  quantize_slot<P>(x, dx, inverse, block, s, rest);
  if constexpr (P > 1) {
    if (planes == 1) return;
    const int32_t fine = quantize_slot<P>(rest, dx / 254.0f, inverse * 254.0f, block, s + 1, nullptr);
    block.sx[s] = std::fma(block.dx[s + 1], static_cast<float>(fine), block.sx[s]);
    block.sx[s + 1] = 0.0f;
  }
}

template <int P>
void prepare_panels(const float* x, uint64_t stride, uint64_t k, uint32_t begin, uint32_t end,
                    const Activations& out) {
  const int planes = out.planes();
  for (uint32_t p = begin; p < end; p++) {
    for (int s = 0; s < P; s += planes) {
      const uint64_t token = uint64_t{p} * out.tokens_per_panel() + static_cast<uint64_t>(s / planes);
      const float* row = token < out.n_tokens ? x + token * stride : nullptr;
      for (uint64_t b = 0; b < out.k_padded / 32; b++) {
        float columns[32];
        for (uint64_t c = 0; c < 32; c++)
          columns[c] = row != nullptr && 32 * b + c < k ? row[32 * b + c] : 0.0f;
        if (out.is_float()) {
          for (uint64_t c = 0; c < 32; c++)
            out.floats(p)[(32 * b + c) * P + static_cast<uint64_t>(s)] = columns[c];
        } else {
          quantize<P>(columns, out.blocks<P>(p)[b], s, planes);
        }
      }
    }
  }
}

// ---- Quantised weights

// 32 columns of the 16 rows of a cell.
struct WeightBlock {
  int8_t q[16][32];    // real signed values: offsets subtracted
  float scale[16][2];  // of columns 0..15, 16..31
  float offset[16];    // added times the sum of the activations
};

float f16_at(const uint8_t* p) { return f16_to_float(load_le<uint16_t>(p)); }

void set_scale(WeightBlock& w, int r, float scale, float offset = 0.0f) {
  w.scale[r][0] = w.scale[r][1] = scale;
  w.offset[r] = offset;
}

// Format<type>::read fills `w` with block b of a cell, as spec/cells.md lays it out.
template <TensorType type>
struct Format;

template <>
struct Format<TensorType::kQ8_0> {
  static constexpr bool kHasOffset = false, kTwoScales = false;
  static void read(const uint8_t* cell, int b, WeightBlock& w) {
    for (int r = 0; r < 16; r++) {
      set_scale(w, r, f16_at(cell + 32 * b + 2 * r));
      for (int c = 0; c < 32; c++)
        w.q[r][c] = static_cast<int8_t>(cell[64 + 64 * (8 * b + c / 4) + 4 * r + c % 4]);
    }
  }
};

// Q4_0, Q4_1, Q5_0, Q5_1: nibbles of 32 columns in four vectors, before them one of fifth bits for Q5.
template <bool kHasFifthBit, bool kHasMin>
struct Nibbles {
  static constexpr bool kHasOffset = kHasMin, kTwoScales = false;
  static void read(const uint8_t* cell, int b, WeightBlock& w) {
    const uint8_t* vectors = cell + (kHasMin ? 128 : 64) + 64 * (kHasFifthBit ? 5 : 4) * b;
    const uint8_t* nibbles = vectors + (kHasFifthBit ? 64 : 0);
    const int zero = kHasMin ? 0 : kHasFifthBit ? 16 : 8;
    for (int r = 0; r < 16; r++) {
      set_scale(w, r, f16_at(cell + 32 * b + 2 * r), kHasMin ? f16_at(cell + 64 + 32 * b + 2 * r) : 0.0f);
      const uint32_t fifth = kHasFifthBit ? load_le<uint32_t>(vectors + 4 * r) : 0;
      for (int c = 0; c < 32; c++) {
        const int byte = nibbles[64 * (c % 16 / 4) + 4 * r + c % 4];
        const int low = c < 16 ? byte & 15 : byte >> 4;
        w.q[r][c] = static_cast<int8_t>((low | static_cast<int>(fifth >> c & 1) << 4) - zero);
      }
    }
  }
};
template <>
struct Format<TensorType::kQ4_0> : Nibbles<false, false> {};
template <>
struct Format<TensorType::kQ4_1> : Nibbles<false, true> {};
template <>
struct Format<TensorType::kQ5_0> : Nibbles<true, false> {};
template <>
struct Format<TensorType::kQ5_1> : Nibbles<true, true> {};

// Q4_K, Q5_K: b is the sub-block of 32 in 256 columns.
template <bool kHasFifthBit>
struct SuperBlocks {
  static constexpr bool kHasOffset = true, kTwoScales = false;

  static void read(const uint8_t* cell, int b, WeightBlock& w) {
    for (int r = 0; r < 16; r++) {
      uint8_t scales[12];
      for (int i = 0; i < 12; i++) scales[i] = cell[64 * (i / 4) + 4 * r + i % 4];
      int scale, min;
      if (b < 4) {
        scale = scales[b] & 63;
        min = scales[b + 4] & 63;
      } else {
        scale = (scales[b + 4] & 15) | scales[b - 4] >> 6 << 4;
        min = scales[b + 4] >> 4 | scales[b] >> 6 << 4;
      }
      const float d = f16_at(cell + 192 + 2 * r), dmin = f16_at(cell + 224 + 2 * r);
      set_scale(w, r, d * static_cast<float>(scale), -(dmin * static_cast<float>(min)));
      for (int c = 0; c < 32; c++) w.q[r][c] = static_cast<int8_t>(column(cell + 256, b, r, c));
    }
  }

  static int column(const uint8_t* vectors, int b, int r, int c) {
    const int pair = b / 2, j = c / 4, at = 4 * r + c % 4;
    const int byte = vectors[64 * (kHasFifthBit ? 5 * j + 1 + pair : 8 * pair + j) + at];
    const int low = b % 2 == 0 ? byte & 15 : byte >> 4;
    return kHasFifthBit ? low | (vectors[64 * 5 * j + at] >> b & 1) << 4 : low;
  }
};
template <>
struct Format<TensorType::kQ4_K> : SuperBlocks<false> {};
template <>
struct Format<TensorType::kQ5_K> : SuperBlocks<true> {};

template <>
struct Format<TensorType::kQ6_K> {
  static constexpr bool kHasOffset = false, kTwoScales = true;
  static void read(const uint8_t* cell, int b, WeightBlock& w) {
    const int half = b / 4, part = b % 4;
    for (int r = 0; r < 16; r++) {
      const float d = f16_at(cell + 2 * r);
      for (int i = 0; i < 2; i++) {
        const int s = 2 * b + i;
        w.scale[r][i] = d * static_cast<float>(static_cast<int8_t>(cell[64 + 64 * (s / 4) + 4 * r + s % 4]));
      }
      w.offset[r] = 0.0f;
      for (int c = 0; c < 32; c++) {
        const uint8_t* triple = cell + 320 + 64 * (24 * half + 3 * (c / 4)) + 4 * r + c % 4;
        const int byte = triple[part % 2 == 0 ? 0 : 64];
        const int low = part < 2 ? byte & 15 : byte >> 4;
        w.q[r][c] = static_cast<int8_t>((low | (triple[128] >> (2 * part) & 3) << 4) - 32);
      }
    }
  }
};

template <TensorType type, int P>
void accumulate(const WeightBlock& w, const ActBlock<P>& x, int planes, int n_tokens, float* y,
                uint64_t y_stride) {
  for (int t = 0; t < n_tokens; t++, y += y_stride) {
    for (int r = 0; r < 16; r++) {
      int32_t dot[2][2] = {};  // [columns 0..15 or 16..31][plane]
      for (int plane = 0; plane < planes; plane++)
        for (int c = 0; c < 32; c++) dot[c / 16][plane] += w.q[r][c] * x.q[c / 4][t * planes + plane][c % 4];
      float acc = y[r];
      if (!Format<type>::kTwoScales)
        for (int plane = 0; plane < planes; plane++) dot[0][plane] += dot[1][plane];
      for (int i = 0; i < (Format<type>::kTwoScales ? 2 : 1); i++)
        for (int plane = 0; plane < planes; plane++)
          acc = std::fma(static_cast<float>(dot[i][plane]), w.scale[r][i] * x.dx[t * planes + plane], acc);
      if (Format<type>::kHasOffset) acc = std::fma(w.offset[r], x.sx[t * planes], acc);
      y[r] = acc;
    }
  }
}

template <TensorType type, int P>
void accumulate_panel(const WeightBlock& w, const Activations& x, uint32_t p, uint64_t block, float* y,
                      uint64_t y_stride) {
  const auto n_tokens =
      static_cast<int>(std::min(x.n_tokens - p * x.tokens_per_panel(), x.tokens_per_panel()));
  accumulate<type, P>(w, x.blocks<P>(p)[block], x.planes(), n_tokens, y, y_stride);
}

void clear_group(const Activations& x, float* y, uint64_t y_stride) {
  for (uint64_t t = 0; t < x.n_tokens; t++) std::memset(y + t * y_stride, 0, 16 * sizeof(float));
}

template <TensorType type>
void matmul_quantized(const CellMatrixView& w, uint64_t group_begin, uint64_t group_end, const Activations& x,
                      float* y, uint64_t y_stride) {
  constexpr int kBlocks = traits(type).cell_columns / 32;
  const uint64_t n_cells = w.cells_along_k();
  WeightBlock block;
  for (uint64_t g = group_begin; g < group_end; g++) {
    clear_group(x, y + 16 * g, y_stride);
    for (uint64_t c = 0; c < n_cells * kBlocks; c++) {
      Format<type>::read(w.cell(g * n_cells + c / kBlocks), static_cast<int>(c % kBlocks), block);
      for (uint32_t p = 0; p < x.n_panels(); p++) {
        float* to = y + uint64_t{p} * x.tokens_per_panel() * y_stride + 16 * g;
        if (x.panel == 1)
          accumulate_panel<type, 1>(block, x, p, c, to, y_stride);
        else if (x.panel == 2)
          accumulate_panel<type, 2>(block, x, p, c, to, y_stride);
        else if (x.panel == 4)
          accumulate_panel<type, 4>(block, x, p, c, to, y_stride);
        else
          accumulate_panel<type, kPanel>(block, x, p, c, to, y_stride);
      }
    }
  }
}

// ---- Float weights

template <>
struct Format<TensorType::kF32> {
  static float at(const uint8_t* cell, uint64_t column, int r) {
    return load_le<float>(cell + 64 * column + 4 * r);
  }
};
template <>
struct Format<TensorType::kF16> {
  static float at(const uint8_t* cell, uint64_t column, int r) { return f16_at(cell + 32 * column + 2 * r); }
};
template <>
struct Format<TensorType::kBF16> {
  static float at(const uint8_t* cell, uint64_t column, int r) {
    return bf16_to_float(load_le<uint16_t>(cell + 32 * column + 2 * r));
  }
};

template <TensorType type>
void matmul_float(const CellMatrixView& w, uint64_t group_begin, uint64_t group_end, const Activations& x,
                  float* y, uint64_t y_stride) {
  constexpr uint64_t kColumns = traits(type).cell_columns;
  const uint64_t n_cells = w.cells_along_k(), panel = static_cast<uint64_t>(x.panel);
  for (uint64_t g = group_begin; g < group_end; g++) {
    clear_group(x, y + 16 * g, y_stride);
    for (uint64_t k = 0; k < n_cells * kColumns; k++) {
      const uint8_t* cell = w.cell(g * n_cells + k / kColumns);
      float weights[16];
      for (int r = 0; r < 16; r++) weights[r] = Format<type>::at(cell, k % kColumns, r);
      for (uint64_t t = 0; t < x.n_tokens; t++) {
        const float value = x.floats(static_cast<uint32_t>(t / panel))[k * panel + t % panel];
        float* to = y + t * y_stride + 16 * g;
        for (int r = 0; r < 16; r++) to[r] = std::fma(weights[r], value, to[r]);
      }
    }
  }
}

}  // namespace

void prepare(const float* x, uint64_t stride, uint64_t k, uint32_t panel_begin, uint32_t panel_end,
             const Activations& out) {
  if (out.panel == 1)
    prepare_panels<1>(x, stride, k, panel_begin, panel_end, out);
  else if (out.panel == 2)
    prepare_panels<2>(x, stride, k, panel_begin, panel_end, out);
  else if (out.panel == 4)
    prepare_panels<4>(x, stride, k, panel_begin, panel_end, out);
  else
    prepare_panels<kPanel>(x, stride, k, panel_begin, panel_end, out);
}

template <TensorType type>
void matmul(const CellMatrixView& w, uint64_t group_begin, uint64_t group_end, const Activations& x, float* y,
            uint64_t y_stride) {
  if constexpr (is_float_type(type))
    matmul_float<type>(w, group_begin, group_end, x, y, y_stride);
  else
    matmul_quantized<type>(w, group_begin, group_end, x, y, y_stride);
}

#define PIXELLM_INSTANTIATE(type)                                                                       \
  template void matmul<TensorType::type>(const CellMatrixView&, uint64_t, uint64_t, const Activations&, \
                                         float*, uint64_t)
PIXELLM_INSTANTIATE(kF32);
PIXELLM_INSTANTIATE(kF16);
PIXELLM_INSTANTIATE(kBF16);
PIXELLM_INSTANTIATE(kQ8_0);
PIXELLM_INSTANTIATE(kQ4_0);
PIXELLM_INSTANTIATE(kQ4_1);
PIXELLM_INSTANTIATE(kQ5_0);
PIXELLM_INSTANTIATE(kQ5_1);
PIXELLM_INSTANTIATE(kQ4_K);
PIXELLM_INSTANTIATE(kQ5_K);
PIXELLM_INSTANTIATE(kQ6_K);
#undef PIXELLM_INSTANTIATE

}  // namespace pixellm::scalar
