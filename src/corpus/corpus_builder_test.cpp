#include "corpus/corpus_builder.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "corpus/folder_walk.h"

namespace pixellm {
namespace {

namespace fs = std::filesystem;

const std::string kRule(60, '=');
const std::string kHead =
    "# pxOS Training Corpus\n# Auto-generated from repository\n# This corpus contains all code, docs, and "
    "specs for "
    "training Pixel-LLM\n\n" +
    kRule + "\n\n";

std::string section(const std::string& path, const std::string& text) {
  return "\n" + kRule + "\nFILE: " + path + "\n" + kRule + "\n\n" + text + "\n\n";
}

class CorpusBuilder : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "pixellm-corpus-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    root_ = base_ / "tree";
    fs::create_directory(root_);
    out_ = base_ / "out.corpus";
  }
  void TearDown() override {
    std::error_code ec;
    fs::remove_all(base_, ec);
  }

  void put(const fs::path& name, const std::string& text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << text;
  }
  static std::string get(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }

  Result<CorpusSummary> build(CorpusOptions options = {}, const fs::path& folder = {}) {
    left_out_.clear();
    if (options.output.empty()) options.output = out_.string();
    options.on_left_out = [&](const LeftOut& l) {
      EXPECT_FALSE(left_out_.contains(l.path)) << "named twice: " << l.path;
      left_out_.insert_or_assign(l.path, l);
    };
    return build_corpus(folder.empty() ? root_.string() : folder.string(), options);
  }
  bool is_left_out(const std::string& path, LeftOutReason reason) {
    const auto it = left_out_.find(path);
    return it != left_out_.end() && it->second.reason == reason;
  }
  // Nothing but `names` in the folder that holds the outputs: no scratch or half-written file.
  void expect_only(std::vector<std::string> names) {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(base_)) found.push_back(entry.path().filename().string());
    std::ranges::sort(found);
    std::ranges::sort(names);
    EXPECT_EQ(found, names);
  }

  fs::path base_, root_, out_;
  std::map<std::string, LeftOut> left_out_;
};

// ---- the corpus

TEST_F(CorpusBuilder, WritesTitlesTextsAndStatisticsAsTheOriginalDoes) {
  put("b.py", "print(1)\r\n");
  put("a/z.md", "# Z\n");
  put("a.txt", "\xc3\xa4\xe2\x82\xac");
  put("a-b/c.json", "");
  put("A.yaml", "x: 1\ry: 2");
  put("d.cpp", "not taken");
  const auto done = build({.stats = (base_ / "stats").string()});
  ASSERT_TRUE(done) << done.error().message;
  // Components are compared as bytes: "A.yaml" < "a" < "a-b" < "a.txt".
  EXPECT_EQ(get(out_), kHead + section("A.yaml", "x: 1\ny: 2") + section("a/z.md", "# Z\n") +
                           section("a-b/c.json", "") + section("a.txt", "\xc3\xa4\xe2\x82\xac") +
                           section("b.py", "print(1)\n"));
  EXPECT_EQ(done->files, 5u);
  EXPECT_EQ(done->characters, 9u + 4 + 0 + 2 + 9);
  EXPECT_EQ(done->lines, 2u + 2 + 1 + 1 + 2);
  EXPECT_EQ(done->bytes, fs::file_size(out_));
  EXPECT_TRUE(left_out_.empty());
  const std::string stats = get(base_ / "stats");
  EXPECT_TRUE(stats.starts_with(
      "{\n  \"total_files\": 5,\n  \"total_chars\": 24,\n  \"total_lines\": 8,\n  \"by_extension\": {\n"
      "    \".yaml\": {\n      \"files\": 1,\n      \"chars\": 9,\n      \"lines\": 2\n    },\n"))
      << stats;
  EXPECT_TRUE(
      stats.ends_with("    {\n      \"path\": \"b.py\",\n      \"extension\": \".py\",\n      \"chars\": 9,\n"
                      "      \"lines\": 2\n    }\n  ]\n}"))
      << stats;
  expect_only({"tree", "out.corpus", "stats"});
}

