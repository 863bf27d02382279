// pixellm map VERB: a sparse, endless world of pixels.
#include "cli/commands.h"
#include "cli/map_commands.h"

namespace pixellm::cli {
namespace {

constexpr Command kMapCommands[] = {
    {"script", "run operations, one JSON object a line", cmd_map_script},
    {"set", "paint a pixel", cmd_map_set},
    {"get", "print a pixel", cmd_map_get},
    {"write", "paint a rectangle, or store bytes, from a file", cmd_map_write},
    {"read", "write a rectangle, or stored bytes, to a file", cmd_map_read},
    {"neighbors", "print the pixels around one", cmd_map_neighbors},
    {"tiles", "list the tiles that exist in a rectangle", cmd_map_tiles},
    {"regions", "list the tiles that exist around a pixel's", cmd_map_regions},
    {"bounds", "print the rectangle that holds every tile", cmd_map_bounds},
    {"erase", "take a rectangle's pixels away, restorably", cmd_map_erase},
    {"restore", "bring erased pixels back", cmd_map_restore},
    {"flush", "check that the world can be written, and sync it", cmd_map_flush},
    {"export-png", "draw a rectangle, at any zoom", cmd_map_export_png},
    {"import-png", "paint a picture", cmd_map_import_png},
    {"mount", "make a model readable through the world", cmd_map_mount},
    {"unmount", "take a model out of the world", cmd_map_unmount},
    {"locate", "print where a tensor or a weight lies", cmd_map_locate},
    {"where", "say which weights touch a pixel", cmd_map_where},
    {"stats", "show sizes and counts", cmd_map_stats},
    {"verify", "check every tile and name the damage", cmd_map_verify},
    {"repair", "restore or drop damaged tiles", cmd_map_repair},
    {"compact", "give back the space of old versions", cmd_map_compact},
    {"bench", "measure speed here, beside a plain LMDB loop", cmd_map_bench},
    {"demo", "paint at the origin and far away, and read both back", cmd_map_demo},
};

}  // namespace

int cmd_map(int argc, char** argv) {
  return run_group({.program = "pixellm map",
                    .about = "An endless plane of pixels on disk. Every command takes --world FOLDER.",
                    .example = "pixellm map set -5,7 255,0,0 --world world",
                    .commands = kMapCommands},
                   argc, argv);
}

}  // namespace pixellm::cli
