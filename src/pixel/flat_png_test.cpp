#include "pixel/flat_png.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>

#include "pixel/pixel_test_util.h"

namespace pixellm {
namespace {

using pixel_test::Buffer;
using pixel_test::pattern;
using pixel_test::write_flat;

class FlatPng : public pixel_test::FolderTest {};

Buffer fixture(const std::string& name) {
  return *read_file(std::string(PIXELLM_SOURCE_DIR) + "/spec/fixtures/" + name, 1 << 20);
}

// The fixture was written from the text of the spec by spec/fixtures/make_pixel_fixtures.py.
TEST_F(FlatPng, GoldenBytes) {
  const Buffer file = write_flat(path("a.png"), 192, pattern(192 * 3));
  EXPECT_EQ(to_hex(sha256(file)), "f7849359692bdd8e0b258fe33e46b2f2a174314dfc78699f25d139a6e4d11dd2");
  EXPECT_EQ(file, fixture("flat-64x3.png"));
  EXPECT_EQ(to_hex(Bytes(file).first(194)),
            "89504e470d0a1a0a0000000d4948445200000040000000030802000000acc79e4b"  // signature, IHDR
            "0000009570784c4d"                                                    // pxLM
            "01000000c00000004001000003000000"                                    // version, R, stride, rows
            "4001000000000000"                                                    // base
            "8f8dacbbfa155fb2259b8ab45366f3e6b6e404cbb2038254e4deb251c0faad4a" +  // SHA-256
                std::string(2 * 93, '0') +
                "e4f1c7bc");
}

TEST_F(FlatPng, SizesAndAlignment) {
  for (const auto& [row_bytes, rows] :
       {std::pair<uint64_t, uint64_t>{192, 1}, {192, 5}, {57792, 2}, {65472, 1}, {65472, 3}}) {
    const Buffer payload = pattern(row_bytes * rows);
    const Buffer file = write_flat(path("a.png"), row_bytes, payload);
    EXPECT_EQ(file.size(), flat_png_file_bytes(row_bytes, rows));
    EXPECT_EQ(file.size(), 212 + rows * (row_bytes + 128));
    auto plane = PixelPlane::open(path("a.png"));
    ASSERT_TRUE(plane) << plane.error().message;
    EXPECT_EQ(plane->kind(), PlaneKind::kFlatPng);
    EXPECT_EQ(plane->base_offset(), 320u);
    EXPECT_EQ(plane->row_stride(), row_bytes + 128);
    EXPECT_EQ(plane->rows(), rows);
    EXPECT_EQ(plane->width() * 3, row_bytes);
    EXPECT_EQ(plane->file_bytes(), file.size());
    for (uint64_t i = 0; i < rows; i++) EXPECT_EQ(reinterpret_cast<uintptr_t>(plane->row(i).data()) % 64, 0u);
    EXPECT_EQ(pixel_test::payload_of(*plane), payload);
  }
}

TEST_F(FlatPng, RewrittenRowsGiveTheSameFile) {
  const Buffer payload = pattern(384 * 4), junk(384, 0x55);
  const Buffer wanted = write_flat(path("wanted.png"), 384, payload);
  const auto row = [&](uint64_t i) { return Bytes(payload).subspan(i * 384, 384); };
  for (const bool announced : {false, true}) {
    auto writer = FlatPngWriter::create(path("a.png"), 384, 4);
    ASSERT_TRUE(writer);
    if (announced) writer->expect_rewrites();
    ASSERT_TRUE(writer->write_row(junk));
    ASSERT_TRUE(writer->write_row(row(1)));
    ASSERT_TRUE(writer->rewrite_row(0, row(3)));
    ASSERT_TRUE(writer->write_row(row(2)));
    ASSERT_TRUE(writer->write_row(junk));
    ASSERT_TRUE(writer->rewrite_row(3, row(3)));
    ASSERT_TRUE(writer->rewrite_row(0, row(0)));
    auto digest = writer->finish();
    ASSERT_TRUE(digest) << digest.error().message;
    EXPECT_EQ(*digest, sha256(payload));
    EXPECT_EQ(*read_file(path("a.png"), 1 << 20), wanted);
  }
}

TEST_F(FlatPng, RefusesMeasures) {
  for (const auto& [row_bytes, rows] : {std::pair<uint64_t, uint64_t>{0, 1},
                                        {191, 1},
                                        {96, 1},
                                        {65472 + 192, 1},
                                        {192, 0},
                                        {192, 1000001},
                                        {~0ull, ~0ull}}) {
    auto writer = FlatPngWriter::create(path("a.png"), row_bytes, rows);
    ASSERT_FALSE(writer) << row_bytes << " x " << rows;
    EXPECT_EQ(writer.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(writer.error().message.find("allowed"), std::string::npos);
  }
  EXPECT_EQ(count_files(), 0u);
}

TEST_F(FlatPng, RefusesWrongRows) {
  const Buffer row(192, 1);
  {
    auto writer = FlatPngWriter::create(path("a.png"), 192, 2);
    ASSERT_TRUE(writer);
    EXPECT_EQ(writer->write_row(Bytes(row).first(191)).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(writer->write_row(Buffer(384)).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(writer->rewrite_row(0, row).error().code, ErrorCode::kInvalidArgument);
    ASSERT_TRUE(writer->write_row(row));
    auto early = writer->finish();
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(early.error().message.find("1 of 2"), std::string::npos);
    EXPECT_EQ(writer->rewrite_row(1, row).error().code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(std::filesystem::exists(path("a.png"))) << "the picture appears when it is finished";
    ASSERT_TRUE(writer->write_row(row));
    EXPECT_EQ(writer->write_row(row).error().code, ErrorCode::kInvalidArgument);
    ASSERT_TRUE(writer->finish()) << "none of these spoils the picture";
    EXPECT_EQ(writer->finish().error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(writer->rewrite_row(0, row).error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_TRUE(PixelPlane::open(path("a.png")));
}

TEST_F(FlatPng, AbandonedLeavesNothing) {
  ASSERT_TRUE(write_file(path("a.png"), Buffer{1, 2, 3}));
  {
    auto writer = FlatPngWriter::create(path("a.png"), 192, 2);
    ASSERT_TRUE(writer->write_row(Buffer(192)));
  }
  EXPECT_EQ(count_files(), 1u);
  EXPECT_EQ(read_file(path("a.png"), 100)->size(), 3u);
  auto nowhere = FlatPngWriter::create(path("no/folder/a.png"), 192, 2);
  ASSERT_FALSE(nowhere);
  EXPECT_NE(nowhere.error().message.find("no/folder/a.png"), std::string::npos);
}

TEST_F(FlatPng, KilledLeavesTheOldFile) {
  ASSERT_TRUE(write_file(path("a.png"), Buffer{1, 2, 3}));
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto writer = FlatPngWriter::create(path("a.png"), 192, 1000);
    for (int i = 0; i < 900; i++) (void)writer->write_row(Buffer(192));
    (void)!::write(ready[1], "x", 1);
    for (;;) ::pause();
  }
  char c;
  ASSERT_EQ(::read(ready[0], &c, 1), 1);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ::close(ready[0]);
  ::close(ready[1]);
  EXPECT_EQ(read_file(path("a.png"), 100)->size(), 3u);
  for (const auto& entry : std::filesystem::directory_iterator(folder_))
    EXPECT_TRUE(entry.path().filename() == "a.png" ||
                entry.path().filename().string().starts_with(".a.png.pixellm-"));
}

// A limit on the size of files stands in for a full disk: a write stops in the middle, the next one fails.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    rlimit now = old_;
    now.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_{};
  void (*old_handler_)(int);
};

TEST_F(FlatPng, FullDiskIsReported) {
  ASSERT_TRUE(write_file(path("a.png"), Buffer{1, 2, 3}));
  {
    auto writer = FlatPngWriter::create(path("a.png"), 57792, 10);
    ASSERT_TRUE(writer);
    const FileSizeLimit limit(100000);
    ASSERT_TRUE(writer->write_row(Buffer(57792)));
    auto full = writer->write_row(Buffer(57792));
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code, ErrorCode::kIo);
    EXPECT_NE(full.error().message.find("a.png"), std::string::npos);
    EXPECT_EQ(writer->write_row(Buffer(57792)).error().code, ErrorCode::kIo);
    EXPECT_EQ(writer->rewrite_row(0, Buffer(57792)).error().code, ErrorCode::kIo);
    EXPECT_EQ(writer->finish().error().code, ErrorCode::kIo);
  }
  EXPECT_EQ(count_files(), 1u);
  EXPECT_EQ(read_file(path("a.png"), 100)->size(), 3u);
}

TEST_F(FlatPng, FullDiskAtTheVeryEndIsReported) {
  const uint64_t size = flat_png_file_bytes(192, 2);
  auto writer = FlatPngWriter::create(path("a.png"), 192, 2);
  ASSERT_TRUE(writer);
  {
    const FileSizeLimit limit(size - 1);
    ASSERT_TRUE(writer->write_row(Buffer(192)));
    ASSERT_TRUE(writer->write_row(Buffer(192)));
    EXPECT_EQ(writer->finish().error().code, ErrorCode::kIo);
  }
  EXPECT_EQ(writer->finish().error().code, ErrorCode::kIo) << "a failed picture does not come back to life";
  EXPECT_FALSE(std::filesystem::exists(path("a.png")));
}

TEST_F(FlatPng, StandardOutputGetsTheSameBytes) {
  const Buffer payload = pattern(384 * 3), wanted = write_flat(path("wanted.png"), 384, payload);
  std::fflush(stdout);
  const int saved = ::dup(STDOUT_FILENO);
  const int file = ::open(path("out.png").c_str(), O_CREAT | O_WRONLY, 0600);
  ASSERT_GE(file, 0);
  ::dup2(file, STDOUT_FILENO);
  auto writer = FlatPngWriter::create("-", 384, 3);
  Result<void> row;
  for (uint64_t i = 0; writer && row && i < 3; i++)
    row = writer->write_row(Bytes(payload).subspan(i * 384, 384));
  if (writer && row) row = writer->rewrite_row(1, Bytes(payload).subspan(384, 384));
  auto digest = writer ? writer->finish() : Result<Digest>();
  ::dup2(saved, STDOUT_FILENO);
  ::close(saved);
  ::close(file);
  ASSERT_TRUE(writer && row && digest);
  EXPECT_EQ(*read_file(path("out.png"), 1 << 20), wanted);
}

}  // namespace
}  // namespace pixellm