TEST(CorpusSuffix, IsTheLastDotsAndNotAWholeName) {
  for (const std::string_view name : {"a.py", ".a.json", "a.b.txt", "..md", "a.tar.yaml"})
    EXPECT_FALSE(corpus_suffix(name).empty()) << name;
  for (const std::string_view name : {".py", "py", "a.PY", "a.py.", "a.pyc", "a.yml", "", ".", "txt."})
    EXPECT_TRUE(corpus_suffix(name).empty()) << name;
}

TEST_F(CorpusBuilder, SkipListCountsBelowTheFolderOnly) {
  for (const std::string folder : {".git", "__pycache__", ".pytest_cache", "node_modules", ".venv", "venv",
                                   "build", "dist", ".mypy_cache", ".hg", ".svn"})
    put(fs::path("build/dist/checkout") / folder / "x.py", "skipped");
  put("build/dist/checkout/deep/build/x.py", "skipped");
  put("build/dist/checkout/builds/x.py", "taken");
  put("build/dist/checkout/x.py", "taken");
  const auto done = build({}, root_ / "build/dist/checkout");
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(get(out_), kHead + section("builds/x.py", "taken") + section("x.py", "taken"));
  EXPECT_EQ(left_out_.size(), 12u);
  EXPECT_TRUE(is_left_out("deep/build/", LeftOutReason::kSkippedFolder));
  ASSERT_FALSE(build());  // from above, "build" is skipped and nothing remains
  EXPECT_TRUE(is_left_out("build/", LeftOutReason::kSkippedFolder));
}

TEST_F(CorpusBuilder, TextsLargerThanMemoryPiecesComeOutWhole) {
  std::string text;
  for (int i = 0; text.size() < (40u << 20); i++) text += "line " + std::to_string(i) + " \xe2\x82\xac\r\n";
  put("large.txt", text);
  put("small.txt", "x");
  uint64_t calls = 0, last = 0;
  CorpusOptions options;
  options.progress = [&](uint64_t done, uint64_t total) {
    calls++;
    EXPECT_GE(done, last);
    EXPECT_LE(done, total);
    last = done;
  };
  const auto done = build(options);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_GT(calls, 10u);
  std::erase(text, '\r');
  EXPECT_TRUE(get(out_) == kHead + section("large.txt", text) + section("small.txt", "x"));
  put("large.txt", text + "\xff");
  ASSERT_TRUE(build());
  EXPECT_TRUE(is_left_out("large.txt", LeftOutReason::kNotUtf8));
  EXPECT_EQ(get(out_), kHead + section("small.txt", "x"));
  expect_only({"tree", "out.corpus"});
}

// ---- own outputs

TEST_F(CorpusBuilder, NeverEatsItsOwnOutputs) {
  put("a.md", "text");
  const CorpusOptions options{.output = (root_ / "corpus.txt").string(),
                              .stats = (root_ / "stats.json").string()};
  ASSERT_TRUE(build(options));
  const std::string corpus = get(root_ / "corpus.txt"), stats = get(root_ / "stats.json");
  EXPECT_EQ(corpus, kHead + section("a.md", "text"));
  ASSERT_TRUE(build(options));
  EXPECT_EQ(get(root_ / "corpus.txt"), corpus);
  EXPECT_EQ(get(root_ / "stats.json"), stats);
  EXPECT_TRUE(is_left_out("corpus.txt", LeftOutReason::kOwnOutput));
  EXPECT_TRUE(is_left_out("stats.json", LeftOutReason::kOwnOutput));
  // Another spelling, a hard link, another output: the earlier run's files are still recognised.
  fs::create_hard_link(root_ / "corpus.txt", root_ / "linked.txt");
  fs::create_directory(root_ / "sub");
  ASSERT_TRUE(build({.output = (root_ / "sub/../corpus.txt").string()}));
  EXPECT_EQ(get(root_ / "corpus.txt"), corpus);
  EXPECT_TRUE(is_left_out("linked.txt", LeftOutReason::kOwnOutput));
  ASSERT_TRUE(build());
  EXPECT_EQ(get(out_), corpus);
}

