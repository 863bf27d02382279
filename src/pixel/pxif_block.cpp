#include "pixel/pxif_block.h"

#include <fmt/format.h>
#include <lz4frame.h>
#include <zstd.h>

#include <vector>

namespace pixellm {
namespace {

constexpr int kZstdLevel = 3;  // its own default

std::unexpected<Error> damaged(std::string_view format, std::string_view what) {
  return fail(ErrorCode::kCorrupt, fmt::format("{}: {}", format, what));
}

// The CRC-32 is of the operations, not of what they make: it then also finds changes that would make the
// same.
class RleCodec final : public PxifBlockCodec {
 public:
  Result<Bytes> compress(Bytes content) override {
    buffer_.resize(pxif_max_stored(content.size()));
    const size_t n = rle_encode(content, MutableBytes(buffer_).subspan(kCrcBytes));
    const Bytes block = Bytes(buffer_).first(kCrcBytes + n);
    store_be<uint32_t>(buffer_.data(), crc32(0, block.subspan(kCrcBytes)));
    return block;
  }

  Result<void> decompress(Bytes stored, MutableBytes content) override {
    if (stored.size() < kCrcBytes) return damaged("rle", "the block is too short for its CRC-32");
    const Bytes operations = stored.subspan(kCrcBytes);
    const uint32_t found = crc32(0, operations), expected = load_be<uint32_t>(stored.data());
    if (found == expected) return rle_decode(operations, content);
    return damaged("rle", fmt::format("the CRC-32 is {:08x}, the block says {:08x}", found, expected));
  }

 private:
  static constexpr size_t kCrcBytes = 4;
  std::vector<uint8_t> buffer_;
};

class Lz4Codec final : public PxifBlockCodec {
 public:
  Lz4Codec() {
    preferences_.frameInfo.blockSizeID = LZ4F_max256KB;
    preferences_.frameInfo.blockMode = LZ4F_blockIndependent;
    preferences_.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
    preferences_.frameInfo.blockChecksumFlag = LZ4F_blockChecksumEnabled;
    PIXELLM_ASSERT(!LZ4F_isError(LZ4F_createDecompressionContext(&context_, LZ4F_VERSION)));
  }
  ~Lz4Codec() override { LZ4F_freeDecompressionContext(context_); }

  Result<Bytes> compress(Bytes content) override {
    preferences_.frameInfo.contentSize = content.size();
    buffer_.resize(LZ4F_compressFrameBound(content.size(), &preferences_));
    const size_t n =
        LZ4F_compressFrame(buffer_.data(), buffer_.size(), content.data(), content.size(), &preferences_);
    if (LZ4F_isError(n)) return fail(ErrorCode::kInternal, fmt::format("lz4: {}", LZ4F_getErrorName(n)));
    return Bytes(buffer_).first(n);
  }

  Result<void> decompress(Bytes stored, MutableBytes content) override {
    PIXELLM_CHECK(check_frame(stored, content.size()));
    LZ4F_resetDecompressionContext(context_);
    size_t made = content.size(), read = stored.size();
    const size_t hint = LZ4F_decompress(context_, content.data(), &made, stored.data(), &read, nullptr);
    if (LZ4F_isError(hint)) return damaged("lz4", LZ4F_getErrorName(hint));
    if (hint == 0 && made == content.size() && read == stored.size()) return {};
    return damaged("lz4", fmt::format("the frame makes {} of {} bytes from {} of {}", made, content.size(),
                                      read, stored.size()));
  }

 private:
  // The frame's second field: version 01, independent blocks, content size, both checksums, no dictionary.
  // The library would take frames without them. Their values are under the header's own checksum, which the
  // library checks.
  static Result<void> check_frame(Bytes stored, uint64_t content_bytes) {
    constexpr size_t kFlags = 4, kContentSize = 6, kLeast = 15;
    constexpr uint8_t kExpected = 0b0111'1100;
    if (stored.size() < kLeast || load_le<uint32_t>(stored.data()) != LZ4F_MAGICNUMBER)
      return damaged("lz4", "the block is no LZ4 frame");
    if (stored[kFlags] != kExpected)
      return damaged(
          "lz4",
          fmt::format("the frame's flags are {:02x}, {:02x} is expected (version 01, independent blocks, "
                      "content size and both checksums, no dictionary)",
                      stored[kFlags], kExpected));
    if (const auto size = load_le<uint64_t>(&stored[kContentSize]); size != content_bytes)
      return damaged("lz4", fmt::format("the frame holds {} bytes, {} are expected", size, content_bytes));
    return {};
  }

