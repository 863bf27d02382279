// One operation on a world as a command of its own.
#pragma once
#include "cli/common.h"
#include "cli/map_operations.h"
#include "cli/world_flags.h"

namespace pixellm::cli {

// What it needs of the world: a change is flushed before the command ends.
enum class WorldAccess : uint8_t { kRead, kChange, kChangeOrCreate };

// Opens the world, runs `operation`, and prints the answer: as JSON, or by `print`, when there is one. The
// exit status.
int run_single(const WorldFlags& flags, WorldAccess access, const Json& operation, bool json,
               void (*print)(const Json& answer));

void add_json_flag(CLI::App& app, bool& json);

}  // namespace pixellm::cli
