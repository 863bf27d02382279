// The commands of `pixellm map`, one function each. The table is in cmd_map.cpp.
#pragma once

namespace pixellm::cli {

int cmd_map_script(int argc, char** argv);
int cmd_map_set(int argc, char** argv);
int cmd_map_get(int argc, char** argv);
int cmd_map_write(int argc, char** argv);
int cmd_map_read(int argc, char** argv);
int cmd_map_neighbors(int argc, char** argv);
int cmd_map_tiles(int argc, char** argv);
int cmd_map_regions(int argc, char** argv);
int cmd_map_bounds(int argc, char** argv);
int cmd_map_erase(int argc, char** argv);
int cmd_map_restore(int argc, char** argv);
int cmd_map_flush(int argc, char** argv);
int cmd_map_stats(int argc, char** argv);
int cmd_map_demo(int argc, char** argv);
int cmd_map_export_png(int argc, char** argv);
int cmd_map_import_png(int argc, char** argv);
int cmd_map_mount(int argc, char** argv);
int cmd_map_unmount(int argc, char** argv);
int cmd_map_locate(int argc, char** argv);
int cmd_map_where(int argc, char** argv);
int cmd_map_verify(int argc, char** argv);
int cmd_map_repair(int argc, char** argv);
int cmd_map_compact(int argc, char** argv);
int cmd_map_bench(int argc, char** argv);

}  // namespace pixellm::cli
