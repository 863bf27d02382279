#include "cli/world_flags.h"

#include <fmt/format.h>

#include <charconv>

#include "base/file.h"
#include "cli/common.h"
#include "map/mounts.h"

namespace pixellm::cli {
namespace {

// Reads a number and moves behind it and the comma that follows it, if one does.
template <class T>
bool take_number(std::string_view& text, T& value, bool last) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (last) return text.empty();
  if (!text.starts_with(',')) return false;
  text.remove_prefix(1);
  return true;
}

Error wrong(std::string_view text, std::string_view expected) {
  return {ErrorCode::kInvalidArgument, fmt::format("{}: expected {}", printable(text), expected)};
}

// `parse` as a check of the parser and as what it stores.
template <class T>
CLI::Option* add_parsed(CLI::App& app, const std::string& names, T& value,
                        Result<T> (*parse)(std::string_view), const std::string& help) {
  const auto store = [&value, parse](const std::string& text) { value = *parse(text); };
  const auto check = [parse](const std::string& text) {
    const auto parsed = parse(text);
    return parsed ? std::string() : parsed.error().message;
  };
  return app.add_option_function<std::string>(names, store, help)->check(check)->required();
}

}  // namespace

void WorldFlags::add_to(CLI::App& app, bool world_required) {
  app.add_option("--world", folder, "folder of the world")->required(world_required);
  app.add_option(
         "--tile-size", tile_size,
         fmt::format(
             "pixels a side of a tile, {} to {}: a new world's (default {}); an existing one must have it",
             kMinTileSize, kMaxTileSize, kDefaultTileSize))
      ->check(CLI::Range(kMinTileSize, kMaxTileSize));
  app.add_option("--cache-bytes", cache_bytes, "memory for tiles")->transform(whole_number())->capture_default_str();
}

Result<World> WorldFlags::open(bool read_only, bool create) const {
  World world = PIXELLM_TRY(World::open(
      folder,
      {.read_only = read_only, .create = create, .tile_size = tile_size, .cache_bytes = cache_bytes}));
  PIXELLM_CHECK(open_mounts(world));
  return world;
}

Result<World> WorldFlags::open_reading() const { return open(true, false); }
Result<World> WorldFlags::open_writing(bool create) const { return open(false, create); }

Result<void> WorldFlags::change(bool create, const std::function<Result<void>(World&)>& change) const {
  World world = PIXELLM_TRY(open_writing(create));
  auto done = change(world);
  if (done) done = world.flush();
  if (!done) world.store().discard_if_new();
  return done;
}

Result<void> WorldFlags::check_output(World& world, const std::string& path) const {
  for (const std::string& file : world.store().files()) PIXELLM_CHECK(check_other_file(file, path));
  for (const auto& layer : world.layers()) PIXELLM_CHECK(check_other_file(layer->name(), path));
  return {};
}

Result<WorldPoint> parse_point(std::string_view text) {
  std::string_view rest = text;
  WorldPoint p;
  if (take_number(rest, p.x, false) && take_number(rest, p.y, true)) return p;
  return std::unexpected(wrong(text, "X,Y, two whole numbers of at most 64 bits"));
}

Result<PixelRect> parse_rect(std::string_view text) {
  std::string_view rest = text;
  PixelRect r;
  if (take_number(rest, r.x, false) && take_number(rest, r.y, false) && take_number(rest, r.w, false) &&
      take_number(rest, r.h, true))
    return r;
  return std::unexpected(wrong(text, "X,Y,W,H, four whole numbers of at most 64 bits, W and H not negative"));
}

CLI::Option* add_point(CLI::App& app, WorldPoint& point, const std::string& help) {
  return add_parsed(app, "POINT,--at", point, parse_point, help + ": X,Y");
}

CLI::Option* add_rect(CLI::App& app, PixelRect& rect, const std::string& help) {
  return add_parsed(app, "RECT,--rect", rect, parse_rect, help + ": X,Y,W,H");
}

}  // namespace pixellm::cli
