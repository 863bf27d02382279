#include "cli/map_single.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

namespace pixellm::cli {

int run_single(const WorldFlags& flags, WorldAccess access, const Json& operation, bool json,
               void (*print)(const Json& answer)) {
  Json answer;
  const auto run = [&](World& world) -> Result<void> {
    answer = PIXELLM_TRY(run_operation(world, operation));
    return {};
  };
  const auto read = [&]() -> Result<void> {
    World world = PIXELLM_TRY(flags.open_reading());
    return run(world);
  };
  const auto done =
      access == WorldAccess::kRead ? read() : flags.change(access == WorldAccess::kChangeOrCreate, run);
  if (!done) return report(done.error());
  if (json) {
    fmt::print("{}\n", to_line(answer));
  } else if (print) {
    print(answer);
  }
  return 0;
}

void add_json_flag(CLI::App& app, bool& json) { app.add_flag("--json", json, "print one JSON object"); }

}  // namespace pixellm::cli
