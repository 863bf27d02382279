#include "convert/palette.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace pixellm {
namespace {

double to_srgb(double linear) {
  linear = std::clamp(linear, 0.0, 1.0);
  return linear <= 0.0031308 ? 12.92 * linear : 1.055 * std::pow(linear, 1 / 2.4) - 0.055;
}

// B. Ottosson, "A perceptual color space for image processing": OKLab to linear sRGB.
Rgb oklch(double lightness, double chroma, double hue_degrees) {
  const double hue = hue_degrees * std::numbers::pi / 180;
  const double a = chroma * std::cos(hue), b = chroma * std::sin(hue);
  const auto cube = [](double x) { return x * x * x; };
  const double l = cube(lightness + 0.3963377774 * a + 0.2158037573 * b);
  const double m = cube(lightness - 0.1055613458 * a - 0.0638541728 * b);
  const double s = cube(lightness - 0.0894841775 * a - 1.2914855480 * b);
  const double linear[] = {4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
                           -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
                           -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s};
  Rgb out;
  for (int i = 0; i < 3; i++) out[i] = static_cast<uint8_t>(std::lround(255 * to_srgb(linear[i])));
  return out;
}

struct Hues {
  double dark, light;  // degrees
};

Hues hues_of(LayerType type) {
  switch (type) {
    case LayerType::kEmbedding:
      return {300, 340};
    case LayerType::kAttention:
      return {265, 195};
    case LayerType::kFeedForward:
      return {20, 90};
    case LayerType::kOutput:
      return {330, 10};
    case LayerType::kNorm:
      return {150, 130};
    case LayerType::kOther:
      break;
  }
  return {220, 220};
}

}  // namespace

Rgb palette_color(LayerType type, double value) {
  value = std::clamp(value, 0.0, 1.0);
  const Hues hues = hues_of(type);
  const double chroma = 0.06 + 0.28 * value * (1 - value) + 0.03 * value;
  return oklch(0.22 + 0.70 * value, chroma, hues.dark + (hues.light - hues.dark) * value);
}

}  // namespace pixellm
