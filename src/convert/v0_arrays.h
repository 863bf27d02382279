// The arrays of a v0 network in an npz file, checked: embed[V, D], hidden[D, D], b_hidden[D], out[D, V],
// b_out[V], in any order, and nothing else. Spec: spec/v0.md, section 2. Pure.
//
//   V0Arrays arrays = PIXELLM_TRY(find_v0_arrays(npz, {.vocab_size = 65536, .model_dim = 8192}));
//   arrays[kV0Hidden]->values
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "convert/npz.h"

namespace pixellm {

enum V0Array : size_t {
  kV0Embed,
  kV0Hidden,
  kV0HiddenBias,
  kV0Out,
  kV0OutBias
};  // the order of the original's file
inline constexpr std::array<std::string_view, 5> kV0ArrayNames = {"embed", "hidden", "b_hidden", "out",
                                                                  "b_out"};

using V0Arrays =
    std::array<const NpyArray*, kV0ArrayNames.size()>;  // live as long as the file that they are of

struct V0Limits {
  uint64_t vocab_size, model_dim;
};

// kCorrupt: a missing array, a shape that does not follow from embed's, NaN or infinity; kUnsupported:
// another array; kTooLarge. Messages name the array.
Result<V0Arrays> find_v0_arrays(const NpzFile& npz, const V0Limits& limits);

}  // namespace pixellm
