// pixellm map script: a world for other programs, one JSON object a line.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "cli/common.h"
#include "cli/line_reader.h"
#include "cli/map_commands.h"
#include "cli/map_operations.h"
#include "cli/world_flags.h"

namespace pixellm::cli {
namespace {

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; }

// False when nobody reads the answers any more.
bool put_line(const std::string& line) {
  return std::fwrite(line.data(), 1, line.size(), stdout) == line.size() && std::fputc('\n', stdout) != EOF &&
         std::fflush(stdout) == 0;
}

// Answers line after line to the end of the input, Ctrl-C, or the end of who reads the answers.
Result<void> answer_lines(LineReader& lines, World& world) {
  std::string_view line;
  for (uint64_t number = 1;; number++) {
    const auto kind = PIXELLM_TRY(lines.next(line));
    if (kind == LineReader::Kind::kEnd) return {};
    if (kind == LineReader::Kind::kLine && is_blank(line)) continue;
    const std::string answer =
        kind == LineReader::Kind::kTooLong
            ? error_line(fmt::format("line {}: has more than {} bytes", number, kMaxLineLength))
            : answer_line(world, line, number);
    if (!put_line(answer)) return {};
  }
}

}  // namespace

int cmd_map_script(int argc, char** argv) {
  CLI::App app(
      "Runs operations on a world: one JSON object a line in, one answer a line out, in order, each written "
      "at once. An\n"
      "operation that fails answers {\"ok\":false,\"error\":...} and the next one runs. Blank lines are "
      "passed over.\n"
      "The end of the input or Ctrl-C makes everything durable; exit status 1 when that fails.");
  std::string file;
  WorldFlags flags;
  bool read_only = false;
  app.add_option("FILE", file, "the operations; - is standard input")->required();
  flags.add_to(app);
  app.add_flag("--read-only", read_only, "change nothing and follow what another process commits");
  app.footer(
      "Operations (radius is 1 when left out; data is Base64):\n"
      "  {\"op\":\"set\",\"x\":..,\"y\":..,\"rgb\":[r,g,b]}               get -> rgb\n"
      "  {\"op\":\"write\",\"x\":..,\"y\":..,\"w\":..,\"h\":..,\"data\":..}   read -> data\n"
      "  {\"op\":\"write_bytes\",\"x\":..,\"y\":..,\"data\":..}           read_bytes -> data\n"
      "  {\"op\":\"neighbors\",\"x\":..,\"y\":..,\"radius\":..} -> pixels\n"
      "  {\"op\":\"regions\",\"x\":..,\"y\":..,\"radius\":..} -> regions, the tiles around that exist\n"
      "  {\"op\":\"tiles\"|\"count\",\"x\":..,\"y\":..,\"w\":..,\"h\":..}     -> tiles, count\n"
      "  {\"op\":\"erase\"|\"restore\"|\"prefetch\",\"x\":..,\"y\":..,\"w\":..,\"h\":..} -> count of tiles\n"
      "  {\"op\":\"where\",\"x\":..,\"y\":..} -> model, tensor, type, elements\n"
      "  {\"op\":\"locate\",\"model\":..,\"tensor\":..} -> x, y, w, h; with \"row\" and \"column\": x, y\n"
      "  {\"op\":\"bounds\"}   {\"op\":\"flush\"}   {\"op\":\"stats\"}\n\n"
      "Example:\n"
      "  echo '{\"op\":\"set\",\"x\":-5,\"y\":7,\"rgb\":[255,0,0]}' | pixellm map script - --world world");
  if (auto status = parse(app, argc, argv)) return *status;

  auto lines = LineReader::open(file, kMaxLineLength);
  if (!lines) return report(lines.error());
  auto world = read_only ? flags.open_reading() : flags.open_writing(true);
  if (!world) return report(world.error());
  catch_interrupts();
  const auto answered = answer_lines(*lines, *world);
  const int status = answered ? 0 : report(answered.error());
  const auto flushed = world->flush();
  if (!answered || !flushed) world->store().discard_if_new();
  return std::max(status, flushed ? 0 : report(flushed.error()));
}

}  // namespace pixellm::cli
