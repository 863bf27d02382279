#include "map/crash_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "base/file.h"

namespace pixellm::crash {
namespace {

using Buffer = std::vector<uint8_t>;

class CrashDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "pixellm-disk-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    for (const char* part : {"live", "image"}) std::filesystem::create_directory(folder_ + "/" + part);
    disk_ = std::make_unique<CrashDisk>(live());
  }
  void TearDown() override {
    disk_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::string live(const std::string& name = "") const {
    return folder_ + "/live" + (name.empty() ? "" : "/" + name);
  }

  static int open(const std::string& path, int flags) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
    EXPECT_GE(fd, 0) << path;
    return fd;
  }
  static void put(int fd, uint64_t offset, const Buffer& data) {
    EXPECT_EQ(::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset)),
              static_cast<ssize_t>(data.size()));
  }
  void sync_folder() const {
    const int fd = open(live(), O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(::fsync(fd), 0);
    ::close(fd);
  }
  // The file in many images of what the journal says; nullopt: it is not there.
  std::vector<std::optional<Buffer>> images(const std::string& name, size_t position, int count = 200) const {
    std::vector<std::optional<Buffer>> out;
    for (int i = 0; i < count; ++i) {
      CrashReplay replay(disk_->journal(), static_cast<uint64_t>(i));
      CrashReplay::Random random(static_cast<uint64_t>(i));
      replay.advance(position);
      EXPECT_TRUE(replay.write_image(folder_ + "/image", random));
      auto data = read_file(folder_ + "/image/" + name, 1 << 20);
      out.push_back(data ? std::optional(std::move(*data)) : std::nullopt);
    }
    return out;
  }
  std::vector<std::optional<Buffer>> images_now(const std::string& name) const {
    return images(name, disk_->journal().size());
  }

  static bool all(const std::vector<std::optional<Buffer>>& images,
                  const std::function<bool(const std::optional<Buffer>&)>& is) {
    return std::ranges::all_of(images, is);
  }
  static bool some(const std::vector<std::optional<Buffer>>& images,
                   const std::function<bool(const std::optional<Buffer>&)>& is) {
    return std::ranges::any_of(images, is);
  }

  std::string folder_;
  std::unique_ptr<CrashDisk> disk_;
};

TEST_F(CrashDiskTest, WritesAreLostOrTornUntilTheSync) {
  const Buffer old(4096, 1), fresh(4096, 2);
  const int fd = open(live("a"), O_RDWR | O_CREAT);
  put(fd, 0, old);
  EXPECT_EQ(::fdatasync(fd), 0);
  sync_folder();
  EXPECT_TRUE(all(images_now("a"), [&](const auto& f) { return f == old; }));
  put(fd, 0, fresh);
  const auto torn = images_now("a");
  EXPECT_TRUE(some(torn, [&](const auto& f) { return f == old; }));
  EXPECT_TRUE(some(torn, [&](const auto& f) { return f == fresh; }));
  EXPECT_TRUE(some(torn, [&](const auto& f) { return f != old && f != fresh; }));
  EXPECT_TRUE(all(torn, [&](const auto& f) {  // sectors are whole
    for (size_t at = 0; at < 4096; at += 512)
      if (!std::all_of(f->begin() + at, f->begin() + at + 512, [&](uint8_t b) { return b == (*f)[at]; }))
        return false;
    return f->size() == 4096;
  }));
  const size_t during_the_sync = disk_->journal().size();
  EXPECT_EQ(::fsync(fd), 0);
  EXPECT_TRUE(some(images("a", during_the_sync), [&](const auto& f) { return f == old; }));
  EXPECT_TRUE(all(images_now("a"), [&](const auto& f) { return f == fresh; }));
  ::close(fd);
}

TEST_F(CrashDiskTest, ASynchronousWriteIsSafeAloneAndOthersAreNot) {
  const int fd = open(live("a"), O_RDWR | O_CREAT), synchronous = open(live("a"), O_WRONLY | O_DSYNC);
  put(fd, 0, Buffer(2048, 1));
  EXPECT_EQ(::fsync(fd), 0);
  sync_folder();
  put(fd, 0, Buffer(1024, 2));
  const size_t before = disk_->journal().size();
  put(synchronous, 1024, Buffer(512, 3));
  EXPECT_TRUE(
      some(images("a", before), [](const auto& f) { return (*f)[1024] == 1; }));  // the power went during it
  const auto after = images_now("a");
  EXPECT_TRUE(all(after, [](const auto& f) { return (*f)[1024] == 3; }));
  EXPECT_TRUE(some(after, [](const auto& f) { return (*f)[0] == 1; }));
  EXPECT_TRUE(some(after, [](const auto& f) { return (*f)[0] == 2; }));
  ::close(fd);
  ::close(synchronous);
}

