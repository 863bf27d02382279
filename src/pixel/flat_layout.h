// Where everything lies in a flat PNG. Internal to src/pixel; spec/pixel-plane.md, "Flat PNG".
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "pixel/flat_png.h"
#include "pixel/png_chunks.h"

namespace pixellm {

inline constexpr uint32_t kPxlmVersion = 1;
inline constexpr uint64_t kPxlmFields = 56;  // bytes of pxLM that carry fields; zeros follow
inline constexpr uint64_t kPxlmBytes = 149;  // what the writer uses: row 0's pixels at byte 320
inline constexpr uint64_t kFlatBase = 320;

// What stands in front of a row's pixels, from the chunk's length to the filter type.
struct RowFrame {
  std::array<uint8_t, 126> bytes{};
  size_t size = 0;
};

struct FlatLayout {
  uint64_t row_bytes = 0, rows = 0, base = kFlatBase;
  Digest digest{};  // SHA-256 of the payload, as pxLM says

  uint64_t stride() const { return row_bytes + kFlatRowOverhead; }
  uint64_t pixels(uint64_t row) const { return base + row * stride(); }
  uint64_t row_begin(uint64_t row) const {
    return pixels(row) - frame_size(row);
  }  // of the IDAT's length field
  uint64_t row_end(uint64_t row) const { return pixels(row) + row_bytes + trailer_size(row); }
  uint64_t frame_size(uint64_t row) const { return row == 0 ? 126 : 124; }
  uint64_t trailer_size(uint64_t row) const {
    return row + 1 == rows ? 8 : 4;
  }  // Adler-32 in the last row; CRC-32
  uint64_t file_bytes() const {
    return row_end(rows - 1) + kPngChunkOverhead;
  }  // with nothing but IEND at the end
  RowFrame frame(uint64_t row) const;

  void encode_pxlm(uint8_t* out) const;  // kPxlmBytes bytes

  // The layout that pxLM's data states when it is of version 1 and agrees with itself and with IHDR.
  static std::optional<FlatLayout> decode(Bytes pxlm, const PngIhdr& ihdr);
};

// Checks rows of one layout, which must outlive it. Immutable; thread-safe.
class RowChecker {
 public:
  explicit RowChecker(const FlatLayout& layout)
      : layout_(layout), first_(layout.frame(0)), middle_(layout.frame(1)), last_(layout.frame(layout.rows - 1)) {}

  // `chunk`: the file's bytes from row_begin(row) to row_end(row). Every one of them is either compared with what it must
  // be or covered by the CRC-32.
  bool is_intact(uint64_t row, const uint8_t* chunk) const;

 private:
  const FlatLayout& layout_;
  const RowFrame first_, middle_, last_;
};

// Appends `row`, larger than what is there, to inclusive ranges.
void add_to_ranges(std::vector<std::pair<uint64_t, uint64_t>>& ranges, uint64_t row);

// The part of a PNG before its first IDAT, every chunk's CRC-32 checked.
struct PngHead {
  PngIhdr ihdr;
  uint64_t first_idat = 0;           // offset of the first IDAT
  std::optional<FlatLayout> layout;  // as pxLM states it
  bool is_flat = false;  // the first IDAT stands where `layout` puts it and has the length that it gives
};
Result<PngHead> read_png_head(Bytes file);

// Checks the chunks from `offset` to the end of the file: ancillary ones, then IEND, then nothing. kCorrupt.
Result<void> check_png_tail(Bytes file, uint64_t offset);

}  // namespace pixellm
