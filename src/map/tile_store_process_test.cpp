// Several processes at one world: locks, readers without write permission, death in the middle of a commit. A
// child is forked before this process opens the world, as LMDB demands.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <functional>

#include "map/store_test_util.h"

namespace pixellm {
namespace {

using namespace store_test;
using ::testing::HasSubstr;

// A forked process that works in steps: each step() lets it go on to its next turn() and waits for what it
// answers.
class Child {
 public:
  struct Turns {
    int in, out;
    void turn(char answer) const {
      char c;
      if (::write(out, &answer, 1) != 1 || ::read(in, &c, 1) != 1) ::_exit(99);
    }
  };
  explicit Child(const std::function<void(const Turns&)>& work) {
    int down[2], up[2];
    if (::pipe2(down, O_CLOEXEC) != 0 || ::pipe2(up, O_CLOEXEC) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(down[1]), ::close(up[0]);
      const Turns turns{down[0], up[1]};
      turns.turn('0');
      work(turns);
      ::_exit(0);
    }
    ::close(down[0]), ::close(up[1]);
    to_ = down[1], from_ = up[0];
    answer();
  }
  ~Child() {
    finish();
    ::close(to_), ::close(from_);
  }
  char step() {
    if (::write(to_, "x", 1) != 1) return '-';
    return answer();
  }
  void go() { (void)!::write(to_, "x", 1); }  // on, without an answer
  void kill() { ::kill(pid_, SIGKILL); }
  int finish() {  // its exit status; lets it run to its end
    if (pid_ <= 0) return status_;
    (void)!::write(to_, "xxxxxxxx", 8);
    ::waitpid(pid_, &status_, 0);
    pid_ = 0;
    return status_;
  }
  int from() const { return from_; }

 private:
  char answer() {
    char c = '-';
    return ::read(from_, &c, 1) == 1 ? c : '-';
  }
  pid_t pid_ = 0;
  int to_ = -1, from_ = -1, status_ = 0;
};

char letter(const Result<std::unique_ptr<TileStore>>& store) {
  if (store) return 'o';
  return store.error().code == ErrorCode::kBusy       ? 'b'
         : store.error().code == ErrorCode::kNotFound ? 'n'
                                                      : 'e';
}

class ProcessTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    std::signal(SIGPIPE, SIG_IGN);
  }
};

TEST_F(ProcessTest, OneWriter) {
  Child child([&](const Child::Turns& turns) {
    turns.turn(letter(TileStore::open(world(), {})));  // the parent has it
    turns.turn(letter(TileStore::open(world(), {.read_only = true})));
    auto mine = TileStore::open(world(), {});  // the parent gave it up
    turns.turn(letter(mine));
    turns.turn('x');
  });
  auto store = open();
  EXPECT_EQ(open_error(), ErrorCode::kBusy);  // this process is no exception
  EXPECT_THAT(message_, HasSubstr("one writer"));
  EXPECT_EQ(child.step(), 'b');
  EXPECT_EQ(child.step(), 'o');
  store.reset();
  EXPECT_EQ(child.step(), 'o');
  EXPECT_EQ(open_error(), ErrorCode::kBusy);
  EXPECT_TRUE(open({.read_only = true}));
  child.kill();
  child.finish();
  EXPECT_TRUE(open());
}

TEST_F(ProcessTest, ReadersSeeCommittedStates) {
  Child child([&](const Child::Turns& turns) {
    auto store = TileStore::open(world(), {.read_only = true});
    auto snapshot = (*store)->snapshot();
    const auto first = [&] { return static_cast<char>((**(*snapshot)->tile({0, 0}))[0]); };
    turns.turn(first());
    turns.turn(first());
    (void)(*snapshot)->refresh();
    turns.turn(first());
  });
  auto store = open();
  Buffer rgb(store->tile_bytes(), 'a');
  put(*store, {0, 0}, rgb);
  EXPECT_EQ(child.step(), 'a');
  for (char c = 'b'; c <= 'z'; ++c) {
    std::ranges::fill(rgb, static_cast<uint8_t>(c));
    put(*store, {0, 0}, rgb);
  }
  EXPECT_EQ(store->compact().error().code, ErrorCode::kBusy);
  EXPECT_EQ(child.step(), 'a');
  EXPECT_EQ(child.step(), 'z');
  child.finish();
  EXPECT_TRUE(store->compact());
}

