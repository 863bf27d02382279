#include <sched.h>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <numeric>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/hash_pipe.h"
#include "base/threads.h"
#include "base/utf8.h"

namespace pixellm {
namespace {

namespace fs = std::filesystem;

class TemporaryFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "pixellm-base-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const char* name) const { return (folder_ / name).string(); }
  size_t count() const { return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), {})); }
  fs::path folder_;
};

Bytes text(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

TEST(Bytes, KeepOrder) {
  uint8_t b[8];
  store_le<uint32_t>(b, 0x01020304u);
  EXPECT_EQ(b[0], 4);
  EXPECT_EQ(load_be<uint32_t>(b), 0x04030201u);
  store_be<uint64_t>(b, 13);
  EXPECT_EQ(b[7], 13);
  EXPECT_EQ(load_be<uint64_t>(b), 13u);
}

TEST(Bytes, CheckedArithmetic) {
  EXPECT_EQ(checked_add(~0ull, 1), std::nullopt);
  EXPECT_EQ(checked_mul(1ull << 33, 1ull << 31), std::nullopt);
  EXPECT_EQ(checked_mul(1ull << 31, 1ull << 31), 1ull << 62);
}

TEST(Hash, KnownValues) {
  EXPECT_EQ(to_hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(crc32(0, text("123456789")), 0xCBF43926u);
  EXPECT_EQ(adler32(1, text("Wikipedia")), 0x11E60398u);
}

TEST(Hash, PipeHashesWhatWasPushed) {
  std::vector<uint8_t> data(HashPipe::kChunkBytes * 200 + 77);
  std::iota(data.begin(), data.end(), 5);
  // Far more than the pipe holds, with a short end; nothing; one chunk, which needs no thread.
  for (const size_t size :
       {data.size(), size_t{0}, size_t{1}, HashPipe::kChunkBytes, HashPipe::kChunkBytes * 2}) {
    HashPipe pipe;
    for (Bytes rest = Bytes(data).first(size); !rest.empty();) {
      const MutableBytes chunk = pipe.next();
      const size_t n = std::min(chunk.size(), rest.size());
      std::copy_n(rest.begin(), n, chunk.begin());
      pipe.push(n);
      EXPECT_TRUE(std::equal(chunk.begin(), chunk.begin() + static_cast<ptrdiff_t>(n), rest.begin()));
      rest = rest.subspan(n);
    }
    EXPECT_EQ(pipe.finish(), sha256(Bytes(data).first(size)));
  }
  HashPipe abandoned;
  for (int i = 0; i < 10; i++) abandoned.push(abandoned.next().size());
}

TEST(Utf8, OnlyWholeCharacters) {
  EXPECT_EQ(utf8_character_length("a"), 1u);
  EXPECT_EQ(utf8_character_length("\xc3\xa4x"), 2u);
  EXPECT_EQ(utf8_character_length("\xe7\xb5\xb5"), 3u);
  EXPECT_EQ(utf8_character_length("\xf4\x8f\xbf\xbf"), 4u);
  for (const char* wrong : {"\x80", "\xc0\xaf", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xe7\xb5",
                            "\xf4\x90\x80\x80", "\xf0\x80\x80\x80", "\xff", "\xc3\x28"})
    EXPECT_EQ(utf8_character_length(wrong), 0u);
}

TEST(Hash, AdlerCombinesAtEverySplit) {
  std::vector<uint8_t> data(70000);
  std::iota(data.begin(), data.end(), 3);
  const uint32_t whole = adler32(1, data);
  for (size_t n : {size_t{0}, size_t{1}, size_t{255}, size_t{65521}, size_t{65522}, data.size()}) {
    const Bytes all = data;
    EXPECT_EQ(adler32_combine(adler32(1, all.first(n)), adler32(1, all.subspan(n)), data.size() - n), whole)
        << n;
  }
}

TEST_F(TemporaryFolder, AtomicFileLeavesTheOldFileUntilCommit) {
  ASSERT_TRUE(write_file(path("a"), text("old")));
  {
    auto f = AtomicFile::create(path("a"));
    ASSERT_TRUE(f);
    ASSERT_TRUE(f->write(text("newer")));
    EXPECT_EQ(read_file(path("a"), 100)->size(), 3u);
  }
  EXPECT_EQ(count(), 1u) << "the abandoned temporary file is gone";
  {
    auto f = AtomicFile::create(path("a"));
    ASSERT_TRUE(f->write(text("newer")));
    ASSERT_TRUE(f->write_at(0, text("N")));
    ASSERT_TRUE(f->commit());
  }
  EXPECT_EQ(read_file(path("a"), 100)->front(), 'N');
  EXPECT_EQ(count(), 1u);
}

TEST_F(TemporaryFolder, DevicesAndPipesAreWrittenToAsTheyAre) {
  auto null = AtomicFile::create_or_stream("/dev/null");
  ASSERT_TRUE(null && null->is_stream());
  EXPECT_TRUE(null->write(text("gone")) && null->commit());
  EXPECT_FALSE(AtomicFile::create("/dev/null")) << "only where it was asked for";

  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  const int reader = ::open(path("pipe").c_str(), O_RDONLY | O_NONBLOCK);
  auto pipe = AtomicFile::create_or_stream(path("pipe"));
  ASSERT_TRUE(pipe && pipe->write(text("through")) && pipe->commit());
  char got[16];
  EXPECT_EQ(::read(reader, got, sizeof got), 7);
  ::close(reader);
  EXPECT_TRUE(fs::is_fifo(path("pipe")));

  auto full = AtomicFile::create_or_stream("/dev/full");
  EXPECT_EQ(full->write(text("x")).error().code, ErrorCode::kIo);
  EXPECT_FALSE(AtomicFile::create_or_stream(folder_.string()));
  {
    auto file = AtomicFile::create_or_stream(path("file"));  // everything else as create() does
    ASSERT_TRUE(file && !file->is_stream() && file->write(text("x")));
  }
  EXPECT_FALSE(fs::exists(path("file")));
}

TEST_F(TemporaryFolder, FilesOfAnOpenFolder) {
  fs::create_directory(path("d"));
  const int folder = ::open(path("d").c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_GE(folder, 0);
  {
    auto f = AtomicFile::create_at(folder, "a", "shown");
    ASSERT_TRUE(f && f->write(text("new")));
    EXPECT_EQ(f->path(), "shown");
    fs::rename(path("d"), path("e"));  // the descriptor counts, not the path
    ASSERT_TRUE(f->extend(10000));
    ASSERT_TRUE(f->write(text("end")));
    EXPECT_EQ(f->size(), 10003u);
    f->start_writeback();
    ASSERT_TRUE(f->commit());
  }
  const auto whole = *read_file(path("e/a"), 20000);
  ASSERT_EQ(whole.size(), 10003u);
  EXPECT_EQ(whole[2], 'w');
  EXPECT_EQ(whole[3], 0);
  EXPECT_EQ(whole[9999], 0);
  EXPECT_EQ(whole[10000], 'e');
  EXPECT_EQ(File::open_at(folder, "a", "shown")->size(), 10003u);
  fs::create_symlink("a", path("e/link"));
  EXPECT_EQ(File::open_at(folder, "link", "shown").error().message,
            "shown: is a symbolic link, not a regular file");
  EXPECT_EQ(AtomicFile::create_at(folder, "link", "shown").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(File::open_at(folder, "none", "shown").error().code, ErrorCode::kNotFound);
  // By its path, a link is written through.
  ASSERT_TRUE(write_file(path("e/link"), text("through")));
  EXPECT_EQ(read_file(path("e/a"), 100)->size(), 7u);
  EXPECT_TRUE(fs::is_symlink(path("e/link")));
  ::close(folder);
}

TEST_F(TemporaryFolder, ErrorsNameTheFile) {
  auto missing = MappedFile::open(path("missing"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find("missing"), std::string::npos);
  auto folder = File::open(folder_.string());
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(AtomicFile::create(path("no/such/folder")));
  EXPECT_FALSE(AtomicFile::create(folder_.string()));
  ASSERT_TRUE(write_file(path("big"), std::vector<uint8_t>(1000)));
  EXPECT_EQ(read_file(path("big"), 999).error().code, ErrorCode::kTooLarge);
  uint8_t b[10];
  EXPECT_EQ(File::open(path("big"))->read_at(995, b).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(File::open(path("big"))->read_at(~0ull, b).error().code, ErrorCode::kCorrupt);
}

TEST_F(TemporaryFolder, EmptyFileMaps) {
  ASSERT_TRUE(write_file(path("empty"), {}));
  auto m = MappedFile::open(path("empty"));
  ASSERT_TRUE(m);
  EXPECT_TRUE(m->data().empty());
}

TEST(Memory, MoreThanThereIsIsRefused) {
  EXPECT_GT(memory_limit_bytes(), uint64_t{1} << 20);
  EXPECT_TRUE(check_memory(memory_limit_bytes(), "all"));
  const auto refused = check_memory(UINT64_MAX, "a picture");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
  EXPECT_TRUE(refused.error().message.starts_with("a picture takes 18446744073709551615 bytes"));
}

TEST(Threads, SharesCoverEverythingOnce) {
  for (int n : {1, 2, 3, 7}) {
    ThreadPool pool(n);
    for (uint64_t items : {0ull, 1ull, 5ull, 1000ull}) {
      std::vector<int> seen(items);
      pool.run([&](Worker& w) {
        auto [a, b] = w.share(items);
        for (auto i = a; i < b; i++) seen[i]++;
      });
      EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<long>(items));
    }
  }
}

TEST(Threads, APinnedPoolGivesTheCallerItsCpusBack) {
  ASSERT_FALSE(allowed_cpus().empty());
  cpu_set_t before, inside, after;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  {
    ThreadPool pool(3, true);
    std::vector<int> cpus(3);
    pool.run([&](Worker& w) {
      cpu_set_t own;
      sched_getaffinity(0, sizeof own, &own);
      cpus[static_cast<size_t>(w.index())] = CPU_COUNT(&own);
    });
    EXPECT_EQ(cpus, std::vector<int>(static_cast<size_t>(pool.size()), 1));
    ASSERT_EQ(sched_getaffinity(0, sizeof inside, &inside), 0);
    EXPECT_TRUE(CPU_ISSET(allowed_cpus()[0], &inside));
  }
  ASSERT_EQ(sched_getaffinity(0, sizeof after, &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST(Threads, RunsOnAsManyAsAskedFor) {
  ThreadPool pool(4);
  for (int round = 0; round < 3000; round++) {
    const int n = round * 7 % 6;  // 0: all; 5: more than there are
    const int expected = n == 0 || n > pool.size() ? pool.size() : n;
    std::vector<std::atomic<int>> met(4);
    pool.run(
        [&](Worker& w) {
          EXPECT_EQ(w.count(), expected);
          met[static_cast<size_t>(w.index())]++;
          w.barrier();
          for (int i = 0; i < expected; i++) EXPECT_EQ(met[static_cast<size_t>(i)], 1);
        },
        n);
    for (int i = 0; i < 4; i++) ASSERT_EQ(met[static_cast<size_t>(i)], i < expected ? 1 : 0);
  }
}

TEST(Threads, BarrierOrdersPhases) {
  ThreadPool pool(4);
  std::vector<int> value(4, 0);
  for (int round = 0; round < 50; round++) {
    std::vector<int> sums(4);
    pool.run([&](Worker& w) {
      for (int phase = 1; phase <= 10; phase++) {
        value[w.index()] = phase * 10 + w.index();
        w.barrier();
        sums[w.index()] = std::accumulate(value.begin(), value.end(), 0);
        w.barrier();
      }
    });
    for (int s : sums) EXPECT_EQ(s, 400 + 6);
  }
}

}  // namespace
}  // namespace pixellm
