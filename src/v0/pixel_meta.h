// meta.json: what the bytes of a v0 picture mean. spec/v0.md, section 6.
//
//   PixelMeta meta = PIXELLM_TRY(PixelMeta::parse(json));    // checked in itself; PixelModel compares it
//   with the picture std::string json = meta.to_json();                       // byte for byte as the
//   original's Python writes it
// Plain data.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace pixellm::v0 {

inline constexpr uint64_t kMaxMetaBytes = uint64_t{1} << 20;
inline constexpr uint64_t kMaxParameters = uint64_t{1} << 28;

struct PixelTensor {
  std::string name;
  std::vector<uint64_t> shape;
  double w_min = 0, w_max = 0;      // what the bytes 0 and 255 stand for
  uint64_t offset = 0, length = 0;  // bytes of the picture
};

struct PixelMeta {
  std::string model_name = "pixellm_v0", version = "0.0.1";
  uint32_t vocab_size = 0, model_dim = 0;
  std::string image_path;
  uint32_t image_width = 0, image_height = 0;
  uint64_t total_bytes = 0, total_params = 0;
  std::vector<PixelTensor> tensors;

  std::string to_json() const;

  // kCorrupt: not JSON, a name twice, a field that is missing or of another kind, contradictions;
  // kUnsupported: another architecture, quantisation or element type; kTooLarge. Messages begin with "meta".
  static Result<PixelMeta> parse(std::string_view json);
};

// A double as Python's repr and json write it: the shortest text that reads back as the same number.
std::string python_float(double value);

}  // namespace pixellm::v0
