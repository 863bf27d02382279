// Data for the tests of this folder: reproducible numbers, aligned memory, random weights in cells, bit
// comparison.
#pragma once
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "tensor/cells.h"
#include "tensor/float16.h"

namespace pixellm {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint32_t bits() {  // splitmix64, high half
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return static_cast<uint32_t>((z ^ z >> 31) >> 32);
  }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(static_cast<uint64_t>(bits()) * n >> 32); }
  float unit() { return static_cast<float>(bits() >> 8) * 0x1p-24f; }
  float symmetric() { return unit() * 2 - 1; }
  float bell() { return symmetric() + symmetric() + symmetric(); }  // variance 1

 private:
  uint64_t state_;
};

inline std::vector<float> bell_curve(uint64_t n, uint64_t seed, float scale = 1) {
  Random random(seed);
  std::vector<float> v(n);
  for (float& x : v) x = random.bell() * scale;
  return v;
}

// Numbers of every size, zeros of both signs and subnormals among them; nothing whose square sum over n
// overflows.
inline std::vector<float> wild(uint64_t n, uint64_t seed) {
  Random random(seed);
  std::vector<float> v(n);
  for (float& x : v) {
    switch (random.below(8)) {
      case 0:
        x = std::ldexp(random.symmetric(), static_cast<int>(random.below(180)) - 150);
        break;
      case 1:
        x = random.below(2) ? 0.0f : -0.0f;
        break;
      case 2:
        x = random.bell() * 1e-41f;
        break;
      default:
        x = random.bell() * 4;
        break;
    }
  }
  return v;
}

// Zeroed memory on a 64-byte boundary.
template <class T>
class Aligned {
 public:
  explicit Aligned(uint64_t n)
      : size_(n), data_(static_cast<T*>(std::aligned_alloc(64, round_up(n * sizeof(T) + 1, 64)))) {
    std::memset(static_cast<void*>(data_.get()), 0, n * sizeof(T));
  }
  T* data() { return data_.get(); }
  uint64_t size() const { return size_; }
  T& operator[](uint64_t i) { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  uint64_t size_;
  std::unique_ptr<T, Free> data_;
};

// Where two arrays differ in their bits, for EXPECT_TRUE.
inline testing::AssertionResult same_bits(const float* got, const float* expected, uint64_t n) {
  if (n == 0 || std::memcmp(got, expected, n * sizeof(float)) == 0) return testing::AssertionSuccess();
  for (uint64_t i = 0;; i++)
    if (std::bit_cast<uint32_t>(got[i]) != std::bit_cast<uint32_t>(expected[i]))
      return testing::AssertionFailure()
             << "element " << i << " of " << n << ": got " << got[i] << ", expected " << expected[i]
             << std::hex << " (bits " << std::bit_cast<uint32_t>(got[i]) << ", "
             << std::bit_cast<uint32_t>(expected[i]) << ")";
}
inline testing::AssertionResult same_bits(const std::vector<float>& got, const std::vector<float>& expected) {
  if (got.size() != expected.size()) return testing::AssertionFailure() << "sizes differ";
  return same_bits(got.data(), expected.data(), got.size());
}

// The vector tables of this machine, for INSTANTIATE_TEST_SUITE_P.
inline std::vector<const Kernels*> vector_kernels() {
  std::vector<const Kernels*> all = available_kernels();
  all.erase(all.begin());
  return all;
}
inline std::string kernels_name(const testing::TestParamInfo<const Kernels*>& info) {
  return std::string(info.param->name);
}

// A random matrix in GGUF rows and in cells. Scales: ordinary, negative, zero, subnormal and the largest
// halves.
struct RandomMatrix {
  TensorType type;
  uint64_t n_rows, k, row_bytes;
  std::vector<uint8_t> rows;
  std::vector<uint8_t>
      offsets_only;  // the same rows with quants 0, so that values are the blocks' own offsets
  std::vector<uint8_t> cells;