TEST_F(CorpusBuilder, ATextOfTheFolderIsNeverReplaced) {
  put("a.md", "text");
  put("notes.txt", "my own notes");
  put("other.json", "{}");
  put("empty.txt", "");
  fs::create_symlink("notes.txt", root_ / "link");
  const std::string notes = (root_ / "notes.txt").string(), inside = (root_ / "corpus.txt").string();
  for (const CorpusOptions& options :
       {CorpusOptions{.output = notes}, CorpusOptions{.output = (root_ / "link").string()},
        CorpusOptions{.output = inside, .stats = (root_ / "other.json").string()},
        CorpusOptions{.output = inside, .stats = notes}}) {
    const auto done = build(options);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(done.error().message.find("is a text of the folder that no earlier run wrote"),
              std::string::npos);
    EXPECT_EQ(get(notes), "my own notes");
    EXPECT_EQ(get(root_ / "other.json"), "{}");
    EXPECT_FALSE(fs::exists(inside));
  }
  // An empty file, one that is no text of the corpus, and one outside of the folder are replaced.
  put("log", "no text for a corpus");
  std::ofstream(out_) << "anything";
  for (const std::string& output :
       {(root_ / "empty.txt").string(), (root_ / "log").string(), out_.string()}) {
    ASSERT_TRUE(build({.output = output})) << output;
    EXPECT_TRUE(get(output).starts_with(kHead + section("a.md", "text")));
  }
}

TEST_F(CorpusBuilder, TheOriginalsOutputsAreKnownByName) {
  put("pxos_corpus.txt", "x");
  put("data/pxos_corpus_stats.json", "{}");
  put("a.md", "text");
  ASSERT_TRUE(build());
  EXPECT_EQ(get(out_), kHead + section("a.md", "text"));
  EXPECT_TRUE(is_left_out("pxos_corpus.txt", LeftOutReason::kOwnOutput));
  EXPECT_TRUE(is_left_out("data/pxos_corpus_stats.json", LeftOutReason::kOwnOutput));
}

TEST_F(CorpusBuilder, RefusesOneFileForBothOutputs) {
  put("a.md", "text");
  for (const std::string& stats : {out_.string(), (base_ / "tree/../out.corpus").string()}) {
    const auto done = build({.stats = stats});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::kInvalidArgument);
  }
  std::ofstream(out_) << "kept";
  fs::create_hard_link(out_, base_ / "link");
  EXPECT_FALSE(build({.stats = (base_ / "link").string()}));
  EXPECT_EQ(get(out_), "kept");
}

// ---- links, names, kinds of files

TEST_F(CorpusBuilder, SymbolicLinksAreNamedAndNeverFollowed) {
  put("a.md", "text");
  std::ofstream(base_ / "outside.txt") << "outside";
  fs::create_symlink(base_ / "outside.txt", root_ / "file.txt");
  fs::create_symlink(base_ / "outside.txt", root_ / "no-suffix");
  fs::create_symlink("missing", root_ / "dangling.md");
  fs::create_directory_symlink("..", root_ / "loop");
  fs::create_directory_symlink("self", root_ / "self");
  ASSERT_TRUE(build());
  EXPECT_EQ(get(out_), kHead + section("a.md", "text"));
  EXPECT_TRUE(is_left_out("file.txt", LeftOutReason::kSymbolicLink));
  EXPECT_TRUE(is_left_out("dangling.md", LeftOutReason::kSymbolicLink));
  EXPECT_TRUE(is_left_out("loop", LeftOutReason::kSymbolicLink));
  EXPECT_EQ(left_out_.size(), 3u);  // "no-suffix" and "self" would not have been taken anyway
  fs::create_directory_symlink(root_, base_ / "root-link");
  ASSERT_TRUE(build({}, base_ / "root-link"));  // the folder that the caller names may be one
  EXPECT_EQ(get(out_), kHead + section("a.md", "text"));
}

