// Real processes killed with SIGKILL while they write to a world, at moments that nobody chose and at chosen
// system calls, with another process reading all the while. Nothing that a commit returned for may be missing
// afterwards.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <thread>

#include "map/crash_workload.h"

namespace pixellm::crash {
namespace {

constexpr uint32_t kTileSize = 16;

// Change number `index` of the series, which depends on nothing but the number.
Result<void> change(TileStore& store, uint64_t index) {
  CrashReplay::Random random(index);
  const auto near = [&] { return static_cast<int64_t>(random() % 8) - 4; };
  if (index % 7 == 6) {
    PIXELLM_TRY(store.erase({-30, -27, 70, 63}));
    return {};
  }
  StoreChanges changes;
  std::vector<std::vector<uint8_t>> pixels;
  for (int64_t y = -4; y < 4; ++y) {
    if (random() % 2) continue;
    pixels.emplace_back(store.tile_bytes(), static_cast<uint8_t>(random()));
    changes.tiles.push_back({.tile = {near(), y}, .rgb = pixels.back()});
  }
  changes.lengths.push_back({near() * 16, near() * 16, index});
  return store.commit(changes);
}

// A child of its own that dies with this process, and a pipe from it.
class Process {
 public:
  explicit Process(const std::function<int(int pipe)>& body) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::pipe(ends), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(ends[0]);
      ::_exit(body(ends[1]));
    }
    ::close(ends[1]);
    pipe_ = ends[0];
  }
  ~Process() {
    kill();
    ::close(pipe_);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // The next number that it sent; nullopt when it has ended and there is no more.
  std::optional<uint64_t> receive() const {
    uint64_t value = 0;
    return ::read(pipe_, &value, sizeof value) == static_cast<ssize_t>(sizeof value) ? std::optional(value)
                                                                                     : std::nullopt;
  }

  // Its status (waitpid) after it was killed, or had ended before.
  int kill() {
    ::kill(pid_, SIGKILL);
    return wait();
  }
  int wait() {
    if (!ended_) ::waitpid(pid_, &status_, 0);
    ended_ = true;
    return status_;
  }

 private:
  pid_t pid_ = -1;
  int pipe_ = -1, status_ = 0;
  bool ended_ = false;
};

class Kill : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "pixellm-kill-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    auto twin = TileStore::open(folder_ + "/twin", {.create = true, .tile_size = kTileSize});
    ASSERT_TRUE(twin) << twin.error().message;
    twin_ = std::move(*twin);
    states_.push_back(*state_of(*twin_));
    ASSERT_TRUE(TileStore::open(world(), {.create = true, .tile_size = kTileSize}));
  }
  void TearDown() override {
    twin_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::string world() const { return folder_ + "/world"; }

  // The state after so many changes, from a world to which nothing happens.
  const WorldState& expected(uint64_t changes) {
    while (states_.size() <= changes) {
      EXPECT_TRUE(change(*twin_, states_.size() - 1));
      states_.push_back(*state_of(*twin_));
      EXPECT_EQ(states_.back().version, states_[0].version + states_.size() - 1);  // each has an effect
    }
    return states_[changes];
  }

  // In a child: changes from `next` on; each is acknowledged when it has returned.
  int write_changes(uint64_t next, std::optional<uint64_t> operations, int pipe) const {
    CrashDisk disk(folder_);
    if (operations) disk.kill_after(*operations);
    auto store = TileStore::open(world(), {.create = false, .tile_size = kTileSize});
    if (!store) return 2;
    for (;; ++next) {
      if (!change(**store, next)) return 3;
      if (::write(pipe, &next, sizeof next) != sizeof next) return 4;
    }
  }

  // In a child: reads states until it is killed; ends by itself only when one is wrong.
  int read_states() const {
    auto store = TileStore::open(world(), {.read_only = true, .create = false, .tile_size = kTileSize});
    if (!store) return 2;
    for (uint64_t version = 0;;) {
      auto state = state_of(**store);
      if (!state || state->version < version) return 3;
      version = state->version;
    }
  }

  // After a kill: the world has every acknowledged change, at most one more, and is whole. The number of
  // changes.
  void check(uint64_t acknowledged, uint64_t* done) {
    auto store = TileStore::open(world(), {.create = false, .tile_size = kTileSize});
    ASSERT_TRUE(store) << store.error().message;
    auto state = state_of(**store);
    ASSERT_TRUE(state) << state.error().message;
    ASSERT_GE(state->version, states_[0].version);
    *done = state->version - states_[0].version;
    EXPECT_GE(*done, acknowledged);
    EXPECT_LE(*done, acknowledged + 1);
    EXPECT_TRUE(*state == expected(*done)) << describe(*state) << "\nexpected " << describe(expected(*done));
    auto findings = (*store)->verify();
    ASSERT_TRUE(findings) << findings.error().message;
    EXPECT_TRUE(findings->bad.empty() && findings->bad_old_versions == 0 && findings->other.empty());
  }

  std::string folder_;
  std::unique_ptr<TileStore> twin_;
  std::vector<WorldState> states_;
};

TEST_F(Kill, AtAnyMoment) {
  std::mt19937_64 random(6);
  Process reader([this](int) { return read_states(); });
  uint64_t done = 0;
  for (int round = 0; round < 12; ++round) {
    Process writer([&](int pipe) { return write_changes(done, std::nullopt, pipe); });
    uint64_t acknowledged = done;
    for (uint64_t n = random() % 12; n > 0 && writer.receive() == acknowledged; --n) ++acknowledged;
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    const int status = writer.kill();
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended with " << WEXITSTATUS(status);
    while (const auto index = writer.receive()) acknowledged = *index + 1;
    check(acknowledged, &done);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(done, 0u);
  const int status = reader.kill();
  EXPECT_TRUE(WIFSIGNALED(status)) << "the reader ended with " << WEXITSTATUS(status);
}

TEST_F(Kill, AtEveryKindOfOperation) {
  uint64_t done = 0;
  for (uint64_t operations = 0; operations < 24; ++operations) {
    Process writer([&](int pipe) { return write_changes(done, operations, pipe); });
    const int status = writer.wait();
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended with " << WEXITSTATUS(status);
    uint64_t acknowledged = done;
    while (const auto index = writer.receive()) acknowledged = *index + 1;
    check(acknowledged, &done);
    if (HasFatalFailure()) return;
  }
  EXPECT_GE(done, 12u);
}

}  // namespace
}  // namespace pixellm::crash
