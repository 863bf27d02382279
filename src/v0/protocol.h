// Pixel protocol v1: tokens, predictions and logits as small pictures. spec/v0.md, section 8.
//
//   Picture tokens = PIXELLM_TRY(token_picture(ids));
//   PIXELLM_CHECK(write_picture(tokens, "input_tokens.pxi"));                     // a PNG
//   auto ids = PIXELLM_TRY(read_tokens("input_tokens.pxi", network.vocab_size));   // everything checked
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "pixel/plane.h"
#include "v0/network.h"
#include "v0/ranking.h"

namespace pixellm::v0 {

inline constexpr uint32_t kProtocolVersion = 1, kProtocolMaxTokens = 65535, kProtocolPredictions = 5;
inline constexpr uint32_t kHeatmapWidth = 32;

struct Picture {
  uint32_t width = 0, height = 0;
  std::vector<uint8_t> rgb;  // [height, width, 3]
};

// kInvalidArgument: no tokens; kTooLarge: more than kProtocolMaxTokens.
Result<Picture> token_picture(std::span<const TokenId> ids);

// Best first; the brightness of blue is prob_top_k.
Picture prediction_picture(std::span<const Ranked> ranked);

// Grey from the smallest logit (0) to the largest (255); 128 where all are equal. Requires finite logits.
Picture heatmap_picture(std::span<const float> logits);

Result<void> write_picture(const Picture& picture, const std::string& path);

// The ids of a token picture. kCorrupt: measures, count, version, ids at or above vocab_size, unused fields
// that are not 0.
Result<std::vector<TokenId>> read_tokens(const PixelPlane& picture, uint32_t vocab_size);
Result<std::vector<TokenId>> read_tokens(const std::string& path, uint32_t vocab_size);

}  // namespace pixellm::v0
