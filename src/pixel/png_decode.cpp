#include "pixel/png_decode.h"

#include <fmt/format.h>
#include <spng.h>

namespace pixellm {
namespace {

// For metadata, which libspng keeps and nothing here needs; it refuses a picture with more.
constexpr size_t kMetadataLimit = size_t{64} << 20;

// Deflate makes at most 258 bytes of two bits.
constexpr uint64_t kMaxExpansion = 1032;

std::string_view color_type_name(uint8_t type) {
  switch (type) {
    case 0:
      return "greyscale";
    case 2:
      return "RGB";
    case 3:
      return "palette";
    case 4:
      return "greyscale with alpha";
    case 6:
      return "RGBA";
  }
  return "unknown colour type";
}

// Checks every chunk from the first IDAT on; the sum of the IDATs' lengths.
Result<uint64_t> check_chunks(Bytes file, uint64_t first_idat) {
  uint64_t compressed = 0, offset = first_idat;
  for (;;) {
    const PngChunk chunk = PIXELLM_TRY(read_chunk(file, offset));
    if (chunk.type != kIdat) break;
    PIXELLM_CHECK(check_chunk_crc(file, chunk));
    compressed += chunk.data.size();
    offset = chunk.end();
  }
  PIXELLM_CHECK(check_png_tail(file, offset));
  return compressed;
}

std::unexpected<Error> spng_error(int code) {
  return fail(code == SPNG_EMEM ? ErrorCode::kTooLarge : ErrorCode::kCorrupt,
              fmt::format("png: the pixels cannot be decoded: {}", spng_strerror(code)));
}

}  // namespace

Result<void> DecodedPixels::allocate() {
  const uint64_t size = row_bytes * rows;
  pixels.reset(static_cast<uint8_t*>(::operator new(size, AlignedDelete::kAlignment, std::nothrow)));
  if (pixels) return {};
  return fail(ErrorCode::kTooLarge, fmt::format("no memory for {} bytes of decoded pixels", size));
}

Result<DecodedPixels> decode_png(Bytes file, const PngHead& head, uint64_t limit) {
  const PngIhdr& ihdr = head.ihdr;
  if (!ihdr.is_rgb8())
    return fail(
        ErrorCode::kUnsupported,
        fmt::format(
            "png: {}-bit {} (colour type {}); 8-bit RGB is read. Hint: `magick IN.png -alpha off -depth "
            "8 PNG24:OUT.png` converts a picture",
            ihdr.depth, color_type_name(ihdr.color_type), ihdr.color_type));
  DecodedPixels out;
  out.row_bytes = uint64_t{3} * ihdr.width;
  out.rows = ihdr.height;
  const uint64_t size = out.row_bytes * out.rows;  // below 3 * 2^62
  if (size > limit)
    return fail(ErrorCode::kTooLarge,
                fmt::format("png: {} x {} pixels need {} bytes when decoded, {} are allowed", ihdr.width,
                            ihdr.height, size, limit));
  const uint64_t compressed = PIXELLM_TRY(check_chunks(file, head.first_idat));
  if (size / kMaxExpansion > compressed)
    return fail(ErrorCode::kCorrupt,
                fmt::format("png: {} bytes of compressed pixels cannot hold {} x {} pixels", compressed,
                            ihdr.width, ihdr.height));
  PIXELLM_CHECK(out.allocate());

  const std::unique_ptr<spng_ctx, decltype(&spng_ctx_free)> ctx(spng_ctx_new(0), &spng_ctx_free);
  if (!ctx) return spng_error(SPNG_EMEM);
  int error = spng_set_image_limits(ctx.get(), ihdr.width, ihdr.height);
  if (!error) error = spng_set_chunk_limits(ctx.get(), kMetadataLimit, kMetadataLimit);
  if (!error) error = spng_set_crc_action(ctx.get(), SPNG_CRC_ERROR, SPNG_CRC_ERROR);
  if (!error) error = spng_set_png_buffer(ctx.get(), file.data(), file.size());
  if (!error) error = spng_decode_image(ctx.get(), out.pixels.get(), size, SPNG_FMT_RGB8, 0);
  if (error) return spng_error(error);
  return out;
}

}  // namespace pixellm
