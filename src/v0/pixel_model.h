// A v0 network as a picture: one byte a weight, three weights a pixel, with meta.json beside it. spec/v0.md,
// section 6.
//
//   PIXELLM_CHECK(write_pixel_model(network, "pixellm_v0.pxi", "pixellm_v0"));   // and pixellm_v0.meta.json
//   PixelModel model = PIXELLM_TRY(PixelModel::open("pixellm_v0.pxi"));
//   forward(model.network, ids)                                 // on the dequantised weights
// Plain data: reading it from several threads is safe.
#pragma once
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "v0/network.h"
#include "v0/pixel_meta.h"

namespace pixellm::v0 {

struct PixelModel {
  PixelMeta meta;
  Network network;  // float32, dequantised

  // Reads the picture (any container that PixelPlane reads) and the meta.json beside it.
  static Result<PixelModel> open(const std::string& path);

  // The same from memory. Messages begin with `name` or with "meta".
  static Result<PixelModel> from_memory(Bytes picture, std::string_view meta_json, const std::string& name);
};

// "dir/brain.pxi" -> "dir/brain.meta.json".
std::string meta_path(const std::string& picture_path);

struct PixelPicture {
  PixelMeta meta;            // image_path is empty
  std::vector<uint8_t> rgb;  // image_width * image_height * 3 bytes
};

// Quantises each tensor between its smallest and its largest weight. kInvalidArgument: a NaN, an infinity, a
// range wider than float32; kTooLarge: more than kMaxParameters.
Result<PixelPicture> encode_pixels(const Network& network);

// Writes the PNG and its meta.json, both whole or neither; returns the meta.
Result<PixelMeta> write_pixel_model(const Network& network, const std::string& path,
                                    const std::string& model_name);

}  // namespace pixellm::v0
