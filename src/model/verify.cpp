// What is damaged, and whom it concerns.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <numeric>

#include "model/format.h"
#include "model/text.h"

namespace pixellm {
namespace {

std::string wrong_hash(std::string_view what, const Digest& found, const Digest& promised) {
  return fmt::format("{}: its SHA-256 is {}, the file says {}", what, to_hex(found), to_hex(promised));
}

// Names of the parts of the head that share a byte with [begin, end).
std::vector<std::string> head_parts(const ModelHeader& h, uint64_t begin, uint64_t end) {
  if (h.version_major != 2 || h.tensor_count > kMaxTensors || begin >= end) return {};
  const std::tuple<std::string_view, uint64_t, uint64_t> parts[] = {
      {"header", 0, ModelHeader::kEncodedLength},
      {"directory", h.directory_offset, h.tensor_count * kDirectoryEntryBytes},
      {"names", h.strings_offset, h.strings_bytes},
      {"metadata", h.metadata_offset, h.metadata_bytes},
      {"source record", h.source_offset, h.source_bytes}};
  std::vector<std::string> names;
  for (const auto& [name, offset, size] : parts)
    if (size != 0 && offset < end && begin < offset + size) names.emplace_back(name);
  return names;
}

}  // namespace

std::vector<std::string> Model::describe(const PlaneDamage& damage) const {
  constexpr size_t kMaxNames = 100;
  const uint64_t row_bytes = plane_.row_bytes();
  std::vector<const TensorInfo*> by_offset;
  for (const TensorInfo& t : tensors_) by_offset.push_back(&t);
  std::ranges::sort(by_offset, {}, &TensorInfo::offset);

  std::vector<std::string> lines;
  for (const auto& [first, last] : damage.rows) {
    auto names = head_parts(header_, first * row_bytes, (last + 1) * row_bytes);
    const auto begin = std::ranges::lower_bound(by_offset, first, {},
                                                [&](const TensorInfo* t) { return picture_rows(*t).second; });
    const auto end = std::ranges::upper_bound(by_offset, last, {},
                                              [&](const TensorInfo* t) { return picture_rows(*t).first; });
    const auto n = static_cast<size_t>(std::max<ptrdiff_t>(0, end - begin));
    for (size_t i = 0; i < std::min(n, kMaxNames); i++)
      names.push_back(printable(begin[static_cast<ptrdiff_t>(i)]->name));
    if (n > kMaxNames) names.push_back(fmt::format("and {} more", n - kMaxNames));
    std::string line = first == last ? fmt::format("row {}", first) : fmt::format("rows {}-{}", first, last);
    if (!names.empty()) line += ": ";
    for (size_t i = 0; i < names.size(); i++) line += (i ? ", " : "") + names[i];
    lines.push_back(std::move(line));
  }
  lines.insert(lines.end(), damage.other.begin(), damage.other.end());
  return lines;
}

Result<Digest> Model::hash_head() const {
  // As head_digest, row by row where they lie.
  constexpr Digest kZero{};
  constexpr uint64_t kDigestEnd = kHeadDigestOffset + kZero.size();
  const uint64_t n_first =
      ceil_div(kDigestEnd, plane_.row_bytes());  // rows that the digest's place reaches into
  std::vector<uint8_t> first(n_first * plane_.row_bytes());
  PIXELLM_CHECK(plane_.read(0, first));
  std::ranges::copy(kZero, first.begin() + kHeadDigestOffset);
  Sha256 sha;
  sha.update(first);
  for (uint64_t row = n_first; row < header_.first_weight_row; row++) sha.update(plane_.row(row));
  return sha.finish();
}

Result<std::vector<std::string>> Model::verify(VerifyLevel level, ThreadPool& pool,
                                               bool release_pages) const {
  if (level == VerifyLevel::kNone) return std::vector<std::string>{};
  const PlaneDamage damage = PIXELLM_TRY(plane_.verify(level, pool, release_pages));
  std::vector<std::string> lines = describe(damage);
  if (header_.version_major != 2) return lines;  // its one hash was needed to read the directory

  if (const Digest found = PIXELLM_TRY(hash_head()); found != header_.head_sha256)
    lines.push_back(wrong_hash("head", found, header_.head_sha256));
  if (level != VerifyLevel::kSha256) return lines;

  // Job 0 is the longest: all weight rows in one stream. Then the tensors, each on its own.
  std::vector<std::string> found(tensors_.size() + 1);
  std::atomic<size_t> next{0};
  pool.run([&](Worker&) {
    for (size_t job; (job = next.fetch_add(1)) < found.size();) {
      Sha256 sha;
      if (job == 0) {
        for (uint64_t row = header_.first_weight_row; row < plane_.rows(); row++) {
          sha.update(plane_.row(row));
          if (release_pages && row % 64 == 63) plane_.release_rows(row - 63, 64);
        }
        if (const Digest d = sha.finish(); d != header_.weights_sha256)
          found[job] = wrong_hash("weights", d, header_.weights_sha256);
      } else {
        const TensorInfo& t = tensors_[job - 1];
        const auto hash = [&sha](Bytes b) -> Result<void> { return sha.update(b), Result<void>(); };
        PIXELLM_ASSERT(read_source_bytes(t, hash, release_pages));
        if (const Digest d = sha.finish(); d != t.sha256)
          found[job] = wrong_hash(printable(t.name), d, t.sha256);
      }
    }
  });
  for (std::string& line : found)
    if (!line.empty()) lines.push_back(std::move(line));
  return lines;
}

}  // namespace pixellm
