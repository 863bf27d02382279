// pixellm eval: how well a model predicts a text.
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/hash.h"
#include "cli/commands.h"
#include "cli/runtime.h"
#include "infer/evaluate.h"

namespace pixellm::cli {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;

struct EvalFlags {
  std::string model, file;
  uint32_t stride = 0;
  SessionOptions session = {.context = 512};
  bool json = false;
  ModelFlags common;
};

Result<void> run_eval(const EvalFlags& flags) {
  const auto text = PIXELLM_TRY(read_file(flags.file, kMaxTextBytes));
  const Runtime runtime = PIXELLM_TRY(Runtime::open(flags.model, flags.common, true));
  const auto ids =
      encode_text(*runtime.tokenizer, {reinterpret_cast<const char*>(text.data()), text.size()}, false);
  const auto session = PIXELLM_TRY(runtime.new_session(flags.session));
  const auto show = [terminal = ::isatty(STDERR_FILENO) == 1](uint64_t done, uint64_t total) {
    if (terminal)
      std::fputs(fmt::format("\rwindow {} of {}{}", done, total, done == total ? "\n" : "").c_str(), stderr);
  };
  const auto e =
      PIXELLM_TRY(evaluate(*session, *runtime.tokenizer, ids, flags.session.context, flags.stride, show));
  if (!flags.json) {
    fmt::print(
        "perplexity {:.4f} (nll {:.6f}, {:.4f} bits a byte) over {} of {} tokens, {} bytes, context {}\n",
        e.perplexity, e.nll, e.bits_per_byte, e.tokens, ids.size(), e.bytes, flags.session.context);
    return {};
  }
  nlohmann::ordered_json out = {
      {"tokens", e.tokens},
      {"nll", e.nll},
      {"perplexity", e.perplexity},
      {"bits_per_byte", e.bits_per_byte},
      {"bytes", e.bytes},
      {"context", flags.session.context},
      {"sha256", to_hex(sha256(text))},
  };
  if (flags.stride > 0) out["stride"] = flags.stride;
  fmt::print("{}\n", out.dump());
  return {};
}

}  // namespace

int cmd_eval(int argc, char** argv) {
  CLI::App app("Measures how well a model predicts a text: perplexity and bits per byte.");
  EvalFlags flags;
  app.add_option("MODEL", flags.model, "picture of a model")->required();
  app.add_option("FILE", flags.file, "the text (-: standard input)")->required();
  app.add_option("--context", flags.session.context, "tokens of a window")
      ->check(CLI::Range(uint32_t{3}, UINT32_MAX))
      ->capture_default_str();
  app.add_option("--stride", flags.stride,
                 "tokens from one window's beginning to the next; default: --context, no overlap")
      ->check(CLI::Range(uint32_t{1}, UINT32_MAX));
  app.add_option("--batch", flags.session.batch, "tokens per step; the result does not depend on it")
      ->check(CLI::Range(uint32_t{1}, UINT32_MAX))
      ->capture_default_str();
  app.add_flag("--json", flags.json, "print one JSON object");
  add_session_options(app, flags.session);
  flags.common.add_to(app);
  flags.common.add_device_to(app);
  flags.common.add_pin_to(app);
  app.footer(
      "The text's tokens, without a start token, are cut into windows of C = --context; every whole\n"
      "window that at least one token follows counts. Of each the tokens at positions C/2+1 .. C-1\n"
      "are scored, given all before them in the window, as llama.cpp's tool does. With --stride S\n"
      "below C windows overlap, and the last S tokens of each are scored: every token once, with at\n"
      "least C-S before it.\n"
      "--json: {tokens, nll, perplexity, bits_per_byte, bytes, context, sha256 (, stride)}: tokens\n"
      "that were scored and the bytes of their text, nll in nats a token, bits_per_byte = tokens *\n"
      "nll / ln 2 / bytes, SHA-256 of the whole file.\n\n"
      "Example:\n  pixellm eval model.png book.txt --context 512 --json");
  if (auto status = parse(app, argc, argv)) return *status;
  if (flags.stride > flags.session.context)
    return report_usage(
        fmt::format("eval: --stride {} is over --context {}", flags.stride, flags.session.context));
  const auto done = run_eval(flags);
  return done ? 0 : report(done.error());
}

}  // namespace pixellm::cli
