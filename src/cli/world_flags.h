// Flags and arguments of the commands that work on a world.
//
//   WorldFlags flags;
//   PixelRect rect;
//   flags.add_to(app);
//   add_rect(app, rect, "what to draw");                    // RECT as a bare argument, or --rect
//   if (auto status = parse(app, argc, argv)) return *status;
//   auto world = flags.open_reading();
#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "map/world.h"

namespace pixellm::cli {

struct WorldFlags {
  std::string folder;
  std::optional<uint32_t> tile_size;
  uint64_t cache_bytes = WorldOptions{}.cache_bytes;

  // --world (required unless said otherwise), --tile-size and --cache-bytes.
  void add_to(CLI::App& app, bool world_required = true);

  // With the layers of the models that are mounted. A world that does not exist is made by open_writing(true)
  // only.
  Result<World> open_reading() const;
  Result<World> open_writing(bool create) const;

  // Opens the world for writing, runs `change` and flushes. When that fails, a world that was made for it goes
  // again.
  Result<void> change(bool create, const std::function<Result<void>(World&)>& change) const;

  // kInvalidArgument: the output would replace one of the world's files, or a model that is mounted in it.
  Result<void> check_output(World& world, const std::string& path) const;

 private:
  Result<World> open(bool read_only, bool create) const;
};

struct WorldPoint {
  int64_t x = 0, y = 0;
};

// kInvalidArgument: not "X,Y" or "X,Y,W,H" in whole numbers, or numbers beyond 64 bits.
Result<WorldPoint> parse_point(std::string_view text);
Result<PixelRect> parse_rect(std::string_view text);

// A required argument, bare or after --at (--rect); numbers may be negative. A wrong one is wrong usage.
CLI::Option* add_point(CLI::App& app, WorldPoint& point, const std::string& help);
CLI::Option* add_rect(CLI::App& app, PixelRect& rect, const std::string& help);

}  // namespace pixellm::cli
