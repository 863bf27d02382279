#include "corpus/corpus_builder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "base/file.h"
#include "corpus/corpus_stats.h"
#include "corpus/folder_walk.h"
#include "corpus/secret_filter.h"
#include "corpus/text_normalizer.h"

namespace pixellm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPiece = size_t{1} << 20;
constexpr uint64_t kInMemory = uint64_t{16}
                               << 20;  // longer texts wait in a scratch file until they are accepted

constexpr std::string_view kRule = "============================================================";
constexpr std::string_view kTitle =
    "# pxOS Training Corpus\n# Auto-generated from repository\n"
    "# This corpus contains all code, docs, and specs for training Pixel-LLM\n";
constexpr std::string_view kStatsBeginning = "{\n  \"total_files\": ";
constexpr std::string_view kOwnNames[] = {"pxos_corpus.txt", "pxos_corpus_stats.json"};

Bytes bytes_of(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

// A text on its way into the corpus: in memory while it is short, else in a file without a name beside the
// output.
class Draft {
 public:
  explicit Draft(std::string scratch_path) : scratch_path_(std::move(scratch_path)) {}

  Result<void> append(std::string_view text) {
    memory_ += text;
    if (memory_.size() <= kInMemory) return {};
    if (!file_) file_.emplace(PIXELLM_TRY(AtomicFile::create(scratch_path_)));
    PIXELLM_CHECK(file_->write(bytes_of(memory_)));
    memory_.clear();
    return {};
  }

  Result<void> copy_to(AtomicFile& out) const {
    std::vector<uint8_t> piece;
    for (uint64_t at = 0; file_ && at < file_->size(); at += piece.size()) {
      piece.resize(std::min<uint64_t>(kPiece, file_->size() - at));
      PIXELLM_CHECK(file_->read_at(at, piece));
      PIXELLM_CHECK(out.write(piece));
    }
    return out.write(bytes_of(memory_));
  }

 private:
  std::string scratch_path_, memory_;
  std::optional<AtomicFile> file_;
};

struct Identity {
  dev_t device;
  ino_t inode;
  friend bool operator==(const Identity&, const Identity&) = default;
};

Identity identity_of(const struct stat& st) { return {st.st_dev, st.st_ino}; }

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// Refuses two names for one file, existing or not.
Result<void> check_outputs(const CorpusOptions& options) {
  if (options.stats.empty()) return {};
  struct stat a{}, b{};
  const bool both_exist = ::stat(options.output.c_str(), &a) == 0 && ::stat(options.stats.c_str(), &b) == 0;
  std::error_code ec, ec2;
  const fs::path full = fs::weakly_canonical(options.output, ec),
                 full_stats = fs::weakly_canonical(options.stats, ec2);
  const bool same_path = options.output == options.stats || (!ec && !ec2 && full == full_stats);
  if (!same_path && !(both_exist && identity_of(a) == identity_of(b))) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("{}: cannot be both the corpus and its statistics", options.stats));
}

bool is_stats_file(std::string_view text) {
  if (!text.starts_with(kStatsBeginning)) return false;
  text.remove_prefix(kStatsBeginning.size());
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  return digits > 0 && text.substr(digits).starts_with(",\n  \"total_chars\": ");
}

// Of a text's first kBeginningBytes: whether an earlier run wrote it.
constexpr size_t kBeginningBytes = 256;
bool is_own_text(std::string_view beginning) {
  return beginning.starts_with(kTitle) || is_stats_file(beginning);
}

