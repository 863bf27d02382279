// The seek table of a compressed PXIF container: where each block lies. Internal to src/pixel;
// spec/pixelfs.md, section 3.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "pixel/pxif.h"

namespace pixellm {

inline constexpr uint64_t kPxifMaxBlocks = uint64_t{1} << 26;
inline constexpr uint32_t kPxifMaxCompressedWidth = uint32_t{1} << 30;  // the padding's length fits its frame

// Offsets count from the body's first byte.
class PxifSeekTable {
 public:
  struct Block {
    uint64_t offset = 0, stored_bytes = 0, content_bytes = 0;
  };

  uint64_t block_count() const { return ends_.size(); }
  uint64_t block_bytes() const { return block_bytes_; }  // of content, of all but the last
  Block block(uint64_t index) const;                     // index < block_count()
  uint64_t blocks_end() const { return ends_.empty() ? 0 : ends_.back(); }

  // For the writer: a block that follows the last one. `content_bytes` is kPxifBlockBytes except for the
  // last.
  void add(uint64_t stored_bytes, uint64_t content_bytes);
  // What follows the blocks, to the end of a row: a frame of zeros where one is needed, then the table.
  struct Tail {
    std::vector<uint8_t> padding_head;  // empty where nothing is padded
    uint64_t padding_zeros = 0;
    std::vector<uint8_t> table;
    uint64_t bytes() const { return padding_head.size() + padding_zeros + table.size(); }
  };
  Tail encode(uint64_t row_bytes) const;

  // For the reader: the table of a body, read through `read_at` (offset in the body). kCorrupt, kTooLarge.
  using ReadAt = std::function<Result<void>(uint64_t offset, MutableBytes out)>;
  static Result<PxifSeekTable> read(const PxifHeader& header, const ReadAt& read_at);
  // Of the padding's zeros; empty where there is none.
  struct Range {
    uint64_t begin = 0, end = 0;
  };
  Range padding() const { return padding_; }

 private:
  Result<void> read_entries(const PxifHeader& header, uint64_t table, uint64_t count, const ReadAt& read_at);
  Result<void> check_padding(const PxifHeader& header, uint64_t table, const ReadAt& read_at);

  std::vector<uint64_t> ends_;  // of each block
  uint64_t block_bytes_ = 0, content_bytes_ = 0;
  Range padding_;
};

}  // namespace pixellm
