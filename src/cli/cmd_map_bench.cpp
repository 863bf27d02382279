// pixellm map bench: how fast a world is on this disk, beside a plain LMDB loop.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "cli/map_commands.h"
#include "cli/map_operations.h"
#include "map/map_bench.h"
#include "map/tile_store.h"

namespace pixellm::cli {
namespace {

void print(const MapBench& m, bool json) {
  const auto rounded = [](double value, double unit) { return std::round(value / unit) * unit; };
  const auto ratio = [](double value) { return std::round(value * 1000) / 1000; };
  if (json) {
    fmt::print("{}\n", to_line({{"put_per_s", rounded(m.put_per_s, 1)},
                                {"get_per_s", rounded(m.get_per_s, 1)},
                                {"lmdb_put_per_s", rounded(m.lmdb_put_per_s, 1)},
                                {"lmdb_get_per_s", rounded(m.lmdb_get_per_s, 1)},
                                {"put_ratio", ratio(m.put_ratio)},
                                {"get_ratio", ratio(m.get_ratio)},
                                {"lookup_per_s", rounded(m.lookup_per_s, 1)},
                                {"pixel_per_s", rounded(m.pixel_per_s, 1)},
                                {"pixel_set_per_s", rounded(m.pixel_set_per_s, 1)},
                                {"region_memcpy_ratio", ratio(m.region_memcpy_ratio)},
                                {"region_gb_s", ratio(m.region_gb_s)},
                                {"memcpy_gb_s", ratio(m.memcpy_gb_s)},
                                {"world_bytes", m.world_bytes},
                                {"lmdb_bytes", m.lmdb_bytes}}));
    return;
  }
  fmt::print("puts     {:.0f} tiles/s, plain LMDB {:.0f}: {:.2f} of it\n", m.put_per_s, m.lmdb_put_per_s,
             m.put_ratio);
  fmt::print("gets     {:.0f} tiles/s, plain LMDB {:.0f}: {:.2f} of it\n", m.get_per_s, m.lmdb_get_per_s,
             m.get_ratio);
  fmt::print("look-ups {:.1f} million cached tiles/s\n", m.lookup_per_s / 1e6);
  fmt::print("pixels   {:.0f} million/s read, {:.0f} million/s set\n", m.pixel_per_s / 1e6,
             m.pixel_set_per_s / 1e6);
  fmt::print("regions  {:.1f} GB/s, memcpy {:.1f} GB/s: {:.2f} times as long\n", m.region_gb_s, m.memcpy_gb_s,
             m.region_memcpy_ratio);
  fmt::print("on disk  {}, plain LMDB {}\n", human_bytes(m.world_bytes), human_bytes(m.lmdb_bytes));
}

}  // namespace

int cmd_map_bench(int argc, char** argv) {
  CLI::App app(
      "Measures commits, look-ups, pixels and regions of a new world in a sub-folder of FOLDER, which it "
      "removes, and the\n"
      "same values in a plain LMDB loop, by turns. One thread.");
  std::string folder;
  MapBenchOptions options;
  bool json = false;
  app.add_option("--world", folder, "where to work: a world's folder or any other; made when it is not there")
      ->required();
  app.add_option("--tiles", options.tiles, "tiles of 64 x 64 pixels to put and get")->capture_default_str();
  app.add_option("--rounds", options.rounds, "rounds, of which the medians are printed")
      ->capture_default_str();
  app.add_flag("--json", json, "print one JSON object");
  app.footer("Example:\n  pixellm map bench --world world --json");
  if (auto status = parse(app, argc, argv)) return *status;
  catch_interrupts();
  const Progress bar = progress_bar("measuring");
  const double bytes =
      2.0 * 3 * kDefaultTileSize * kDefaultTileSize * static_cast<double>(options.tiles) * options.rounds;
  const auto measured = bench_map(folder, options, [&](double done) {
    bar(static_cast<uint64_t>(done * bytes), static_cast<uint64_t>(bytes));
    return !interrupted();
  });
  if (!measured) return report(measured.error());
  print(*measured, json);
  return 0;
}

}  // namespace pixellm::cli
