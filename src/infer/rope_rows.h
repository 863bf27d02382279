// The cosines and sines that one position of a model needs: what rope() multiplies with, and the GPU's
// shaders.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "infer/engine.h"
#include "kernels/kernels.h"

namespace pixellm {

// To out[n_rot]; `local`: for the layers that see only a window. `factors`: of rope_freqs.weight, n_rot / 2
// or none.
inline void rope_row(const ModelConfig& c, std::span<const float> factors, bool local, uint32_t position,
                     float* out) {
  if (local)
    rope_table(position, c.n_rot, c.rope_base_local, 1.0, nullptr, c.rope_magnitude, out);
  else
    rope_table(position, c.n_rot, c.rope_base, c.rope_scale, factors.empty() ? nullptr : factors.data(),
               c.rope_magnitude, out);
}
inline void rope_row(const Engine::Impl& e, bool local, uint32_t position, float* out) {
  rope_row(e.config, e.rope_factors, local, position, out);
}

// The same in pairs, a cosine and its sine, as the GPU's shaders take them (spec/plan.md, `rope`).
inline void rope_pairs(const ModelConfig& c, std::span<const float> factors, bool local, uint32_t position,
                       float* out) {
  std::vector<float> row(c.n_rot);
  rope_row(c, factors, local, position, row.data());
  for (uint32_t i = 0, half = c.n_rot / 2; i < half; i++) {
    out[2 * i] = row[i];
    out[2 * i + 1] = row[half + i];
  }
}

}  // namespace pixellm
