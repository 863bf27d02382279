#include <array>
#include <cstdlib>
#include <string>

#include "kernels/kernel_parts.h"
#include "kernels/kernels.h"

namespace pixellm {
namespace {

struct Tables {
  std::array<Kernels, 5> kernels = {};
  size_t count = 0;  // supported here, worst first
};

const Tables& vector_tables() {
  static const Tables tables = [] {
    Tables t;
    for (const IsaParts& parts : built_isas()) {
      if (!parts.supported()) continue;
      Kernels& k = t.kernels[t.count++];
      k.isa = parts.isa;
      k.name = parts.name;
      parts.fill_ops(k);
      parts.fill_matmul(k);
    }
    return t;
  }();
  return tables;
}

struct IsaWord {
  std::string_view word;
  Isa isa;
};
constexpr IsaWord kWords[] = {{"scalar", Isa::kScalar},   {"avx2", Isa::kAvx2},
                              {"avxvnni", Isa::kAvxVnni}, {"avx512bw", Isa::kAvx512Bw},
                              {"avx512", Isa::kAvx512},   {"neon", Isa::kNeon}};

}  // namespace

const Kernels* kernels_for(Isa isa) {
  if (isa == Isa::kScalar) return &kScalarKernels;
  const Tables& tables = vector_tables();
  for (size_t i = 0; i < tables.count; i++)
    if (tables.kernels[i].isa == isa) return &tables.kernels[i];
  return nullptr;
}

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> all = {&kScalarKernels};
  const Tables& tables = vector_tables();
  for (size_t i = 0; i < tables.count; i++) all.push_back(&tables.kernels[i]);
  return all;
}

Result<const Kernels*> active_kernels() {
  const char* forced = std::getenv("PIXELLM_ISA");
  if (forced == nullptr || *forced == '\0') return available_kernels().back();
  for (const IsaWord& w : kWords) {
    if (w.word != forced) continue;
    if (const Kernels* k = kernels_for(w.isa)) return k;
    if (const Kernels* k = w.isa == Isa::kAvx512 ? kernels_for(Isa::kAvx512Bw) : nullptr) return k;
    return fail(ErrorCode::kUnsupported, "kernels: PIXELLM_ISA is " + std::string(forced) +
                                             ", which this CPU or this build does not have");
  }
  return fail(ErrorCode::kInvalidArgument,
              "kernels: PIXELLM_ISA is \"" + std::string(forced) +
                  "\"; allowed are scalar, avx2, avxvnni, avx512bw, avx512, neon");
}

Activations Activations::shape(uint32_t n_tokens, uint64_t k, ActivationKind kind) {
  Activations a{.n_tokens = n_tokens, .k_padded = round_up(k, kActivationUnit), .kind = kind};
  const uint64_t slots = static_cast<uint64_t>(a.planes()) * n_tokens;
  a.panel = slots <= 1 ? 1 : a.is_float() || slots > 4 ? kPanel : slots == 2 ? 2 : 4;
  return a;
}

}  // namespace pixellm
