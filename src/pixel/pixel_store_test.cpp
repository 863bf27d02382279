#include "pixel/pixel_store.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <thread>

#include "pixel/pxif_test_util.h"
#include "pixel/store_name.h"

namespace pixellm {
namespace {

using pixel_test::Buffer;
using pixel_test::kEveryCompression;
using pixel_test::mixed;
using pixel_test::noise;
using pixel_test::text;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

class Store : public pixel_test::FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    store_ = std::make_unique<PixelStore>(path("root"), 0ms);
  }

  Result<PxifHeader> put(std::string_view name, const Buffer& content, const PxifOptions& options = {}) {
    auto out = PIXELLM_TRY(store_->create(name, options));
    PIXELLM_CHECK(out.pxif.write(content));
    return out.pxif.finish();
  }

  Result<Buffer> get(std::string_view name) {
    auto in = PIXELLM_TRY(store_->open(name));
    PIXELLM_CHECK(in.verify());
    Buffer out(in.size());
    PIXELLM_CHECK(in.read(0, out));
    return out;
  }

  std::vector<std::string> names(bool recursive) {
    std::vector<std::string> out;
    const auto listing = store_->list(recursive);
    EXPECT_TRUE(listing);
    for (const StoredImage& image : listing->images) out.push_back(image.name);
    return out;
  }

  // Everything below the root, for "nothing else stays there".
  std::vector<std::string> files() {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path("root")))
      if (entry.is_regular_file())
        out.push_back(std::filesystem::relative(entry.path(), path("root")).string());
    std::ranges::sort(out);
    return out;
  }

  std::unique_ptr<PixelStore> store_;
};

TEST_F(Store, OpeningTouchesNothing) {
  EXPECT_EQ(count_files(), 0u);
  EXPECT_EQ(get("a").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store_->list(true).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store_->remove("a").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store_->restore("a").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(count_files(), 0u);
}

// The acceptance cases of the first PixelFS, by meaning.
TEST_F(Store, AcceptanceOfTheOriginal) {
  const Buffer small = pixel_test::pattern(1900), large = pixel_test::pattern(50000);
  ASSERT_TRUE(put("small", small));
  EXPECT_EQ(*get("small"), small);
  ASSERT_TRUE(put("empty", {}));
  EXPECT_EQ(*get("empty"), Buffer());
  ASSERT_TRUE(put("large", large));
  EXPECT_EQ(*get("large"), large);
  const auto header = store_->open("large")->header();
  EXPECT_EQ(header.original_size, 50000u);
  EXPECT_EQ(header.width, 1024u);
  EXPECT_EQ(header.height, 17u);
  EXPECT_EQ(std::filesystem::file_size(path("root/large.pxi")), 64u + 3 * 1024 * 17);
  EXPECT_THAT(names(false), ElementsAre("empty", "large", "small"));
  EXPECT_THAT(get("missing").error().message, HasSubstr("root/missing.pxi: no such container"));
  Buffer all;
  for (int i = 0; i < 2560; i++) all.push_back(static_cast<uint8_t>(i));
  ASSERT_TRUE(put("all", all));
  EXPECT_EQ(*get("all"), all);
  ASSERT_TRUE(put("small", large));
  EXPECT_EQ(*get("small"), large) << "a longer content replaced it";
  ASSERT_TRUE(put("small", small));
  EXPECT_EQ(*get("small"), small) << "and a shorter one";
}

TEST_F(Store, NamesMakeFolders) {
  ASSERT_TRUE(put("a/b/c", text("1")));
  ASSERT_TRUE(put("a/b.pxi/c.pxi", text("2")));
  ASSERT_TRUE(put("a/x.pxa", text("3")));
  ASSERT_TRUE(put("\xc3\xa4 b", text("4")));
  ASSERT_TRUE(put("z", text("5"), {.width = 7, .compression = PxifCompression::kZstd}));
  EXPECT_THAT(files(), ElementsAre("a/b.pxi/c.pxi", "a/b/c.pxi", "a/x.pxa.pxi", "z.pxi", "\xc3\xa4 b.pxi"));
  EXPECT_THAT(names(true), ElementsAre("a/b.pxi/c", "a/b/c", "a/x.pxa", "z", "\xc3\xa4 b"));
  EXPECT_THAT(names(false), ElementsAre("z", "\xc3\xa4 b"));
  EXPECT_EQ(*get("a/b/c.pxi"), text("1"));
  EXPECT_EQ(*store_->path_of("a/x.pxa"), path("root/a/x.pxa.pxi"));
  EXPECT_EQ(store_->list(false)->images[0].header.compression, PxifCompression::kZstd);
}

TEST_F(Store, RefusesNamesThatAreNone) {
  const std::string long_part(221 - 4, 'x');
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "is empty"},
      {"/etc/passwd", "is absolute"},
      {"..", "part '..'"},
      {"../x", "part '..'"},
      {"a/../b", "part '..'"},
      {"./a", "part '.'"},
      {"a/.", "part '.'"},
      {"a//b", "empty part"},
      {"a/", "empty part"},
      {"a\\b", "backslash"},
      {"..\\b", "backslash"},
      {std::string("a\0b", 3), "control character"},
      {"a\nb", "control character"},
      {"a\x7f", "control character"},
      {"\xff", "not UTF-8"},
      {"\xc0\xaf", "not UTF-8"},
      {"a\xe2\x82", "not UTF-8"},
      {"\xed\xa0\x80", "not UTF-8"},
      {"\xf4\x90\x80\x80", "not UTF-8"},
      {".pxi", "nothing before the suffix"},
      {"a/.pxi", "nothing before the suffix"},
      {".trash/a", "trash"},
      {long_part, "of 221 bytes"},
      {std::string(256, 'x') + "/a", "of 256 bytes"},
      {std::string(1025, 'x'), "1024 are allowed"}};
  for (const auto& [name, why] : cases) {
    const auto made = put(name, text("x"));
    ASSERT_FALSE(made) << name;
    EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(made.error().message, HasSubstr(why));
    EXPECT_FALSE(get(name));
    EXPECT_FALSE(store_->remove(name));
    EXPECT_FALSE(store_->restore(name));
    EXPECT_FALSE(store_->create_beside(name, ".png"));
  }
  EXPECT_EQ(count_files(), 0u) << "not even the root was made";
  for (const char* name : {"...", "..a", "a..", ".a", "a b", "trash/.trash", "\xf0\x9f\x98\x80", "-a", "~"})
    EXPECT_TRUE(put(name, text("x"))) << name;
  EXPECT_TRUE(put(std::string(216, 'x'), text("x")));
  EXPECT_TRUE(put(std::string(255, 'y') + "/" + std::string(216, 'x'), text("x")));
}