// Readers of which LMDB knows nothing: they cannot write to its lock file.
TEST_F(ProcessTest, ReadersWithoutPermissionKeepTheirState) {
  const bool root = ::geteuid() == 0;
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  constexpr int kTiles = 200;
  Child child([&](const Child::Turns& turns) {
    if (root && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(98);
    auto store = TileStore::open(world(), {.read_only = true});
    turns.turn(letter(store));
    auto snapshot = (*store)->snapshot();
    const auto same = [&](uint64_t seed) {
      for (int i = 0; i < kTiles; ++i) {
        const auto rgb = (*snapshot)->tile({i, 0});
        if (!rgb || !*rgb || !std::ranges::equal(**rgb, pixels(**store, seed))) return '!';
      }
      return '=';
    };
    turns.turn(same(0));
    turns.turn(same(0));  // after many commits
    (void)(*snapshot)->refresh();
    turns.turn(same(9));
    turns.turn(letter(TileStore::open(world(), {})));
  });
  {
    auto store = open({.tile_size = 16});
    const auto fill = [&](uint64_t seed) {
      const Buffer rgb = pixels(*store, seed);
      StoreChanges changes;
      for (int i = 0; i < kTiles; ++i) changes.tiles.push_back({{i, 0}, rgb});
      ASSERT_TRUE(store->commit(changes));
    };
    fill(0);
    if (!root) {
      ASSERT_EQ(::chmod((world() + "/lock.mdb").c_str(), 0444), 0);
      ASSERT_EQ(::chmod(data_file().c_str(), 0444), 0);
      ASSERT_EQ(::chmod(world().c_str(), 0555), 0);
    }
    EXPECT_EQ(child.step(), 'o');
    EXPECT_EQ(child.step(), '=');
    for (uint64_t seed = 1; seed < 10; ++seed) fill(seed);
    EXPECT_EQ(child.step(), '=');
    EXPECT_EQ(store->compact().error().code, ErrorCode::kBusy);
    EXPECT_EQ(child.step(), '=');
    EXPECT_EQ(child.step(), 'b');   // somebody else writes already
    EXPECT_EQ(child.finish(), 0);
    const uint64_t before = stats(*store).file_bytes;
    for (uint64_t seed = 1; seed < 10; ++seed) fill(seed);
    EXPECT_LT(stats(*store).file_bytes, before + (200 << 10));  // pages are used again
  }
  ::chmod(world().c_str(), 0755);
}

TEST_F(ProcessTest, CommitsSurviveKill) {
  constexpr int kTiles = 30;
  std::mt19937 random(1);
  uint64_t last = 0;
  for (int round = 0; round < 8; ++round) {
    Child child([&](const Child::Turns& turns) {
      auto store = TileStore::open(world(), {.tile_size = 64});
      if (!store) ::_exit(97);
      for (uint64_t seed = last + 1;; ++seed) {
        const Buffer rgb = pixels(**store, seed);
        StoreChanges changes;
        for (int i = 0; i < kTiles; ++i) changes.tiles.push_back({{i, i}, rgb});
        changes.lengths = {{0, 0, seed}};
        if (!(*store)->commit(changes) || ::write(turns.out, &seed, sizeof seed) != sizeof seed) ::_exit(96);
      }
    });
    const int commits = std::uniform_int_distribution<int>(1, 8)(random);
    uint64_t acknowledged = 0;
    child.go();
    for (int i = 0; i < commits; ++i) ASSERT_EQ(::read(child.from(), &acknowledged, sizeof acknowledged), 8);
    ::usleep(std::uniform_int_distribution<useconds_t>(0, 8000)(random));
    child.kill();
    child.finish();

    auto store = open();
    auto snapshot = *store->snapshot();
    const auto seed = *snapshot->byte_length(0, 0);
    ASSERT_TRUE(seed);
    EXPECT_GE(*seed, acknowledged);
    const Buffer rgb = pixels(*store, *seed);
    for (int i = 0; i < kTiles; ++i) ASSERT_TRUE(std::ranges::equal(**snapshot->tile({i, i}), rgb));
    const auto found = *store->verify();
    EXPECT_THAT(found.other, ::testing::IsEmpty());
    EXPECT_TRUE(found.bad.empty());
    last = *seed;
  }
}

TEST_F(ProcessTest, KilledWhileCreatingOrCompacting) {
  std::mt19937 random(1);
  for (int round = 0; round < 8; ++round) {
    Child child([&](const Child::Turns&) {
      for (;;) {
        auto store = TileStore::open(world(), {});
        if (!store) ::_exit(97);
        const Buffer rgb = pixels(**store, 1);
        for (int i = 0; i < 3; ++i)
          if (!(*store)->commit({.tiles = {{{i, 0}, rgb}}})) ::_exit(96);
        if (!(*store)->compact()) ::_exit(95);
      }
    });
    child.go();
    ::usleep(std::uniform_int_distribution<useconds_t>(1000, 60000)(random));
    child.kill();
    child.finish();
    auto store = open();
    for (const TileCoord tile : all_tiles(*store)) EXPECT_EQ(get(*store, tile), pixels(*store, 1));
    EXPECT_THAT(store->verify()->other, ::testing::IsEmpty());
    EXPECT_TRUE(store->compact());
    if (round % 2) {
      store.reset();
      std::filesystem::remove_all(world());
    }
  }
}

TEST_F(ProcessTest, LeftoversOfAFailedCreation) {
  std::filesystem::create_directory(world());
  ASSERT_TRUE(write_file(world() + "/data.mdb.new", Buffer(5000, 3)));
  ASSERT_TRUE(write_file(world() + "/lock.mdb", Buffer{}));
  put(*open(), {0, 0}, Buffer(12288));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(world()), {}), 2);
}

TEST_F(ProcessTest, NothingOpensWhileCompacting) {
  open();
  const int fd = ::open(data_file().c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0);  // as a compaction holds it
  EXPECT_EQ(open_error({.read_only = true}), ErrorCode::kBusy);
  EXPECT_THAT(message_, HasSubstr("compacted"));
  EXPECT_EQ(open_error(), ErrorCode::kBusy);
  ::close(fd);
  EXPECT_TRUE(open());
}

}  // namespace
}  // namespace pixellm
