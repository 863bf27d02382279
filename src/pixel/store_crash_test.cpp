// A store among processes: killed writers, writers that race, readers meanwhile.
#include <signal.h>
#include <sys/wait.h>

#include <functional>

#include "pixel/pixel_store.h"
#include "pixel/pxif_test_util.h"

namespace pixellm {
namespace {

using pixel_test::Buffer;
using namespace std::chrono_literals;

class StoreProcesses : public pixel_test::FolderTest {
 protected:
  // A process that runs `work` and exits with 0 when it says true.
  static pid_t start(const std::function<bool()>& work) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(work() ? 0 : 1);
    return pid;
  }
  static int wait_for(pid_t pid) {
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return status;
  }

  // Content of version v: its number, over and over; the length differs, too.
  static Buffer version(uint8_t v) { return Buffer(300000 + 10000 * size_t{v}, v); }

  // Whether the store holds a whole version under "a".
  static bool holds_a_version(const PixelStore& store) {
    auto in = store.open("a");
    if (!in || !in->verify()) return false;
    Buffer out(in->size());
    return in->read(0, out) && !out.empty() && out == version(out[0]);
  }

  static bool write_version(const PixelStore& store, uint8_t v, PxifCompression compression) {
    auto out = store.create("a", {.compression = compression});
    return out && out->pxif.write(version(v)) && out->pxif.finish();
  }
};

TEST_F(StoreProcesses, KilledWritersLeaveTheOldVersion) {
  const PixelStore store(path("root"), 0ms);
  ASSERT_TRUE(write_version(store, 1, PxifCompression::kNone));
  for (int i = 0; i < 40; i++) {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t pid = start([&] {
      for (uint8_t v = 0;; v++) {
        if (!write_version(store, v, static_cast<PxifCompression>(v % 4))) return false;
        if (v == 0 && ::write(ready[1], "x", 1) != 1) return false;
      }
    });
    char c;
    ASSERT_EQ(::read(ready[0], &c, 1), 1);
    ::usleep(static_cast<useconds_t>(i * 997 % 9000));
    ::kill(pid, SIGKILL);
    ASSERT_TRUE(WIFSIGNALED(wait_for(pid)));
    ::close(ready[0]);
    ::close(ready[1]);
    ASSERT_TRUE(holds_a_version(store)) << i;
    // The lock went with the process; the next writer does not wait.
    ASSERT_TRUE(write_version(store, 7, PxifCompression::kLz4)) << i;
    ASSERT_EQ(store.list(true)->images.size(), 1u);
    ASSERT_TRUE(store.list(true)->problems.empty());
  }
}

TEST_F(StoreProcesses, WritersOfOneNameTakeTurns) {
  const PixelStore store(path("root"), 60s);
  ASSERT_TRUE(write_version(store, 1, PxifCompression::kNone));
  std::vector<pid_t> processes;
  for (uint8_t writer = 0; writer < 4; writer++)
    processes.push_back(start([&, writer] {
      for (uint8_t i = 0; i < 5; i++)
        if (!write_version(store, static_cast<uint8_t>(writer * 5 + i), static_cast<PxifCompression>(writer)))
          return false;
      return true;
    }));
  for (int reader = 0; reader < 2; reader++)
    processes.push_back(start([&] {
      for (int i = 0; i < 100; i++)
        if (!holds_a_version(store)) return false;
      return true;
    }));
  for (const pid_t pid : processes) EXPECT_EQ(wait_for(pid), 0);
  EXPECT_TRUE(holds_a_version(store));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path("root")), {}), 1) << "no lock file stays";
}

TEST_F(StoreProcesses, ManyNamesAtOnce) {
  const PixelStore store(path("root"), 0ms);
  std::vector<pid_t> processes;
  for (int p = 0; p < 4; p++)
    processes.push_back(start([&, p] {
      for (int i = 0; i < 10; i++) {
        const std::string name = "deep/er/" + std::to_string(p) + "/" + std::to_string(i);
        {
          auto out = store.create(name, {});
          if (!out || !out->pxif.write(pixel_test::text(name)) || !out->pxif.finish()) return false;
        }
        if (i % 2 == 0 && !store.remove(name)) return false;
      }
      return true;
    }));
  for (const pid_t pid : processes)
    EXPECT_EQ(wait_for(pid), 0) << "removals of different names never collide";
  EXPECT_EQ(store.list(true)->images.size(), 20u);
  EXPECT_TRUE(store.restore("deep/er/3/8"));
}

}  // namespace
}  // namespace pixellm
