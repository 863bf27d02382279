// pixellm corpus: texts to train on.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "cli/commands.h"
#include "cli/common.h"
#include "corpus/corpus_builder.h"

namespace pixellm::cli {
namespace {

// "left out: notes/keys.md: line 12: secret (github-token)".
std::string left_out_line(const LeftOut& l) {
  std::string line = fmt::format("left out: {}: ", l.path);
  if (l.line > 0) line += fmt::format("line {}: ", l.line);
  line += left_out_reason_name(l.reason);
  if (!l.rule.empty()) line += fmt::format(" ({})", l.rule);
  if (!l.detail.empty()) line += fmt::format(" ({})", l.detail);
  return line;
}

nlohmann::ordered_json left_out_json(const LeftOut& l) {
  nlohmann::ordered_json out = {{"path", l.path}, {"reason", left_out_reason_name(l.reason)}};
  if (!l.detail.empty()) out["detail"] = l.detail;
  if (l.line > 0) out["line"] = l.line;
  if (!l.rule.empty()) out["rule"] = l.rule;
  return out;
}

int corpus_build(int argc, char** argv) {
  CLI::App app(
      "Collects the texts of a folder (.py, .md, .json, .yaml, .txt) into one file to train on, each under\n"
      "a title with its path. Every file that would belong there and is left out is named on stderr:\n"
      "folders of tools and builds, symbolic links, what is no UTF-8, what cannot be read, earlier\n"
      "outputs, and files that seem to hold secrets (keys, tokens, passwords).");
  std::string folder;
  CorpusOptions options;
  bool json = false;
  app.add_option("DIR", folder, "the folder")->required();
  app.add_option("-o,--output", options.output, "the corpus to write; - is standard output")->required();
  app.add_option("--stats", options.stats, "write statistics as JSON to this file");
  app.add_flag("--keep-secrets", options.keep_secrets, "take files with secrets in them as well");
  app.add_flag("--json", json, "print one JSON object");
  app.footer(
      "--json: {files, chars, lines, bytes, output, left_out [{path, reason, detail?, line?, rule?}]}: chars "
      "are\n"
      "code points and lines newlines + 1 of the texts, bytes is the size of the corpus.\n\n"
      "Example:\n  pixellm corpus build project -o corpus.txt --stats corpus-stats.json");
  if (auto status = parse(app, argc, argv)) return *status;
  if (options.output.empty()) return report_usage("corpus build: --output: the path is empty");
  const int to_stdout = (options.output == "-") + (options.stats == "-") + json;
  if (to_stdout > 1)
    return report_usage("corpus build: only one of -o -, --stats - and --json can go to standard output");

  std::vector<LeftOut> left_out;
  options.progress = progress_bar("corpus");
  options.on_left_out = [&](const LeftOut& l) {
    note(left_out_line(l));
    if (json) left_out.push_back(l);
  };
  const auto done = build_corpus(folder, options);
  if (!done) return report(done.error());
  if (done->unreadable > 0) warn(fmt::format("{} could not be read", done->unreadable));
  if (!json) {
    note(fmt::format("{}: {} files, {} characters, {} lines, {}", output_name(options.output), done->files,
                     done->characters, done->lines, human_bytes(done->bytes)));
    return 0;
  }
  nlohmann::ordered_json out = {{"files", done->files},
                                {"chars", done->characters},
                                {"lines", done->lines},
                                {"bytes", done->bytes},
                                {"output", printable(options.output)}};
  out["left_out"] = nlohmann::ordered_json::array();
  for (const LeftOut& l : left_out) out["left_out"].push_back(left_out_json(l));
  fmt::print("{}\n", out.dump());
  return 0;
}

constexpr Command kVerbs[] = {
    {"build", "collect the texts of a folder into one file", corpus_build},
};

}  // namespace

int cmd_corpus(int argc, char** argv) {
  return run_group({.program = "pixellm corpus",
                    .about = "Texts to train on.",
                    .example = "pixellm corpus build project -o corpus.txt",
                    .commands = kVerbs},
                   argc, argv);
}

}  // namespace pixellm::cli
