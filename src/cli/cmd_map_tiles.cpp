// pixellm map tiles, regions, bounds, erase, restore, flush, stats: a world's tiles.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/map_commands.h"
#include "cli/map_single.h"

namespace pixellm::cli {
namespace {

Json rect_operation(std::string_view name, const PixelRect& r) {
  return {{"op", name}, {"x", r.x}, {"y", r.y}, {"w", r.w}, {"h", r.h}};
}

void print_tiles(const Json& answer) {
  for (const Json& t : answer["tiles"]) fmt::print("{},{}\n", t[0].get<int64_t>(), t[1].get<int64_t>());
}

void print_count(const Json& answer) { fmt::print("{}\n", answer["count"].get<uint64_t>()); }

void print_bounds(const Json& answer) {
  const Json& b = answer["bounds"];
  if (b.is_null()) return note("the world has no tiles");
  fmt::print("{},{} to {},{}\n", b[0].get<int64_t>(), b[1].get<int64_t>(), b[2].get<int64_t>(),
             b[3].get<int64_t>());
}

void print_stats(const Json& answer) {
  for (const auto& [key, value] : answer.items())
    if (key != "ok") fmt::print("{:<16} {}\n", key, to_line(value));
}

// A command whose only argument is a rectangle.
int run_on_rect(int argc, char** argv, const char* about, const char* example, std::string operation,
                WorldAccess access, void (*print)(const Json&)) {
  CLI::App app(about);
  WorldFlags flags;
  PixelRect rect;
  bool json = false;
  add_rect(app, rect, "the rectangle in pixels");
  flags.add_to(app);
  add_json_flag(app, json);
  bool only_count = false;
  if (operation == "tiles") app.add_flag("--count", only_count, "print only how many");
  app.footer(example);
  if (auto status = parse(app, argc, argv)) return *status;
  if (only_count) return run_single(flags, access, rect_operation("count", rect), json, print_count);
  return run_single(flags, access, rect_operation(operation, rect), json, print);
}

// A command without arguments.
int run_on_world(int argc, char** argv, const char* about, const char* example, const char* operation,
                 WorldAccess access, void (*print)(const Json&)) {
  CLI::App app(about);
  WorldFlags flags;
  bool json = false;
  flags.add_to(app);
  add_json_flag(app, json);
  app.footer(example);
  if (auto status = parse(app, argc, argv)) return *status;
  return run_single(flags, access, {{"op", operation}}, json, print);
}

}  // namespace

int cmd_map_tiles(int argc, char** argv) {
  return run_on_rect(argc, argv,
                     "Lists the tiles that exist in a rectangle, TX,TY a line, as a quadtree is walked.",
                     "Example:\n  pixellm map tiles 0,0,10001,20001 --world world", "tiles",
                     WorldAccess::kRead, print_tiles);
}

int cmd_map_erase(int argc, char** argv) {
  return run_on_rect(argc, argv,
                     "Takes a rectangle's pixels away and prints how many tiles that touched. `map restore` "
                     "brings them back\n"
                     "until `map compact`.",
                     "Example:\n  pixellm map erase -64,-64,128,128 --world world", "erase",
                     WorldAccess::kChange, print_count);
}

int cmd_map_restore(int argc, char** argv) {
  return run_on_rect(
      argc, argv,
      "Brings back what the latest erase took away in a rectangle, over whatever was painted since; again\n"
      "for the erase before it. Prints how many tiles that touched, 0 when there is nothing to bring back.",
      "Example:\n  pixellm map restore -64,-64,128,128 --world world", "restore", WorldAccess::kChange,
      print_count);
}

int cmd_map_regions(int argc, char** argv) {
  CLI::App app("Lists the tiles that exist around a pixel's tile, row by row, TX,TY a line.");
  WorldFlags flags;
  WorldPoint at;
  uint32_t radius = 1;
  bool json = false;
  add_point(app, at, "a pixel of the tile in the middle, which is left out");
  app.add_option("--radius", radius, "tiles to each side")->capture_default_str();
  flags.add_to(app);
  add_json_flag(app, json);
  app.footer("Example:\n  pixellm map regions -5,7 --radius 2 --world world");
  if (auto status = parse(app, argc, argv)) return *status;
  return run_single(flags, WorldAccess::kRead,
                    {{"op", "regions"}, {"x", at.x}, {"y", at.y}, {"radius", radius}}, json, print_tiles);
}

int cmd_map_bounds(int argc, char** argv) {
  return run_on_world(
      argc, argv, "Prints the first and the last pixel of the rectangle that holds every tile.",
      "Example:\n  pixellm map bounds --world world", "bounds", WorldAccess::kRead, print_bounds);
}

int cmd_map_flush(int argc, char** argv) {
  return run_on_world(
      argc, argv,
      "Opens the world for writing and flushes it. Commands that change a world end with a flush; this one\n"
      "says whether the world can be written now.",
      "Example:\n  pixellm map flush --world world", "flush", WorldAccess::kChange, nullptr);
}

int cmd_map_stats(int argc, char** argv) {
  return run_on_world(argc, argv, "Shows a world's sizes and counts.",
                      "Example:\n  pixellm map stats --world world --json", "stats", WorldAccess::kRead,
                      print_stats);
}

}  // namespace pixellm::cli
