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
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("generate: the prompt has {} tokens, a context of {} takes at most {}{} (a larger "
                          "one, up to the model's: --context)",
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

// The answer in the making: what is done with one token's logits after the other.
class Answer {
 public:
  Answer(const Tokenizer& tokenizer, const GenerateOptions& options, Sampler& sampler, uint32_t room,
         const EmitText& emit, Generation& g)
      : tokenizer_(tokenizer),
        options_(options),
        sampler_(sampler),
        emit_(emit),
        g_(g),
        text_(tokenizer, options.stop),
        most_(std::min(options.max_tokens, room)) {}

  // To be asked before every token.
  bool goes_on() {
    if (!g_.stop_reason.empty()) return false;
    if (is_interrupted(options_))
      g_.stop_reason = "interrupted";
    else if (g_.ids.size() == most_)
      g_.stop_reason = most_ == options_.max_tokens ? "length" : "context";
    return g_.stop_reason.empty();
  }

  bool is_end(TokenId id) const {
    return tokenizer_.is_end_of_generation(id) || std::ranges::count(options_.end_tokens, id) > 0;
  }

  void take(std::span<const float> logits) { take(sampler_.sample(logits)); }

  void take(TokenId id) {
    if (is_end(id)) {
      g_.stop_reason = "eos";
      return;
    }
    g_.ids.push_back(id);
    sampler_.accept(id);
    if (!give(text_.push(id))) g_.stop_reason = "interrupted";
    if (text_.stopped()) g_.stop_reason = "stop";
  }

  void finish() {
    give(text_.flush());
    if (text_.stopped()) g_.stop_reason = "stop";
  }

  bool ended() const { return !g_.stop_reason.empty(); }
  std::span<const TokenId> ids() const { return g_.ids; }
  size_t left() const { return most_ - g_.ids.size(); }

 private:
  bool give(std::string_view text) {
    g_.text += text;
    return text.empty() || !emit_ || emit_(text);
  }

  const Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  Sampler& sampler_;
  const EmitText& emit_;
  Generation& g_;
  AnswerText text_;
  const size_t most_;  // ids
};

// The answer's last token and the draft of what follows it, in one step; takes tokens as long as the draft
// agrees. `seconds`: the model's part of it. The session ends with what it would hold after as many single
// steps.
Result<void> check_draft(Session& session, Answer& answer, std::span<const TokenId> tokens, double& seconds,
                         Generation& g) {
  struct State {
    Answer& answer;
    std::span<const TokenId> tokens;
    double& seconds;
    uint32_t taken = 0;
    bool cut = false;
    Clock::time_point resumed = Clock::now();
  } state{answer, tokens, seconds};
  const uint32_t before = session.position();
  const auto fed =
      session.feed_each(tokens, [&state](uint32_t, std::span<const float> logits) -> Result<void> {
        const auto paused = Clock::now();
        state.seconds += std::chrono::duration<double>(paused - state.resumed).count();
        // What is behind the cut does not count, be it finite or not.
        state.cut = state.taken > 0 && !state.answer.goes_on();
        if (!state.cut) {
          state.answer.take(logits);
          state.taken++;
          state.cut = state.answer.ended() || state.taken == state.tokens.size() ||
                      state.answer.ids().back() != state.tokens[state.taken];
        }
        state.resumed = Clock::now();
        if (state.cut) return fail(ErrorCode::kInternal, "generate: the draft ends");
        return {};
      });
  if (!fed && !state.cut) {
    // Values that are not finite; those of a wrong guess may have reached the tokens before it, in
    // attention's sums.
    for (const TokenId& id : tokens.first(state.taken)) PIXELLM_CHECK(session.feed({&id, 1}));
    if (state.taken == 0 || answer.goes_on()) {
      PIXELLM_CHECK(session.feed(tokens.subspan(state.taken, 1)));
      answer.take(session.logits());
      state.taken++;
    }
  }
  session.truncate(before + state.taken);
  g.drafted += static_cast<uint32_t>(tokens.size()) - 1;
  g.accepted += state.taken - 1;
  return {};
}

// `room` is what the context leaves.
Result<void> sample_tokens(Session& session, const Tokenizer& tokenizer, const GenerateOptions& options,
                           Sampler& sampler, uint32_t room, const EmitText& emit, Generation& g) {
  Answer answer(tokenizer, options, sampler, room, emit, g);
  Speculator* const speculator = options.speculator;
  const auto vocab_size = session.logits().size();
  const bool greedy = is_plain_greedy(options.sampler);
  std::vector<TokenId> tokens;
  if (answer.goes_on()) {
    answer.take(session.logits());
    if (speculator) speculator->accept(g.ids, 0, 0);
  }
  while (answer.goes_on()) {
    tokens.assign(1, g.ids.back());
    if (speculator)
      for (const TokenId id : speculator->draft(answer.left() - 1)) {
        if (static_cast<size_t>(id) >= vocab_size || answer.is_end(id)) break;
        tokens.push_back(id);
      }
    const size_t known = g.ids.size();
    double seconds = 0;
    if (tokens.size() == 1) {
      const auto start = Clock::now();
      std::optional<TokenId> best;
      if (greedy)
        best = PIXELLM_TRY(session.feed_best(tokens));
      else
        PIXELLM_CHECK(session.feed(tokens));
      seconds = std::chrono::duration<double>(Clock::now() - start).count();
      best ? answer.take(*best) : answer.take(session.logits());
    } else {
      PIXELLM_CHECK(check_draft(session, answer, tokens, seconds, g));
    }
    g.steps++;
    if (speculator) speculator->accept(answer.ids().subspan(known), tokens.size(), seconds);
  }
  answer.finish();
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
  if (options.beams > 1 && options.speculator)
    return fail(ErrorCode::kInvalidArgument, "generate: beam search has no speculative decoding");
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
  const uint32_t position = session.position();
  const bool fed = PIXELLM_TRY(feed_prompt(session, prompt, options));
  if (options.speculator)
    options.speculator->begin(position, prompt.first(session.position() - position), options.interrupted);
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
    const uint32_t held = session.position();
    g = PIXELLM_TRY(beam_search(session, tokenizer, options, sampler, room));
    session.truncate(held);
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
