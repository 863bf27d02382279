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
#include <string_view>

#include "cli/commands.h"

namespace {

int dispatch(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name == "--version") return std::puts("pixellm " PIXELLM_VERSION), 0;
  try {
    return pixellm::cli::run_group({.program = "pixellm",
                                    .about = "Pixel-LLM: language models that are pictures.",
                                    .example = "pixellm import model.gguf -o model.png",
                                    .commands = pixellm::cli::commands(),
                                    .footer = "pixellm --version prints the version.\n"},
                                   argc, argv);
  } catch (const std::bad_alloc&) {  // a file may ask for more than this machine has
    std::fputs("pixellm: not enough memory\n", stderr);
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
