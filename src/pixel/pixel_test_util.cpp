#include "pixel/pixel_test_util.h"

#include <spng.h>

#include "pixel/png_chunks.h"

namespace pixellm::pixel_test {

Buffer pattern(uint64_t size) {
  Buffer out(size);
  for (uint64_t i = 0; i < size; i++) out[i] = static_cast<uint8_t>(i * 7 + i / 192 * 31 + 3);
  return out;
}

Buffer write_flat(const std::string& path, uint64_t row_bytes, const Buffer& payload) {
  auto writer = FlatPngWriter::create(path, row_bytes, payload.size() / row_bytes);
  EXPECT_TRUE(writer) << (writer ? "" : writer.error().message);
  for (uint64_t i = 0; i < payload.size(); i += row_bytes) {
    auto written = writer->write_row(Bytes(payload).subspan(i, row_bytes));
    EXPECT_TRUE(written) << (written ? "" : written.error().message);
  }
  auto digest = writer->finish();
  EXPECT_TRUE(digest) << (digest ? "" : digest.error().message);
  EXPECT_EQ(*digest, sha256(payload));
  return *read_file(path, uint64_t{1} << 32);
}

Buffer flat_png(uint64_t row_bytes, const Buffer& payload) {
  std::string name = (std::filesystem::temp_directory_path() / "pixellm-flat-XXXXXX").string();
  const int fd = ::mkstemp(name.data());
  EXPECT_GE(fd, 0);
  ::close(fd);
  Buffer bytes = write_flat(name, row_bytes, payload);
  ::unlink(name.c_str());
  return bytes;
}

Buffer ordinary_png(uint32_t width, uint32_t height, const Buffer& samples, PngOptions options) {
  spng_ctx* ctx = spng_ctx_new(SPNG_CTX_ENCODER);
  spng_ihdr ihdr{};
  ihdr.width = width;
  ihdr.height = height;
  ihdr.bit_depth = options.depth;
  ihdr.color_type = options.color_type;
  spng_plte plte{};
  plte.n_entries = 256;
  EXPECT_EQ(spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1), 0);
  EXPECT_EQ(spng_set_option(ctx, SPNG_IMG_COMPRESSION_LEVEL, options.level), 0);
  EXPECT_EQ(spng_set_ihdr(ctx, &ihdr), 0);
  if (options.color_type == SPNG_COLOR_TYPE_INDEXED) {
    EXPECT_EQ(spng_set_plte(ctx, &plte), 0);
  }
  EXPECT_EQ(spng_encode_image(ctx, samples.data(), samples.size(), SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE), 0);
  size_t size = 0;
  int error = 0;
  auto* png = static_cast<uint8_t*>(spng_get_png_buffer(ctx, &size, &error));
  EXPECT_EQ(error, 0);
  Buffer out(png, png + size);
  ::free(png);
  spng_ctx_free(ctx);
  return out;
}

Buffer png_chunk(const std::string& type, const Buffer& data) {
  Buffer out(data.size() + kPngChunkOverhead);
  encode_chunk(out.data(), load_be<uint32_t>(reinterpret_cast<const uint8_t*>(type.data())), data);
  return out;
}

Buffer stored_zlib(const Buffer& data) {
  Buffer out = {0x78, 0x01};
  for (size_t i = 0; i < data.size(); i += 65535) {
    const size_t n = std::min<size_t>(65535, data.size() - i);
    const auto length = static_cast<uint16_t>(n);
    uint8_t head[5] = {static_cast<uint8_t>(i + n == data.size())};
    store_le<uint16_t>(head + 1, length);
    store_le<uint16_t>(head + 3, static_cast<uint16_t>(~length));
    out.insert(out.end(), head, head + 5);
    out.insert(out.end(), data.begin() + static_cast<ptrdiff_t>(i),
               data.begin() + static_cast<ptrdiff_t>(i + n));
  }
  uint8_t adler[4];
  store_be<uint32_t>(adler, adler32(1, data));
  out.insert(out.end(), adler, adler + 4);
  return out;
}

Buffer join(const std::vector<Buffer>& parts) {
  Buffer out;
  for (const Buffer& p : parts) out.insert(out.end(), p.begin(), p.end());
  return out;
}

Buffer part(const Buffer& bytes, uint64_t begin, uint64_t end) {
  return Buffer(bytes.begin() + static_cast<ptrdiff_t>(begin), bytes.begin() + static_cast<ptrdiff_t>(end));
}

Buffer payload_of(const PixelPlane& plane) {
  Buffer out;
  for (uint64_t i = 0; i < plane.rows(); i++) {
    const Bytes row = plane.row(i);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

}  // namespace pixellm::pixel_test