TEST_F(Store, FollowsNoLinks) {
  ASSERT_TRUE(put("inside/a", text("1")));
  std::filesystem::create_directory(path("outside"));
  ASSERT_TRUE(write_file(path("outside/b.pxi"), *read_file(path("root/inside/a.pxi"), 1 << 20)));
  std::filesystem::create_symlink(path("outside"), path("root/folder"));
  std::filesystem::create_symlink(path("outside/b.pxi"), path("root/file.pxi"));
  std::filesystem::create_symlink(path("nothing"), path("root/dangling.pxi"));
  for (const char* name : {"folder/b", "folder/new", "file", "dangling"}) {
    for (const auto& error :
         {put(name, text("2")).error(), get(name).error(), store_->remove(name).error()}) {
      EXPECT_TRUE(error.code == ErrorCode::kInvalidArgument) << name << ": " << error.message;
    }
  }
  EXPECT_THAT(get("folder/b").error().message, HasSubstr("root/folder: is a symbolic link"));
  EXPECT_THAT(names(true), ElementsAre("inside/a"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path("outside")), {}), 1);
  EXPECT_FALSE(std::filesystem::exists(path("nothing")));
  // A link in the root's own path is the user's choice.
  std::filesystem::create_symlink(path("root"), path("link"));
  EXPECT_TRUE(PixelStore(path("link")).open("inside/a"));
}

