#include "cli/common.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>

namespace pixellm::cli {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<bool> interrupt_flag{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler stores to it");

bool bar_is_drawn = false;

// A message must not share its line with a half-drawn bar.
void clear_bar() {
  if (!std::exchange(bar_is_drawn, false)) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

void print_to_stderr(const std::string& line) {
  clear_bar();
  std::fflush(stdout);
  std::fputs(line.c_str(), stderr);
}

}  // namespace

std::optional<int> parse(CLI::App& app, int argc, char** argv) {
  const std::string command = argc > 0 ? argv[0] : "";
  app.name("pixellm " + command);
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return 0;
  } catch (const CLI::ParseError& e) {
    print_to_stderr(fmt::format("pixellm: {}: {}\nTry: pixellm {} --help\n", command, e.what(), command));
    return 2;
  } catch (const std::exception& e) {
    print_to_stderr(fmt::format("pixellm: {}: {}\n", command, e.what()));
    return 2;
  }
}

int report(const Error& error) {
  print_to_stderr(fmt::format("pixellm: {}\n", printable(error.message)));
  return 1;
}

int report_usage(std::string_view message) {
  print_to_stderr(fmt::format("pixellm: {}\n", message));
  return 2;
}

void note(std::string_view message) { print_to_stderr(fmt::format("{}\n", printable(message))); }

void warn(std::string_view message) {
  print_to_stderr(fmt::format("pixellm: warning: {}\n", printable(message)));
}

void ModelFlags::add_to(CLI::App& app) {
  app.add_option("--verify", verify, "check the picture before use: none, crc or sha256")
      ->check(CLI::IsMember({"none", "crc", "sha256"}))
      ->capture_default_str();
  add_threads_to(app);
}

void ModelFlags::add_threads_to(CLI::App& app) {
  app.add_option("--threads", threads, "threads to use; 0: all CPUs")
      ->check(CLI::Range(0, ThreadPool::kMaxThreads))
      ->capture_default_str();
}

void ModelFlags::add_pin_to(CLI::App& app) {
  app.add_flag("--pin", pin,
               "keep every thread on one CPU: steadier where nothing else runs, slower where something does");
}

void ModelFlags::add_device_to(CLI::App& app) {
  app.add_option("--device", device,
                 "where to compute: cpu, gpu, or auto for the GPU where there is one and else the CPU")
      ->check(CLI::IsMember({"cpu", "gpu", "auto"}))
      ->capture_default_str();
}

VerifyLevel ModelFlags::level() const {
  if (verify == "none") return VerifyLevel::kNone;
  return verify == "sha256" ? VerifyLevel::kSha256 : VerifyLevel::kCrc;
}

CLI::Validator whole_number() {
  const auto check = [](std::string& text) {
    uint64_t n = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, n);
    if (error != std::errc() || stop != end)
      return fmt::format("{} is not a whole number from 0 to 2^64 - 1", text);
    text = fmt::format("{}", n);
    return std::string();
  };
  return CLI::Validator(check, "");
}

Progress progress_bar(std::string label) {
  struct State {
    std::string label;
    bool terminal;
    Clock::time_point start = Clock::now(), drawn = start;
    uint64_t next_tenth = 1;
  };
  auto state =
      std::make_shared<State>(State{.label = std::move(label), .terminal = ::isatty(STDERR_FILENO) == 1});
  return [state](uint64_t done, uint64_t total) {
    State& s = *state;
    if (total == 0 || done >= total) return clear_bar();
    const auto now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - s.start).count();
    const double fraction = static_cast<double>(done) / static_cast<double>(total);
    if (s.terminal) {
      if (seconds < 0.3 || now - s.drawn < std::chrono::milliseconds(50)) return;
      constexpr int kWidth = 32;
      const int filled = static_cast<int>(fraction * kWidth);
      std::fputs(fmt::format("\r\x1b[K{} [{:#<{}}{:.<{}}] {:3.0f} %  {} of {}", s.label, "", filled, "",
                             kWidth - filled, fraction * 100, human_bytes(done), human_bytes(total))
                     .c_str(),
                 stderr);
      std::fflush(stderr);
      s.drawn = now;
      bar_is_drawn = true;
      return;
    }
    const auto tenth = static_cast<uint64_t>(fraction * 10);
    if (tenth < s.next_tenth) return;
    s.next_tenth = tenth + 1;
    if (seconds > 1.0) print_to_stderr(fmt::format("{}: {} %\n", s.label, tenth * 10));
  };
}

std::string human_bytes(uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  constexpr std::array kUnits = {"kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes) / 1000;
  size_t unit = 0;
  for (; value >= 999.95 && unit + 1 < kUnits.size(); unit++) value /= 1000;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string output_name(const std::string& path) { return path == "-" ? "standard output" : path; }

void catch_interrupts() {
  interrupt_flag = false;
  struct sigaction action{};
  action.sa_handler = [](int) { interrupt_flag = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

const std::atomic<bool>& interrupted() { return interrupt_flag; }

}  // namespace pixellm::cli
