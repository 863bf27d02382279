// pixellm run: a prompt in, its continuation out.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/generate_flags.h"
#include "cli/runtime.h"
#include "cli/speculation.h"

namespace pixellm::cli {
namespace {

constexpr uint64_t kMaxPromptBytes = uint64_t{64} << 20;

struct RunFlags {
  std::string model, prompt, file;
  bool from_file = false, chat = false, special = false, json = false;
  ModelFlags common;
  GenerateFlags generate;
};

Result<std::string> read_prompt(const RunFlags& flags) {
  if (!flags.from_file) return flags.prompt;
  const auto bytes = PIXELLM_TRY(read_file(flags.file, kMaxPromptBytes));
  return std::string(bytes.begin(), bytes.end());
}

Result<std::vector<TokenId>> encode_prompt(const RunFlags& flags, const Runtime& runtime,
                                           const std::string& text, GenerateOptions& options) {
  const Tokenizer& tokenizer = *runtime.tokenizer;
  if (flags.chat) {
    const auto chat = PIXELLM_TRY(open_chat_template(*runtime.model, flags.generate.template_name));
    if (const auto end = tokenizer.find(chat.end_marker())) options.end_tokens.push_back(*end);
    std::vector<ChatMessage> messages;
    if (!flags.generate.system.empty()) messages.push_back({"system", flags.generate.system});
    messages.push_back({"user", text});
    std::string dropped;
    auto ids = chat.encode(tokenizer, messages, true, &dropped);
    warn_of_dropped(dropped);
    return ids;
  }
  std::vector<TokenId> ids = encode_text(tokenizer, text, flags.special);
  if (tokenizer.should_add_bos() && tokenizer.bos()) ids.insert(ids.begin(), *tokenizer.bos());
  if (ids.empty())
    return fail(ErrorCode::kInvalidArgument,
                "run: the prompt is empty, and this model's texts do not begin with a start token");
  return ids;
}

void print_json(const Generation& g, const std::vector<TokenId>& prompt, const Runtime& runtime,
                uint64_t seed, const Speculator* speculator) {
  const auto per_second = [](size_t n, double ms) {
    return ms > 0 ? static_cast<double>(n) / ms * 1e3 : 0.0;
  };
  const nlohmann::ordered_json timings = {
      {"load_ms", runtime.load_ms},
      {"verify_ms", runtime.verify_ms},
      {"prompt_ms", g.prompt_ms},
      {"generate_ms", g.generate_ms},
      {"prompt_per_s", per_second(prompt.size(), g.prompt_ms)},
      {"generate_per_s", per_second(g.ids.size(), g.generate_ms)},
  };
  nlohmann::ordered_json out = {
      {"text", g.text}, {"ids", g.ids},       {"prompt_ids", prompt}, {"stop_reason", g.stop_reason},
      {"seed", seed},   {"timings", timings},
  };
  if (speculator)
    out["speculation"] = {{"mode", speculator->mode()},
                          {"drafted", g.drafted},
                          {"accepted", g.accepted},
                          {"steps", g.steps}};
  fmt::print("{}\n", out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

Result<void> run(RunFlags& flags) {
  const std::string text = PIXELLM_TRY(read_prompt(flags));
  Runtime runtime = PIXELLM_TRY(Runtime::open(flags.model, flags.common, true));
  GenerateOptions& options = flags.generate.options;
  const auto prompt = PIXELLM_TRY(encode_prompt(flags, runtime, text, options));
  const auto session = PIXELLM_TRY(runtime.new_session(flags.generate.session));
  const Speculation speculation = PIXELLM_TRY(
      Speculation::open(flags.generate, flags.common, runtime, session->context()));
  options.speculator = speculation.speculator.get();
  options.new_session = [&] { return runtime.new_session(flags.generate.session); };
  catch_interrupts();
  const auto emit = [](std::string_view piece) {
    return std::fwrite(piece.data(), 1, piece.size(), stdout) == piece.size() && std::fflush(stdout) == 0;
  };
  const auto g = PIXELLM_TRY(
      generate(*session, *runtime.tokenizer, prompt, options, flags.json ? EmitText() : EmitText(emit)));
  const std::string drafts =
      options.speculator ? speculation_note(g, *options.speculator) + ", " : std::string();
  if (flags.json) {
    print_json(g, prompt, runtime, options.sampler.seed, options.speculator);
    return {};
  }
  std::fputs("\n", stdout);
  std::fflush(stdout);
  note(fmt::format("[prompt {} tokens in {:.0f} ms, answer {} tokens in {:.0f} ms, {}{}]", prompt.size(),
                   g.prompt_ms, g.ids.size(), g.generate_ms, drafts, g.stop_reason));
  return {};
}

}  // namespace

int cmd_run(int argc, char** argv) {
  CLI::App app("Continues a prompt. The text is printed as it is generated.");
  RunFlags flags;
  app.add_option("MODEL", flags.model, "picture of a model")->required();
  auto* prompt = app.add_option_group("prompt");
  prompt->add_option("-p", flags.prompt, "the prompt, as it is: no chat template unless --chat");
  const auto* file = prompt->add_option("-f", flags.file, "read the prompt from a file (-: standard input)");
  prompt->require_option(1);
  app.add_flag("--chat", flags.chat, "put the prompt into the model's chat template as a user's message");
  app.add_flag("--special", flags.special, "recognise special tokens in the prompt's text (without --chat)");
  app.add_flag("--json", flags.json, "print one JSON object instead of the text");
  flags.generate.add_to(app);
  flags.common.add_to(app);
  flags.common.add_device_to(app);
  flags.common.add_pin_to(app);
  app.footer(
      "The model's start token is put first when its metadata asks for it. The answer ends at an\n"
      "end token (eos), before a --stop text (stop), after -n tokens (length), where prompt and\n"
      "answer fill the context (context), or with Ctrl-C (interrupted; exit status 0). Same options\n"
      "and seed, same text, for every number of threads and every CPU.\n"
      "--json: {text, ids, prompt_ids, stop_reason, seed, timings {load_ms, verify_ms, prompt_ms,\n"
      "generate_ms, prompt_per_s, generate_per_s}}; load_ms without verify_ms; what is not UTF-8 in\n"
      "the text becomes U+FFFD; ids hold the tokens of a stop text, but not the end token. With\n"
      "--speculate or --draft also speculation {mode, drafted, accepted, steps}: tokens guessed and\n"
      "checked, those that saved a step, and steps of the model after the prompt.\n\n"
      "Example:\n  pixellm run model.png -p \"The sky is\" -n 20 --temp 0.8 --top-p 0.9 --seed 7");
  if (auto status = parse(app, argc, argv)) return *status;
  flags.from_file = file->count() > 0;
  if (flags.chat && flags.special) return report_usage("run: --special has no effect with --chat");
  if (!flags.chat && (!flags.generate.system.empty() || flags.generate.template_name))
    return report_usage("run: --system and --template need --chat");
  if (auto usage = flags.generate.finish(); !usage) return report_usage(usage.error().message);
  const auto done = run(flags);
  return done ? 0 : report(done.error());
}

}  // namespace pixellm::cli
