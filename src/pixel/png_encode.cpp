#include "pixel/png_encode.h"

#include <fmt/format.h>
#include <spng.h>

namespace pixellm {

struct RgbPngWriter::Impl {
  explicit Impl(AtomicFile f) : file(std::move(f)) {}

  AtomicFile file;
  std::unique_ptr<spng_ctx, decltype(&spng_ctx_free)> ctx{spng_ctx_new(SPNG_CTX_ENCODER), &spng_ctx_free};
  uint32_t width = 0, height = 0, rows_written = 0;
  Result<void> state;  // the first failure; every later call repeats it

  // libspng's callback: how it hands on what it has encoded.
  static int write(spng_ctx*, void* self, void* bytes, size_t size) {
    auto& impl = *static_cast<Impl*>(self);
    impl.state = impl.file.write({static_cast<const uint8_t*>(bytes), size});
    return impl.state ? 0 : SPNG_IO_ERROR;
  }

  Result<void> start(int level);
  Result<void> check(int code);
};

// A code of libspng's; SPNG_EOI says that the last row was taken.
Result<void> RgbPngWriter::Impl::check(int code) {
  if (!state || code == 0 || code == SPNG_EOI) return state;
  state = fail(code == SPNG_EMEM ? ErrorCode::kTooLarge : ErrorCode::kInternal,
               fmt::format("png: cannot be encoded: {}", spng_strerror(code)));
  return state;
}

Result<void> RgbPngWriter::Impl::start(int level) {
  if (!ctx) return fail(ErrorCode::kTooLarge, "png: no memory for the encoder");
  spng_ihdr ihdr{};
  ihdr.width = width;
  ihdr.height = height;
  ihdr.bit_depth = 8;
  ihdr.color_type = SPNG_COLOR_TYPE_TRUECOLOR;
  PIXELLM_CHECK(check(spng_set_png_stream(ctx.get(), &Impl::write, this)));
  PIXELLM_CHECK(check(spng_set_ihdr(ctx.get(), &ihdr)));
  PIXELLM_CHECK(check(spng_set_option(ctx.get(), SPNG_IMG_COMPRESSION_LEVEL, level)));
  // A stored picture gains nothing from filters.
  if (level == 0)
    PIXELLM_CHECK(check(spng_set_option(ctx.get(), SPNG_FILTER_CHOICE, SPNG_DISABLE_FILTERING)));
  constexpr int kFlags = SPNG_ENCODE_PROGRESSIVE | SPNG_ENCODE_FINALIZE;
  return check(spng_encode_image(ctx.get(), nullptr, 0, SPNG_FMT_PNG, kFlags));
}

RgbPngWriter::RgbPngWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RgbPngWriter::RgbPngWriter(RgbPngWriter&&) noexcept = default;
RgbPngWriter::~RgbPngWriter() = default;

Result<RgbPngWriter> RgbPngWriter::create(const std::string& path, uint32_t width, uint32_t height,
                                          int level) {
  return create(PIXELLM_TRY(AtomicFile::create(path)), width, height, level);
}

Result<RgbPngWriter> RgbPngWriter::create(AtomicFile file, uint32_t width, uint32_t height, int level) {
  if (width == 0 || height == 0 || width > kPngMaxSide || height > kPngMaxSide)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("png: {} x {} pixels; a side has 1 to {}", width, height, kPngMaxSide));
  if (level < 0 || level > 9)
    return fail(ErrorCode::kInvalidArgument, fmt::format("png: compression level {}; 0 to 9 exist", level));
  auto impl = std::make_unique<Impl>(std::move(file));
  impl->width = width;
  impl->height = height;
  PIXELLM_CHECK(impl->start(level));
  return RgbPngWriter(std::move(impl));
}

Result<void> RgbPngWriter::write_row(Bytes row) {
  Impl& w = *impl_;
  PIXELLM_CHECK(w.state);
  if (row.size() != uint64_t{3} * w.width || w.rows_written == w.height)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("png: a row {} of {} bytes; the picture has {} rows of {}", w.rows_written,
                            row.size(), w.height, uint64_t{3} * w.width));
  PIXELLM_CHECK(w.check(spng_encode_row(w.ctx.get(), row.data(), row.size())));
  w.rows_written++;
  return {};
}

Result<void> RgbPngWriter::finish() {
  Impl& w = *impl_;
  PIXELLM_CHECK(w.state);
  if (w.rows_written != w.height)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("png: {} of {} rows were written", w.rows_written, w.height));
  w.state = w.file.commit();
  if (!w.state) return w.state;
  w.state = fail(ErrorCode::kInvalidArgument, "png: the picture is finished");
  return {};
}

Result<void> write_rgb_png(const std::string& path, uint32_t width, uint32_t height, Bytes rgb) {
  const uint64_t row_bytes = uint64_t{3} * width;
  if (rgb.size() != row_bytes * height)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("png: {} bytes for {} x {} pixels", rgb.size(), width, height));
  auto png = PIXELLM_TRY(RgbPngWriter::create(path, width, height));
  for (uint32_t y = 0; y < height; y++) PIXELLM_CHECK(png.write_row(rgb.subspan(y * row_bytes, row_bytes)));
  return png.finish();
}

}  // namespace pixellm
