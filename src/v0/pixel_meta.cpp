#include "v0/pixel_meta.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

namespace pixellm::v0 {
namespace {

// As json.dumps does: ASCII only. Text that is not UTF-8 gets U+FFFD.
std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

std::string tensor_json(const PixelTensor& t) {
  std::string shape;
  for (const uint64_t n : t.shape) shape += fmt::format("{}\n        {}", shape.empty() ? "" : ",", n);
  return fmt::format(
      "    {{\n      \"name\": {},\n      \"shape\": [{}\n      ],\n      \"dtype\": \"float32\",\n"
      "      \"w_min\": {},\n      \"w_max\": {},\n      \"offset\": {},\n      \"length\": {}\n    }}",
      quoted(t.name), shape, python_float(t.w_min), python_float(t.w_max), t.offset, t.length);
}

}  // namespace

std::string python_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  std::array<char, 32> buffer;
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  const std::string_view text(buffer.data(), end.ptr);
  const size_t e = text.find('e');
  int exponent = 0;
  const char* digits = text.data() + e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(digits, text.data() + text.size(), exponent);
  if (exponent < -4 || exponent >= 16)
    return std::string(text);  // two digits of exponent at least, as Python has
  const auto fixed =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed);
  std::string out(buffer.data(), fixed.ptr);
  return out.find('.') == out.npos ? out + ".0" : out;
}

std::string PixelMeta::to_json() const {
  std::string list;
  for (const PixelTensor& t : tensors) list += (list.empty() ? "\n" : ",\n") + tensor_json(t);
  return fmt::format(
      "{{\n  \"model_name\": {},\n  \"version\": {},\n  \"architecture\": {{\n    \"type\": \"mlp\",\n"
      "    \"vocab_size\": {},\n    \"model_dim\": {},\n    \"layers\": [\n      \"embed\",\n      "
      "\"hidden\",\n"
      "      \"out\"\n    ]\n  }},\n  \"image_path\": {},\n  \"image_width\": {},\n  \"image_height\": {},\n"
      "  \"total_bytes\": {},\n  \"total_params\": {},\n  \"quantization\": \"uint8_per_tensor\",\n"
      "  \"tensors\": [{}\n  ]\n}}",
      quoted(model_name), quoted(version), vocab_size, model_dim, quoted(image_path), image_width,
      image_height, total_bytes, total_params, list);
}

}  // namespace pixellm::v0
