// pixellm COMMAND ...: looks the command up in the table, runs it, and makes sure that its output was
// written.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>
#include <string_view>

#include "cli/commands.h"

namespace {

using pixellm::cli::Command;
using pixellm::cli::commands;

const Command* find(std::string_view name) {
  const auto all = commands();
  const auto it = std::ranges::find(all, name, &Command::name);
  return it == all.end() ? nullptr : &*it;
}

void print_usage(std::FILE* out) {
  std::fputs(
      "Pixel-LLM: language models that are pictures.\n\nUsage: pixellm COMMAND [OPTIONS]\n\nCommands:\n",
      out);
  for (const Command& c : commands())
    std::fprintf(out, "  %-12s %.*s\n", std::string(c.name).c_str(), static_cast<int>(c.help.size()),
                 c.help.data());
  std::fputs(
      "\nExample:\n  pixellm import model.gguf -o model.png\n\n"
      "pixellm COMMAND --help says more about a command; pixellm --version prints the version.\n",
      out);
}

int unknown_command(std::string_view name) {
  std::string message = "pixellm: there is no command '" + std::string(name.substr(0, 64)) + "'";
  const Command* similar = pixellm::cli::find_similar(name.substr(0, 64));
  if (similar) message += "; did you mean '" + std::string(similar->name) + "'?";
  std::fprintf(stderr, "%s\nTry: pixellm --help\n", message.c_str());
  return 2;
}

int dispatch(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (argc < 2) return print_usage(stderr), 2;
  if (name == "--version") return std::puts("pixellm " PIXELLM_VERSION), 0;
  if (name == "--help" || name == "-h" || (name == "help" && argc == 2)) return print_usage(stdout), 0;
  if (name == "help") {
    const Command* command = find(argv[2]);
    char help_flag[] = "--help";
    char* arguments[] = {argv[2], help_flag, nullptr};
    return command ? command->run(2, arguments) : unknown_command(argv[2]);
  }
  const Command* command = find(name);
  if (command == nullptr) return unknown_command(name);
  try {
    return command->run(argc - 1, argv + 1);
  } catch (const std::bad_alloc&) {   // a file may ask for more than this machine has
    std::fprintf(stderr, "pixellm: %s: not enough memory\n", argv[1]);
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  // A closed standard stream must not give its number to a file that we open; these answer EBADF when used.
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
      return 1;
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  // Large enough that most output is written by the fflush() below, which can say what went wrong.
  static char buffer[1 << 20];
  if (::isatty(STDOUT_FILENO) == 0) std::setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  int status = dispatch(argc, argv);
  const bool lost = std::ferror(stdout) != 0;
  const char* reason = std::fflush(stdout) != 0 ? std::strerror(errno) : "not everything could be written";
  if (lost || std::ferror(stdout)) {
    pollfd reader{STDOUT_FILENO, 0, 0};  // POLLERR: the reader went away (| head), which needs no message
    const bool abandoned = ::poll(&reader, 1, 0) == 1 && (reader.revents & POLLERR) != 0;
    if (!abandoned && status == 0) std::fprintf(stderr, "pixellm: standard output: %s\n", reason);
    status = std::max(status, 1);
  }
  return status;
}
