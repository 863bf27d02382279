// The vector products touch nothing outside what they are given: every array ends, or begins, at a page that
// faults. (Prefetches do not fault.)
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "kernels/test_data.h"

namespace pixellm {
namespace {

// `size` bytes with an inaccessible page before and after, at the front or at the back of what lies between.
class Guarded {
 public:
  Guarded(uint64_t size, bool at_back) {
    const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE)), inside = round_up(size + 1, page);
    mapped_ = inside + 2 * page;
    base_ = static_cast<uint8_t*>(mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED || mprotect(base_ + page, inside, PROT_READ | PROT_WRITE) != 0) std::abort();
    data_ = base_ + page + (at_back ? inside - size : 0);
  }
  ~Guarded() { munmap(base_, mapped_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  uint8_t* data() const { return data_; }
  float* floats() const { return reinterpret_cast<float*>(data_); }

 private:
  uint64_t mapped_;
  uint8_t *base_, *data_;
};

class GuardedProducts : public testing::TestWithParam<const Kernels*> {};

void multiply_guarded(const Kernels& k, TensorType type, uint32_t n_tokens, uint64_t n_rows,
                      ActivationKind kind) {
  const uint64_t columns = traits(type).block_elements == 256 ? 1280 : 1120;
  const RandomMatrix m(type, n_rows, columns, 1, false);
  const std::vector<float> x = bell_curve(n_tokens * columns, 2);
  for (const bool at_back : {false, true}) {
    const Guarded cells(m.cells.size(), at_back), input(x.size() * sizeof(float), at_back);
    std::memcpy(cells.data(), m.cells.data(), m.cells.size());
    std::memcpy(input.data(), x.data(), x.size() * sizeof(float));
    Activations act = Activations::shape(n_tokens, columns, kind);
    const Guarded panels(act.bytes_needed(), at_back);
    act.data = panels.data();
    k.prepare(input.floats(), columns, columns, 0, act.n_panels(), act);
    const Guarded y(n_tokens * n_rows * sizeof(float), at_back);
    const CellMatrixView w = contiguous_cells(type, n_rows, columns, cells.data());
    k.matmul[static_cast<size_t>(type_index(type))](w, 0, w.n_groups(), act, y.floats(), n_rows);
    EXPECT_TRUE(std::isfinite(y.floats()[n_tokens * n_rows - 1])) << traits(type).name;
  }
}

TEST_P(GuardedProducts, StayInsideTheirArrays) {
  for (const TypeTraits& tr : kTypes)
    for (const ActivationKind kind : kinds_for(tr.type))
      for (const uint32_t n_tokens : {1u, 2u, 3u, 8u, 41u})
        for (const uint64_t n_rows : {16u, 80u})
          multiply_guarded(*GetParam(), tr.type, n_tokens, n_rows, kind);
}

INSTANTIATE_TEST_SUITE_P(Isas, GuardedProducts, testing::ValuesIn(available_kernels()), kernels_name);

}  // namespace
}  // namespace pixellm
