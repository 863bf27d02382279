// pixellm map export-png, import-png: pictures out of a world and into it.
#include <fmt/format.h>

#include "cli/common.h"
#include "cli/map_commands.h"
#include "cli/world_flags.h"
#include "map/map_picture.h"

namespace pixellm::cli {

int cmd_map_export_png(int argc, char** argv) {
  CLI::App app(
      "Writes a rectangle of the world as a PNG. With --zoom Z each of its pixels is the average of 2^Z by "
      "2^Z pixels; what "
      "was never painted counts as black. Mounted models are in it. Where the measures allow it is a flat "
      "PNG: 64, 128, ... "
      "pixels wide, at most 21,824.");
  WorldFlags flags;
  PixelRect rect;
  uint32_t zoom = 0;
  std::string out;
  add_rect(app, rect, "what to draw");
  app.add_option("--zoom", zoom, "0 to 32: 2^Z pixels averaged each way")
      ->check(CLI::Range(0, 32))
      ->capture_default_str();
  app.add_option("-o,--output", out, "the PNG to write; - is standard output")->required();
  flags.add_to(app);
  app.footer(
      "Example:\n  pixellm map export-png --rect -512,-512,1024,1024 --zoom 1 -o map.png --world world");
  if (auto status = parse(app, argc, argv)) return *status;

  auto world = flags.open_reading();
  if (!world) return report(world.error());
  if (auto other = flags.check_output(*world, out); !other) return report(other.error());
  const auto written = export_picture(*world, rect, zoom, out);
  return written ? 0 : report(written.error());
}

int cmd_map_import_png(int argc, char** argv) {
  CLI::App app(
      "Paints a picture into the world: an 8-bit RGB PNG or a PXIF container. A world that does not exist is "
      "made.");
  WorldFlags flags;
  WorldPoint at;
  std::string in;
  app.add_option("FILE", in, "the picture")->required();
  add_point(app, at, "where its upper left corner comes to lie");
  flags.add_to(app);
  app.footer("Example:\n  pixellm map import-png photo.png --at -100,250 --world world");
  if (auto status = parse(app, argc, argv)) return *status;

  const auto picture = PixelPlane::open(in);  // before a world is made for it
  if (!picture) return report(picture.error());
  PixelRect painted;
  const auto done = flags.change(/*create=*/true, [&](World& world) -> Result<void> {
    painted = PIXELLM_TRY(import_picture(world, *picture, at.x, at.y));
    return {};
  });
  if (!done) return report(done.error());
  note(fmt::format("painted {},{},{},{}", painted.x, painted.y, painted.w, painted.h));
  return 0;
}

}  // namespace pixellm::cli
