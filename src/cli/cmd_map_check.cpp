// pixellm map verify, repair, compact: the care of a world's files.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "cli/map_commands.h"
#include "cli/map_operations.h"
#include "map/tile_store.h"

namespace pixellm::cli {
namespace {

struct CheckFlags {
  std::string folder;
  bool json = false;
  void add_to(CLI::App& app) {
    app.add_option("--world", folder, "folder of the world")->required();
    app.add_flag("--json", json, "print one JSON object");
  }
  Result<std::unique_ptr<TileStore>> open(bool read_only) const {
    return TileStore::open(folder, {.read_only = read_only, .create = false, .tile_size = std::nullopt});
  }
};

Json to_json(const std::vector<TileCoord>& tiles) {
  Json list = Json::array();
  for (const TileCoord t : tiles) list.push_back({t.x, t.y});
  return list;
}

void print_findings(const StoreFindings& f) {
  if (f.bad_old_versions > 0) fmt::print("{} old versions of tiles are damaged\n", f.bad_old_versions);
  for (const std::string& line : f.other) fmt::print("{}\n", printable(line));
}

}  // namespace

int cmd_map_verify(int argc, char** argv) {
  CLI::App app(
      "Checks every tile of a world and names the damaged ones, TX,TY. Exit status 1 when there is damage.");
  CheckFlags flags;
  flags.add_to(app);
  app.footer("Example:\n  pixellm map verify --world world");
  if (auto status = parse(app, argc, argv)) return *status;
  const auto store = flags.open(true);
  if (!store) return report(store.error());
  const auto found = (*store)->verify();
  if (!found) return report(found.error());
  const bool intact = found->bad.empty() && found->bad_old_versions == 0 && found->other.empty();
  if (flags.json) {
    fmt::print("{}\n", to_line({{"intact", intact},
                                {"tiles_checked", found->tiles_checked},
                                {"bad_tiles", to_json(found->bad)},
                                {"bad_old_versions", found->bad_old_versions},
                                {"other", found->other}}));
    return intact ? 0 : 1;
  }
  for (const TileCoord t : found->bad) fmt::print("tile {},{} is damaged\n", t.x, t.y);
  print_findings(*found);
  note(fmt::format("{} tiles checked, {} damaged", found->tiles_checked, found->bad.size()));
  if (!intact) note("pixellm map repair restores or drops damaged tiles");
  return intact ? 0 : 1;
}

int cmd_map_repair(int argc, char** argv) {
  CLI::App app(
      "Puts the newest intact version that is still kept in place of each damaged tile, or drops the tile "
      "when there is\n"
      "none. Prints what it did with each. A world whose newest state is damaged so that it cannot be opened "
      "goes back to the\n"
      "one before, if that is whole.");
  CheckFlags flags;
  flags.add_to(app);
  app.footer("Example:\n  pixellm map repair --world world");
  if (auto status = parse(app, argc, argv)) return *status;
  const auto found = repair_world(flags.folder);
  if (!found) return report(found.error());
  if (flags.json) {
    fmt::print("{}\n", to_line({{"tiles_checked", found->tiles_checked},
                                {"bad_tiles", to_json(found->bad)},
                                {"restored", to_json(found->restored)},
                                {"dropped", to_json(found->dropped)},
                                {"bad_old_versions", found->bad_old_versions},
                                {"other", found->other}}));
    return 0;
  }
  for (const TileCoord t : found->restored) fmt::print("restored tile {},{}: an older version\n", t.x, t.y);
  for (const TileCoord t : found->dropped)
    fmt::print("dropped tile {},{}: no intact version is left\n", t.x, t.y);
  print_findings(*found);
  note(fmt::format("{} tiles checked, {} restored, {} dropped", found->tiles_checked, found->restored.size(),
                   found->dropped.size()));
  return 0;
}

int cmd_map_compact(int argc, char** argv) {
  CLI::App app(
      "Drops replaced and erased versions of tiles for good, packs the rest, and gives unused space back. "
      "Nobody else may\n"
      "use the world meanwhile.");
  CheckFlags flags;
  flags.add_to(app);
  app.footer("Example:\n  pixellm map compact --world world");
  if (auto status = parse(app, argc, argv)) return *status;
  const auto store = flags.open(false);
  if (!store) return report(store.error());
  const auto saved = (*store)->compact();
  if (!saved) return report(saved.error());
  if (flags.json) {
    fmt::print("{}\n", to_line({{"saved_bytes", *saved}}));
  } else {
    note(fmt::format("{} saved", human_bytes(*saved)));
  }
  return 0;
}

}  // namespace pixellm::cli
