// What every command shares: running a parser, reporting errors, opening a model as the flags ask, progress.
//
//   int cmd_example(int argc, char** argv) {
//     CLI::App app("Does something to a model.");
//     std::string path;
//     ModelFlags flags;
//     app.add_option("MODEL", path, "picture of a model")->required();
//     flags.add_to(app);
//     app.footer("Example:\n  pixellm example model.png");
//     if (auto status = parse(app, argc, argv)) return *status;
//     ThreadPool pool(flags.threads);
//     auto model = Model::open(path, flags.level(), pool);
//     if (!model) return report(model.error());
//     ...
//   }
// Results go to standard output through stdio or std::cout; main() flushes it and reports what could not be written, so
// a command need not check each write.
#pragma once
#include <CLI/CLI.hpp>
#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/threads.h"
#include "convert/import.h"
#include "model/model.h"

namespace pixellm::cli {

// Parses; nullopt to go on, else the exit status (0 after --help, 2 after a usage error, which was printed).
// The program's name in the help becomes "pixellm COMMAND", from argv[0].
std::optional<int> parse(CLI::App& app, int argc, char** argv);

// Prints "pixellm: message" to stderr and returns 1.
int report(const Error& error);

// The same for wrong usage that the parser cannot see (flags that contradict each other); returns 2.
int report_usage(std::string_view message);

// A line on stderr: what was done, for people.
void note(std::string_view message);

// "pixellm: warning: message" on stderr.
void warn(std::string_view message);

// --verify none|crc|sha256 (default crc) and --threads N, for every command that opens a model.
struct ModelFlags {
  std::string verify = "crc";
  int threads = 0;
  bool pin = false;
  std::string device = "cpu";           // or "gpu", "auto"
  void add_to(CLI::App& app);
  void add_threads_to(CLI::App& app);   // only --threads
  void add_pin_to(CLI::App& app);       // for commands that compute for long
  void add_device_to(CLI::App& app);    // for commands that run a model
  VerifyLevel level() const;
};

// For options that count bytes: decimal digits up to 2^64 - 1. The parser alone takes "-1" for the largest
// number and "010" for 8. Use it with transform().
CLI::Validator whole_number();

// A progress bar on a terminal, a plain line every ten per cent elsewhere; silent for short work.
Progress progress_bar(std::string label);

// "1.2 GB", "88.0 MB": decimal units.
std::string human_bytes(uint64_t bytes);

// The path for messages: "standard output" for "-".
std::string output_name(const std::string& path);

// The text with every byte that is not part of a printable character or a line's end shown as \xNN, so that names and
// strings from files cannot send control sequences to a terminal.
std::string printable(std::string_view text);

// Set by Ctrl-C and SIGTERM after catch_interrupts(); a second signal ends the process at once. Blocking reads return
// EINTR. Calling catch_interrupts() again clears the flag and listens anew.
void catch_interrupts();
const std::atomic<bool>& interrupted();

}  // namespace pixellm::cli