class Builder {
 public:
  Builder(const CorpusOptions& options, AtomicFile& out) : options_(options), out_(out) {
    const fs::path beside =
        options.output == "-" ? fs::temp_directory_path(error_) / "x" : fs::path(options.output);
    scratch_path_ = (beside.parent_path() / "pixellm-corpus-scratch").string();
    for (const std::string& path : {options.output, options.stats}) remember(path);
    replaced_ = own_.size();
    // `pixellm ... -o - > corpus.txt 2> log.txt` inside the folder.
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
      struct stat st{};
      if (::fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) own_.push_back(identity_of(st));
    }
  }

  void other(const std::string& path, const std::string& name);
  void leave_out(LeftOut left_out) {
    if (left_out.reason == LeftOutReason::kUnreadable) unreadable_++;
    left_out_++;
    if (options_.on_left_out) options_.on_left_out(left_out);
  }

  Result<void> file(const WalkedFile& file);

  uint64_t total_bytes = 0;  // for the progress only
  const CorpusStats& stats() const { return stats_; }
  uint64_t unreadable() const { return unreadable_; }
  uint64_t left_out() const { return left_out_; }

 private:
  void remember(const std::string& path) {
    struct stat st{};
    if (!path.empty() && path != "-" && ::stat(path.c_str(), &st) == 0) own_.push_back(identity_of(st));
  }
  Result<bool> is_own(const WalkedFile& file, int fd, const struct stat& st) const;
  void leave_out(const WalkedFile& file, LeftOutReason reason, std::string detail = {}) {
    leave_out({.path = file.path, .reason = reason, .detail = std::move(detail)});
  }
  std::optional<LeftOut> secret_name(const WalkedFile& file) const;
  Result<std::optional<LeftOut>> read(const WalkedFile& file, int fd, uint64_t size, Draft& draft,
                                      FileStats& stats);
  Result<void> take(const WalkedFile& file, const Draft& draft, FileStats stats);
  void advance(uint64_t bytes) {
    done_bytes_ += bytes;
    if (options_.progress && total_bytes > 0)
      options_.progress(std::min(done_bytes_, total_bytes - 1), total_bytes);
  }

  const CorpusOptions& options_;
  AtomicFile& out_;
  std::error_code error_;
  std::string scratch_path_;
  std::vector<Identity> own_;
  size_t replaced_ = 0;  // how many of own_ will be replaced; the others are written to already
  CorpusStats stats_;
  uint64_t done_bytes_ = 0, unreadable_ = 0, left_out_ = 0;
};

// No text of a corpus, but who looks for .env or a key in the report finds it.
void Builder::other(const std::string& path, const std::string& name) {
  const auto rule = options_.keep_secrets ? std::nullopt : secret_file_rule(name);
  if (rule) leave_out({.path = escaped_path(path), .reason = LeftOutReason::kSecret, .rule = *rule});
}

std::optional<LeftOut> Builder::secret_name(const WalkedFile& file) const {
  if (options_.keep_secrets) return std::nullopt;
  const auto rule = secret_file_rule(file.name);
  if (!rule) return std::nullopt;
  return LeftOut{.path = file.path, .reason = LeftOutReason::kSecret, .rule = *rule};
}

// Whether the file is an output of this run. One that would be replaced, and that an earlier run did not
// write, is an error: it is a text of the folder.
Result<bool> Builder::is_own(const WalkedFile& file, int fd, const struct stat& st) const {
  const auto found = std::ranges::find(own_, identity_of(st));
  if (found == own_.end()) return false;
  std::array<char, kBeginningBytes> memory;
  const ssize_t n = ::pread(fd, memory.data(), memory.size(), 0);
  if (found - own_.begin() >= static_cast<ptrdiff_t>(replaced_) || n == 0) return true;
  if (n > 0 && is_own_text({memory.data(), static_cast<size_t>(n)})) return true;
  return fail(
      ErrorCode::kInvalidArgument,
      fmt::format("{}: is a text of the folder that no earlier run wrote, and would be replaced; choose "
                  "another name for the output, or remove it",
                  file.path));
}