TEST_F(CrashDiskTest, LengthsGrowWithOrWithoutData) {
  const int fd = open(live("a"), O_RDWR | O_CREAT);
  sync_folder();
  put(fd, 0, Buffer(1000, 7));
  const auto grown = images_now("a");
  EXPECT_TRUE(some(grown, [](const auto& f) { return f->empty(); }));
  EXPECT_TRUE(some(grown, [](const auto& f) { return f->size() == 1000 && (*f)[0] == 0; }));
  EXPECT_TRUE(some(grown, [](const auto& f) { return !f->empty() && f->size() < 1000; }));
  EXPECT_EQ(::ftruncate(fd, 500), 0);
  EXPECT_EQ(::fsync(fd), 0);
  EXPECT_TRUE(all(images_now("a"), [](const auto& f) { return *f == Buffer(500, 7); }));
  ::close(fd);
}

TEST_F(CrashDiskTest, NamesAreSafeWhenTheFolderIsSynced) {
  for (const char* name : {"old", "new"}) {
    const int fd = open(live(name), O_RDWR | O_CREAT);
    put(fd, 0, Buffer(100, name[0]));
    EXPECT_EQ(::fsync(fd), 0);
    ::close(fd);
  }
  EXPECT_TRUE(some(images_now("old"), [](const auto& f) { return !f; }));
  sync_folder();
  EXPECT_TRUE(all(images_now("new"), [](const auto& f) { return f == Buffer(100, 'n'); }));
  std::filesystem::rename(live("new"), live("old"));  // the standard library's calls are watched too
  const auto renamed = images_now("old");
  EXPECT_TRUE(all(renamed, [](const auto& f) { return f == Buffer(100, 'n') || f == Buffer(100, 'o'); }));
  EXPECT_TRUE(some(renamed, [](const auto& f) { return f == Buffer(100, 'o'); }));
  sync_folder();
  EXPECT_TRUE(all(images_now("old"), [](const auto& f) { return f == Buffer(100, 'n'); }));
  std::filesystem::create_directory(live("inner"));
  EXPECT_EQ(::remove(live("old").c_str()), 0);
  EXPECT_TRUE(some(images_now("old"), [](const auto& f) { return f.has_value(); }));
  sync_folder();
  EXPECT_TRUE(all(images_now("old"), [](const auto& f) { return !f; }));
}

TEST_F(CrashDiskTest, FaultsComeWhenTheyAreDue) {
  const int fd = open(live("a"), O_RDWR | O_CREAT);
  const Buffer data(1000, 5);
  disk_->fail_after(1, Fault::kNoSpace);
  put(fd, 0, data);
  EXPECT_FALSE(disk_->fault_happened());
  EXPECT_EQ(::pwrite(fd, data.data(), data.size(), 1000), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_TRUE(disk_->fault_happened());
  EXPECT_EQ(std::filesystem::file_size(live("a")), 1000u);
  put(fd, 1000, data);

  disk_->fail_after(0, Fault::kShortWrite);
  EXPECT_EQ(::write(fd, data.data(), data.size()), 500);
  disk_->fail_after(0, Fault::kIoError, 2);
  EXPECT_EQ(::fsync(fd), -1);
  EXPECT_TRUE(disk_->failing());
  EXPECT_EQ(::ftruncate(fd, 0), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_FALSE(disk_->failing());
  EXPECT_EQ(::fsync(fd), 0);
  ::close(fd);
}

TEST_F(CrashDiskTest, WhatAFailedSyncHasNotWrittenIsNeverWritten) {
  const int fd = open(live("a"), O_RDWR | O_CREAT);
  put(fd, 0, Buffer(512, 1));
  EXPECT_EQ(::fsync(fd), 0);
  sync_folder();
  put(fd, 0, Buffer(512, 2));
  disk_->fail_after(0, Fault::kIoError);
  EXPECT_EQ(::fsync(fd), -1);
  EXPECT_EQ(::fsync(fd), 0);  // this one has nothing to do
  const auto after = images_now("a");
  EXPECT_TRUE(some(after, [](const auto& f) { return f == Buffer(512, 1); }));
  EXPECT_TRUE(some(after, [](const auto& f) { return f == Buffer(512, 2); }));
  ::close(fd);
}

TEST_F(CrashDiskTest, ChangesThatNoCallMadeAreNoticed) {
  const int fd = open(live("a"), O_RDWR | O_CREAT);
  put(fd, 0, Buffer(4096, 1));
  CrashReplay replay(disk_->journal(), 1);
  replay.advance(disk_->journal().size());
  EXPECT_TRUE(*replay.matches(live()));
  auto* mapped = static_cast<uint8_t*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  ASSERT_NE(mapped, MAP_FAILED);
  mapped[7] = 9;
  EXPECT_FALSE(*replay.matches(live()));
  ::munmap(mapped, 4096);
  ::close(fd);
}

}  // namespace
}  // namespace pixellm::crash
