#include "map/crash_disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "base/file.h"

namespace pixellm::crash {
namespace {

using Kind = DiskOp::Kind;
using Random = CrashReplay::Random;

constexpr uint64_t kSector = 512;

std::string parent(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

bool chance(Random& random, unsigned percent) { return random() % 100 < percent; }

void write_over(std::vector<uint8_t>& file, const DiskOp& op, uint64_t from, uint64_t to) {
  if (to > file.size()) file.resize(to);
  std::copy(op.data.begin() + static_cast<ptrdiff_t>(from - op.offset),
            op.data.begin() + static_cast<ptrdiff_t>(to - op.offset),
            file.begin() + static_cast<ptrdiff_t>(from));
}

void apply(std::vector<uint8_t>& file, const DiskOp& op) {
  if (op.kind == Kind::kTruncate)
    file.resize(op.offset);
  else if (!op.data.empty())
    write_over(file, op, op.offset, op.offset + op.data.size());
}

// Each sector that the write touches is there with the given chance.
void apply_torn(std::vector<uint8_t>& file, const DiskOp& op, unsigned percent, Random& random) {
  const uint64_t end = op.offset + op.data.size();
  for (uint64_t at = op.offset; at < end;) {
    const uint64_t next = std::min(end, (at / kSector + 1) * kSector);
    if (chance(random, percent)) write_over(file, op, at, next);
    at = next;
  }
}

// How much of what was not synced has reached the disk. Extremes come often: they are where orders go wrong.
struct Luck {
  unsigned whole, torn;  // per cent of the writes that are there, and that are there in part
  explicit Luck(Random& random) {
    static constexpr std::pair<unsigned, unsigned> kKinds[] = {{0, 0},  {100, 0}, {50, 0},  {10, 0},
                                                               {90, 0}, {0, 100}, {30, 40}, {90, 10}};
    std::tie(whole, torn) = kKinds[random() % std::size(kKinds)];
  }
  void apply_some(std::vector<uint8_t>& file, const DiskOp& op, Random& random) const {
    if (chance(random, whole))
      apply(file, op);
    else if (op.kind == Kind::kWrite && chance(random, torn))
      apply_torn(file, op, 1 + static_cast<unsigned>(random() % 99), random);
  }
};

Result<void> put_file(const std::string& path, const std::vector<uint8_t>& data) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return fail(ErrorCode::kIo, path + ": cannot make the image");
  size_t done = 0;
  while (done < data.size()) {
    const ssize_t n = ::pwrite(fd, data.data() + done, data.size() - done, static_cast<off_t>(done));
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  const bool whole = done == data.size() && ::ftruncate(fd, static_cast<off_t>(data.size())) == 0;
  ::close(fd);
  if (!whole) return fail(ErrorCode::kIo, path + ": cannot write the image");
  return {};
}

}  // namespace

void CrashReplay::advance(size_t position) {
  for (; done_ < position; ++done_) finish(journal_[done_], done_);
}

void CrashReplay::rename_in(Names& names, const DiskOp& op) {
  switch (op.kind) {
    case Kind::kCreate:
      names[op.path] = op.file;
      break;
    case Kind::kMakeFolder:
      names[op.path] = std::nullopt;
      break;
    case Kind::kRemove:
      names.erase(op.path);
      break;
    case Kind::kRename: {
      const auto it = names.find(op.path);
      if (it == names.end()) break;
      names[op.to] = it->second;
      names.erase(op.path);
      break;
    }
    default:
      PIXELLM_ASSERT(false);
  }
}

// A failed sync: what was not written is marked as written, and so never is.
void CrashReplay::settle(FileState& file, size_t index) {
  Random random(seed_ * 0x9e3779b97f4a7c15 + index);
  const Luck luck(random);
  for (const Pending& p : file.pending) {
    if (p.certain)
      apply(file.durable, *p.op);
    else
      luck.apply_some(file.durable, *p.op, random);
  }
  file.pending.clear();
}

void CrashReplay::finish(const DiskOp& op, size_t index) {
  switch (op.kind) {
    case Kind::kTruncate:
    case Kind::kWrite: {
      FileState& file = files_[op.file];
      if (op.failed) {  // its own sync failed
        Random random(seed_ * 0x9e3779b97f4a7c15 + index);
        if (chance(random, 50)) file.pending.push_back({&op, true});
        break;
      }
      file.pending.push_back({&op, op.durable && lie_ != Lie::kAll});
      break;
    }
    case Kind::kSyncFile: {
      FileState& file = files_[op.file];
      if (op.failed) return settle(file, index);
      if (lie_ == Lie::kAll || lie_ == Lie::kFileSyncs) break;
      for (const Pending& p : file.pending) apply(file.durable, *p.op);
      file.pending.clear();
      break;
    }
    case Kind::kCreate:
      files_[op.file];
      [[fallthrough]];
    case Kind::kMakeFolder:
    case Kind::kRename:
    case Kind::kRemove:
      pending_names_[parent(op.path)].push_back(&op);
      break;
    case Kind::kSyncFolder:
      if (op.failed || lie_ == Lie::kAll || lie_ == Lie::kFolderSyncs) break;
      for (const DiskOp* name : pending_names_[op.path]) rename_in(names_, *name);
      pending_names_[op.path].clear();
      break;
  }
}

std::vector<uint8_t> CrashReplay::file_image(const FileState& file, const DiskOp* in_flight,
                                             Random& random) const {
  std::vector<uint8_t> image = file.durable;
  const Luck luck(random);
  uint64_t longest = image.size();
  for (const Pending& p : file.pending) {
    if (p.certain)
      apply(image, *p.op);
    else
      luck.apply_some(image, *p.op, random);
    longest = std::max(longest, p.op->offset + p.op->data.size());
  }
  if (in_flight) luck.apply_some(image, *in_flight, random);
  // The length can be ahead of the data (zeros) or behind it.
  if (longest > file.durable.size() && image.size() >= file.durable.size()) {
    const uint64_t any = file.durable.size() + random() % (longest - file.durable.size() + 1);
    const bool certain = std::ranges::any_of(file.pending, [](const Pending& p) { return p.certain; });
    switch (random() % 6) {
      case 0:
        image.resize(longest);
        break;
      case 1:
        if (!certain) image.resize(file.durable.size());
        break;
      case 2:
        if (!certain) image.resize(any);
        break;
      default:
        break;
    }
  }
  return image;
}

CrashReplay::Names CrashReplay::names_image(const DiskOp* in_flight, Random& random) const {
  Names names = names_;
  std::map<std::string, std::vector<const DiskOp*>> pending = pending_names_;
  if (in_flight) pending[parent(in_flight->path)].push_back(in_flight);
  // Outer folders first: what lies in a folder that is not there is not there either.
  for (const auto& [folder, ops] : pending) {
    if (!folder.empty() && !names.contains(folder)) continue;
    const size_t count = random() % 3 == 0 ? ops.size() : random() % (ops.size() + 1);
    for (size_t i = 0; i < count; ++i) rename_in(names, *ops[i]);
  }
  std::erase_if(names, [&](const auto& entry) {
    for (std::string up = parent(entry.first); !up.empty(); up = parent(up))
      if (!names.contains(up)) return true;
    return false;
  });
  return names;
}

Result<void> CrashReplay::write_image(const std::string& folder, Random& random) const {
  const DiskOp* last = in_flight();
  const bool of_file = last && (last->kind == Kind::kWrite || last->kind == Kind::kTruncate);
  const bool of_name = last && !of_file && last->kind != Kind::kSyncFile && last->kind != Kind::kSyncFolder;
  const Names names = names_image(of_name ? last : nullptr, random);
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(folder, error))  // files stay, to be written over
    if (!names.contains(entry.path().filename().string())) std::filesystem::remove_all(entry.path(), error);
  for (const auto& [path, file] : names) {
    const std::string to = folder + "/" + path;
    if (!file) {
      std::filesystem::create_directories(to, error);
      for (const auto& entry : std::filesystem::directory_iterator(to, error))
        if (!names.contains(path + "/" + entry.path().filename().string()))
          std::filesystem::remove_all(entry.path(), error);
      continue;
    }
    const auto state = files_.find(*file);
    static const FileState kNew;
    PIXELLM_CHECK(put_file(to, file_image(state == files_.end() ? kNew : state->second,
                                          of_file && last->file == *file ? last : nullptr, random)));
  }
  return {};
}

Result<bool> CrashReplay::matches(const std::string& root) const {
  PIXELLM_ASSERT(!in_flight());
  Names names = names_;
  for (const auto& [folder, ops] : pending_names_)
    for (const DiskOp* op : ops) rename_in(names, *op);
  for (const auto& [path, file] : names) {
    if (!file) continue;
    std::vector<uint8_t> expected = files_.at(*file).durable;
    for (const Pending& p : files_.at(*file).pending) apply(expected, *p.op);
    if (PIXELLM_TRY(read_file(root + "/" + path, uint64_t{1} << 32)) != expected) return false;
  }
  return true;
}

}  // namespace pixellm::crash
