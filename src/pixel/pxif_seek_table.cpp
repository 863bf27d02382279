#include "pixel/pxif_seek_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "pixel/pxif_block.h"

namespace pixellm {
namespace {

constexpr uint32_t kPaddingMagic = 0x184D2A50, kTableMagic = 0x184D2A5E, kEndMagic = 0x8F92EAB1;
constexpr uint64_t kFrameHead = 8;  // of a skippable frame: magic, length
constexpr uint64_t kEntryBytes = 8, kFooterBytes = 9;

constexpr uint64_t table_bytes(uint64_t count) { return kFrameHead + count * kEntryBytes + kFooterBytes; }

std::unexpected<Error> corrupt(std::string message) {
  return fail(ErrorCode::kCorrupt, "pxif: " + std::move(message));
}

void store_frame_head(uint8_t* out, uint32_t magic, uint64_t length) {
  store_le<uint32_t>(out, magic);
  store_le<uint32_t>(out + 4, static_cast<uint32_t>(length));
}

// kCorrupt unless a skippable frame of `length` bytes begins at `offset`.
Result<void> check_frame_head(const PxifSeekTable::ReadAt& read_at, uint64_t offset, uint32_t magic,
                              uint64_t length, std::string_view what) {
  std::array<uint8_t, kFrameHead> head;
  PIXELLM_CHECK(read_at(offset, head));
  const auto found_magic = load_le<uint32_t>(head.data()), found_length = load_le<uint32_t>(&head[4]);
  if (found_magic == magic && found_length == length) return {};
  return corrupt(
      fmt::format("the frame of the {} begins with {:08x} and length {}, {:08x} and {} are expected", what,
                  found_magic, found_length, magic, length));
}

}  // namespace

PxifSeekTable::Block PxifSeekTable::block(uint64_t index) const {
  const uint64_t begin = index == 0 ? 0 : ends_[index - 1];
  return {.offset = begin,
          .stored_bytes = ends_[index] - begin,
          .content_bytes = std::min(block_bytes_, content_bytes_ - index * block_bytes_)};
}

void PxifSeekTable::add(uint64_t stored_bytes, uint64_t content_bytes) {
  block_bytes_ = kPxifBlockBytes;
  ends_.push_back(blocks_end() + stored_bytes);
  content_bytes_ += content_bytes;
}

PxifSeekTable::Tail PxifSeekTable::encode(uint64_t row_bytes) const {
  Tail tail;
  tail.table.resize(table_bytes(block_count()));
  if (const uint64_t end = blocks_end() + tail.table.size(); end % row_bytes != 0) {
    tail.padding_zeros = round_up(end + kFrameHead, row_bytes) - (end + kFrameHead);
    tail.padding_head.resize(kFrameHead);
    store_frame_head(tail.padding_head.data(), kPaddingMagic, tail.padding_zeros);
  }
  uint8_t* p = tail.table.data();
  store_frame_head(p, kTableMagic, tail.table.size() - kFrameHead);
  p += kFrameHead;
  for (uint64_t i = 0; i < block_count(); i++, p += kEntryBytes) {
    store_le<uint32_t>(p, static_cast<uint32_t>(block(i).stored_bytes));
    store_le<uint32_t>(p + 4, static_cast<uint32_t>(block(i).content_bytes));
  }
  store_le<uint32_t>(p, static_cast<uint32_t>(block_count()));
  store_le<uint32_t>(p + 5, kEndMagic);
  return tail;
}

Result<PxifSeekTable> PxifSeekTable::read(const PxifHeader& header, const ReadAt& read_at) {
  PxifSeekTable t;
  if (header.original_size == 0) return t;
  const uint64_t body = header.body_bytes();
  if (header.width > kPxifMaxCompressedWidth)
    return fail(ErrorCode::kTooLarge,
                fmt::format("pxif: a compressed picture is {} pixels wide, {} are allowed", header.width,
                            kPxifMaxCompressedWidth));
  if (body < table_bytes(1))
    return corrupt(fmt::format("a body of {} bytes has no room for a seek table", body));
  std::array<uint8_t, kFooterBytes> footer;
  PIXELLM_CHECK(read_at(body - kFooterBytes, footer));
  const uint64_t count = load_le<uint32_t>(footer.data());
  if (load_le<uint32_t>(&footer[5]) != kEndMagic || footer[4] != 0)
    return corrupt(fmt::format("the body ends with {}, not with a seek table's descriptor 00 and b1ea928f",
                               to_hex(Bytes(footer).subspan(4))));
  if (count > kPxifMaxBlocks)
    return fail(ErrorCode::kTooLarge, fmt::format("pxif: {} blocks, {} are allowed", count, kPxifMaxBlocks));
  if (count == 0 || table_bytes(count) > body)
    return corrupt(fmt::format("a seek table of {} blocks in a body of {} bytes", count, body));
  const uint64_t table = body - table_bytes(count);
  PIXELLM_CHECK(check_frame_head(read_at, table, kTableMagic, table_bytes(count) - kFrameHead, "seek table"));
  PIXELLM_CHECK(t.read_entries(header, table, count, read_at));
  PIXELLM_CHECK(t.check_padding(header, table, read_at));
  return t;
}

Result<void> PxifSeekTable::read_entries(const PxifHeader& header, uint64_t table, uint64_t count,
                                         const ReadAt& read_at) {
  constexpr uint64_t kAtOnce = 4096;
  std::vector<uint8_t> entries;
  content_bytes_ = header.original_size;
  for (uint64_t i = 0; i < count; i++) {
    if (i % kAtOnce == 0) {
      entries.resize(std::min(kAtOnce, count - i) * kEntryBytes);
      PIXELLM_CHECK(read_at(table + kFrameHead + i * kEntryBytes, entries));
    }
    const uint8_t* entry = &entries[i % kAtOnce * kEntryBytes];
    const uint64_t stored = load_le<uint32_t>(entry), content = load_le<uint32_t>(entry + 4);
    if (i == 0) {
      block_bytes_ = content;
      if (content == 0 || content > kPxifMaxBlockBytes || ceil_div(content_bytes_, content) != count)
        return corrupt(fmt::format(
            "{} blocks of {} bytes cannot hold {} bytes of content (blocks of 1 to {} are allowed)", count,
            content, content_bytes_, kPxifMaxBlockBytes));
    }
    if (const uint64_t expected = std::min(block_bytes_, content_bytes_ - i * block_bytes_);
        content != expected)
      return corrupt(
          fmt::format("block {} holds {} bytes of content, {} are expected", i, content, expected));
    if (stored == 0 || stored > pxif_max_stored(content))
      return corrupt(
          fmt::format("block {} takes {} bytes, 1 to {} are allowed", i, stored, pxif_max_stored(content)));
    if (stored > table - blocks_end())
      return corrupt(fmt::format("block {} ends at byte {} of the body, the seek table begins at {}", i,
                                 blocks_end() + stored, table));
    ends_.push_back(blocks_end() + stored);
  }
  return {};
}

Result<void> PxifSeekTable::check_padding(const PxifHeader& header, uint64_t table, const ReadAt& read_at) {
  const uint64_t gap = table - blocks_end();
  padding_ = {table, table};
  if (gap == 0) return {};
  if (gap < kFrameHead || gap >= header.row_bytes() + kFrameHead || gap % header.row_bytes() == 0)
    return corrupt(
        fmt::format("{} bytes between the blocks and the seek table: 0, or 8 to a row of {} and 7 more, are "
                    "expected",
                    gap, header.row_bytes()));
  PIXELLM_CHECK(check_frame_head(read_at, blocks_end(), kPaddingMagic, gap - kFrameHead, "padding"));
  padding_.begin = blocks_end() + kFrameHead;
  return {};
}

}  // namespace pixellm
