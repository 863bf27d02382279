// pixellm chat: a conversation in the terminal.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "cli/commands.h"
#include "cli/conversation.h"
#include "cli/generate_flags.h"
#include "cli/runtime.h"
#include "cli/speculation.h"

namespace pixellm::cli {
namespace {

constexpr std::string_view kHelp =
    "/reset forgets the conversation, /exit (or end of input) leaves, Ctrl-C stops an answer.\n";

void talk(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

// One line of standard input without its end; nullopt at the end of input or after Ctrl-C.
std::optional<std::string> read_line() {
  char* line = nullptr;
  size_t capacity = 0;
  const ssize_t n = ::getline(&line, &capacity, stdin);
  std::optional<std::string> result;
  if (n >= 0) result.emplace(line, static_cast<size_t>(n));
  std::free(line);
  while (result && !result->empty() && (result->back() == '\n' || result->back() == '\r')) result->pop_back();
  return result;
}

Result<void> chat_loop(const std::string& path, const ModelFlags& common, GenerateFlags& flags) {
  const Runtime runtime = PIXELLM_TRY(Runtime::open(path, common, true));
  const auto chat = PIXELLM_TRY(open_chat_template(*runtime.model, flags.template_name));
  const auto session = PIXELLM_TRY(runtime.new_session(flags.session));
  if (const auto end = runtime.tokenizer->find(chat.end_marker())) flags.options.end_tokens.push_back(*end);
  flags.options.new_session = [&] { return runtime.new_session(flags.session); };
  const Speculation speculation = PIXELLM_TRY(Speculation::open(flags, common, runtime, session->context()));
  flags.options.speculator = speculation.speculator.get();
  Conversation conversation(*runtime.tokenizer, *session, chat, flags.options, flags.system);
  const bool terminal = ::isatty(STDIN_FILENO) == 1;
  if (terminal) talk(kHelp);
  while (std::ferror(stdout) == 0) {
    catch_interrupts();
    if (terminal) talk("> ");
    const auto line = read_line();
    if (!line || *line == "/exit") break;
    if (line->empty()) continue;
    if (*line == "/reset") {
      conversation.reset();
    } else if (line->starts_with('/') && line->find(' ') == line->npos) {
      talk(fmt::format("There is no command {}. {}", printable(*line), kHelp));
    } else {
      const bool drafts = flags.options.speculator && flags.options.speculator->failure().empty();
      PIXELLM_CHECK(conversation.answer(*line));
      if (drafts && !flags.options.speculator->failure().empty()) warn(flags.options.speculator->failure());
    }
  }
  if (terminal && interrupted()) talk("\n");
  return {};
}

}  // namespace

int cmd_chat(int argc, char** argv) {
  CLI::App app("Talks with a model through its chat template. Lines come from standard input.");
  std::string path;
  ModelFlags common;
  GenerateFlags flags;
  flags.options.max_tokens = 1024;
  flags.options.sampler.temperature = 0.7f;
  flags.options.sampler.top_p = 0.9f;
  app.add_option("MODEL", path, "picture of a model")->required();
  flags.add_to(app);
  common.add_to(app);
  common.add_device_to(app);
  common.add_pin_to(app);
  app.footer(
      "A line is a message. /reset forgets the conversation, /exit or the end of input leaves.\n"
      "Ctrl-C stops an answer; at the prompt it leaves. When the conversation fills the context,\n"
      "/reset begins a new one.\n\n"
      "Example:\n  pixellm chat model.png --system \"Answer in one sentence.\"");
  if (auto status = parse(app, argc, argv)) return *status;
  if (auto usage = flags.finish(); !usage) return report_usage(usage.error().message);
  const auto done = chat_loop(path, common, flags);
  return done ? 0 : report(done.error());
}

}  // namespace pixellm::cli