TEST_F(CorpusBuilder, SpecialFilesAreSkippedWithoutWaiting) {
  put("a.md", "text");
  ASSERT_EQ(::mkfifo((root_ / "pipe.txt").c_str(), 0600), 0);
  fs::create_directory(root_ / "folder.py");
  put("folder.py/b.md", "in a folder with a suffix");
  ASSERT_TRUE(build());
  EXPECT_EQ(get(out_),
            kHead + section("a.md", "text") + section("folder.py/b.md", "in a folder with a suffix"));
  EXPECT_TRUE(is_left_out("pipe.txt", LeftOutReason::kSpecialFile));
}

TEST_F(CorpusBuilder, NamesThatNoTitleLineCanHoldAreLeftOut) {
  put("a.md", "text");
  put("forged\n" + kRule + "\nFILE: x.md", "");
  put("tab\there.py", "");
  put("escape\x1b[31m.txt", "");
  put("latin\xe4.txt", "");
  put("folder\xff/inner.md", "");
  put("caf\xc3\xa9 \\n.md", "lawful");
  const auto done = build({.stats = (base_ / "stats").string()});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(get(out_), kHead + section("a.md", "text") + section("caf\xc3\xa9 \\n.md", "lawful"));
  EXPECT_TRUE(is_left_out("tab\\x09here.py", LeftOutReason::kName));
  EXPECT_TRUE(is_left_out("escape\\x1b[31m.txt", LeftOutReason::kName));
  EXPECT_TRUE(is_left_out("latin\\xe4.txt", LeftOutReason::kName));
  EXPECT_TRUE(is_left_out("folder\\xff/", LeftOutReason::kName));
  EXPECT_TRUE(is_left_out("forged\\x0a" + kRule + "\\x0aFILE: x.md", LeftOutReason::kName));
  EXPECT_EQ(left_out_.size(), 5u);
  EXPECT_NE(get(base_ / "stats").find("\"caf\\u00e9 \\\\n.md\""), std::string::npos);
}

TEST_F(CorpusBuilder, FoldersBelowTheLimitOfDepthAreNamed) {
  fs::path deep;
  for (int i = 0; i < 200; i++) deep /= "d";
  put(deep / "last.md", "taken");
  put(deep / "d/beyond.md", "too deep");
  ASSERT_TRUE(build());
  EXPECT_EQ(get(out_), kHead + section((deep / "last.md").string(), "taken"));
  EXPECT_TRUE(is_left_out((deep / "d/").string(), LeftOutReason::kTooDeep));
}

TEST_F(CorpusBuilder, WhatIsNotUtf8IsNamed) {
  put("bad.txt", "a\xff");
  put("cut.txt", "a\xe2\x82");
  put("utf16.txt", std::string("\xff\xfe"
                               "a\0",
                               4));
  put("bom.txt", "\xef\xbb\xbfx");
  ASSERT_TRUE(build());
  EXPECT_EQ(get(out_), kHead + section("bom.txt", "\xef\xbb\xbfx"));
  for (const std::string name : {"bad.txt", "cut.txt", "utf16.txt"})
    EXPECT_TRUE(is_left_out(name, LeftOutReason::kNotUtf8)) << name;
}

TEST_F(CorpusBuilder, WhatCannotBeReadIsNamedAndCounted) {
  put("a.md", "text");
  put("closed.md", "x");
  put("folder/b.md", "x");
  fs::permissions(root_ / "closed.md", fs::perms::none);
  fs::permissions(root_ / "folder", fs::perms::none);
  // Root reads everything, so it works as nobody here.
  const bool root = ::geteuid() == 0;
  fs::permissions(base_, fs::perms::all);
  if (root && ::seteuid(65534) != 0) GTEST_SKIP() << "root reads everything, and cannot be another user here";
  const auto done = build();
  ASSERT_TRUE(!root || ::seteuid(0) == 0);
  fs::permissions(root_ / "folder", fs::perms::owner_all);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->unreadable, 2u);
  EXPECT_TRUE(is_left_out("closed.md", LeftOutReason::kUnreadable));
  EXPECT_TRUE(is_left_out("folder/", LeftOutReason::kUnreadable));
}

