// Colours of the thumbnail.
#pragma once
#include <array>
#include <cstdint>

#include "model/model.h"

namespace pixellm {

using Rgb = std::array<uint8_t, 3>;

inline constexpr Rgb kBackground = {13, 16, 23};

// From dark (0) to light (1), in the hue of the kind of tensor; lightness grows evenly for the eye (OKLCH).
Rgb palette_color(LayerType type, double value);

}  // namespace pixellm
