// How well a model predicts a text.
#pragma once
#include <cstdint>
#include <functional>
#include <span>

#include "base/error.h"
#include "infer/session.h"
#include "tokenizer/tokenizer.h"

namespace pixellm {

struct Evaluation {
  uint64_t tokens = 0;       // scored
  uint64_t bytes = 0;        // of the scored tokens' text
  double nll = 0;            // mean negative log-likelihood of a scored token, nats
  double perplexity = 0;     // exp(nll)
  double bits_per_byte = 0;  // nll * tokens / ln 2 / bytes; NaN when there are no bytes
};

// Windows of `context` tokens, `stride` apart (0: context), every whole window that at least one token
// follows; each is fed into an empty cache. Without overlap (stride = context) the tokens at context/2+1 ..
// context-1 of each are scored, as llama.cpp's tool does; with overlap the last `stride` of each, so that
// every token from the first scored one on is scored once with at least context - stride tokens before it.
// The session needs context - 1 positions. kInvalidArgument: context below 3, stride over context, fewer than
// context + 1 tokens.
Result<Evaluation> evaluate(Session& session, const Tokenizer& tokenizer, std::span<const TokenId> ids,
                            uint32_t context, uint32_t stride,
                            const std::function<void(uint64_t done, uint64_t total)>& progress);

}  // namespace pixellm
