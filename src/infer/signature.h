// The signature of the arithmetic: a hash over greedy tokens and logits of tiny models, one of every
// architecture with every weight type in turn. A change of any bit of any logit changes it, so a commit can
// say which one it stands for.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "kernels/kernels.h"

namespace pixellm {

struct SignaturePart {
  std::string_view architecture;
  std::string sha256;  // of token ids and logits, little-endian, in the order in which they came
};

// One thread, about a second on the scalar kernels. Writes a small temporary file for each model.
Result<std::vector<SignaturePart>> signature_parts(const Kernels& kernels);

// Hash over the parts on the scalar kernels, 64 hexadecimal digits.
Result<std::string> model_signature();

}  // namespace pixellm