// Reads exactly `size` bytes into the draft; an answer says why the file cannot be taken.
Result<std::optional<LeftOut>> Builder::read(const WalkedFile& file, int fd, uint64_t size, Draft& draft,
                                             FileStats& stats) {
  TextNormalizer normalizer;
  SecretScanner scanner(file.suffix == ".py" ? TextKind::kPython : TextKind::kOther);
  std::string piece(std::min<uint64_t>(kPiece, size + 1), '\0'), text, beginning;
  uint64_t done = 0;
  const auto left_out = [&](LeftOutReason reason, std::string detail = {}) {
    return std::optional(LeftOut{.path = file.path, .reason = reason, .detail = std::move(detail)});
  };
  for (;;) {
    const ssize_t n = ::read(fd, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return left_out(LeftOutReason::kUnreadable, std::strerror(errno));
    if (n == 0) break;
    done += static_cast<uint64_t>(n);
    if (done > size) return left_out(LeftOutReason::kChanged, "grew while it was read");
    text.clear();
    if (!normalizer.push({piece.data(), static_cast<size_t>(n)}, text))
      return left_out(LeftOutReason::kNotUtf8);
    if (!options_.keep_secrets) scanner.push(text);
    if (scanner.found()) break;
    if (beginning.size() < kBeginningBytes) beginning += text.substr(0, kBeginningBytes);
    PIXELLM_CHECK(draft.append(text));
    advance(static_cast<uint64_t>(n));
  }
  if (is_own_text(beginning))
    return left_out(LeftOutReason::kOwnOutput, "a corpus or its statistics, by its first lines");
  if (const auto found = options_.keep_secrets ? std::nullopt : scanner.finish())
    return LeftOut{
        .path = file.path, .reason = LeftOutReason::kSecret, .line = found->line, .rule = found->rule};
  if (!normalizer.finish()) return left_out(LeftOutReason::kNotUtf8);
  if (done != size) return left_out(LeftOutReason::kChanged, "shrank while it was read");
  stats = {file.path, std::string(file.suffix), normalizer.characters(), normalizer.newlines() + 1};
  return std::nullopt;
}

Result<void> Builder::take(const WalkedFile& file, const Draft& draft, FileStats stats) {
  if (stats_.files() == 0) PIXELLM_CHECK(out_.write(bytes_of(fmt::format("{}\n{}\n\n", kTitle, kRule))));
  PIXELLM_CHECK(out_.write(bytes_of(fmt::format("\n{}\nFILE: {}\n{}\n\n", kRule, file.path, kRule))));
  PIXELLM_CHECK(draft.copy_to(out_));
  PIXELLM_CHECK(out_.write(bytes_of("\n\n")));
  stats_.add(std::move(stats));
  return {};
}

Result<void> Builder::file(const WalkedFile& file) {
  if (std::ranges::find(kOwnNames, file.name) != std::end(kOwnNames))
    return leave_out(file, LeftOutReason::kOwnOutput, "by its name"), Result<void>{};
  const Descriptor opened{
      ::openat(file.folder, file.name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
  struct stat before{}, after{};
  if (opened.fd < 0 || ::fstat(opened.fd, &before) != 0) {
    const bool exchanged = errno == ENOENT || errno == ELOOP;
    leave_out(file, exchanged ? LeftOutReason::kChanged : LeftOutReason::kUnreadable, std::strerror(errno));
    return {};
  }
  if (!S_ISREG(before.st_mode)) return leave_out(file, LeftOutReason::kChanged), Result<void>{};
  if (PIXELLM_TRY(is_own(file, opened.fd, before)))
    return leave_out(file, LeftOutReason::kOwnOutput), Result<void>{};
  if (auto secret = secret_name(file)) return leave_out(*std::move(secret)), Result<void>{};
  Draft draft(scratch_path_);
  FileStats stats;
  auto left_out = PIXELLM_TRY(read(file, opened.fd, static_cast<uint64_t>(before.st_size), draft, stats));
  if (left_out) return leave_out(*std::move(left_out)), Result<void>{};
  const bool same = ::fstat(opened.fd, &after) == 0 && after.st_size == before.st_size &&
                    after.st_mtim.tv_sec == before.st_mtim.tv_sec &&
                    after.st_mtim.tv_nsec == before.st_mtim.tv_nsec;
  if (!same) return leave_out(file, LeftOutReason::kChanged, "was written while it was read"), Result<void>{};
  return take(file, draft, std::move(stats));
}

Result<uint64_t> count_bytes(const std::string& folder) {
  uint64_t total = 0;
  PIXELLM_CHECK(walk_folder(folder, {.on_file = [&](const WalkedFile& f) -> Result<void> {
                                       total += f.size;
                                       return {};
                                     },
                                     .on_left_out = [](const LeftOut&) {}}));
  return total;
}

}  // namespace

Result<CorpusSummary> build_corpus(const std::string& folder, const CorpusOptions& options) {
  PIXELLM_CHECK(check_outputs(options));
  const uint64_t total_bytes = PIXELLM_TRY(count_bytes(folder));
  auto out = PIXELLM_TRY(AtomicFile::create(options.output));
  std::optional<AtomicFile> stats_file;
  if (!options.stats.empty()) stats_file.emplace(PIXELLM_TRY(AtomicFile::create(options.stats)));

  Builder builder(options, out);
  builder.total_bytes = total_bytes;
  const WalkVisitor visitor{
      .on_file = [&](const WalkedFile& f) { return builder.file(f); },
      .on_left_out = [&](LeftOut l) { builder.leave_out(std::move(l)); },
      .on_other = [&](const std::string& path, const std::string& name) { builder.other(path, name); }};
  PIXELLM_CHECK(walk_folder(folder, visitor));
  if (options.progress && total_bytes > 0) options.progress(total_bytes, total_bytes);
  const CorpusStats& stats = builder.stats();
  if (stats.files() == 0)
    return fail(ErrorCode::kNotFound,
                fmt::format("{}: no text to collect (.py, .md, .json, .yaml, .txt); {} left out", folder,
                            builder.left_out()));
  if (stats_file) {
    PIXELLM_CHECK(stats.write(*stats_file));
    PIXELLM_CHECK(stats_file->commit());
  }
  PIXELLM_CHECK(out.commit());
  return CorpusSummary{.files = stats.files(),
                       .characters = stats.characters(),
                       .lines = stats.lines(),
                       .bytes = out.size(),
                       .unreadable = builder.unreadable()};
}

}  // namespace pixellm
