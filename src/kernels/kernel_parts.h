// The parts that dispatch.cpp joins into a table, one pair per instruction set. fill_ops sets everything but
// the products; fill_matmul sets `matmul` and `prepare`. Both only store function addresses: they may be
// called on any CPU.
#pragma once
#include <span>
#include <string_view>

#include "kernels/kernels.h"

namespace pixellm {

namespace avx2 {
void fill_ops(Kernels& table);
void fill_matmul(Kernels& table);
}  // namespace avx2

namespace avx512 {
void fill_ops(Kernels& table);
void fill_matmul(Kernels& table);
}  // namespace avx512

// The operations are those of avx2 and avx512.
namespace avxvnni {
void fill_matmul(Kernels& table);
}
namespace avx512bw {
void fill_matmul(Kernels& table);
}

namespace neon {
void fill_ops(Kernels& table);
void fill_matmul(Kernels& table);
}  // namespace neon

struct IsaParts {
  Isa isa;
  std::string_view name;
  bool (*supported)();  // by the CPU and the system that we run on
  void (*fill_ops)(Kernels&);
  void (*fill_matmul)(Kernels&);
};

// How far ahead of the loads of a few tokens' product its cells are fetched, for this CPU; set before main() and defined
// beside built_isas(). Zen 5 loses the K types' cells by itself: 44 to 56 % of read bandwidth with 0, 80 to 95 % with 4096. On
// Zen 4 it is the other way round: 91 to 100 % with 0, 56 to 82 % with 1024 to 8192.
extern const uint64_t g_prefetch_bytes;

// The vector ISAs in this build, worst first. Defined by isas_x86.cpp, isas_arm.cpp or isas_none.cpp, chosen
// by processor.
std::span<const IsaParts> built_isas();

}  // namespace pixellm
