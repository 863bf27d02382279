#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>

#include "pixel/plane_impl.h"

namespace pixellm {
namespace {

// Pages are mapped and rows handed out in blocks of about this size: few system calls, little to wait for at
// the end.
constexpr uint64_t kBlockBytes = uint64_t{2} << 20;

using RowRanges = std::vector<std::pair<uint64_t, uint64_t>>;

std::string wrong_digest(const Digest& found, const Digest& promised) {
  return fmt::format("the SHA-256 of the payload is {}, the file says {}", to_hex(found), to_hex(promised));
}

// Checks the rows of a flat PNG with every thread of a pool. One object a check.
class FlatChecker {
 public:
  FlatChecker(const FlatLayout& layout, Bytes file, const MappedFile& mapping, bool release, bool with_hashes)
      : layout_(layout),
        file_(file),
        mapping_(mapping),
        release_(release),
        row_checker_(layout),
        rows_per_block_(std::max<uint64_t>(1, kBlockBytes / layout.stride())),
        n_blocks_(ceil_div(layout.rows, rows_per_block_)),
        adlers_(with_hashes ? layout.rows : 0) {}

  Result<PlaneDamage> run(ThreadPool& pool) {
    std::vector<RowRanges> found(n_blocks_);
    pool.run([&](Worker& w) {
      // SHA-256 goes through the rows in order and takes longest: one thread for it, the others check rows
      // meanwhile.
      if (w.index() == 0 && !adlers_.empty()) hash_rows();
      for (uint64_t b; (b = next_block_.fetch_add(1)) < n_blocks_;) check_block(b, found[b]);
    });
    if (!error_.message.empty()) return std::unexpected(std::move(error_));
    PlaneDamage damage;
    for (const RowRanges& ranges : found)
      for (const auto& [first, last] : ranges)
        for (uint64_t row = first; row <= last; row++) add_to_ranges(damage.rows, row);
    if (!adlers_.empty()) compare_hashes(damage);
    return damage;
  }

 private:
  uint64_t block_rows_end(uint64_t block) const {
    return std::min((block + 1) * rows_per_block_, layout_.rows);
  }

  // Maps the block's pages; false, with the error kept, when they cannot be read.
  bool fetch(uint64_t block) {
    const uint64_t begin = layout_.row_begin(block * rows_per_block_);
    auto read = mapping_.populate(begin, layout_.row_end(block_rows_end(block) - 1) - begin);
    if (read) return true;
    const std::lock_guard lock(mutex_);
    error_ = std::move(read).error();
    return false;
  }

  void drop(uint64_t block) const {
    if (!release_) return;
    const uint64_t begin = layout_.row_begin(block * rows_per_block_);
    mapping_.release(begin, layout_.row_end(block_rows_end(block) - 1) - begin);
  }

  void check_block(uint64_t block, RowRanges& damaged) {
    if (!fetch(block)) return;
    for (uint64_t row = block * rows_per_block_; row < block_rows_end(block); row++) {
      if (!row_checker_.is_intact(row, file_.data() + layout_.row_begin(row))) add_to_ranges(damaged, row);
      if (!adlers_.empty()) adlers_[row] = adler32(1, {pixels(row) - 1, layout_.row_bytes + 1});
    }
    drop(block);
  }

  void hash_rows() {
    for (uint64_t block = 0; block < n_blocks_; block++) {
      if (!fetch(block)) return;
      for (uint64_t row = block * rows_per_block_; row < block_rows_end(block); row++)
        sha_.update({pixels(row), layout_.row_bytes});
      drop(block);
    }
  }

  void compare_hashes(PlaneDamage& damage) {
    uint32_t adler = adlers_[0];
    for (uint64_t i = 1; i < layout_.rows; i++)
      adler = adler32_combine(adler, adlers_[i], layout_.row_bytes + 1);
    const auto stored = load_be<uint32_t>(pixels(layout_.rows - 1) + layout_.row_bytes);
    if (adler != stored)
      damage.other.push_back(
          fmt::format("the Adler-32 of the rows is {:08x}, the file says {:08x}", adler, stored));
    if (const Digest found = sha_.finish(); found != layout_.digest)
      damage.other.push_back(wrong_digest(found, layout_.digest));
  }

  const uint8_t* pixels(uint64_t row) const { return file_.data() + layout_.pixels(row); }

  const FlatLayout& layout_;
  const Bytes file_;
  const MappedFile& mapping_;
  const bool release_;
  const RowChecker row_checker_;
  const uint64_t rows_per_block_, n_blocks_;
  std::vector<uint32_t> adlers_;  // of each row; empty when only CRC-32s are checked
  Sha256 sha_;
  std::atomic<uint64_t> next_block_{0};
  std::mutex mutex_;
  Error error_;
};

// What stands around the rows. It was checked at open; a mapped file may have changed since.
void check_around_rows(Bytes file, const FlatLayout& layout, PlaneDamage& damage) {
  const auto head = read_png_head(file);
  if (!head)
    damage.other.push_back(head.error().message);
  else if (!head->is_flat || head->layout->digest != layout.digest || head->layout->base != layout.base)
    damage.other.push_back("flat png: the chunks before the pixels changed since the file was opened");
  if (auto tail = check_png_tail(file, layout.row_end(layout.rows - 1)); !tail)
    damage.other.push_back(tail.error().message);
}

// PXIF has no checksum but the SHA-256; without it, only the padding can be checked.
void check_pxif(Bytes payload, const PxifHeader& header, bool with_hash, PlaneDamage& damage) {
  const Bytes padding = payload.subspan(header.original_size);
  const auto wrong = std::find_if(padding.begin(), padding.end(), [](uint8_t b) { return b != 0; });
  if (wrong != padding.end())
    damage.other.push_back(
        fmt::format("pxif: the padding after byte {} of the payload is not zero", header.original_size));
  if (!with_hash) return;
  if (const Digest found = sha256(payload.first(header.original_size)); found != header.checksum)
    damage.other.push_back(wrong_digest(found, header.checksum));
}

}  // namespace

Result<PlaneDamage> PixelPlane::verify(VerifyLevel level, ThreadPool& pool, bool release_pages) const {
  PlaneDamage damage;
  if (level == VerifyLevel::kNone) return damage;
  if (held_rows() != rows())
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: only {} of {} rows are at hand to verify", path(), held_rows(), rows()));
  const bool with_hashes = level == VerifyLevel::kSha256;
  switch (kind()) {
    case PlaneKind::kFlatPng: {
      FlatChecker checker(*impl_->layout, impl_->file, impl_->mapping, release_pages, with_hashes);
      damage = PIXELLM_TRY(checker.run(pool));
      check_around_rows(impl_->file, *impl_->layout, damage);
      break;
    }
    case PlaneKind::kDecodedPng:
      if (with_hashes && impl_->layout)
        if (const Digest found = sha256({base(), payload_bytes()}); found != impl_->layout->digest)
          damage.other.push_back(wrong_digest(found, impl_->layout->digest));
      break;
    case PlaneKind::kPxif:
    case PlaneKind::kDecodedPxif:
      check_pxif({base(), payload_bytes()}, impl_->pxif, with_hashes, damage);
      if (release_pages) release_rows(0, rows());
      break;
  }
  return damage;
}

}  // namespace pixellm
