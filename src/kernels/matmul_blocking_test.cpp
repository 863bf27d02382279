// What the vector products do beyond one small matrix: chunks of k, blocks of tokens, and sums at the edge of
// what the narrow intermediate sums hold.
#include "kernels/kernels.h"
#include "kernels/test_data.h"

namespace pixellm {
namespace {

class IsaBlocking : public testing::TestWithParam<const Kernels*> {};

std::vector<float> multiply(const Kernels& k, const CellMatrixView& w, const float* x, uint32_t n_tokens,
                            ActivationKind kind) {
  OwnedActivations act(n_tokens, w.k, kind);
  k.prepare(x, w.k, w.k, 0, act.view.n_panels(), act.view);
  std::vector<float> y(n_tokens * w.n_groups() * kCellRows, -7.0f);
  k.matmul[static_cast<size_t>(type_index(w.type))](w, 0, w.n_groups(), act.view, y.data(),
                                                    w.n_groups() * kCellRows);
  return y;
}

// 90 tokens of 2304 columns are several blocks of panels and several chunks of k, the last of each not full;
// with an odd number of row groups. Each must be what scalar makes of the token alone.
TEST_P(IsaBlocking, ManyTokensEqualEachTokenAlone) {
  const Kernels& k = *GetParam();
  constexpr uint64_t kColumns = 2304;
  constexpr uint32_t kTokens = 90;
  const std::vector<float> x = bell_curve(kTokens * kColumns, 3);
  for (const TypeTraits& tr : kTypes) {
    const RandomMatrix m(tr.type, 40, kColumns, 5, false);
    const CellMatrixView w = contiguous_cells(tr.type, m.n_rows, m.k, m.cells.data());
    for (const ActivationKind kind : kinds_for(tr.type)) {
      const std::vector<float> all = multiply(k, w, x.data(), kTokens, kind);
      for (uint32_t t = 0; t < kTokens; t++) {
        const std::vector<float> alone = multiply(kScalarKernels, w, x.data() + t * kColumns, 1, kind);
        const std::vector<float> row(all.begin() + t * 48, all.begin() + (t + 1) * 48);
        ASSERT_TRUE(same_bits(row, alone)) << tr.name << " token " << t;
        if (t % 30 == 7) {
          ASSERT_TRUE(same_bits(multiply(k, w, x.data() + t * kColumns, 1, kind), alone)) << tr.name;
        }
      }
    }
  }
}

// Every activation +-127 and every quant at an end of its range: the largest sums that can be.
TEST_P(IsaBlocking, ExtremeSumsAreExact) {
  const Kernels& k = *GetParam();
  constexpr uint64_t kColumns = 512;
  for (const TypeTraits& tr : kTypes) {
    if (is_float_type(tr.type)) continue;
    RandomMatrix m(tr.type, 32, kColumns, 11, false);
    const uint64_t head = tr.type == TensorType::kQ6_K                                   ? 320
                          : tr.block_elements == 256                                     ? 256
                          : tr.type == TensorType::kQ4_1 || tr.type == TensorType::kQ5_1 ? 128
                                                                                         : 64;
    for (const int quant : {0x00, 0x7f, 0x80, 0xff}) {
      for (uint64_t i = 0; i < m.cells.size(); i++)
        if (i % tr.cell_bytes >= head) m.cells[i] = static_cast<uint8_t>(quant);
      const CellMatrixView w = contiguous_cells(tr.type, m.n_rows, m.k, m.cells.data());
      for (const int pattern : {0, 1, 2}) {  // all +, all -, alternating
        std::vector<float> x(9 * kColumns);
        for (uint64_t i = 0; i < x.size(); i++)
          x[i] = pattern == 0 || (pattern == 2 && i % 2 == 0) ? 3.0f : -3.0f;
        for (const ActivationKind kind : kinds_for(tr.type))
          for (const uint32_t n_tokens : {1u, 2u, 3u, 9u})
            ASSERT_TRUE(same_bits(multiply(k, w, x.data(), n_tokens, kind),
                                  multiply(kScalarKernels, w, x.data(), n_tokens, kind)))
                << tr.name << " quant " << quant << " pattern " << pattern << " tokens " << n_tokens;
      }
    }
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(IsaBlocking);  // a CPU may have none
INSTANTIATE_TEST_SUITE_P(Isas, IsaBlocking, testing::ValuesIn(vector_kernels()), kernels_name);

}  // namespace
}  // namespace pixellm
