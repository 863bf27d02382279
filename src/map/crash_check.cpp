// What a Workload asks of the pieces.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "map/crash_workload.h"

namespace pixellm::crash {
namespace {

std::string first_finding(const StoreFindings& f) {
  if (!f.bad.empty())
    return fmt::format("verify: {} bad tiles, the first {},{}", f.bad.size(), f.bad[0].x, f.bad[0].y);
  if (f.bad_old_versions > 0) return fmt::format("verify: {} bad old versions", f.bad_old_versions);
  if (!f.other.empty()) return "verify: " + f.other[0];
  return "";
}

}  // namespace

// The states of which one must be found when the power goes during operation `position`.
std::set<size_t> Workload::promised(size_t position) const {
  std::set<size_t> states = {0};
  for (const Step& step : steps_) {
    if (position < step.begin) break;
    const bool under_way = position < step.end;
    if (!under_way && !step.failed) states.clear();
    if (under_way || step.uncertain) states.insert(step.before);
    if (under_way || step.uncertain || !step.failed) states.insert(step.after);
    if (under_way) break;
  }
  return states;
}

std::optional<std::string> Workload::check_image(const std::string& folder, const std::string& scratch,
                                                 size_t position, CrashReplay::Random& random) {
  const std::set<size_t> states = promised(position);
  const bool may_be_missing = states.contains(0);
  const std::string world = folder + "/world";
  std::error_code error;
  if (random() % 4 == 0)  // an old lock file may lie there, with the locks of those who died
    std::filesystem::copy_file(root_ + "/world/lock.mdb", world + "/lock.mdb", error);
  auto opened = TileStore::open(world, {.create = may_be_missing, .tile_size = tile_size_});
  if (!opened) return "cannot be opened: " + describe(opened.error());
  auto store = std::move(*opened);
  const auto found = state_of(*store);
  if (!found) return describe(found.error());
  // Before there is a world, opening makes an empty one: the first state.
  const auto match =
      std::ranges::find_if(states, [&](size_t s) { return *found == states_[std::max<size_t>(s, 1)].world; });
  if (match == states.end()) {
    std::string text = "another state than promised: " + describe(*found);
    for (size_t s : states) text += fmt::format("\n  state {}: {}", s, describe(states_[s].world));
    return text;
  }
  State& state = states_[std::max<size_t>(*match, 1)];
  const auto findings = store->verify();
  if (!findings) return "verify: " + describe(findings.error());
  if (std::string text = first_finding(*findings); !text.empty()) return text;
  if (auto wrong = check_restore(*store, state, scratch)) return wrong;
  return check_writing(world, std::move(store), random);
}

// What was erased must be restorable from the image as it is from the state itself.
std::optional<std::string> Workload::check_restore(TileStore& store, State& state,
                                                   const std::string& scratch) {
  if (!state.restored) {
    std::filesystem::create_directories(scratch + "/world");
    auto written = write_file(scratch + "/world/data.mdb", state.data_file);
    if (!written) return describe(written.error());
    auto clean = TileStore::open(scratch + "/world", {.create = false, .tile_size = tile_size_});
    if (!clean) return "a copy of the state cannot be opened: " + describe(clean.error());
    if (auto restored = (*clean)->restore(kEverything); !restored)
      return "restore in a copy: " + describe(restored.error());
    auto expected = state_of(**clean);
    if (!expected) return "a restored copy: " + describe(expected.error());
    state.restored = std::move(*expected);
  }
  if (auto restored = store.restore(kEverything); !restored) return "restore: " + describe(restored.error());
  const auto found = state_of(store);
  if (!found) return "after restore: " + describe(found.error());
  if (*found != *state.restored)
    return fmt::format("restores otherwise\n  expected {}\n  found {}", describe(*state.restored),
                       describe(*found));
  return std::nullopt;
}

std::optional<std::string> Workload::check_writing(const std::string& world, std::unique_ptr<TileStore> store,
                                                   CrashReplay::Random& random) {
  auto expected = state_of(*store);
  if (!expected) return describe(expected.error());
  std::vector<uint8_t> rgb(store->tile_bytes(), static_cast<uint8_t>(random()));
  const TileCoord tile{100, -100};
  if (auto done = store->commit({.tiles = {{tile, rgb}}, .lengths = {}}); !done)
    return "commit: " + describe(done.error());
  if (random() % 8 == 0) {
    if (auto saved = store->compact(); !saved) return "compact: " + describe(saved.error());
  }
  if (random() % 4 == 0) {
    store.reset();
    auto opened = TileStore::open(world, {.create = false, .tile_size = tile_size_});
    if (!opened) return "cannot be opened again: " + describe(opened.error());
    store = std::move(*opened);
  }
  auto found = state_of(*store);
  if (!found) return "after a commit: " + describe(found.error());
  const auto it = std::ranges::find(found->tiles, tile, [](const auto& entry) { return entry.first; });
  if (it == found->tiles.end() || it->second != crc32(0, rgb)) return "a new tile reads otherwise";
  found->tiles.erase(it);
  if (found->tiles != expected->tiles) return "a commit changed other tiles";
  return std::nullopt;
}

}  // namespace pixellm::crash