  RandomMatrix(TensorType t, uint64_t n, uint64_t columns, uint64_t seed, bool extreme)
      : type(t), n_rows(n), k(columns), row_bytes(gguf_row_bytes(t, columns)), rows(n * row_bytes) {
    Random random(seed);
    const TypeTraits& tr = traits(t);
    for (uint8_t& b : rows) b = static_cast<uint8_t>(random.bits());
    offsets_only.assign(rows.size(), 0);
    for (uint64_t at = 0; at < rows.size(); at += tr.block_bytes) fill_block(random, at, extreme);
    const uint64_t group = ceil_div(k, tr.cell_columns) * tr.cell_bytes;
    cells.assign(ceil_div(n_rows, kCellRows) * group, 0xEE);
    for (uint64_t r = 0; r < n_rows; r += kCellRows)
      pack_group(type, k, rows.data() + r * row_bytes, row_bytes,
                 static_cast<uint32_t>(std::min<uint64_t>(kCellRows, n_rows - r)),
                 cells.data() + r / kCellRows * group);
  }

  std::vector<float> row(uint64_t r) const { return decode(rows, r); }
  std::vector<float> row_offsets(uint64_t r) const {  // zero for types without
    switch (type) {
      case TensorType::kQ4_1:
      case TensorType::kQ5_1:
      case TensorType::kQ4_K:
      case TensorType::kQ5_K:
        return decode(offsets_only, r);
      default:
        return std::vector<float>(k, 0.0f);
    }
  }

 private:
  static uint16_t scale(Random& random, bool extreme) {
    if (extreme) {
      switch (random.below(6)) {
        case 0:
          return static_cast<uint16_t>(random.below(1024) | (random.below(2) << 15));  // subnormal or zero
        case 1:
          return static_cast<uint16_t>(random.below(2) << 15);
        case 2:
          return static_cast<uint16_t>(0x7bff - random.below(1024));
      }
    }
    return float_to_f16(random.symmetric() * 0.02f);
  }

  void put(uint64_t at, uint16_t half) {
    store_le<uint16_t>(rows.data() + at, half);
    store_le<uint16_t>(offsets_only.data() + at, half);
  }

  void fill_block(Random& random, uint64_t at, bool extreme) {
    switch (type) {
      case TensorType::kF32:
        store_le<float>(rows.data() + at, random.bell() * (extreme && random.below(4) == 0 ? 1e-38f : 1));
        break;
      case TensorType::kF16:
        put(at, extreme ? scale(random, true) : float_to_f16(random.bell()));
        break;
      case TensorType::kBF16:
        store_le<uint16_t>(
            rows.data() + at,
            static_cast<uint16_t>(
                std::bit_cast<uint32_t>(random.bell() * (extreme && random.below(4) == 0 ? 1e-38f : 1)) >>
                16));
        break;
      case TensorType::kQ6_K:
        put(at + 208, scale(random, extreme));
        break;
      case TensorType::kQ4_K:
      case TensorType::kQ5_K:
        put(at, scale(random, extreme));
        put(at + 2, scale(random, extreme));
        std::memcpy(offsets_only.data() + at + 4, rows.data() + at + 4, 12);
        break;
      case TensorType::kQ4_1:
      case TensorType::kQ5_1:
        put(at, scale(random, extreme));
        put(at + 2, scale(random, extreme));
        break;
      default:
        put(at, scale(random, extreme));
        break;
    }
  }

  std::vector<float> decode(const std::vector<uint8_t>& from, uint64_t r) const {
    std::vector<float> out(k);
    dequantize_blocks(type, k, from.data() + r * row_bytes, out.data());
    return out;
  }
};

// What a weight type may be multiplied with.
inline std::vector<ActivationKind> kinds_for(TensorType type) {
  if (is_float_type(type)) return {ActivationKind::kFloat};
  return {ActivationKind::kInt8, ActivationKind::kInt16};
}

// Activations with memory of their own.
struct OwnedActivations {
  Activations view;
  Aligned<uint8_t> memory;

  OwnedActivations(uint32_t n_tokens, uint64_t k, ActivationKind kind)
      : view(Activations::shape(n_tokens, k, kind)), memory(view.bytes_needed()) {
    view.data = memory.data();
  }
};

}  // namespace pixellm
