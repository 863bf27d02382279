#include "v0/protocol.h"

#include <fmt/format.h>

#include <algorithm>

#include "pixel/png_encode.h"

namespace pixellm::v0 {
namespace {

constexpr uint64_t kMaxTokenPictureBytes = (uint64_t{kProtocolMaxTokens} + 1) * 3;

void put(Picture& picture, size_t pixel, uint32_t number, uint8_t blue) {
  picture.rgb[pixel * 3] = static_cast<uint8_t>(number % 256);
  picture.rgb[pixel * 3 + 1] = static_cast<uint8_t>(number / 256);
  picture.rgb[pixel * 3 + 2] = blue;
}

Picture blank(uint32_t width, uint32_t height) {
  return {width, height, std::vector<uint8_t>(uint64_t{3} * width * height)};
}

}  // namespace

Result<Picture> token_picture(std::span<const TokenId> ids) {
  if (ids.empty()) return fail(ErrorCode::kInvalidArgument, "protocol: no tokens to write");
  if (ids.size() > kProtocolMaxTokens)
    return fail(ErrorCode::kTooLarge,
                fmt::format("protocol: {} tokens; a picture holds {}", ids.size(), kProtocolMaxTokens));
  Picture picture = blank(static_cast<uint32_t>(ids.size()) + 1, 1);
  put(picture, 0, static_cast<uint32_t>(ids.size()), kProtocolVersion);
  for (size_t i = 0; i < ids.size(); i++) put(picture, i + 1, ids[i], 0);
  return picture;
}

Picture prediction_picture(std::span<const Ranked> ranked) {
  Picture picture = blank(static_cast<uint32_t>(ranked.size()), 1);
  for (size_t i = 0; i < ranked.size(); i++)
    put(picture, i, ranked[i].id, static_cast<uint8_t>(ranked[i].prob_top_k * 255.0f));
  return picture;
}

Picture heatmap_picture(std::span<const float> logits) {
  const auto rows = static_cast<uint32_t>(ceil_div(logits.size(), kHeatmapWidth));
  Picture picture = blank(kHeatmapWidth, rows);
  const auto [smallest, largest] = std::ranges::minmax(logits);
  for (size_t i = 0; i < logits.size(); i++) {
    const float level = largest > smallest ? (logits[i] - smallest) / (largest - smallest) * 255.0f : 128.0f;
    std::fill_n(&picture.rgb[i * 3], 3, static_cast<uint8_t>(level));
  }
  return picture;
}

Result<void> write_picture(const Picture& picture, const std::string& path) {
  return write_rgb_png(path, picture.width, picture.height, picture.rgb);
}

Result<std::vector<TokenId>> read_tokens(const PixelPlane& picture, uint32_t vocab_size) {
  const auto bad = [&](std::string what) {
    return fail(ErrorCode::kCorrupt, fmt::format("{}: no token picture: {}", picture.path(), what));
  };
  if (picture.rows() != 1 || picture.width() < 2 || picture.width() > kProtocolMaxTokens + 1)
    return bad(fmt::format("{} x {} pixels; 2 to {} x 1 are read", picture.width(), picture.rows(),
                           kProtocolMaxTokens + 1));
  const Bytes row = picture.row(0);
  const auto number = [&](size_t pixel) { return row[pixel * 3] + 256u * row[pixel * 3 + 1]; };
  if (row[2] != kProtocolVersion) return bad(fmt::format("version {}, {} is read", row[2], kProtocolVersion));
  if (number(0) != picture.width() - 1)
    return bad(fmt::format("announces {} tokens and has {} pixels for them", number(0), picture.width() - 1));
  std::vector<TokenId> ids(number(0));
  for (size_t i = 0; i < ids.size(); i++) {
    if (number(i + 1) >= vocab_size)
      return bad(fmt::format("token {} is {}; the model knows 0 to {}", i, number(i + 1), vocab_size - 1));
    if (row[(i + 1) * 3 + 2] != 0)
      return bad(fmt::format("token {} has {} in the field that must be 0", i, row[(i + 1) * 3 + 2]));
    ids[i] = static_cast<TokenId>(number(i + 1));
  }
  return ids;
}

Result<std::vector<TokenId>> read_tokens(const std::string& path, uint32_t vocab_size) {
  return read_tokens(PIXELLM_TRY(PixelPlane::open(path, kMaxTokenPictureBytes)), vocab_size);
}

}  // namespace pixellm::v0
