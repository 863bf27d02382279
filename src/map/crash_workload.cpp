#include "map/crash_workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "base/file.h"
#include "base/hash.h"

namespace pixellm::crash {
namespace {

constexpr int64_t kReach = 4;  // most tiles lie within this many of the origin
constexpr PixelRect kEverything{std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::min(),
                                std::numeric_limits<uint64_t>::max(), std::numeric_limits<uint64_t>::max()};
constexpr uint32_t kTileSizes[] = {16, 16, 17, 32, 64};

std::string message_of(const Error& error) {
  return fmt::format("{} ({})", error.message, error_code_name(error.code));
}

std::string first_finding(const StoreFindings& f) {
  if (!f.bad.empty())
    return fmt::format("verify: {} bad tiles, the first {},{}", f.bad.size(), f.bad[0].x, f.bad[0].y);
  if (f.bad_old_versions > 0) return fmt::format("verify: {} bad old versions", f.bad_old_versions);
  if (!f.other.empty()) return "verify: " + f.other[0];
  return "";
}

}  // namespace

Result<WorldState> state_of(const TileStore& store) {
  const auto snapshot = PIXELLM_TRY(store.snapshot());
  WorldState out;
  out.version = snapshot->version();
  out.old_versions = PIXELLM_TRY(snapshot->stats()).old_versions;
  const auto keys = PIXELLM_TRY(snapshot->keys());
  for (auto key = PIXELLM_TRY(keys->seek({})); key; key = PIXELLM_TRY(keys->next())) {
    const TileCoord tile = tile_of(*key);
    const auto rgb = PIXELLM_TRY(snapshot->tile(tile));
    if (!rgb)
      return fail(ErrorCode::kCorrupt, fmt::format("tile {},{} is listed and absent", tile.x, tile.y));
    out.tiles.emplace_back(tile, crc32(0, *rgb));
  }
  for (int64_t y = -kReach; y < kReach; ++y) {
    for (int64_t x = -kReach; x < kReach; ++x) {
      const std::pair<int64_t, int64_t> at(x * store.tile_size(), y * store.tile_size());
      if (const auto length = PIXELLM_TRY(snapshot->byte_length(at.first, at.second)))
        out.lengths.emplace_back(at, *length);
    }
  }
  for (StoreRecord& record : PIXELLM_TRY(snapshot->records()))
    out.records.emplace_back(record.name, std::move(record.value));
  return out;
}

std::string describe(const WorldState& s) {
  uint32_t sum = 0;
  for (const auto& tile : s.tiles) sum = sum * 31 + tile.second;
  return fmt::format("version {}, {} old versions, {} lengths, {} records, {} tiles ({:08x})", s.version,
                     s.old_versions, s.lengths.size(), s.records.size(), s.tiles.size(), sum);
}

Workload::Workload(const std::string& root, const WorkloadOptions& options)
    : root_(root),
      options_(options),
      random_(options.seed),
      tile_size_(kTileSizes[random_() % std::size(kTileSizes)]) {
  disk_ = std::make_unique<CrashDisk>(root);
  states_.push_back({});
}

Workload::~Workload() { close(); }

void Workload::close() {
  held_.reset();
  store_ = nullptr;
  world_.reset();
  own_store_.reset();
}

TileCoord Workload::random_tile() {
  const auto near = [&] { return static_cast<int64_t>(random_() % (2 * kReach)) - kReach; };
  if (random_() % 16 == 0) return {near() * (int64_t{1} << 40), near() * (int64_t{1} << 40)};
  return {near(), near()};
}

PixelRect Workload::random_rect() {
  if (random_() % 8 == 0) return kEverything;
  const int64_t reach = kReach * tile_size_;
  const auto near = [&] {
    return static_cast<int64_t>(random_() % static_cast<uint64_t>(2 * reach)) - reach;
  };
  return {near(), near(), 1 + random_() % static_cast<uint64_t>(reach),
          1 + random_() % static_cast<uint64_t>(reach)};
}

Result<void> Workload::step_commit() {
  StoreChanges changes;
  pixels_.clear();
  for (uint64_t n = random_() % 8 == 0 ? 60 : random_() % 12; n-- > 0;) {
    const TileCoord tile = random_tile();
    if (std::ranges::any_of(changes.tiles, [&](const TileChange& c) { return c.tile == tile; })) continue;
    std::vector<uint8_t>& rgb = pixels_.emplace_back(store_->tile_bytes(), static_cast<uint8_t>(random_()));
    if (random_() % 4) std::ranges::generate(rgb, [&] { return static_cast<uint8_t>(random_()); });
    changes.tiles.push_back({.tile = tile, .rgb = rgb});
  }
  for (uint64_t n = random_() % 3; n-- > 0;) {
    const int64_t size = tile_size_;
    const auto near = [&] { return (static_cast<int64_t>(random_() % (2 * kReach)) - kReach) * size; };
    const ByteLength length{near(), near(), random_() % 10'000};
    if (std::ranges::none_of(changes.lengths,
                             [&](const ByteLength& l) { return l.x == length.x && l.y == length.y; }))
      changes.lengths.push_back(length);
  }
  PIXELLM_CHECK(store_->commit(changes));
  const auto snapshot = PIXELLM_TRY(store_->snapshot());
  for (const TileChange& change : changes.tiles) {
    const auto rgb = PIXELLM_TRY(snapshot->tile(change.tile));
    if (!rgb || !std::ranges::equal(*rgb, change.rgb))
      return fail(ErrorCode::kInternal, "a committed tile reads otherwise");
  }
  return {};
}

Result<void> Workload::step_paint() {
  PixelRect rect;
  std::vector<uint8_t> rgb;
  for (uint64_t n = 1 + random_() % 4; n-- > 0;) {
    rect = random_rect();
    rect.w = std::min<uint64_t>(rect.w, 3 * tile_size_);
    rect.h = std::min<uint64_t>(rect.h, 3 * tile_size_);
    rgb.resize(3 * rect.w * rect.h);
    std::ranges::generate(rgb, [&] { return static_cast<uint8_t>(random_()); });
    PIXELLM_CHECK(world_->write(rect, rgb));
  }
  if (random_() % 3 == 0) {
    const TileCoord corner = random_tile();
    PIXELLM_CHECK(world_->write_bytes(corner.x * tile_size_, corner.y * tile_size_,
                                      Bytes(rgb).first(random_() % rgb.size())));
    rgb.clear();
  }
  PIXELLM_CHECK(world_->flush());
  if (rgb.empty()) return {};
  std::vector<uint8_t> seen(rgb.size());
  PIXELLM_CHECK(world_->read(rect, seen));
  return seen == rgb ? Result<void>{} : fail(ErrorCode::kInternal, "a painted rectangle reads otherwise");
}

Result<void> Workload::step_erase_or_restore(bool restore) {
  const PixelRect rect = random_rect();
  if (world_)
    PIXELLM_TRY(restore ? world_->restore(rect) : world_->erase(rect));
  else
    PIXELLM_TRY(restore ? store_->restore(rect) : store_->erase(rect));
  return {};
}

Result<void> Workload::step_record() {
  const std::string name = fmt::format("record {}", random_() % 3);
  if (random_() % 3 == 0) {
    auto removed = store_->remove_record(name);
    if (!removed && removed.error().code == ErrorCode::kNotFound) return {};
    return removed;
  }
  std::vector<uint8_t> value(random_() % 5000, static_cast<uint8_t>(random_()));
  return store_->put_record({name, std::move(value)});
}

Result<void> Workload::reopen() {
  close();
  const std::string folder = root_ + "/world";
  if (options_.through_world) {
    world_.emplace(PIXELLM_TRY(World::open(folder, {.tile_size = tile_size_})));
    store_ = &world_->store();
  } else {
    own_store_ = PIXELLM_TRY(TileStore::open(folder, {.tile_size = tile_size_}));
    store_ = own_store_.get();
  }
  return {};
}

// Does one thing; its name. The random numbers that it takes do not depend on how it ends.
std::string Workload::random_step(Result<void>& result) {
  const uint64_t kind = random_() % 100;
  const uint64_t inner = random_();
  CrashReplay::Random rest(inner);
  std::swap(rest, random_);
  std::string name;
  if (!store_ || kind < 8) {
    name = "open";
    result = reopen();
  } else if (kind < 60) {
    name = "commit";
    result = world_ ? step_paint() : step_commit();
  } else if (kind < 82) {
    name = kind < 73 ? "erase" : "restore";
    result = step_erase_or_restore(kind >= 73);
  } else if (kind < 89) {
    name = "record";
    result = step_record();
  } else if (kind < 93 && !world_) {
    name = "compact";
    held_.reset();
    if (auto saved = store_->compact(); !saved) result = std::unexpected(saved.error());
  } else if (kind < 96 && !world_) {
    name = "repair";
    if (auto findings = store_->repair(); !findings) result = std::unexpected(findings.error());
  } else {
    name = "snapshot";
    held_.reset();
    auto snapshot = store_->snapshot();
    if (snapshot)
      held_ = std::move(*snapshot);
    else
      result = std::unexpected(snapshot.error());
  }
  std::swap(rest, random_);
  return name;
}

std::optional<std::string> Workload::note_state(Step step, const Result<void>& result) {
  step.end = disk_->journal().size();
  step.before = step.after = states_.size() - 1;
  step.failed = !result;
  if (!result && !store_) {  // could not be opened; the next step opens it
    steps_.push_back(step);
    return std::nullopt;
  }
  auto now = state_of(*store_);
  if (!now && !result && (held_ || world_)) {  // after some failures, only when old snapshots are gone
    held_.reset();
    if (world_) {  // keeps one until its next change
      if (auto opened = reopen(); !opened)
        return "after a failed " + step.name + ": " + message_of(opened.error());
    }
    now = state_of(*store_);
  }
  if (!now)
    return fmt::format("after {}{}: {}", result ? "" : "a failed ", step.name, message_of(now.error()));
  const bool changed = states_.size() == 1 || *now != states_.back().world;
  // A compaction may be found done though its last sync failed.
  if (!result && changed && step.name != "compact")
    return fmt::format("a failed {} had an effect\n  before {}\n  after {}", step.name,
                       describe(states_.back().world), describe(*now));
  if (changed) {
    auto file = read_file(root_ + "/world/data.mdb", uint64_t{1} << 30);
    if (!file) return message_of(file.error());
    step.after = states_.size();
    step.uncertain = !result;
    states_.push_back({std::move(*now), std::move(*file), std::nullopt});
  }
  steps_.push_back(step);
  return std::nullopt;
}

std::optional<std::string> Workload::one_step(bool may_fail) {
  const CrashReplay::Random before = random_;
  if (may_fail) {
    CrashReplay::Random faults(random_());
    static constexpr Fault kFaults[] = {Fault::kNoSpace, Fault::kIoError, Fault::kShortWrite};
    disk_->fail_after(faults() % 12, kFaults[faults() % 3], faults() % 3 == 0 ? 1000 : 1 + faults() % 2);
    random_ = before;
  }
  Step step{"", disk_->journal().size(), 0, 0, 0};
  Result<void> result;
  step.name = random_step(result);
  const bool met = may_fail && disk_->fault_happened();
  step.uncertain = may_fail && disk_->failing();
  if (may_fail) disk_->stop_failing();
  if (!result && !met) return fmt::format("{} failed: {}", step.name, message_of(result.error()));
  if (!result && result.error().code != ErrorCode::kIo)
    return fmt::format("{} failed as {}", step.name, message_of(result.error()));
  faults_met_ += met;
  if (auto wrong = note_state(step, result)) return wrong;
  if (result) return std::nullopt;
  // A disk with room again: the same must succeed now. What it makes is what was in flight when it failed.
  random_ = before;
  const size_t failed = steps_.size() - 1;
  if (auto wrong = one_step(false)) return fmt::format("after a failed {}: {}", step.name, *wrong);
  if (steps_[failed].after == steps_[failed].before) steps_[failed].after = steps_.back().after;
  return std::nullopt;
}

std::optional<std::string> Workload::run() {
  for (unsigned i = 0; i < options_.steps; ++i) {
    const bool may_fail = options_.faults && random_() % 3 == 0;
    if (auto wrong = one_step(may_fail)) return fmt::format("step {}: {}", i, *wrong);
  }
  close();
  return std::nullopt;
}

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
  if (!opened) return "cannot be opened: " + message_of(opened.error());
  auto store = std::move(*opened);
  const auto found = state_of(*store);
  if (!found) return message_of(found.error());
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
  if (!findings) return "verify: " + message_of(findings.error());
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
    if (!written) return message_of(written.error());
    auto clean = TileStore::open(scratch + "/world", {.create = false, .tile_size = tile_size_});
    if (!clean) return "a copy of the state cannot be opened: " + message_of(clean.error());
    if (auto restored = (*clean)->restore(kEverything); !restored)
      return "restore in a copy: " + message_of(restored.error());
    auto expected = state_of(**clean);
    if (!expected) return "a restored copy: " + message_of(expected.error());
    state.restored = std::move(*expected);
  }
  if (auto restored = store.restore(kEverything); !restored)
    return "restore: " + message_of(restored.error());
  const auto found = state_of(store);
  if (!found) return "after restore: " + message_of(found.error());
  if (*found != *state.restored)
    return fmt::format("restores otherwise\n  expected {}\n  found {}", describe(*state.restored),
                       describe(*found));
  return std::nullopt;
}

