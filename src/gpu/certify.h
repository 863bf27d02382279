// How far two back ends' logits of the same tokens lie apart.
//
//   const Agreement a = PIXELLM_TRY(compare_sessions(*cpu, *gpu, ids));
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "infer/session.h"

namespace pixellm::gpu {

struct Agreement {
  uint64_t tokens = 0;
  double rms = 0;      // root of the sum of squared differences over that of the first one's squares
  double largest = 0;  // difference of two logits
  double top1 = 0;     // share of tokens after which both hold the same one the likeliest
  double perplexity[2] = {0, 0};  // of the tokens, each given those before it
};

// Feeds `ids`, at least two, to both from their beginning. What the first one gives is the yardstick.
Result<Agreement> compare_sessions(Session& first, Session& second, std::span<const TokenId> ids);

// Tokens that a model might write: drawn from its own distribution, the same ones each time; `start` is the
// first.
Result<std::vector<TokenId>> sample_text(Session& session, TokenId start, uint32_t count);

}  // namespace pixellm::gpu
