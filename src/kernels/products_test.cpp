// Products and their activations: the scalar ones against float64, every vector ISA against scalar, bit for
// bit.
#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/test_data.h"

namespace pixellm {
namespace {

constexpr uint32_t kTokenCounts[] = {1, 2, 3, 4, 5, 8, 9, 17};

// Ordinary tokens, and among them zero blocks, blocks below the smallest scale and blocks with one huge
// value.
std::vector<float> token_rows(uint32_t n_tokens, uint64_t stride, uint64_t seed) {
  std::vector<float> x = bell_curve(n_tokens * stride, seed);
  Random random(seed + 1);
  for (uint64_t b = 0; b + 32 <= x.size(); b += 32) {
    switch (random.below(16)) {
      case 0:
        std::fill_n(x.begin() + static_cast<int64_t>(b), 32, 0.0f);
        break;
      case 1:
        for (int i = 0; i < 32; i++) x[b + static_cast<uint64_t>(i)] *= 0x1p-95f;
        break;
      case 2:
        x[b + random.below(32)] = 1e20f;
        break;
      case 3:
        for (int i = 0; i < 32; i++) x[b + static_cast<uint64_t>(i)] = static_cast<float>(i - 16) * 0.5f;
        break;  // ties
      default:
        break;
    }
  }
  return x;
}

// A view of the matrix's cells, copied to where they are broken over rows of a picture.
struct Broken {
  std::vector<uint8_t> memory;
  CellMatrixView view;