std::optional<std::string> Workload::check_writing(const std::string& world, std::unique_ptr<TileStore> store,
                                                   CrashReplay::Random& random) {
  auto expected = state_of(*store);
  if (!expected) return message_of(expected.error());
  std::vector<uint8_t> rgb(store->tile_bytes(), static_cast<uint8_t>(random()));
  const TileCoord tile{100, -100};
  if (auto done = store->commit({.tiles = {{tile, rgb}}, .lengths = {}}); !done)
    return "commit: " + message_of(done.error());
  if (random() % 8 == 0) {
    if (auto saved = store->compact(); !saved) return "compact: " + message_of(saved.error());
  }
  if (random() % 4 == 0) {
    store.reset();
    auto opened = TileStore::open(world, {.create = false, .tile_size = tile_size_});
    if (!opened) return "cannot be opened again: " + message_of(opened.error());
    store = std::move(*opened);
  }
  auto found = state_of(*store);
  if (!found) return "after a commit: " + message_of(found.error());
  const auto it = std::ranges::find(found->tiles, tile, [](const auto& entry) { return entry.first; });
  if (it == found->tiles.end() || it->second != crc32(0, rgb)) return "a new tile reads otherwise";
  found->tiles.erase(it);
  if (found->tiles != expected->tiles) return "a commit changed other tiles";
  return std::nullopt;
}

}  // namespace pixellm::crash
