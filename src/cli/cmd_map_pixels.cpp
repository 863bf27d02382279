// pixellm map set, get, neighbors: single pixels.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/map_commands.h"
#include "cli/map_single.h"

namespace pixellm::cli {
namespace {

// "255,0,0" or "#ff0000".
Result<Rgb> parse_color(std::string_view text) {
  const auto wrong = [&] {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: expected R,G,B, three numbers from 0 to 255, or #RRGGBB", printable(text)));
  };
  Rgb color;
  const bool hex = text.starts_with('#');
  if (hex && text.size() != 7) return wrong();
  const char *at = text.data() + (hex ? 1 : 0), *end = text.data() + text.size();
  for (size_t i = 0; i < color.size(); i++) {
    if (!hex && i > 0 && (at == end || *at++ != ',')) return wrong();
    const auto [next, error] = std::from_chars(at, hex ? at + 2 : end, color[i], hex ? 16 : 10);
    if (error != std::errc() || (hex && next != at + 2)) return wrong();
    at = next;
  }
  if (at != end) return wrong();
  return color;
}

std::string to_text(const Json& rgb) {
  return fmt::format("{},{},{}", rgb[0].get<int>(), rgb[1].get<int>(), rgb[2].get<int>());
}

}  // namespace

int cmd_map_set(int argc, char** argv) {
  CLI::App app("Paints a pixel. A world that does not exist is made.");
  WorldFlags flags;
  WorldPoint at;
  std::string color;
  bool json = false;
  add_point(app, at, "the pixel");
  app.add_option("COLOR,--rgb", color, "R,G,B or #RRGGBB")->required();
  flags.add_to(app);
  add_json_flag(app, json);
  app.validate_positionals();
  app.footer("Example:\n  pixellm map set -5,7 255,0,0 --world world");
  if (auto status = parse(app, argc, argv)) return *status;
  const auto rgb = parse_color(color);
  if (!rgb) return report_usage(fmt::format("map set: {}", rgb.error().message));
  return run_single(flags, WorldAccess::kChangeOrCreate,
                    {{"op", "set"}, {"x", at.x}, {"y", at.y}, {"rgb", *rgb}}, json, nullptr);
}

int cmd_map_get(int argc, char** argv) {
  CLI::App app("Prints a pixel as R,G,B. One that was never painted is 0,0,0.");
  WorldFlags flags;
  WorldPoint at;
  bool json = false;
  add_point(app, at, "the pixel");
  flags.add_to(app);
  add_json_flag(app, json);
  app.footer("Example:\n  pixellm map get -5,7 --world world");
  if (auto status = parse(app, argc, argv)) return *status;
  return run_single(flags, WorldAccess::kRead, {{"op", "get"}, {"x", at.x}, {"y", at.y}}, json,
                    [](const Json& answer) { fmt::print("{}\n", to_text(answer["rgb"])); });
}

int cmd_map_neighbors(int argc, char** argv) {
  CLI::App app("Prints the pixels around one, row by row: X,Y R,G,B.");
  WorldFlags flags;
  WorldPoint at;
  uint32_t radius = 1;
  bool json = false;
  add_point(app, at, "the pixel in the middle, which is left out");
  app.add_option("--radius", radius, "pixels to each side, at most 1024")->capture_default_str();
  flags.add_to(app);
  add_json_flag(app, json);
  app.footer("Example:\n  pixellm map neighbors 10000,20000 --radius 2 --world world");
  if (auto status = parse(app, argc, argv)) return *status;
  return run_single(
      flags, WorldAccess::kRead, {{"op", "neighbors"}, {"x", at.x}, {"y", at.y}, {"radius", radius}}, json,
      [](const Json& answer) {
        for (const Json& p : answer["pixels"])
          fmt::print("{},{} {}\n", p["x"].get<int64_t>(), p["y"].get<int64_t>(), to_text(p["rgb"]));
      });
}

}  // namespace pixellm::cli
