// pixellm chat: a conversation in the terminal. The KV cache is kept from turn to turn; only what is new is
// fed.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "cli/commands.h"
#include "cli/generate_flags.h"
#include "cli/runtime.h"

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

class Conversation {
 public:
  Conversation(const Runtime& runtime, Session& session, const ChatTemplate& chat, const GenerateFlags& flags)
      : tokenizer_(*runtime.tokenizer), session_(session), chat_(chat), options_(flags.options) {
    if (!flags.system.empty()) messages_.push_back({"system", flags.system});
    n_fixed_ = messages_.size();
  }

  void reset() {
    messages_.resize(n_fixed_);
    cached_.clear();
    session_.truncate(0);
  }

  // One turn. A message that does not fit is not kept: says so and changes nothing.
  Result<void> answer(const std::string& text) {
    messages_.push_back({"user", text});
    auto ids = chat_.encode(tokenizer_, messages_, true);
    if (!ids || ids->size() >= session_.context()) {
      messages_.pop_back();
      if (!ids) return std::unexpected(ids.error());
      talk(
          fmt::format("(With this message the conversation has {} tokens, and the context holds {}: /reset "
                      "begins a new one, "
                      "--context N sets a larger context.)\n",
                      ids->size(), session_.context()));
      return {};
    }
    // What the cache already holds need not be fed; at least one token is, for its logits.
    const auto differ = std::ranges::mismatch(cached_, *ids);
    const size_t known = std::min<size_t>(static_cast<size_t>(differ.in1 - cached_.begin()), ids->size() - 1);
    session_.truncate(static_cast<uint32_t>(known));
    auto g = generate(session_, tokenizer_, std::span(*ids).subspan(known), options_, print);
    if (!g) {
      reset();
      return std::unexpected(g.error());
    }
    std::fputs("\n", stdout);
    std::fflush(stdout);
    cached_ = std::move(*ids);
    cached_.insert(cached_.end(), g->ids.begin(), g->ids.end());
    cached_.resize(session_.position());
    messages_.push_back({"assistant", g->text});
    options_.sampler.seed++;  // another answer to the same question
    if (g->stop_reason == "context")
      talk(
          fmt::format("(The conversation fills the context of {} tokens: /reset begins a new one, --context "
                      "N sets a larger "
                      "context.)\n",
                      session_.context()));
    if (g->stop_reason == "length") talk("(Stopped after -n tokens; \"go on\" may continue.)\n");
    return {};
  }

 private:
  static bool print(std::string_view text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  }

  const Tokenizer& tokenizer_;
  Session& session_;
  const ChatTemplate& chat_;
  GenerateOptions options_;
  std::vector<ChatMessage> messages_;
  size_t n_fixed_ = 0;
  std::vector<TokenId> cached_;  // what the session holds
};

Result<void> chat_loop(const std::string& path, const ModelFlags& common, GenerateFlags& flags) {
  const Runtime runtime = PIXELLM_TRY(Runtime::open(path, common, true));
  const auto chat = PIXELLM_TRY(open_chat_template(*runtime.model, flags.template_name));
  const auto session = PIXELLM_TRY(runtime.new_session(flags.session()));
  if (const auto end = runtime.tokenizer->find(chat.end_marker())) flags.options.end_tokens.push_back(*end);
  flags.options.new_session = [&] { return runtime.new_session(flags.session()); };
  Conversation conversation(runtime, *session, chat, flags);
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
      PIXELLM_CHECK(conversation.answer(*line));
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
  app.footer(
      "A line is a message. /reset forgets the conversation, /exit or the end of input leaves. Ctrl-C stops "
      "an\n"
      "answer; at the prompt it leaves. When the conversation fills the context, /reset begins a new one.\n\n"
      "Example:\n  pixellm chat model.png --system \"Answer in one sentence.\"");
  if (auto status = parse(app, argc, argv)) return *status;
  if (auto usage = flags.finish(); !usage) return report_usage(usage.error().message);
  const auto done = chat_loop(path, common, flags);
  return done ? 0 : report(done.error());
}

}  // namespace pixellm::cli
