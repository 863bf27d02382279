// Any bytes as a container: opened, read in ranges, verified, opened as a plane. Every input runs twice: as
// it is, and with the checksums of its blocks and of its content made right where that can be done, since
// random changes would hardly pass them. Besides, the bytes are a block of each compression, and content that
// must survive one.
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "pixel/plane.h"
#include "pixel/pxif_block.h"
#include "pixel/pxif_reader.h"
#include "pixel/pxif_seek_table.h"

using namespace pixellm;

namespace {

using Buffer = std::vector<uint8_t>;

constexpr uint64_t kContentLimit = 1 << 20;
constexpr std::array kCompressions = {PxifCompression::kRle, PxifCompression::kLz4, PxifCompression::kZstd};

void check_error(const Result<void>& result) { PIXELLM_ASSERT(result || !result.error().message.empty()); }

// The content where it is whole and small enough.
std::optional<Buffer> open_and_read(Bytes file) {
  auto in = PxifReader::open_bytes(file, "input");
  const auto plane = PixelPlane::open_bytes(file, "input", kContentLimit);
  if (!in) {
    PIXELLM_ASSERT(!in.error().message.empty());
    PIXELLM_ASSERT(!plane || plane->kind() == PlaneKind::kFlatPng || plane->kind() == PlaneKind::kDecodedPng);
    return std::nullopt;
  }
  const uint64_t size = in->size();
  PIXELLM_ASSERT(in->header().file_bytes() == file.size());
  Buffer some(std::min<uint64_t>(size, 300));
  for (const uint64_t offset : {uint64_t{0}, size / 2, size - some.size()})
    if (offset <= size - some.size()) check_error(in->read(offset, some));
  PIXELLM_ASSERT(!in->read(size, MutableBytes(some.data(), 1)));
  if (size > kContentLimit) return std::nullopt;

  Buffer content(size), pieces(size), copied;
  const auto whole = in->read(0, content);
  check_error(whole);
  bool all_pieces = true;
  for (uint64_t at = 0; at < size; at += 77)
    all_pieces &=
        in->read(at, MutableBytes(pieces).subspan(at, std::min<uint64_t>(77, size - at))).has_value();
  PIXELLM_ASSERT(whole.has_value() == all_pieces);
  const auto verified = in->copy({.offset = 0, .length = ~uint64_t{0}, .verify = true, .progress = {}},
                                 [&](Bytes piece) -> Result<void> {
                                   copied.insert(copied.end(), piece.begin(), piece.end());
                                   return {};
                                 });
  check_error(verified);
  if (!whole) {
    PIXELLM_ASSERT(!verified && !plane);
    return std::nullopt;
  }
  PIXELLM_ASSERT(content == pieces && content == copied);
  PIXELLM_ASSERT(!verified || sha256(content) == in->header().checksum);
  if (plane) {
    Buffer payload(plane->payload_bytes());
    PIXELLM_ASSERT(plane->read(0, payload) && std::equal(content.begin(), content.end(), payload.begin()));
  }
  return content;
}

// Makes the CRC-32 of every block of compression 1 right, then the SHA-256 of the content.
void repair(Buffer& file) {
  const auto header = PxifHeader::decode(file);
  if (!header || !header->check_file_bytes(file.size())) return;
  if (header->compression == PxifCompression::kRle) {
    const auto table = PxifSeekTable::read(*header, [&](uint64_t offset, MutableBytes out) -> Result<void> {
      std::copy_n(file.begin() + static_cast<ptrdiff_t>(64 + offset), out.size(), out.begin());
      return {};
    });
    for (uint64_t i = 0; table && i < table->block_count(); i++) {
      const auto block = table->block(i);
      if (block.stored_bytes < 4) continue;
      uint8_t* stored = &file[64 + block.offset];
      store_be<uint32_t>(stored, crc32(0, {stored + 4, block.stored_bytes - 4}));
    }
  }
  if (const auto content = open_and_read(file)) {
    const Digest digest = sha256(*content);
    std::ranges::copy(digest, file.begin() + 23);
  }
}

void use_as_block(Bytes data) {
  for (const PxifCompression compression : kCompressions) {
    static const std::array codecs = {PxifBlockCodec::create(kCompressions[0]),
                                      PxifBlockCodec::create(kCompressions[1]),
                                      PxifBlockCodec::create(kCompressions[2])};
    PxifBlockCodec& codec = *codecs[static_cast<size_t>(compression) - 1];
    if (data.size() > 2) {
      Buffer out(load_le<uint16_t>(data.data()) + size_t{1});
      check_error(codec.decompress(data.subspan(2), out));
    }
    if (data.empty()) continue;
    const auto block = codec.compress(data);
    PIXELLM_ASSERT(block && block->size() <= pxif_max_stored(data.size()));
    const auto stored =
        std::make_unique<uint8_t[]>(block->size());  // of the exact size, for AddressSanitizer
    std::ranges::copy(*block, stored.get());
    Buffer back(data.size());
    PIXELLM_ASSERT(codec.decompress({stored.get(), block->size()}, back) && std::ranges::equal(back, data));
  }
  if (data.size() > 2) {
    Buffer out(load_le<uint16_t>(data.data()));
    check_error(rle_decode(data.subspan(2), out));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  open_and_read({data, size});
  Buffer repaired(data, data + size);
  repair(repaired);
  open_and_read(repaired);
  use_as_block({data, size});
  return 0;
}
