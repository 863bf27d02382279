// For tests: a forward pass in binary64, written for being read. It works on the tiny model's own tensors and
// spec and shares nothing with the engine but the dequantisation of blocks.
#pragma once
#include <span>
#include <vector>

#include "infer/tiny_model.h"

namespace pixellm {

// Logits [n_tokens][vocab_size].
std::vector<std::vector<double>> reference_logits(const TinySpec& spec, const TinyModel& model,
                                                  std::span<const TokenId> ids);

// Root of the sum of squared differences over that of the squares of `truth`.
double relative_rms(std::span<const float> values, std::span<const double> truth);

}  // namespace pixellm
