// The search behind generate() with beams > 1; see generate.h. Internal to infer.
#pragma once
#include <span>

#include "infer/generate.h"

namespace pixellm {

// `session` holds the prompt and its logits; `sampler` has accepted the prompt. At most `room` tokens. Fills
// text, ids, stop_reason and log_probability; changes what the session holds after the prompt.
Result<Generation> beam_search(Session& session, const Tokenizer& tokenizer, const GenerateOptions& options,
                               const Sampler& sampler, uint32_t room);

}  // namespace pixellm
