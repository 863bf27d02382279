#include "map/mounts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <optional>

#include "base/file.h"
#include "map/map_picture.h"
#include "map/mount_record.h"
#include "model/test_model.h"

namespace pixellm {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Mounts : public ::testing::Test {
 protected:
  TestFolder folder_;
  std::string a_ = folder_.path("a.png"), b_ = folder_.path("b.png");
  std::optional<World> world_;

  void SetUp() override {
    ASSERT_TRUE(TestModel::every_type().write(a_));
    ASSERT_TRUE(TestModel::smallest().write(b_));  // 256 x 64 pixels
    reopen();
  }
  void reopen(bool read_only = false) {
    world_.reset();
    auto opened = World::open(folder_.path("world"), {.read_only = read_only, .tile_size = {}});
    ASSERT_TRUE(opened) << opened.error().message;
    world_.emplace(std::move(*opened));
    const auto mounted = open_mounts(*world_);
    ASSERT_TRUE(mounted) << mounted.error().message;
  }
  Error refused(const Result<void>& result) {
    EXPECT_FALSE(result);
    return result ? Error{} : result.error();
  }
  size_t n_records() { return read_mounts(world_->store()).value().size(); }
  std::vector<uint8_t> pixels(const PixelRect& rect) {
    std::vector<uint8_t> rgb(3 * rect.w * rect.h);
    EXPECT_TRUE(world_->read(rect, rgb));
    return rgb;
  }
  Error reading_fails(const PixelRect& rect) {
    std::vector<uint8_t> rgb(3 * rect.w * rect.h);
    return refused(world_->read(rect, rgb));
  }
};

TEST_F(Mounts, SeveralModelsAreReadThroughTheWorld) {
  ASSERT_TRUE(mount_model(*world_, b_, -100, -50));
  ASSERT_TRUE(mount_model(*world_, a_, 10'000'000'000'000, -7));
  const auto first = pixels({.x = -110, .y = -60, .w = 300, .h = 90});
  for (int round = 0; round < 3; round++) {  // now, after reopening, and for readers
    if (round > 0) reopen(round == 2);
    EXPECT_EQ(world_->layers().size(), 2u);
    EXPECT_EQ(pixels({.x = -110, .y = -60, .w = 300, .h = 90}), first);
    const auto rect = locate_tensor(*world_, b_, "blk.0.attn_q.weight");
    ASSERT_TRUE(rect);
    EXPECT_EQ(*rect, (PixelRect{.x = -100 + 128, .y = -50, .w = 128, .h = 64}));
    const auto place = where(*world_, rect->x, rect->y);
    ASSERT_TRUE(place && *place);
    EXPECT_EQ((*place)->model, fs::canonical(b_).string());
    EXPECT_EQ((*place)->tensor, "blk.0.attn_q.weight");
    EXPECT_EQ((*place)->type, "Q4_0");
    EXPECT_EQ((*place)->elements.size(), 64u);  // d of rows 0 and 1: 32 columns each
    std::vector<float> row(64);
    dequantize_blocks(TensorType::kQ4_0, 64, TestModel::smallest().data[0].data(), row.data());
    for (const ElementAt& e : (*place)->elements)
      if (e.row == 0) {
        EXPECT_EQ(e.value, row[e.column]);
      }
    EXPECT_FALSE(where(*world_, 0, 1000).value());
    // From an element to its pixel and back, in the other model.
    const auto at = locate_element(*world_, a_, "types.Q6_K", 18, 511);
    ASSERT_TRUE(at);
    const auto back = where(*world_, at->first, at->second);
    ASSERT_TRUE(back && *back);
    EXPECT_EQ((*back)->tensor, "types.Q6_K");
    EXPECT_TRUE(std::ranges::any_of((*back)->elements,
                                    [](const ElementAt& e) { return e.row == 18 && e.column == 511; }));
  }
}

TEST_F(Mounts, HeadsAreFoundAsNeighbours) {
  ASSERT_TRUE(mount_model(*world_, b_, 500, 600));
  const PixelRect q = locate_tensor(*world_, b_, "blk.0.attn_q.weight").value();
  const int64_t head_width = static_cast<int64_t>(q.w / 2);  // two heads of 16 rows
  for (int64_t head = 0; head < 2; head++) {
    const auto corner = where(*world_, q.x + head * head_width, q.y).value();
    ASSERT_TRUE(corner);
    EXPECT_EQ(corner->elements.front().row, static_cast<uint64_t>(16 * head));
    const auto own =
        locate_element(*world_, b_, "blk.0.attn_q.weight", static_cast<uint64_t>(16 * head) + 5, 63).value();
    EXPECT_EQ((own.first - q.x) / head_width, head);
  }
}

TEST_F(Mounts, OverlapsAreRefusedAndLeaveNothing) {
  ASSERT_TRUE(world_->set(1000, 1000, {1, 1, 1}));  // in the cache only
  ASSERT_TRUE(mount_model(*world_, b_, 0, 0));
  EXPECT_THAT(refused(mount_model(*world_, a_, 255, 63)).message, HasSubstr("b.png"));
  EXPECT_THAT(refused(mount_model(*world_, b_, 5000, 0)).message, HasSubstr("mounted already"));
  EXPECT_THAT(refused(mount_model(*world_, a_, 900, 990)).message, HasSubstr("painted"));
  EXPECT_EQ(refused(mount_model(*world_, a_, INT64_MAX - 10, 0)).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused(mount_model(*world_, a_, 0, INT64_MAX - 10)).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(n_records(), 1u);
  EXPECT_EQ(world_->layers().size(), 1u);
  // Painting and erasing on a model is refused; beside it, in the same tile, it is not.
  EXPECT_FALSE(world_->set(255, 63, {1, 2, 3}));
  EXPECT_FALSE(world_->erase({.x = -10, .y = -10, .w = 11, .h = 11}));
  EXPECT_TRUE(mount_model(*world_, a_, 256, 64 + 7));  // corner to corner, not on the tiles' grid
  EXPECT_TRUE(world_->set(300, 70, {1, 2, 3}));
  ASSERT_TRUE(world_->flush());
  reopen();
  EXPECT_EQ(world_->layers().size(), 2u);
  EXPECT_EQ(world_->get(300, 70).value(), (Rgb{1, 2, 3}));
}

TEST_F(Mounts, AnOverlapIsFoundWithoutTheLayers) {
  ASSERT_TRUE(mount_model(*world_, b_, 0, 0));
  world_.reset();
  auto bare = World::open(folder_.path("world"), {});
  ASSERT_TRUE(bare);
  EXPECT_THAT(refused(mount_model(*bare, a_, 0, 0)).message, HasSubstr("meets the mount of"));
}

// A repaired tile may bring back pixels that were painted before the model was mounted.
TEST_F(Mounts, AKeptMountCoversWhatComesBackUnderIt) {
  ASSERT_TRUE(mount_model(*world_, b_, 0, 0));
  const auto before = pixels({.w = 256, .h = 64});
  const std::vector<uint8_t> white(world_->store().tile_bytes(), 255);
  ASSERT_TRUE(world_->store().commit({.tiles = {{.tile = {1, 0}, .rgb = white}}, .lengths = {}}));
  reopen();
  EXPECT_EQ(pixels({.w = 256, .h = 64}), before);
  ASSERT_TRUE(export_picture(*world_, {.w = 256, .h = 64}, 0, folder_.path("out.png")));
  std::vector<uint8_t> picture(before.size());
  ASSERT_TRUE(PixelPlane::open(folder_.path("out.png"))->read(0, picture));
  EXPECT_EQ(picture, before);
  ASSERT_TRUE(unmount_model(*world_, b_));
  EXPECT_EQ(world_->get(64, 0).value(), (Rgb{255, 255, 255}));
  EXPECT_THAT(refused(mount_model(*world_, b_, 0, 0)).message, HasSubstr("painted"));
}

TEST_F(Mounts, UnmountGivesTheAreaBack) {
  ASSERT_TRUE(mount_model(*world_, b_, 0, 0));
  EXPECT_EQ(refused(unmount_model(*world_, a_)).code, ErrorCode::kNotFound);
  ASSERT_TRUE(unmount_model(*world_, b_));
  EXPECT_EQ(pixels({.w = 256, .h = 64}), std::vector<uint8_t>(3 * 256 * 64));
  EXPECT_TRUE(world_->set(3, 3, {1, 2, 3}));
  EXPECT_EQ(locate_tensor(*world_, b_, "blk.0.attn_q.weight").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(refused(unmount_model(*world_, b_)).code, ErrorCode::kNotFound);
  reopen();
  EXPECT_TRUE(world_->layers().empty());
}

TEST_F(Mounts, UnmountWhenTheFileIsGone) {
  fs::create_symlink(b_, folder_.path("link.png"));
  ASSERT_TRUE(mount_model(*world_, folder_.path("link.png"), 0, 0));
  EXPECT_THAT(refused(mount_model(*world_, b_, 5000, 0)).message, HasSubstr("mounted already"));
  fs::remove(b_);
  fs::remove(folder_.path("link.png"));
  reopen();
  EXPECT_TRUE(unmount_model(*world_, folder_.path("./link.png")));  // as it was given
  ASSERT_TRUE(mount_model(*world_, a_, 0, 0));
  fs::remove(a_);
  reopen();
  EXPECT_TRUE(unmount_model(*world_, folder_.path("x/../a.png")));  // as it is
  EXPECT_EQ(n_records(), 0u);
}

TEST_F(Mounts, AMissingOrOtherModelFailsOnlyItsReads) {
  ASSERT_TRUE(mount_model(*world_, b_, 0, 0));
  ASSERT_TRUE(world_->set(-1, 0, {5, 6, 7}));
  ASSERT_TRUE(world_->flush());
  const auto before = pixels({.w = 256, .h = 64});
  fs::rename(b_, folder_.path("moved.png"));
  reopen();
  EXPECT_EQ(world_->get(-1, 0).value(), (Rgb{5, 6, 7}));
  const Error gone = reading_fails({.x = -2, .y = 0, .w = 10, .h = 3});
  EXPECT_EQ(gone.code, ErrorCode::kNotFound);
  EXPECT_THAT(gone.message, HasSubstr("mounted at 0,0"));
  EXPECT_THAT(gone.message, HasSubstr("b.png"));
  EXPECT_FALSE(where(*world_, 5, 5));
  EXPECT_FALSE(locate_tensor(*world_, b_, "blk.0.attn_q.weight"));

  ASSERT_TRUE(TestModel::every_type().write(b_));  // another model by the same name
  const Error other = reading_fails({.x = 5, .y = 5, .w = 1, .h = 1});
  EXPECT_EQ(other.code, ErrorCode::kCorrupt);
  EXPECT_THAT(other.message, HasSubstr("is not the model that was mounted"));
  auto model = Model::from_plane(PixelPlane::open(b_).value());
  EXPECT_THAT(other.message, HasSubstr(to_hex(model->header().head_sha256)));

  // A head that was tampered with keeps its recorded digest and is refused all the same.
  auto file = read_file(folder_.path("moved.png"), 1 << 20).value();
  file[320 + 256 + 0x60] ^= 1;  // a tensor's SHA-256 in the directory
  ASSERT_TRUE(write_file(b_, file));
  EXPECT_THAT(reading_fails({.x = 5, .y = 5, .w = 1, .h = 1}).message,
              HasSubstr("damaged: the head's SHA-256"));
  file.resize(300);
  ASSERT_TRUE(write_file(b_, file));
  EXPECT_EQ(reading_fails({.x = 5, .y = 5, .w = 1, .h = 1}).code, ErrorCode::kCorrupt);

  fs::rename(folder_.path("moved.png"), b_);  // back again
  EXPECT_EQ(pixels({.w = 256, .h = 64}), before);
}

TEST_F(Mounts, RefusesWhatIsNotThere) {
  EXPECT_EQ(refused(mount_model(*world_, folder_.path("no.png"), 0, 0)).code, ErrorCode::kNotFound);
  ASSERT_TRUE(
      write_file(folder_.path("text.png"), Bytes(reinterpret_cast<const uint8_t*>("hello, world"), 12)));
  EXPECT_EQ(refused(mount_model(*world_, folder_.path("text.png"), 0, 0)).code, ErrorCode::kUnsupported);
  ASSERT_TRUE(mount_model(*world_, b_, 0, 0));
  EXPECT_THAT(locate_tensor(*world_, b_, "blk.9").error().message, HasSubstr("no tensor 'blk.9'"));
  EXPECT_THAT(locate_tensor(*world_, a_, "blk.9").error().message, HasSubstr("is not mounted"));
  const auto beyond = locate_element(*world_, b_, "blk.0.attn_q.weight", 32, 0);
  ASSERT_FALSE(beyond);
  EXPECT_THAT(beyond.error().message, HasSubstr("32 rows and 64 columns"));
  reopen(/*read_only=*/true);
  EXPECT_FALSE(mount_model(*world_, a_, 1000, 1000));
  EXPECT_FALSE(unmount_model(*world_, b_));
  EXPECT_EQ(world_->layers().size(), 1u);
}

// spec/mounts.md, section 5.
TEST(MountRecords, TheWorkedExample) {
  MountRecord record{.rect = {.x = -100, .y = -50, .w = 256, .h = 64},
                     .head_sha256 = {},
                     .path = "/models/a.png",
                     .given_path = "/home/a.png"};
  const std::string fixture = std::string(PIXELLM_SOURCE_DIR) + "/spec/fixtures/pxi-llm-2.0.png";
  record.head_sha256 = Model::from_plane(PixelPlane::open(fixture).value())->header().head_sha256;
  EXPECT_EQ(record.encode().name, "mount:bc5faf6ebf01d7a16cf317f87edc3328ab3a4ecd0ba801eec877c06031ab294b");
  EXPECT_EQ(
      to_hex(record.encode().value),
      "010000009cffffffffffffffceffffffffffffff0001000000000000400000000000000070994b771e0d1fc4b216482cf25e70"
      "1b664dd619602ad1e27a4702bd303851010d0000000b0000002f6d6f64656c732f612e706e672f686f6d652f612e706e67");
}

TEST_F(Mounts, RecordsAreChecked) {
  const MountRecord record{.rect = {.x = -5, .y = INT64_MAX, .w = 7, .h = 1},
                           .head_sha256 = sha256({}),
                           .path = "/m.png",
                           .given_path = "/l.png"};
  const StoreRecord good = record.encode();
  const auto back = MountRecord::decode(good);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->rect, record.rect);
  EXPECT_EQ(back->head_sha256, record.head_sha256);
  EXPECT_EQ(back->path + back->given_path, "/m.png/l.png");
  for (size_t n = 0; n < good.value.size(); n++) {
    StoreRecord cut = good;
    cut.value.resize(n);
    EXPECT_FALSE(MountRecord::decode(cut)) << n;
  }
  for (const auto& [at, value] :
       {std::pair(0, 2), std::pair(20, 0), std::pair(28, 2), std::pair(68, 99), std::pair(75, 1)}) {
    StoreRecord bad = good;
    bad.value[static_cast<size_t>(at)] = static_cast<uint8_t>(value);
    EXPECT_FALSE(MountRecord::decode(bad)) << at;
  }
}

}  // namespace
}  // namespace pixellm