  LZ4F_preferences_t preferences_{};
  LZ4F_dctx* context_ = nullptr;
  std::vector<uint8_t> buffer_;
};

class ZstdCodec final : public PxifBlockCodec {
 public:
  ZstdCodec() {
    PIXELLM_ASSERT(compressor_ && decompressor_);
    PIXELLM_ASSERT(
        !ZSTD_isError(ZSTD_CCtx_setParameter(compressor_.get(), ZSTD_c_compressionLevel, kZstdLevel)));
    PIXELLM_ASSERT(!ZSTD_isError(ZSTD_CCtx_setParameter(compressor_.get(), ZSTD_c_checksumFlag, 1)));
  }

  Result<Bytes> compress(Bytes content) override {
    buffer_.resize(ZSTD_compressBound(content.size()));
    const size_t n =
        ZSTD_compress2(compressor_.get(), buffer_.data(), buffer_.size(), content.data(), content.size());
    if (ZSTD_isError(n)) return fail(ErrorCode::kInternal, fmt::format("zstd: {}", ZSTD_getErrorName(n)));
    return Bytes(buffer_).first(n);
  }

  Result<void> decompress(Bytes stored, MutableBytes content) override {
    PIXELLM_CHECK(check_frame(stored, content.size()));
    const size_t n = ZSTD_decompressDCtx(decompressor_.get(), content.data(), content.size(), stored.data(),
                                         stored.size());
    if (ZSTD_isError(n)) return damaged("zstd", ZSTD_getErrorName(n));
    if (n == content.size()) return {};
    return damaged("zstd", fmt::format("the frame makes {} bytes, {} are expected", n, content.size()));
  }

 private:
  static Result<void> check_frame(Bytes stored, uint64_t content_bytes) {
    constexpr size_t kDescriptor = 4;
    constexpr uint8_t kChecksum = 0b100, kDictionary = 0b11, kUnused = 0b11000;
    if (stored.size() <= kDescriptor || load_le<uint32_t>(stored.data()) != ZSTD_MAGICNUMBER)
      return damaged("zstd", "the block is no Zstandard frame");
    if ((stored[kDescriptor] & (kChecksum | kDictionary | kUnused)) != kChecksum)
      return damaged(
          "zstd", fmt::format("the frame's descriptor is {:02x}: a checksum and no dictionary are expected",
                              stored[kDescriptor]));
    const size_t frame = ZSTD_findFrameCompressedSize(stored.data(), stored.size());
    if (ZSTD_isError(frame)) return damaged("zstd", ZSTD_getErrorName(frame));
    if (frame != stored.size())
      return damaged("zstd", fmt::format("the frame has {} bytes, the block {}", frame, stored.size()));
    if (const auto size = ZSTD_getFrameContentSize(stored.data(), stored.size()); size != content_bytes)
      return damaged("zstd",
                     size >= ZSTD_CONTENTSIZE_ERROR
                         ? std::string("the frame does not say its size")
                         : fmt::format("the frame holds {} bytes, {} are expected", size, content_bytes));
    return {};
  }

  struct Free {
    void operator()(ZSTD_CCtx* c) const { ZSTD_freeCCtx(c); }
    void operator()(ZSTD_DCtx* c) const { ZSTD_freeDCtx(c); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> compressor_{ZSTD_createCCtx()};
  std::unique_ptr<ZSTD_DCtx, Free> decompressor_{ZSTD_createDCtx()};
  std::vector<uint8_t> buffer_;
};

}  // namespace

std::unique_ptr<PxifBlockCodec> PxifBlockCodec::create(PxifCompression compression) {
  switch (compression) {
    case PxifCompression::kRle:
      return std::make_unique<RleCodec>();
    case PxifCompression::kLz4:
      return std::make_unique<Lz4Codec>();
    case PxifCompression::kZstd:
      return std::make_unique<ZstdCodec>();
    case PxifCompression::kNone:
      break;
  }
  return nullptr;
}

}  // namespace pixellm
