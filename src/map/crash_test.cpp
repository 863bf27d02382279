// Power failures and failing disks under a tile store, simulated (crash_disk.h). A run of 300 by default;
//   PIXELLM_CRASHES=100000 ./map_crash_test --gtest_filter=Crash.*       a long one, with its progress on
//   stderr PIXELLM_CRASH_SEED=42 PIXELLM_CRASHES=50 ./map_crash_test ...        one workload: what a failure
//   prints
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "map/crash_workload.h"

namespace pixellm::crash {
namespace {

constexpr uint64_t kCrashesPerWorkload = 50;

uint64_t number_from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  if (!text) return otherwise;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), value);
  if (error != std::errc() || *end != 0) ADD_FAILURE() << name << " is no number: " << text;
  return value;
}

// In memory where the system has such a folder.
class Crash : public testing::Test {
 protected:
  void SetUp() override {
    const std::string base = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : testing::TempDir();
    std::string pattern = base + "/pixellm-crash-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    for (const char* part : {"image", "scratch"}) std::filesystem::create_directory(folder_ + "/" + part);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // A workload and `crashes` crashes; what went wrong.
  std::optional<std::string> crash(const WorkloadOptions& options, uint64_t crashes,
                                   CrashReplay::Lie lie = CrashReplay::Lie::kNone) {
    const std::string root = folder_ + "/live";
    std::filesystem::create_directory(root);
    std::optional<std::string> wrong;
    {
      Workload work(root, options);
      wrong = work.run();
      faults_met_ += work.faults_met();
      operations_ += work.disk().journal().size();
      if (!wrong) wrong = crash_at_many_points(work, crashes, lie, options.faults);
    }
    std::filesystem::remove_all(root);
    return wrong;
  }

  std::string folder_;
  uint64_t crashes_done_ = 0, faults_met_ = 0, operations_ = 0;

 private:
  std::optional<std::string> crash_at_many_points(Workload& work, uint64_t crashes, CrashReplay::Lie lie,
                                                  bool faults) {
    const std::vector<DiskOp>& journal = work.disk().journal();
    CrashReplay replay(journal, work.seed());
    replay.lie(lie);
    CrashReplay::Random random(work.seed() ^ 0x5eed);
    std::vector<size_t> positions(crashes);
    for (size_t& p : positions) p = random() % (journal.size() + 1);
    std::ranges::sort(positions);
    for (size_t i = 0; i < positions.size(); ++i) {
      CrashReplay::Random of_crash(work.seed() * 1'000'003 + i);
      replay.advance(positions[i]);
      if (auto made = replay.write_image(folder_ + "/image", of_crash); !made) return made.error().message;
      if (auto wrong = work.check_image(folder_ + "/image", folder_ + "/scratch", positions[i], of_crash))
        return "crash " + std::to_string(i) + " during operation " + std::to_string(positions[i]) + ": " +
               *wrong;
      ++crashes_done_;
    }
    replay.advance(journal.size());
    if (faults) return std::nullopt;  // a failed sync leaves files that differ from the disk
    auto matches = replay.matches(folder_ + "/live");
    if (!matches) return matches.error().message;
    return *matches ? std::nullopt
                    : std::optional<std::string>("the files hold what no watched call has written");
  }
};

TEST_F(Crash, NoCommittedTileIsLostAndNoTornOneRead) {
  const uint64_t total = number_from_environment("PIXELLM_CRASHES", 300);
  uint64_t seed = number_from_environment("PIXELLM_CRASH_SEED", 1);
  const bool long_run = total > 1000;
  uint64_t reported = 0;
  for (uint64_t left = total; left > 0; ++seed) {
    const uint64_t crashes = std::min(left, kCrashesPerWorkload);
    const auto wrong =
        crash({.seed = seed, .through_world = seed % 2 == 0, .faults = seed % 3 == 0}, crashes);
    ASSERT_FALSE(wrong) << *wrong << "\nreplay: PIXELLM_CRASH_SEED=" << seed
                        << " PIXELLM_CRASHES=" << crashes;
    left -= crashes;
    if (long_run && (total - left) * 20 / total > reported) {
      reported = (total - left) * 20 / total;
      std::fprintf(stderr, "%llu crashes, seed %llu, %llu failed operations\n",
                   static_cast<unsigned long long>(total - left), static_cast<unsigned long long>(seed),
                   static_cast<unsigned long long>(faults_met_));
    }
  }
  EXPECT_EQ(crashes_done_, total);
  EXPECT_TRUE(total < 300 || faults_met_ > 0);
}

// Full disks and failing ones without a power failure: every step either is done or has no effect, and can be
// done again.
TEST_F(Crash, FailingOperationsHaveNoEffect) {
  for (uint64_t seed = 1000; seed < 1030; ++seed) {
    const auto wrong = crash({.seed = seed, .through_world = seed % 2 == 0, .faults = true, .steps = 30}, 0);
    ASSERT_FALSE(wrong) << *wrong << "\nseed " << seed;
  }
  EXPECT_GT(faults_met_, 50u);
}

// Were nothing synced, or the files only, or the names only, the checks would see it.
TEST_F(Crash, ADiskThatLiesIsFoundOut) {
  for (CrashReplay::Lie lie :
       {CrashReplay::Lie::kAll, CrashReplay::Lie::kFileSyncs, CrashReplay::Lie::kFolderSyncs}) {
    uint64_t found = 0;
    for (uint64_t seed = 1; seed <= 5; ++seed)
      found += crash({.seed = seed, .faults = false}, 30, lie).has_value();
    EXPECT_EQ(found, 5u) << "lie " << static_cast<int>(lie);
  }
}

}  // namespace
}  // namespace pixellm::crash
