#include "infer/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "infer/answer_text.h"
#include "infer/beam_search.h"

namespace pixellm {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

bool is_interrupted(const GenerateOptions& options) {
  return options.interrupted != nullptr && options.interrupted->load(std::memory_order_relaxed);
}

Result<void> check_prompt(const Session& session, std::span<const TokenId> prompt) {
  if (prompt.empty()) return fail(ErrorCode::kInvalidArgument, "generate: the prompt has no tokens");
  if (uint64_t{session.position()} + prompt.size() < session.context()) return {};
  const std::string held =
      session.position() == 0 ? "" : fmt::format(" after {} that it holds", session.position());
  return fail(
      ErrorCode::kInvalidArgument,
      fmt::format("generate: the prompt has {} tokens, a context of {} takes at most {}{} (a larger one, up to the model's: --context)",
                  prompt.size(), session.context(),
                  std::max<int64_t>(0, int64_t{session.context()} - session.position() - 1), held));
}

// False when interrupted.
Result<bool> feed_prompt(Session& session, std::span<const TokenId> prompt, const GenerateOptions& options) {
  while (!prompt.empty()) {
    if (is_interrupted(options)) return false;
    const size_t n = std::min<size_t>(prompt.size(), options.batch);
    PIXELLM_CHECK(session.feed(prompt.first(n)));
    prompt = prompt.subspan(n);
  }
  return true;
}

// One token at a time; `room` is what the context leaves.
Result<void> sample_tokens(Session& session, const Tokenizer& tokenizer, const GenerateOptions& options,
                           Sampler& sampler, uint32_t room, const EmitText& emit, Generation& g) {
  AnswerText answer(tokenizer, options.stop);
  const auto give = [&](std::string_view text) {
    g.text += text;
    return text.empty() || !emit || emit(text);
  };
  while (g.stop_reason.empty()) {
    if (is_interrupted(options)) {
      g.stop_reason = "interrupted";
    } else if (g.ids.size() == options.max_tokens) {
      g.stop_reason = "length";
    } else if (g.ids.size() == room) {
      g.stop_reason = "context";
    } else {
      if (!g.ids.empty()) PIXELLM_CHECK(session.feed({&g.ids.back(), 1}));
      const TokenId id = sampler.sample(session.logits());
      if (tokenizer.is_end_of_generation(id) || std::ranges::count(options.end_tokens, id) > 0) {
        g.stop_reason = "eos";
        break;
      }
      g.ids.push_back(id);
      sampler.accept(id);
      if (!give(answer.push(id))) g.stop_reason = "interrupted";
      if (answer.stopped()) g.stop_reason = "stop";
    }
  }
  give(answer.flush());
  if (answer.stopped()) g.stop_reason = "stop";
  return {};
}

}  // namespace

Result<void> validate(const GenerateOptions& options) {
  PIXELLM_CHECK(validate(options.sampler));
  if (options.beams < 1 || options.beams > kMaxBeams)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("generate: beams is {}, allowed 1 to {}", options.beams, kMaxBeams));
  if (options.beams > 1 && options.sampler.temperature != 0)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("generate: temperature is {}, beam search needs 0", options.sampler.temperature));
  if (options.batch == 0) return fail(ErrorCode::kInvalidArgument, "generate: batch is 0, allowed from 1");
  for (const std::string& stop : options.stop)
    if (stop.empty() || stop.size() > kMaxStopBytes)
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("generate: a stop text of {} bytes, allowed 1 to {}", stop.size(), kMaxStopBytes));
  return {};
}

Result<Generation> generate(Session& session, const Tokenizer& tokenizer, std::span<const TokenId> prompt,
                            const GenerateOptions& options, const EmitText& emit) {
  PIXELLM_CHECK(validate(options));
  PIXELLM_CHECK(check_prompt(session, prompt));
  const auto room = static_cast<uint32_t>(session.context() - session.position() - prompt.size());
  const auto start = Clock::now();
  Generation g;
  const bool fed = PIXELLM_TRY(feed_prompt(session, prompt, options));
  const double prompt_ms = ms_since(start);
  if (!fed) {
    g.stop_reason = "interrupted";
    g.prompt_ms = prompt_ms;
    return g;
  }

  const auto vocab_size = static_cast<uint32_t>(session.logits().size());
  auto sampler = PIXELLM_TRY(Sampler::create(options.sampler, vocab_size));
  for (const TokenId id : prompt) sampler.accept(id);
  if (options.beams > 1) {
    const uint32_t position = session.position();
    g = PIXELLM_TRY(beam_search(session, tokenizer, options, sampler, room));
    session.truncate(position);
    if (emit && !g.text.empty() && !emit(g.text)) g.stop_reason = "interrupted";
  } else {
    g.ids.reserve(std::min(options.max_tokens, room));
    PIXELLM_CHECK(sample_tokens(session, tokenizer, options, sampler, room, emit, g));
  }
  g.prompt_ms = prompt_ms;
  g.generate_ms = ms_since(start) - prompt_ms;
  return g;
}

}  // namespace pixellm
