#include "cli/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "cli/common.h"

namespace pixellm::cli {
namespace {

constexpr Command kCommands[] = {
    {"import", "store a GGUF file as a picture", cmd_import},
    {"export", "write the GGUF file again, bit for bit", cmd_export},
    {"info", "show what a picture or a GGUF file holds", cmd_info},
    {"verify", "check every bit of a picture and name the damage", cmd_verify},
    {"run", "continue a prompt", cmd_run},
    {"chat", "talk with a model", cmd_chat},
    {"tokenize", "print the token ids of a text", cmd_tokenize},
    {"detokenize", "write the bytes of token ids", cmd_detokenize},
    {"logits", "write the logits of given tokens as a NumPy file", cmd_logits},
    {"eval", "measure how well a model predicts a text", cmd_eval},
    {"bench", "measure speed beside the machine's limits", cmd_bench},
    {"plan", "print what a GPU does for a model, as JSON", cmd_plan},
    {"thumbnail", "draw a small picture of a model", cmd_thumbnail},
    {"corpus", "collect texts to train on", cmd_corpus},
    {"map", "an endless plane of pixels on disk", cmd_map},
    {"v0", "the first brain in pixels: init, train, encode, infer, ask", cmd_v0},
    {"fs", "store files as pixel images", cmd_fs},
    {"certify", "write down how far the GPU's logits are from the CPU's", cmd_certify},
    {"gpu", "what the GPU is and can do", cmd_gpu},
};

// Edits (insert, delete, replace) that turn a into b.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); i++) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); j++) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

const Command* find(std::span<const Command> commands, std::string_view name) {
  const auto it = std::ranges::find(commands, name, &Command::name);
  return it == commands.end() ? nullptr : &*it;
}

// The command whose name differs from `name` in few letters, or nullptr.
const Command* find_similar(std::span<const Command> commands, std::string_view name) {
  const auto distance = [&](const Command& c) { return edit_distance(name, c.name); };
  const auto best = std::ranges::min_element(commands, {}, distance);
  return distance(*best) <= std::max<size_t>(1, best->name.size() / 3) ? &*best : nullptr;
}

void print_usage(const CommandGroup& group, std::FILE* out) {
  fmt::print(out, "{}\n\nUsage: {} COMMAND [OPTIONS]\n\nCommands:\n", group.about, group.program);
  for (const Command& c : group.commands) fmt::print(out, "  {:<12} {}\n", c.name, c.help);
  fmt::print(out, "\nExample:\n  {}\n\n{} COMMAND --help says more about a command.\n{}", group.example,
             group.program, group.footer);
}

int unknown_command(const CommandGroup& group, std::string_view name) {
  name = name.substr(0, 64);
  const Command* similar = find_similar(group.commands, name);
  fmt::print(stderr, "{}: there is no command '{}'{}\nTry: {} --help\n", group.program, printable(name),
             similar ? fmt::format("; did you mean '{}'?", similar->name) : "", group.program);
  return 2;
}

}  // namespace

std::span<const Command> commands() { return kCommands; }

int run_group(const CommandGroup& group, int argc, char** argv) {
  if (argc < 2) return print_usage(group, stderr), 2;
  std::string_view name = argv[1];
  const bool help = name == "help" && argc > 2;
  if (name == "--help" || name == "-h" || (name == "help" && !help)) return print_usage(group, stdout), 0;
  if (help) name = argv[2];
  const Command* command = find(group.commands, name);
  if (command == nullptr) return unknown_command(group, name);
  const size_t space = group.program.find(' ');
  std::string label = space == group.program.npos
                          ? std::string(name)
                          : fmt::format("{} {}", group.program.substr(space + 1), name);
  char help_flag[] = "--help";
  char* help_arguments[] = {label.data(), help_flag, nullptr};
  if (help) return command->run(2, help_arguments);
  argv[1] = label.data();
  return command->run(argc - 1, argv + 1);
}

}  // namespace pixellm::cli
