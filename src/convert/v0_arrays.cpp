#include "convert/v0_arrays.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "model/text.h"

namespace pixellm {
namespace {

std::string shape_text(const std::vector<uint64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); i++) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

Result<V0Arrays> find_arrays(const NpzFile& npz) {
  V0Arrays out{};
  for (size_t i = 0; i < out.size(); i++) {
    out[i] = npz.find(kV0ArrayNames[i]);
    if (!out[i])
      return fail(ErrorCode::kCorrupt,
                  fmt::format("npz: array '{}' is missing; the v0 network has embed, hidden, b_hidden, "
                              "out and b_out",
                              kV0ArrayNames[i]));
  }
  for (const auto& [name, array] : npz.entries())
    if (std::ranges::find(kV0ArrayNames, name) == kV0ArrayNames.end())
      return fail(ErrorCode::kUnsupported,
                  fmt::format("npz: array {} is no part of the v0 network", quoted(name)));
  return out;
}

Result<void> check_shapes(const V0Arrays& arrays, const V0Limits& limits) {
  const auto& embed = arrays[kV0Embed]->shape;
  if (embed.size() != 2 || embed[0] == 0 || embed[1] == 0)
    return fail(ErrorCode::kCorrupt,
                fmt::format("npz: array 'embed' has the shape {}, [V, D] is needed, both at least 1",
                            shape_text(embed)));
  const uint64_t v = embed[0], d = embed[1];
  if (v > limits.vocab_size || d > limits.model_dim)
    return fail(ErrorCode::kTooLarge,
                fmt::format("npz: array 'embed' has the shape {}, at most [{}, {}] is allowed",
                            shape_text(embed), limits.vocab_size, limits.model_dim));
  const std::array<std::vector<uint64_t>, kV0ArrayNames.size()> needed = {{{v, d}, {d, d}, {d}, {d, v}, {v}}};
  for (size_t i = 0; i < needed.size(); i++)
    if (arrays[i]->shape != needed[i])
      return fail(
          ErrorCode::kCorrupt,
          fmt::format("npz: array '{}' has the shape {}, beside embed {} it must be {}", kV0ArrayNames[i],
                      shape_text(arrays[i]->shape), shape_text(embed), shape_text(needed[i])));
  return {};
}

Result<void> check_finite(const V0Arrays& arrays) {
  for (size_t i = 0; i < arrays.size(); i++) {
    const auto& values = arrays[i]->values;
    const auto bad = std::ranges::find_if(values, [](float v) { return !std::isfinite(v); });
    if (bad != values.end())
      return fail(ErrorCode::kCorrupt,
                  fmt::format("npz: array '{}' holds {} at element {}; weights must be finite",
                              kV0ArrayNames[i], *bad, bad - values.begin()));
  }
  return {};
}

}  // namespace

Result<V0Arrays> find_v0_arrays(const NpzFile& npz, const V0Limits& limits) {
  const V0Arrays arrays = PIXELLM_TRY(find_arrays(npz));
  PIXELLM_CHECK(check_shapes(arrays, limits));
  PIXELLM_CHECK(check_finite(arrays));
  return arrays;
}

}  // namespace pixellm
