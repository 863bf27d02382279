// The cosines and sines that one position of a model needs: what rope() and the GPU's shaders multiply with.
#pragma once
#include <cstdint>

#include "infer/engine.h"
#include "kernels/kernels.h"

namespace pixellm {

// To out[n_rot]; `local`: for the layers that see only a window.
inline void rope_row(const Engine::Impl& e, bool local, uint32_t position, float* out) {
  const ModelConfig& c = e.config;
  if (local)
    rope_table(position, c.n_rot, c.rope_base_local, 1.0, nullptr, c.rope_magnitude, out);
  else
    rope_table(position, c.n_rot, c.rope_base, c.rope_scale,
               e.rope_factors.empty() ? nullptr : e.rope_factors.data(), c.rope_magnitude, out);
}

}  // namespace pixellm