TEST_F(CorpusBuilder, FilesThatChangeOrVanishMeanwhileAreNamed) {
  const std::string large(3u << 20, 'x');
  for (const std::string name : {"a.txt", "b.txt", "c.txt", "d.txt"}) put(name, large);
  CorpusOptions options;
  bool first = true;
  // Called while the first file is read: the folder's names are listed by then.
  options.progress = [&](uint64_t, uint64_t) {
    if (!std::exchange(first, false)) return;
    std::ofstream(root_ / "a.txt", std::ios::app) << "more";
    fs::remove(root_ / "b.txt");
    fs::remove(root_ / "c.txt");
    fs::create_symlink(out_, root_ / "c.txt");
  };
  ASSERT_TRUE(build(options));
  EXPECT_TRUE(is_left_out("a.txt", LeftOutReason::kChanged));
  EXPECT_TRUE(is_left_out("b.txt", LeftOutReason::kChanged));
  EXPECT_TRUE(is_left_out("c.txt", LeftOutReason::kSymbolicLink));
  EXPECT_EQ(get(out_), kHead + section("d.txt", large));
}

// ---- secrets

TEST_F(CorpusBuilder, SecretsAreLeftOutUnlessKept) {
  const std::string token = std::string("gh") + "p_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";
  put("a.md", "text");
  put("config.py", "x = 1\r\ny = 2\r\ntoken = '" + token + "'\r\n");
  put(".env.json", "{}");
  put("late.txt", std::string(20u << 20, '.') + "\n" + token);
  ASSERT_TRUE(build());
  EXPECT_EQ(get(out_), kHead + section("a.md", "text"));
  ASSERT_TRUE(is_left_out("config.py", LeftOutReason::kSecret));
  EXPECT_EQ(left_out_["config.py"].line, 3u);
  EXPECT_EQ(left_out_["config.py"].rule, "github-token");
  EXPECT_EQ(left_out_["late.txt"].line, 2u);
  EXPECT_EQ(left_out_[".env.json"].line, 0u);
  EXPECT_EQ(left_out_[".env.json"].rule, "env-file");
  for (const auto& [path, l] : left_out_) EXPECT_EQ(l.detail.find(token), std::string::npos);
  const auto kept = build({.keep_secrets = true});
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->files, 4u);
  EXPECT_TRUE(left_out_.empty());
}

// ---- failures

TEST_F(CorpusBuilder, NothingToCollectIsAnErrorAndLeavesTheOutputAlone) {
  std::ofstream(out_) << "earlier";
  put("a.cpp", "x");
  put(".env.json", "{}");
  const auto done = build({.stats = (base_ / "stats").string()});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::kNotFound);
  EXPECT_NE(done.error().message.find("1 left out"), std::string::npos) << done.error().message;
  EXPECT_EQ(get(out_), "earlier");
  expect_only({"tree", "out.corpus"});
}

TEST_F(CorpusBuilder, FoldersThatAreNoneAreNamed) {
  put("a.md", "x");
  const auto missing = build({}, root_ / "missing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find("missing"), std::string::npos);
  const auto file = build({}, root_ / "a.md");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kInvalidArgument);
  expect_only({"tree"});
}

TEST_F(CorpusBuilder, OutputsThatCannotBeWrittenLeaveNothing) {
  put("a.md", "x");
  EXPECT_FALSE(build({.output = (base_ / "no/such/folder").string()}));
  EXPECT_FALSE(build({.output = root_.string()}));
  EXPECT_FALSE(build({.stats = (base_ / "no/such/folder").string()}));
  expect_only({"tree"});
}

TEST_F(CorpusBuilder, AFullDiskLeavesTheEarlierCorpus) {
  put("a.txt", std::string(1u << 20, 'a'));
  put("large.txt", std::string(20u << 20, 'b'));
  std::ofstream(out_) << "earlier";
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  for (const rlim_t limit : {rlim_t{4096}, rlim_t{18u << 20}}) {  // in the corpus; in the scratch file
    rlimit small = old;
    small.rlim_cur = limit;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const auto done = build();
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::kIo);
  }
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(get(out_), "earlier");
  expect_only({"tree", "out.corpus"});
}

}  // namespace
}  // namespace pixellm
