// pixellm v0 encode, pixellm v0 decode: an .npz becomes a picture and back.
#include <fmt/format.h>

#include <filesystem>

#include "base/file.h"
#include "cli/v0_common.h"

namespace pixellm::cli {
namespace {

void print_encoded(const v0::PixelMeta& meta, const std::string& path) {
  fmt::print("ENCODING MODEL → PIXELS\nLoaded {} tensors\n", meta.tensors.size());
  for (const v0::PixelTensor& t : meta.tensors)
    fmt::print("  {:<12}: {:<12} → {:>9} bytes ([{:+.4f}, {:+.4f}])\n", t.name, v0::shape_text(t.shape),
               with_commas(t.length), t.w_min, t.w_max);
  std::error_code ignored;
  const auto size = std::filesystem::file_size(path, ignored);
  fmt::print("\nTotal bytes: {}\nImage dimensions: {}×{} ({} pixels)\n\nPixel image: {} ({})\nMeta: {}\n",
             with_commas(meta.total_params), meta.image_width, meta.image_height,
             with_commas(uint64_t{meta.image_width} * meta.image_height), printable(path),
             human_bytes(ignored ? 0 : size), printable(v0::meta_path(path)));
}

// A picture and its meta, read or written, against the other file of the command.
Result<void> check_files(const std::string& picture, const std::string& other) {
  PIXELLM_CHECK(check_other_file(picture, other));
  return check_other_file(v0::meta_path(picture), other);
}

Result<void> encode(const std::string& in, const std::string& out, const std::string& name) {
  PIXELLM_CHECK(check_files(out, in));
  const auto network = PIXELLM_TRY(v0::read_network(in));
  print_encoded(PIXELLM_TRY(v0::write_pixel_model(network, out, name)), out);
  return {};
}

Result<void> decode(const std::string& in, const std::string& out) {
  PIXELLM_CHECK(check_files(in, out));
  const auto model = PIXELLM_TRY(v0::PixelModel::open(in));
  PIXELLM_CHECK(v0::write_network(out, model.network));
  note(fmt::format("{}: {} tensors, {} parameters", output_name(out), model.meta.tensors.size(),
                   with_commas(model.network.parameters())));
  return {};
}

}  // namespace

int cmd_v0_encode(int argc, char** argv) {
  CLI::App app("Stores the weights of an .npz as a picture, a byte each, with a meta.json beside it.");
  std::string in, out, name = v0::PixelMeta().model_name;
  app.add_option("NPZ", in, "embed, hidden, b_hidden, out and b_out; float32 or float64")->required();
  app.add_option("-o,--output", out, "the picture to write, a PNG: F.pxi; its meta becomes F.meta.json")
      ->required();
  app.add_option("--name", name, "the model's name in the meta")->capture_default_str();
  app.footer("Example:\n  pixellm v0 encode pixellm_v0.npz -o pixellm_v0.pxi");
  if (auto status = parse(app, argc, argv)) return *status;
  if (out == "-") return report_usage("v0 encode: writes two files, so -o needs a name");
  const auto done = encode(in, out, name);
  return done ? 0 : report(done.error());
}

int cmd_v0_decode(int argc, char** argv) {
  CLI::App app("Writes the weights that a picture holds: what was rounded to a byte stays rounded.");
  std::string in, out;
  app.add_option("PICTURE", in, "the picture; its meta.json stands beside it")->required();
  app.add_option("-o,--output", out, "the .npz to write; - is standard output")->required();
  app.footer("Example:\n  pixellm v0 decode pixellm_v0.pxi -o weights.npz");
  if (auto status = parse(app, argc, argv)) return *status;
  const auto done = decode(in, out);
  return done ? 0 : report(done.error());
}

}  // namespace pixellm::cli
