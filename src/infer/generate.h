// Generation: prompt in, tokens out, until an end token, a stop text, a count, the context's end or a signal.
//
//   GenerateOptions options{.max_tokens = 64, .stop = {"\n\n"}};
//   auto g = PIXELLM_TRY(generate(*session, tokenizer, prompt, options, [](std::string_view text) { ...
//   return true; }));
// Thread-safety is the session's: one thread at a time.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "infer/sampler.h"
#include "infer/session.h"
#include "infer/speculate.h"
#include "tokenizer/tokenizer.h"

namespace pixellm {

struct GenerateOptions {
  uint32_t max_tokens = 256;
  SamplerOptions sampler = {};
  std::vector<std::string> stop = {};    // texts that end the generation; not part of the output
  std::vector<TokenId> end_tokens = {};  // end it too, besides the tokenizer's end-of-generation set
  uint32_t batch = 512;                  // prompt tokens fed between two looks at `interrupted`
  const std::atomic<bool>* interrupted = nullptr;  // checked before every token
  // > 1: beam search, at most kMaxBeams; the sampler's temperature must be 0. Needs new_session, which makes
  // a session of the same engine and context; it is called at most beams - 1 times.
  uint32_t beams = 1;
  std::function<Result<std::unique_ptr<Session>>()> new_session = {};
  // Speculative decoding (speculate.h), not with beams. Kept from turn to turn it remembers the text so far.
  Speculator* speculator = nullptr;
};
inline constexpr uint32_t kMaxBeams = 64;
inline constexpr size_t kMaxStopBytes = 4096;  // of one stop text

struct Generation {
  std::string text;                       // without the stop text
  std::vector<TokenId> ids;               // generated, without the end token; with those of a stop text
  std::string stop_reason;                // "eos", "stop", "length", "context", "interrupted"
  double prompt_ms = 0, generate_ms = 0;  // prompt_ms ends with the first token's logits
  // Runs of the model after the prompt's, tokens that were guessed and checked in them, and those that saved
  // a run. Not of beam search.
  uint32_t steps = 0, drafted = 0, accepted = 0;
  double log_probability = 0;  // beam search: of the ids and the end token, natural logarithm
};

// What to do with text as soon as it is sure (whole characters; nothing that may become a stop text); false
// ends the generation as an interruption does. May be empty.
using EmitText = std::function<bool(std::string_view)>;

// Checks what can be checked without a model: ranges of the sampler, stop texts and beams.
Result<void> validate(const GenerateOptions& options);

// Feeds `prompt` after what the session holds and generates. Prompt and answer together fill at most the
// context
// ("context" when they do). kInvalidArgument: an empty prompt, or one that leaves no room for a token; names
// both numbers. The session ends with the prompt and the generated ids in its cache, the last one perhaps
// missing (see position()). What a speculator does shows only in the times and counts, in logits(), which may
// be empty at the end, and in the session's position while text is emitted.
//
// Beam search: at each step the `beams` likeliest continuations of the same length live on; a beam that ends
// while it is among the `beams` best candidates is finished. The search ends when `beams` have finished and
// none that lives has a higher mean log-probability per token (end token counted) than the best finished one,
// or at a limit. The answer is the one with the highest mean. Bias and penalties apply. Text is emitted once,
// at the end; the session keeps the prompt only.
Result<Generation> generate(Session& session, const Tokenizer& tokenizer, std::span<const TokenId> prompt,
                            const GenerateOptions& options, const EmitText& emit);

}  // namespace pixellm
