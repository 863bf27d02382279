// Generation: prompt in, tokens out, until an end token, a stop text, a count, the context's end or a signal.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "infer/sampler.h"
#include "infer/session.h"
#include "tokenizer/tokenizer.h"

namespace pixellm {

struct GenerateOptions {
  uint32_t max_tokens = 256;
  SamplerOptions sampler;
  std::vector<std::string> stop;              // texts that end the generation; not part of the output
  uint32_t beams = 1;                         // > 1: beam search; the sampler's temperature must be 0
  const std::atomic<bool>* interrupted = nullptr;   // checked before every token
};

struct Generation {
  std::string text;                           // without the stop text
  std::vector<TokenId> ids;                   // generated, without the end token
  std::string stop_reason;                    // "eos", "stop", "length", "context", "interrupted"
  double prompt_ms = 0, generate_ms = 0;      // prompt_ms ends with the first token's logits
};

// Feeds `prompt` (not empty; must fit with at least one token to spare, else kInvalidArgument with both numbers) and
// generates. `emit` receives text as soon as it is sure (whole characters; nothing that may become a stop text).
// With beams, emit is called once at the end.
Result<Generation> generate(Session& session, const Tokenizer& tokenizer, std::span<const TokenId> prompt,
                            const GenerateOptions& options, const std::function<void(std::string_view)>& emit);

struct Perplexity {
  uint64_t tokens = 0;      // scored
  double nll = 0;           // mean, nats
  double perplexity = 0;
};

// Windows of `context` tokens `stride` apart (0: context, without overlap), every whole window that at least one token follows; of
// each the tokens at context/2+1 .. context-1 are scored given all before them in the window.
Result<Perplexity> evaluate(Session& session, std::span<const TokenId> ids, uint32_t context, uint32_t stride,
                            const std::function<void(uint64_t done, uint64_t total)>& progress);

}  // namespace pixellm
