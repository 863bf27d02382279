#include "v0/pixel_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "pixel/plane.h"
#include "pixel/png_encode.h"

namespace pixellm::v0 {
namespace {

// The original's arithmetic: differences in float64, then everything in float32.
struct Scale {
  float low, range;
  explicit Scale(const PixelTensor& t)
      : low(static_cast<float>(t.w_min)), range(static_cast<float>(t.w_max - t.w_min)) {}
};

Result<void> quantize(std::span<const float> values, PixelTensor& t, uint8_t* out) {
  const auto bad = std::ranges::find_if(values, [](float v) { return !std::isfinite(v); });
  if (bad != values.end())
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("tensor {}: element {} is {}", t.name, bad - values.begin(), *bad));
  const auto [smallest, largest] = std::ranges::minmax(values);
  t.w_min = smallest;
  t.w_max = smallest == largest ? t.w_min + 1e-6 : static_cast<double>(largest);
  const Scale scale(t);
  if (!std::isfinite(scale.range))
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("tensor {}: {} to {} is wider than float32", t.name, t.w_min, t.w_max));
  for (size_t i = 0; i < values.size(); i++) {
    // A range of 0 is a constant whose size swallows 1e-6.
    const float level = scale.range > 0 ? (values[i] - scale.low) / scale.range * 255.0f : 0.0f;
    out[i] = static_cast<uint8_t>(std::clamp(std::nearbyint(level), 0.0f, 255.0f));
  }
  return {};
}

std::vector<float> dequantize(const PixelPlane& plane, const PixelTensor& t) {
  std::vector<uint8_t> bytes(t.length);
  PIXELLM_ASSERT(plane.read(t.offset, bytes));  // the meta was checked against the plane's measures
  std::vector<float> values(t.length);
  const Scale scale(t);
  if (t.w_min == t.w_max) {
    std::ranges::fill(values, scale.low);
    return values;
  }
  for (size_t i = 0; i < values.size(); i++)
    values[i] = static_cast<float>(bytes[i]) / 255.0f * scale.range + scale.low;
  return values;
}

Result<PixelModel> assemble(const PixelPlane& plane, PixelMeta meta) {
  if (plane.width() != meta.image_width || plane.rows() != meta.image_height)
    return fail(ErrorCode::kCorrupt,
                fmt::format("{}: has {} x {} pixels, its meta.json says {} x {}", plane.path(), plane.width(),
                            plane.rows(), meta.image_width, meta.image_height));
  PixelModel model;
  Network& network = model.network;
  network.vocab_size = meta.vocab_size;
  network.model_dim = meta.model_dim;
  for (const PixelTensor& t : meta.tensors) *network.member(t.name) = dequantize(plane, t);
  model.meta = std::move(meta);
  return model;
}

uint64_t picture_bytes(const PixelMeta& meta) { return uint64_t{3} * meta.image_width * meta.image_height; }

// The smallest width whose square holds `pixels`.
uint32_t square_width(uint64_t pixels) {
  auto width = static_cast<uint64_t>(std::sqrt(static_cast<double>(pixels)));
  while (width * width < pixels) width++;
  while ((width - 1) * (width - 1) >= pixels) width--;
  return static_cast<uint32_t>(width);
}

}  // namespace

std::string meta_path(const std::string& picture_path) {
  return std::filesystem::path(picture_path).replace_extension().string() + ".meta.json";
}

Result<PixelModel> PixelModel::open(const std::string& path) {
  const std::string beside = meta_path(path);
  const auto json = PIXELLM_TRY(read_file(beside, kMaxMetaBytes));
  auto meta = PixelMeta::parse({reinterpret_cast<const char*>(json.data()), json.size()});
  if (!meta) return fail_in(beside, std::move(meta).error());
  const PixelPlane plane = PIXELLM_TRY(PixelPlane::open(path, picture_bytes(*meta)));
  return assemble(plane, std::move(*meta));
}

Result<PixelModel> PixelModel::from_memory(Bytes picture, std::string_view meta_json,
                                           const std::string& name) {
  PixelMeta meta = PIXELLM_TRY(PixelMeta::parse(meta_json));
  const PixelPlane plane = PIXELLM_TRY(PixelPlane::open_bytes(picture, name, picture_bytes(meta)));
  return assemble(plane, std::move(meta));
}

Result<PixelPicture> encode_pixels(const Network& network) {
  if (network.parameters() > kMaxParameters)
    return fail(ErrorCode::kTooLarge,
                fmt::format("{} parameters; a v0 picture holds {}", network.parameters(), kMaxParameters));
  PixelPicture picture;
  PixelMeta& meta = picture.meta;
  meta.vocab_size = network.vocab_size;
  meta.model_dim = network.model_dim;
  meta.total_params = network.parameters();
  const uint64_t pixels = ceil_div(meta.total_params, 3);
  meta.total_bytes = pixels * 3;
  meta.image_width = square_width(pixels);
  meta.image_height = static_cast<uint32_t>(ceil_div(pixels, meta.image_width));
  picture.rgb.resize(picture_bytes(meta));

  auto tensors = network.tensors();
  std::ranges::sort(tensors, {}, &Tensor::name);
  uint64_t offset = 0;
  for (const Tensor& tensor : tensors) {
    PixelTensor& t = meta.tensors.emplace_back();
    t.name = tensor.name;
    t.shape = tensor.shape;
    t.offset = offset;
    t.length = tensor.values.size();
    PIXELLM_CHECK(quantize(tensor.values, t, &picture.rgb[offset]));
    offset += t.length;
  }
  return picture;
}

Result<PixelMeta> write_pixel_model(const Network& network, const std::string& path,
                                    const std::string& model_name) {
  auto picture = PIXELLM_TRY(encode_pixels(network));
  PixelMeta& meta = picture.meta;
  meta.model_name = model_name;
  meta.image_path = std::filesystem::path(path).filename().string();
  const std::string json = meta.to_json();
  // Both are complete on disk before either appears.
  auto png = PIXELLM_TRY(RgbPngWriter::create(path, meta.image_width, meta.image_height));
  const uint64_t row_bytes = uint64_t{3} * meta.image_width;
  for (uint64_t at = 0; at < picture.rgb.size(); at += row_bytes)
    PIXELLM_CHECK(png.write_row(Bytes(picture.rgb).subspan(at, row_bytes)));
  auto beside = PIXELLM_TRY(AtomicFile::create(meta_path(path)));
  PIXELLM_CHECK(beside.write({reinterpret_cast<const uint8_t*>(json.data()), json.size()}));
  PIXELLM_CHECK(png.finish());
  PIXELLM_CHECK(beside.commit());
  return std::move(meta);
}

}  // namespace pixellm::v0
