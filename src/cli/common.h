// What every command shares: running a parser, reporting errors, opening a model as the flags ask, progress.
#pragma once
#include <CLI/CLI.hpp>
#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/threads.h"
#include "convert/gguf.h"
#include "model/model.h"

namespace pixellm::cli {

// Parses; nullopt to go on, else the exit status (0 after --help, 2 after a usage error, which was printed).
std::optional<int> parse(CLI::App& app, int argc, char** argv);

// Prints "pixellm: message" to stderr and returns 1.
int report(const Error& error);

// --verify none|crc|sha256 (default crc) and --threads N, for every command that opens a model.
struct ModelFlags {
  std::string verify = "crc";
  int threads = 0;
  void add_to(CLI::App& app);
  VerifyLevel level() const;
};

// A progress bar on a terminal, a plain line every ten per cent elsewhere; silent for short work.
Progress progress_bar(std::string label);

// "1.2 GB", "88.0 MB": decimal units.
std::string human_bytes(uint64_t bytes);

// Set by Ctrl-C and SIGTERM after catch_interrupts(); a second signal ends the process at once.
void catch_interrupts();
const std::atomic<bool>& interrupted();

}  // namespace pixellm::cli
