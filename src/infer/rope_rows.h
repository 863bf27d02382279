// The cosines and sines that one position of a model needs: what rope() and the GPU's shaders multiply with.
#pragma once
#include <cstdint>
#include <span>

#include "infer/engine.h"
#include "kernels/kernels.h"

namespace pixellm {

// To out[n_rot]; `local`: for the layers that see only a window. `factors`: of rope_freqs.weight, n_rot / 2 or none.
inline void rope_row(const ModelConfig& c, std::span<const float> factors, bool local, uint32_t position, float* out) {
  if (local)
    rope_table(position, c.n_rot, c.rope_base_local, 1.0, nullptr, c.rope_magnitude, out);
  else
    rope_table(position, c.n_rot, c.rope_base, c.rope_scale, factors.empty() ? nullptr : factors.data(),
               c.rope_magnitude, out);
}
inline void rope_row(const Engine::Impl& e, bool local, uint32_t position, float* out) {
  rope_row(e.config, e.rope_factors, local, position, out);
}

}  // namespace pixellm
