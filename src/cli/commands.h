// The program's commands: one table, one file per command. A command parses its flags with CLI11, calls the library
// and prints: results on stdout, talk and progress on stderr. Exit status: 0 done, 1 failed, 2 wrong usage.
#pragma once
#include <span>
#include <string_view>

namespace pixellm::cli {

struct Command {
  std::string_view name;
  std::string_view help;                      // one line
  int (*run)(int argc, char** argv);          // argv[0] is the command's name
};

std::span<const Command> commands();

// A table of commands and how its help introduces it: the program itself, or a command with verbs (`pixellm fs write`).
struct CommandGroup {
  std::string_view program;                   // "pixellm", "pixellm fs"
  std::string_view about;                     // the first line of the help
  std::string_view example;
  std::span<const Command> commands;
  std::string_view footer = {};               // more lines at the end of the help
};

// Runs the command that argv[1] names, with `PROGRAM --help` and `PROGRAM help COMMAND`; an unknown name is wrong usage
// and gets a suggestion. The command's argv[0] is "fs write": what its messages begin with.
int run_group(const CommandGroup& group, int argc, char** argv);

int cmd_import(int argc, char** argv);
int cmd_export(int argc, char** argv);
int cmd_info(int argc, char** argv);
int cmd_verify(int argc, char** argv);
int cmd_tokenize(int argc, char** argv);
int cmd_detokenize(int argc, char** argv);
int cmd_run(int argc, char** argv);
int cmd_chat(int argc, char** argv);
int cmd_logits(int argc, char** argv);
int cmd_eval(int argc, char** argv);
int cmd_bench(int argc, char** argv);
int cmd_certify(int argc, char** argv);
int cmd_plan(int argc, char** argv);
int cmd_thumbnail(int argc, char** argv);
int cmd_corpus(int argc, char** argv);
int cmd_map(int argc, char** argv);
int cmd_v0(int argc, char** argv);
int cmd_fs(int argc, char** argv);
int cmd_gpu(int argc, char** argv);

}  // namespace pixellm::cli