  Broken(const RandomMatrix& m, uint64_t first_cells, uint64_t cells_per_row) {
    view = contiguous_cells(m.type, m.n_rows, m.k, m.cells.data());
    const uint64_t bytes = traits(m.type).cell_bytes, n = view.n_cells();
    if (n <= first_cells) return;
    const uint64_t stride = cells_per_row * bytes + 192;
    memory.assign((1 + ceil_div(n - first_cells, cells_per_row)) * stride, 0xAB);
    for (uint64_t i = 0; i < n; i++) {
      const uint64_t j = i - first_cells;
      const uint64_t to =
          i < first_cells ? i * bytes : stride + j / cells_per_row * stride + j % cells_per_row * bytes;
      std::memcpy(memory.data() + to, m.cells.data() + i * bytes, bytes);
    }
    view.first = memory.data();
    view.first_cells = first_cells;
    view.next_row = memory.data() + stride;
    view.cells_per_row = cells_per_row;
    view.row_stride = stride;
  }
};

std::vector<uint64_t> columns_of(TensorType type) {
  if (traits(type).block_elements == 256) return {256, 512, 1536};
  if (traits(type).block_elements == 32) return {32, 64, 96, 352, 576};
  return {1, 63, 64, 65, 300, 576};
}

// ---- Scalar against float64

// Slots of a token in a block: dx * q, and dx * q of the finer plane where there is one.
template <int P>
double seen_in(const Activations& a, uint32_t token, uint64_t column) {
  const ActBlock<P>& b = a.blocks<P>(token / a.tokens_per_panel())[column / 32];
  double x = 0;
  for (int plane = 0; plane < a.planes(); plane++) {
    const int s = static_cast<int>(token % a.tokens_per_panel()) * a.planes() + plane;
    x += static_cast<double>(b.dx[s]) * b.q[column % 32 / 4][s][column % 4];
  }
  return x;
}

// The activations that a product really sees: of quantised weights, or x itself for float weights.
std::vector<double> seen(const Activations& a, uint32_t token, uint64_t k) {
  std::vector<double> x(k);
  const auto panel = static_cast<uint32_t>(a.panel);
  for (uint64_t c = 0; c < k; c++)
    x[c] = a.is_float()   ? a.floats(token / panel)[c * panel + token % panel]
           : a.panel == 1 ? seen_in<1>(a, token, c)
           : a.panel == 2 ? seen_in<2>(a, token, c)
           : a.panel == 4 ? seen_in<4>(a, token, c)
                          : seen_in<kPanel>(a, token, c);
  return x;
}

class ScalarProducts : public testing::TestWithParam<TensorType> {};

// |error| <= (number of fma + 8) * 2^-24 * sum (|w| + 2 |offset|) |x|: one rounding a fma, the rest for the
// factors' own.
TEST_P(ScalarProducts, LieWithinTheirBoundOfFloat64) {
  const TensorType type = GetParam();
  for (const ActivationKind kind : kinds_for(type)) {
    for (const uint64_t k : columns_of(type)) {
      for (const uint32_t n_tokens : {1u, 3u, 9u}) {
        const RandomMatrix m(type, 21, k, k + n_tokens, false);
        const std::vector<float> x = token_rows(n_tokens, k, k);
        OwnedActivations act(n_tokens, k, kind);
        kScalarKernels.prepare(x.data(), k, k, 0, act.view.n_panels(), act.view);
        std::vector<float> y(n_tokens * 32, -1.0f);
        const CellMatrixView view = contiguous_cells(type, m.n_rows, k, m.cells.data());
        kScalarKernels.matmul[type_index(type)](view, 0, 2, act.view, y.data(), 32);
        const double n_fma = act.view.is_float()
                                 ? static_cast<double>(k)
                                 : 2.0 * act.view.planes() * static_cast<double>(ceil_div(k, 32));
        for (uint32_t t = 0; t < n_tokens; t++) {
          const std::vector<double> a = seen(act.view, t, k);
          for (uint64_t r = 0; r < 32; r++) {
            if (r >= m.n_rows) {
              EXPECT_EQ(y[t * 32 + r], 0.0f);
              continue;
            }
            const std::vector<float> w = m.row(r), offset = m.row_offsets(r);
            double dot = 0, size = 0;
            for (uint64_t c = 0; c < k; c++) {
              dot += static_cast<double>(w[c]) * a[c];
              size += (std::fabs(w[c]) + 2.0 * std::fabs(offset[c])) * std::fabs(a[c]);
            }
            EXPECT_NEAR(y[t * 32 + r], dot, (n_fma + 8) * 0x1p-24 * size + 1e-40)
                << traits(type).name << " k " << k << " row " << r << " token " << t;
          }
        }
      }
    }
  }
}

std::vector<TensorType> all_types() {
  std::vector<TensorType> all;
  for (const TypeTraits& t : kTypes) all.push_back(t.type);
  return all;
}
std::string type_name(const testing::TestParamInfo<TensorType>& p) {
  return std::string(traits(p.param).name);
}
INSTANTIATE_TEST_SUITE_P(Types, ScalarProducts, testing::ValuesIn(all_types()), type_name);

TEST(ScalarPrepare, RoundsEveryValueToTheNearestStep) {
  constexpr uint64_t kColumns = 100;
  const std::vector<float> x = bell_curve(5 * kColumns, 5);
  OwnedActivations act(5, kColumns, ActivationKind::kInt8);
  ASSERT_EQ(act.view.k_padded, 256u);
  std::memset(act.memory.data(), 0x55, act.memory.size());
  kScalarKernels.prepare(x.data(), kColumns, kColumns, 0, 1, act.view);
  for (uint64_t b = 0; b < 8; b++) {
    const ActBlock<kPanel>& block = act.view.blocks<kPanel>(0)[b];
    for (uint64_t t = 0; t < kPanel; t++) {
      float amax = 0;
      int sum[2] = {0, 0};
      for (uint64_t c = 0; c < 32; c++) {
        const float v = t < 5 && 32 * b + c < kColumns ? x[t * kColumns + 32 * b + c] : 0.0f;
        const int q = block.q[c / 4][t][c % 4];
        amax = std::max(amax, std::fabs(v));
        sum[c / 16] += q;
        EXPECT_NEAR(v, block.dx[t] * static_cast<float>(q), 0.5001f * block.dx[t]);
      }
      EXPECT_EQ(block.dx[t], amax / 127.0f);
      EXPECT_EQ(block.sx[t], block.dx[t] * static_cast<float>(sum[0] + sum[1]));
      EXPECT_EQ(block.start_128[t], 0x4B400000 - 128 * (sum[0] + sum[1]));
      EXPECT_EQ(block.start_8[t], 0x4B400000 - 8 * (sum[0] + sum[1]));
      EXPECT_EQ(block.start_16[t], 0x4B400000 - 16 * (sum[0] + sum[1]));
      EXPECT_EQ(block.start_32[0][t], 0x4B400000 - 32 * sum[0]);
      EXPECT_EQ(block.start_32[1][t], 0x4B400000 - 32 * sum[1]);
    }
  }
}

TEST(ScalarPrepare, RoundsTiesToEvenAndDropsWhatIsTooSmall) {
  std::vector<float> x(64, 0.0f);
  x[0] = 127.0f;
  x[1] = 0.5f;
  x[2] = 1.5f;
  x[3] = -2.5f;
  for (int i = 32; i < 64; i++) x[static_cast<uint64_t>(i)] = 0x1p-91f;
  OwnedActivations act(1, 64, ActivationKind::kInt8);
  kScalarKernels.prepare(x.data(), 64, 64, 0, 1, act.view);
  const ActBlock<1>* b = act.view.blocks<1>(0);
  EXPECT_EQ(b[0].q[0][0][0], 127);
  EXPECT_EQ(b[0].q[0][0][1], 0);
  EXPECT_EQ(b[0].q[0][0][2], 2);
  EXPECT_EQ(b[0].q[0][0][3], -2);
  EXPECT_EQ(b[1].dx[0], 0.0f);
  EXPECT_EQ(b[1].q[3][0][1], 0);
}

TEST(ScalarPrepare, TwoPlanesAreTwoHundredTimesFiner) {
  constexpr uint64_t kColumns = 256;
  for (const uint32_t n_tokens : {1u, 2u, 3u, 6u}) {
    const std::vector<float> x = bell_curve(n_tokens * kColumns, n_tokens);
    OwnedActivations act(n_tokens, kColumns, ActivationKind::kInt16);
    kScalarKernels.prepare(x.data(), kColumns, kColumns, 0, act.view.n_panels(), act.view);
    for (uint32_t t = 0; t < n_tokens; t++) {
      const std::vector<double> got = seen(act.view, t, kColumns);
      for (uint64_t b = 0; b < kColumns; b += 32) {
        const float* block = x.data() + t * kColumns + b;
        float amax = 0;
        for (int c = 0; c < 32; c++) amax = std::max(amax, std::fabs(block[c]));
        for (uint64_t c = 0; c < 32; c++) EXPECT_NEAR(got[b + c], block[c], amax / 127 / 254 * 0.501);
      }
    }
  }
  // 127 and 0.3 of 127 steps: q = 127, 0; the rest 0.3 * 254 = 76.2 fine steps
  std::vector<float> x(32, 0.0f);
  x[0] = 127.0f;
  x[1] = 0.3f;
  OwnedActivations act(1, 32, ActivationKind::kInt16);
  kScalarKernels.prepare(x.data(), 32, 32, 0, 1, act.view);
  const ActBlock<2>& b = act.view.blocks<2>(0)[0];
  EXPECT_EQ(b.q[0][0][0], 127);
  EXPECT_EQ(b.q[0][1][0], 0);
  EXPECT_EQ(b.q[0][0][1], 0);
  EXPECT_EQ(b.q[0][1][1], 76);
  EXPECT_EQ(b.dx[0], 1.0f);
  EXPECT_EQ(b.dx[1], 1.0f / 254.0f);
  EXPECT_EQ(b.sx[0], std::fma(b.dx[1], 76.0f, 127.0f));
  EXPECT_EQ(b.sx[1], 0.0f);
  EXPECT_EQ(b.start_8[1], 0x4B400000 - 8 * 76);
}

// ---- Every ISA against scalar

class IsaProducts : public testing::TestWithParam<const Kernels*> {};

void expect_same_product(const Kernels& k, const CellMatrixView& w, uint32_t n_tokens, ActivationKind kind) {
  const uint64_t groups = w.n_groups(), y_stride = groups * 16 + 16, stride = w.k + 3;
  const auto entry = static_cast<size_t>(type_index(w.type));
  const std::vector<float> x = token_rows(n_tokens, stride, w.k + n_tokens);
  OwnedActivations act(n_tokens, w.k, kind);
  kScalarKernels.prepare(x.data(), stride, w.k, 0, act.view.n_panels(), act.view);
  std::vector<float> expected(n_tokens * y_stride, -7.0f), got = expected;
  kScalarKernels.matmul[entry](w, 0, groups, act.view, expected.data(), y_stride);
  const uint64_t middle = groups / 2;
  k.matmul[entry](w, middle, groups, act.view, got.data(), y_stride);
  k.matmul[entry](w, 0, middle, act.view, got.data(), y_stride);
  ASSERT_TRUE(same_bits(got, expected)) << traits(w.type).name << " k " << w.k << " rows " << w.n_rows
                                        << " tokens " << n_tokens << " kind " << static_cast<int>(kind);
}

TEST_P(IsaProducts, EqualScalarForEveryTypeBatchAndShape) {
  const Kernels& k = *GetParam();
  ASSERT_EQ(kernels_for(k.isa), &k);
  ASSERT_NE(k.isa, Isa::kScalar);
  for (const TypeTraits& tr : kTypes) {
    for (const uint64_t columns : columns_of(tr.type)) {
      for (const uint64_t n_rows : {1u, 16u, 50u, 83u}) {
        if (n_rows == 83 && columns < 300) continue;
        const RandomMatrix m(tr.type, n_rows, columns, columns * 7 + n_rows, n_rows != 16);
        const Broken broken(m, n_rows % 3 + 1, n_rows % 5 + 3);
        for (const uint32_t n_tokens : kTokenCounts)
          for (const ActivationKind kind : kinds_for(tr.type)) {
            expect_same_product(k, broken.view, n_tokens, kind);
            if (HasFatalFailure()) return;
          }
      }
    }
  }
}

TEST_P(IsaProducts, PrepareEqualsScalar) {
  const Kernels& k = *GetParam();
  for (const ActivationKind kind : {ActivationKind::kInt8, ActivationKind::kInt16, ActivationKind::kFloat}) {
    for (const uint64_t columns : {1u, 7u, 31u, 32u, 33u, 64u, 255u, 256u, 257u, 576u, 1000u}) {
      for (const uint32_t n_tokens : kTokenCounts) {
        SCOPED_TRACE(testing::Message()
                     << "kind " << static_cast<int>(kind) << " k " << columns << " tokens " << n_tokens);
        const std::vector<float> x = token_rows(n_tokens, columns + 5, columns * 3 + n_tokens);
        OwnedActivations expected(n_tokens, columns, kind), got(n_tokens, columns, kind);
        std::memset(expected.memory.data(), 0x77, expected.memory.size());  // blocks have padding
        std::memset(got.memory.data(), 0x77, got.memory.size());
        const uint32_t panels = got.view.n_panels();
        kScalarKernels.prepare(x.data(), columns + 5, columns, 0, panels, expected.view);
        k.prepare(x.data(), columns + 5, columns, panels / 2, panels, got.view);
        k.prepare(x.data(), columns + 5, columns, 0, panels / 2, got.view);
        ASSERT_EQ(std::memcmp(got.memory.data(), expected.memory.data(), got.memory.size()), 0);
      }
    }
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(IsaProducts);  // a CPU may have none
INSTANTIATE_TEST_SUITE_P(Isas, IsaProducts, testing::ValuesIn(vector_kernels()), kernels_name);

class AllProducts : public testing::TestWithParam<const Kernels*> {};

// What is not finite must reach the logits, where it is found.
TEST_P(AllProducts, NonFiniteActivationsStayNonFinite) {
  const Kernels& k = *GetParam();
  const RandomMatrix m(TensorType::kQ8_0, 16, 64, 3, false);
  const CellMatrixView view = contiguous_cells(m.type, 16, 64, m.cells.data());
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (const auto& [n_tokens, kind] :
         {std::pair(1u, ActivationKind::kInt8), std::pair(2u, ActivationKind::kInt8),
          std::pair(2u, ActivationKind::kInt16)}) {
      for (const uint64_t at : {0u, 5u, 31u, 40u}) {
        std::vector<float> x = bell_curve(n_tokens * 64, 9);
        x[at] = bad;
        OwnedActivations act(n_tokens, 64, kind);
        k.prepare(x.data(), 64, 64, 0, 1, act.view);
        std::vector<float> y(n_tokens * 16);
        k.matmul[type_index(m.type)](view, 0, 1, act.view, y.data(), 16);
        for (uint64_t r = 0; r < 16; r++)
          EXPECT_FALSE(std::isfinite(y[r])) << bad << " at " << at << " row " << r;
        for (uint64_t other = 16; other < y.size(); other++) EXPECT_TRUE(std::isfinite(y[other]));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, AllProducts, testing::ValuesIn(available_kernels()), kernels_name);

}  // namespace
}  // namespace pixellm
