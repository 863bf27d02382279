#include "cli/commands.h"
#include "cli/fs_common.h"

namespace pixellm::cli {
namespace {

constexpr Command kVerbs[] = {
    {"write", "store a file as a pixel image", fs_write},
    {"read", "show what is stored, or write it to a file", fs_read},
    {"info", "show a container's size, picture and checksum", fs_info},
    {"verify", "check a container against its SHA-256", fs_verify},
    {"list", "list the containers", fs_list},
    {"remove", "move a container into the trash", fs_remove},
    {"restore", "bring the newest one back from the trash", fs_restore},
    {"export-png", "write a container as a PNG that any viewer opens", fs_export_png},
    {"demo", "store a text and verify it", fs_demo},
};

}  // namespace

int cmd_fs(int argc, char** argv) {
  return run_group({.program = "pixellm fs",
                    .about = "PixelFS: a folder in which every file is a picture and comes back bit for bit.",
                    .example = "pixellm fs write notes.txt && pixellm fs read notes",
                    .commands = kVerbs},
                   argc, argv);
}

}  // namespace pixellm::cli
