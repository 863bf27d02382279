// pixellm map write, read: rectangles of pixels, and bytes, from and to files.
#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/memory.h"
#include "cli/common.h"
#include "cli/map_commands.h"
#include "cli/world_flags.h"

namespace pixellm::cli {
namespace {

constexpr uint64_t kPieceBytes = uint64_t{64} << 20;  // of a region, read and written at a time

// A rectangle of pixels, or with --bytes where bytes begin.
struct Place {
  std::string text;
  bool is_bytes = false;
  PixelRect rect;
  WorldPoint point;

  void add_to(CLI::App& app) {
    const auto check = [](const std::string& t) {
      if (parse_rect(t) || parse_point(t)) return std::string();
      return fmt::format("{}: expected X,Y,W,H, or X,Y with --bytes", printable(t));
    };
    app.add_option("PLACE,--rect,--at", text, "the rectangle X,Y,W,H; with --bytes the pixel X,Y")
        ->required()
        ->check(check);
    app.add_flag("--bytes", is_bytes, "any bytes instead of pixels; the world keeps their length");
  }

  Result<void> finish() {
    if (is_bytes) {
      point = PIXELLM_TRY(parse_point(text));
    } else {
      rect = PIXELLM_TRY(parse_rect(text));
    }
    return {};
  }
};

Result<void> write_region(const WorldFlags& flags, const Place& place, const std::string& file) {
  // The file first: a wrong one makes no world.
  const uint64_t wanted = place.is_bytes ? 0 : PIXELLM_TRY(region_bytes(place.rect));
  PIXELLM_CHECK(check_memory(wanted, fmt::format("{} by {} pixels", place.rect.w, place.rect.h)));
  const auto bytes = PIXELLM_TRY(read_file(file, std::min(kMaxRegionBytes, memory_limit_bytes())));
  if (!place.is_bytes && bytes.size() != wanted)
    return fail(ErrorCode::kInvalidArgument, fmt::format("{}: {} bytes, {} by {} pixels are {}", file,
                                                         bytes.size(), place.rect.w, place.rect.h, wanted));
  return flags.change(true, [&](World& world) {
    return place.is_bytes ? world.write_bytes(place.point.x, place.point.y, bytes)
                          : world.write(place.rect, bytes);
  });
}

Result<void> read_region(const WorldFlags& flags, const Place& place, const std::string& file) {
  auto world = PIXELLM_TRY(flags.open_reading());
  PIXELLM_CHECK(flags.check_output(world, file));
  if (place.is_bytes) return write_file(file, PIXELLM_TRY(world.read_bytes(place.point.x, place.point.y)));
  PIXELLM_TRY(region_bytes(place.rect));
  auto out = PIXELLM_TRY(AtomicFile::create(file));
  PIXELLM_CHECK(world.read_pieces(place.rect, kPieceBytes, [&](Bytes rgb) { return out.write(rgb); }));
  return out.commit();
}

}  // namespace

int cmd_map_write(int argc, char** argv) {
  CLI::App app(
      "Paints a rectangle from a file of raw RGB bytes, rows from the top, three bytes a pixel; or stores "
      "any bytes from a\n"
      "pixel on. A world that does not exist is made.");
  WorldFlags flags;
  Place place;
  std::string file;
  place.add_to(app);
  app.add_option("FILE", file, "the bytes; - is standard input")->required();
  flags.add_to(app);
  app.validate_positionals();
  app.footer(
      "Examples:\n  pixellm map write -32,-32,64,64 pixels.rgb --world world\n"
      "  pixellm map write --bytes 10000,20000 notes.txt --world world");
  if (auto status = parse(app, argc, argv)) return *status;
  if (const auto usage = place.finish(); !usage)
    return report_usage(fmt::format("map write: {}", usage.error().message));
  const auto written = write_region(flags, place, file);
  return written ? 0 : report(written.error());
}

int cmd_map_read(int argc, char** argv) {
  CLI::App app(
      "Writes a rectangle of the world as raw RGB bytes, or the bytes that `map write --bytes` stored.");
  WorldFlags flags;
  Place place;
  std::string file;
  place.add_to(app);
  app.add_option("-o,--output", file, "the file to write; - is standard output")->required();
  flags.add_to(app);
  app.footer(
      "Examples:\n  pixellm map read -32,-32,64,64 -o pixels.rgb --world world\n"
      "  pixellm map read --bytes 10000,20000 -o - --world world");
  if (auto status = parse(app, argc, argv)) return *status;
  if (const auto usage = place.finish(); !usage)
    return report_usage(fmt::format("map read: {}", usage.error().message));
  const auto read = read_region(flags, place, file);
  return read ? 0 : report(read.error());
}

}  // namespace pixellm::cli
