// What the crash tests do to a world, and what they ask of the pieces. For tests only.
//
// A Workload runs a seeded series of steps (commits, erases, restores, compactions, failing ones too) on a
// real TileStore whose disk is watched, and notes after each the state of the world. check_image() then opens
// what a power failure could have left, and looks whether it is a state that the program was promised.
#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "map/crash_disk.h"
#include "map/tile_store.h"
#include "map/world.h"

namespace pixellm::crash {

// Everything that can be asked of one state of a world.
struct WorldState {
  uint64_t version = 0, old_versions = 0;
  std::vector<std::pair<TileCoord, uint32_t>> tiles;  // with a checksum of the pixels
  std::vector<std::pair<std::pair<int64_t, int64_t>, uint64_t>> lengths;
  std::vector<std::pair<std::string, std::vector<uint8_t>>> records;
  bool operator==(const WorldState&) const = default;
};

// Reads all of it; the error of the first part that cannot be read.
Result<WorldState> state_of(const TileStore& store);

std::string describe(const WorldState& state);  // for messages

struct WorkloadOptions {
  uint64_t seed = 1;
  bool through_world = false;  // paints on a World and flushes, instead of commits to the store
  bool faults = false;         // some steps meet a full disk, I/O errors and short writes
  unsigned steps = 24;
};

class Workload {
 public:
  // Works in `root`, an empty folder; the world is in root/world.
  Workload(const std::string& root, const WorkloadOptions& options);
  ~Workload();

  // Runs all steps. What went wrong, for people; nullopt when every step kept its promise.
  std::optional<std::string> run();

  const CrashDisk& disk() const { return *disk_; }
  uint64_t seed() const { return options_.seed; }
  uint64_t faults_met() const { return faults_met_; }

  // After run(): checks the image in `folder` of a crash during operation `position`, and writes to it.
  // `scratch`: another folder. What is wrong with it, for people.
  std::optional<std::string> check_image(const std::string& folder, const std::string& scratch,
                                         size_t position, CrashReplay::Random& random);

 private:
  struct Step {
    std::string name;
    size_t begin, end;     // positions in the journal
    size_t before, after;  // states; of a failed step, what it was about to make
    bool failed = false;
    bool uncertain = false;  // failed, on a disk that has not worked since: either state may lie there
  };
  struct State {
    WorldState world;
    std::vector<uint8_t> data_file;      // a copy of data.mdb
    std::optional<WorldState> restored;  // what restore() of everything makes of it, when it was asked for
  };

  std::string random_step(Result<void>& result);
  Result<void> step_commit();
  Result<void> step_paint();
  Result<void> step_erase_or_restore(bool restore);
  Result<void> step_record();
  void close();
  Result<void> reopen();
  std::optional<std::string> one_step(bool may_fail);
  std::optional<std::string> note_state(Step step, const Result<void>& result);
  std::optional<std::string> check_restore(TileStore& store, State& state, const std::string& scratch);
  std::optional<std::string> check_writing(const std::string& world, std::unique_ptr<TileStore> store,
                                           CrashReplay::Random& random);
  std::set<size_t> promised(size_t position) const;
  TileCoord random_tile();
  PixelRect random_rect();

  std::string root_;
  WorkloadOptions options_;
  CrashReplay::Random random_;
  uint32_t tile_size_;
  std::unique_ptr<CrashDisk> disk_;
  std::unique_ptr<TileStore> own_store_;
  std::optional<World> world_;
  TileStore* store_ = nullptr;           // the one or the other's; nullptr: not open
  std::unique_ptr<StoreSnapshot> held_;  // an old state that a reader keeps
  std::vector<Step> steps_;
  std::vector<State> states_;                 // 0: no world yet
  std::vector<std::vector<uint8_t>> pixels_;  // of the step under way
  uint64_t faults_met_ = 0;
};

}  // namespace pixellm::crash
