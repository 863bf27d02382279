#include "cli/generate_flags.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <random>

#include "cli/runtime.h"

namespace pixellm::cli {
namespace {

Result<std::pair<TokenId, float>> parse_bias(const std::string& text) {
  const size_t equals = text.find('=');
  const auto wrong = [&] {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("--bias {}: expected ID=V, a token id and a number or -inf", printable(text)));
  };
  if (equals == std::string::npos) return wrong();
  TokenId id = 0;
  float value = 0;
  const char *begin = text.data(), *middle = begin + equals, *end = begin + text.size();
  const char* number = middle + 1 < end && middle[1] == '+' ? middle + 2 : middle + 1;
  const auto [id_end, id_error] = std::from_chars(begin, middle, id);
  const auto [value_end, value_error] = std::from_chars(number, end, value);
  if (id_error != std::errc() || id_end != middle || value_error != std::errc() || value_end != end)
    return wrong();
  return std::pair(id, value);
}

// N of "ngram[:N]".
Result<uint32_t> parse_speculate(std::string_view text) {
  constexpr std::string_view kName = "ngram";
  uint32_t n = kDefaultDraft;
  if (text == kName) return n;
  if (text.starts_with(kName) && text.substr(kName.size()).starts_with(':')) {
    const char *begin = text.data() + kName.size() + 1, *end = text.data() + text.size();
    const auto [number_end, error] = std::from_chars(begin, end, n);
    if (error == std::errc() && number_end == end && n >= 1 && n <= kMaxDraft) return n;
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("--speculate {}: expected ngram or ngram:N with N from 1 to {}", printable(text), kMaxDraft));
}

}  // namespace

void GenerateFlags::add_to(CLI::App& app) {
  SamplerOptions& s = options.sampler;
  const auto count = CLI::Range(uint32_t{0}, std::numeric_limits<uint32_t>::max());
  const auto positive = CLI::Range(uint32_t{1}, std::numeric_limits<uint32_t>::max());
  app.add_option("-n", options.max_tokens, "most tokens to generate")->check(count)->capture_default_str();
  app.add_option("--temp", s.temperature, "temperature; 0: always the likeliest token")
      ->capture_default_str();
  app.add_option("--top-k", s.top_k, "draw from the K likeliest tokens; 0: off")
      ->check(count)
      ->capture_default_str();
  app.add_option("--top-p", s.top_p,
                 "draw from the fewest likeliest tokens whose probabilities reach P; 1: off")
      ->capture_default_str();
  app.add_option("--min-p", s.min_p, "drop tokens less likely than P times the likeliest; 0: off")
      ->capture_default_str();
  app.add_option("--repeat-penalty", s.repeat_penalty,
                 "divide (multiply when negative) seen tokens' logits by R; 1: off")
      ->capture_default_str();
  app.add_option("--presence", s.presence_penalty, "subtract from the logits of seen tokens")
      ->capture_default_str();
  app.add_option("--frequency", s.frequency_penalty, "subtract from seen tokens' logits, for each time seen")
      ->capture_default_str();
  app.add_option("--penalty-window", s.penalty_window,
                 "last tokens, prompt included, that count as seen; 0: all")
      ->check(count)
      ->capture_default_str();
  app.add_option("--bias", bias, "ID=V: add V to a token's logit, -inf forbids it; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--seed", seed, "of the draws: same seed, same text; without it one is drawn and shown");
  app.add_option(
         "--beams", options.beams,
         "beam search of N beams (needs --temp 0): the answer with the best mean log-probability per token")
      ->check(count)
      ->capture_default_str();
  app.add_option("--speculate", speculate,
                 fmt::format("ngram[:N]: guess up to N tokens (1 to {}, default {}) from what followed the last tokens "
                             "earlier in prompt or answer; same text, sooner where it repeats itself",
                             kMaxDraft, kDefaultDraft));
  app.add_option("--draft", draft,
                 "picture of a smaller model with the same vocabulary that guesses instead; same text");
  app.add_option("--stop", options.stop, "end before this text; may be repeated")->allow_extra_args(false);
  app.add_option("--context", session.context,
                 "tokens that prompt and answer may fill; default: the model's, at most 4096")
      ->check(positive);
  app.add_option("--batch", options.batch, "prompt tokens per step")->check(positive)->capture_default_str();
  add_session_options(app, session);
  app.add_option("--system", system, "system message of the chat");
  app.add_option("--template", template_name, "chat template by name instead of the model's own");
}

Result<void> GenerateFlags::finish() {
  for (const std::string& text : bias) options.sampler.bias.push_back(PIXELLM_TRY(parse_bias(text)));
  PIXELLM_CHECK(validate(options));
  const auto wrong = [](const char* message) { return fail(ErrorCode::kInvalidArgument, message); };
  if (speculate) longest_draft = PIXELLM_TRY(parse_speculate(*speculate));
  if (speculate && draft)
    return wrong("--speculate and --draft: one at a time guesses what comes next");
  if (options.beams > 1 && (speculate || draft))
    return wrong("--beams: beam search has no speculative decoding, leave out --speculate and --draft");
  // A step takes a whole draft.
  const uint32_t least = longest_draft > 0 || draft ? std::max(longest_draft, kDefaultDraft) + 1 : 1;
  session.batch = std::max(options.batch, least);
  if (seed) {
    options.sampler.seed = *seed;
  } else if (options.sampler.temperature > 0) {
    options.sampler.seed = std::random_device{}();
    note(fmt::format("seed {}", options.sampler.seed));
  }
  options.interrupted = &interrupted();
  return {};
}

}  // namespace pixellm::cli