TEST_F(Store, ThingsOfOtherKindsAreNamed) {
  ASSERT_TRUE(put("a/b", text("1")));
  std::filesystem::create_directory(path("root/folder.pxi"));
  ASSERT_EQ(::mkfifo(path("root/pipe.pxi").c_str(), 0600), 0);
  EXPECT_THAT(get("folder").error().message, HasSubstr("a folder, not a regular file"));
  EXPECT_THAT(put("folder", {}).error().message, HasSubstr("a folder, not a regular file"));
  EXPECT_THAT(get("pipe").error().message, HasSubstr("a device or pipe"));
  EXPECT_EQ(store_->remove("pipe").error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(put("a/b.pxi/c", {}).error().message,
              HasSubstr("root/a/b.pxi: is a file, a folder is expected"));
  const PixelStore file(path("root/a/b.pxi"));
  EXPECT_EQ(file.open("x").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(file.list(true).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(file.create("x", {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(PixelStore("").list(true).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(Store, PathsHaveOneSlash) {
  const PixelStore slash(path("root") + "/");
  EXPECT_EQ(*slash.path_of("a/b"), path("root") + "/a/b.pxi");
  EXPECT_EQ(*PixelStore("/").path_of("a"), "/a.pxi");
  auto out = slash.create("a/b", {});
  ASSERT_TRUE(out && out->pxif.write(text("1")) && out->pxif.finish());
  EXPECT_EQ(slash.open("a/b")->path(), path("root") + "/a/b.pxi");
  EXPECT_THAT(slash.open("none").error().message, HasSubstr("root/none.pxi: no such"));
  EXPECT_THAT(slash.restore("none").error().message, HasSubstr("root/none.pxi: is not in the trash"));
}

TEST_F(Store, PicturesAreNotWiderThanTheirPaddingIsWorth) {
  for (const PxifCompression compression : kEveryCompression) {
    for (const uint32_t width : {0u, kStoreMaxWidth + 1, ~0u})
      EXPECT_THAT(put("a", text("1"), {.width = width, .compression = compression}).error().message,
                  HasSubstr("1 to 1048576 are allowed in a store"));
    EXPECT_FALSE(std::filesystem::exists(path("root")));
  }
  ASSERT_TRUE(put("a", text("1"), {.width = kStoreMaxWidth}));
  EXPECT_EQ(*get("a"), text("1"));
  // What others wrote is read.
  auto wide = PxifWriter::create(path("root/wide.pxi"), {.width = kStoreMaxWidth + 1});
  ASSERT_TRUE(wide && wide->write(text("2")) && wide->finish());
  EXPECT_EQ(*get("wide"), text("2"));
}

TEST_F(Store, ListsWhatIsAContainerAndReportsTheRest) {
  ASSERT_TRUE(put("good", text("1")));
  ASSERT_TRUE(put("cut", text("2")));
  std::filesystem::resize_file(path("root/cut.pxi"), 100);
  ASSERT_TRUE(
      write_file(path("root/picture.pxi"),
                 text("\x89PNG\r\n\x1a\n and so on, until there are more than 64 bytes of it, or so")));
  ASSERT_TRUE(write_file(path("root/other.txt"), text("no container")));
  const auto listing = store_->list(true);
  ASSERT_TRUE(listing);
  ASSERT_EQ(listing->images.size(), 1u);
  EXPECT_EQ(listing->images[0].name, "good");
  ASSERT_EQ(listing->problems.size(), 2u);
  EXPECT_THAT(listing->problems[0].message, HasSubstr("root/cut.pxi: pxif: "));
  EXPECT_THAT(listing->problems[1].message, HasSubstr("root/picture.pxi: pxif: begins with 89504e47"));
}

TEST_F(Store, ReadersKeepTheOldVersion) {
  for (const PxifCompression compression : kEveryCompression) {
    const Buffer before = mixed(700000), after = noise(10);
    ASSERT_TRUE(put("a", before, {.compression = compression}));
    auto old = store_->open("a");
    ASSERT_TRUE(old);
    ASSERT_TRUE(put("a", after));
    EXPECT_TRUE(old->verify());
    Buffer out(before.size());
    ASSERT_TRUE(old->read(0, out));
    EXPECT_EQ(out, before);
    EXPECT_EQ(*get("a"), after);
    auto removed = store_->open("a");
    ASSERT_TRUE(store_->remove("a"));
    EXPECT_TRUE(removed->verify());
  }
}

TEST_F(Store, UnfinishedWritesChangeNothing) {
  ASSERT_TRUE(put("a", text("old")));
  {
    auto out = store_->create("a", {});
    ASSERT_TRUE(out && out->pxif.write(noise(600000)));
    EXPECT_EQ(*get("a"), text("old"));
  }
  EXPECT_EQ(*get("a"), text("old"));
  EXPECT_THAT(files(), ElementsAre("a.pxi"));
}

TEST_F(Store, OneWriterAName) {
  auto first = store_->create("a", {});
  ASSERT_TRUE(first);
  const auto second = store_->create("a", {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kBusy);
  EXPECT_THAT(second.error().message, HasSubstr("another program is changing it"));
  EXPECT_EQ(store_->remove("a").error().code, ErrorCode::kBusy);
  EXPECT_TRUE(put("b", text("another name is free")));
  ASSERT_TRUE(first->pxif.finish());
  first = fail(ErrorCode::kInternal, "gone");
  EXPECT_TRUE(put("a", text("now")));
  EXPECT_THAT(files(), ElementsAre("a.pxi", "b.pxi"));
}

TEST_F(Store, ASecondWriterWaits) {
  const PixelStore patient(path("root"), 60s);
  auto first = store_->create("a", {});
  ASSERT_TRUE(first);
  std::thread other([&] {
    auto second = patient.create("a", {});
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_TRUE(std::filesystem::exists(path("root/a.pxi"))) << "it came after the first";
    EXPECT_TRUE(second->pxif.write(text("second")) && second->pxif.finish());
  });
  ASSERT_TRUE(first->pxif.write(text("first")) && first->pxif.finish());
  first = fail(ErrorCode::kInternal, "gone");
  other.join();
  EXPECT_EQ(*get("a"), text("second"));
}

TEST_F(Store, RemovedIsNotGone) {
  for (const char* content : {"first", "second", "third"}) {
    ASSERT_TRUE(put("a/b", text(content)));
    ASSERT_TRUE(store_->remove("a/b"));
    EXPECT_EQ(get("a/b").error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store_->remove("a/b").error().code, ErrorCode::kNotFound);
  }
  ASSERT_TRUE(put("b", text("another")));
  ASSERT_TRUE(store_->remove("b"));
  EXPECT_THAT(files(), ElementsAre(".trash/000001/a/b.pxi", ".trash/000002/a/b.pxi", ".trash/000003/a/b.pxi",
                                   ".trash/000004/b.pxi"));
  EXPECT_TRUE(names(true).empty()) << "the trash is not listed";
  ASSERT_TRUE(store_->restore("a/b"));
  EXPECT_EQ(*get("a/b"), text("third"));
  const auto again = store_->restore("a/b");
  EXPECT_EQ(again.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(again.error().message, HasSubstr("root/a/b.pxi: exists and is not overwritten"));
  EXPECT_EQ(*get("a/b"), text("third"));
  ASSERT_TRUE(put("a/b", text("fourth")));
  ASSERT_TRUE(store_->remove("a/b"));
  for (const char* content : {"fourth", "second", "first"}) {
    ASSERT_TRUE(store_->restore("a/b"));
    EXPECT_EQ(*get("a/b"), text(content));
    std::filesystem::remove_all(path("root/a"));  // a folder that went is made again
  }
  EXPECT_THAT(store_->restore("a/b").error().message, HasSubstr("is not in the trash"));
  EXPECT_THAT(files(), ElementsAre(".trash/000004/b.pxi"));
  EXPECT_FALSE(std::filesystem::exists(path("root/.trash/000003"))) << "empty folders go";
}

TEST_F(Store, AForeignTrashDoesNotLead) {
  ASSERT_TRUE(put("a", text("1")));
  std::filesystem::create_directory(path("outside"));
  std::filesystem::create_symlink(path("outside"), path("root/.trash"));
  EXPECT_EQ(store_->remove("a").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store_->restore("b").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(*get("a"), text("1"));
  std::filesystem::remove(path("root/.trash"));
  std::filesystem::create_directories(path("root/.trash/notes"));  // not ours, not in the way
  ASSERT_TRUE(store_->remove("a"));
  ASSERT_TRUE(store_->restore("a"));
  EXPECT_EQ(*get("a"), text("1"));
}

TEST_F(Store, FilesBesideAContainer) {
  ASSERT_TRUE(put("a/b", text("1")));
  auto out = store_->create_beside("a/b", ".png");
  ASSERT_TRUE(out && out->write(text("x")) && out->commit());
  EXPECT_THAT(files(), ElementsAre("a/b.png", "a/b.pxi"));
  EXPECT_THAT(names(true), ElementsAre("a/b"));
}

}  // namespace
}  // namespace pixellm
