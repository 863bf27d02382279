#include "cli/map_single.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

namespace pixellm::cli {

int run_single(const WorldFlags& flags, WorldAccess access, const Json& operation, bool json,
               void (*print)(const Json& answer)) {
  auto world = access == WorldAccess::kRead ? flags.open_reading()
                                            : flags.open_writing(access == WorldAccess::kChangeOrCreate);
  if (!world) return report(world.error());
  const auto answer = run_operation(*world, operation);
  if (!answer) return report(answer.error());
  if (const auto flushed = world->flush(); !flushed) return report(flushed.error());
  if (json) {
    fmt::print("{}\n", to_line(*answer));
  } else if (print) {
    print(*answer);
  }
  return 0;
}

void add_json_flag(CLI::App& app, bool& json) { app.add_flag("--json", json, "print one JSON object"); }

}  // namespace pixellm::cli
