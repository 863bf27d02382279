#include <fmt/format.h>

#include <filesystem>

#include "cli/fs_common.h"
#include "cli/info_report.h"

namespace pixellm::cli {
namespace {

// Payload to pixel bytes, in per cent; over 100 where compression saves more than padding costs.
std::string efficiency(const PxifHeader& header) {
  if (header.original_size == 0) return "N/A (empty file)";
  return fmt::format("{:.1f}%", 100.0 * static_cast<double>(header.original_size) /
                                    static_cast<double>(header.body_bytes()));
}

void print_written(const std::string& path, const PxifHeader& header) {
  std::cout << fmt::format("Wrote {} bytes as {}x{} pixel image\n  {}\n  Efficiency: {}\n",
                           thousands(header.original_size), header.width, header.height, printable(path),
                           efficiency(header));
}

Result<PxifHeader> store_stream(const PixelStore& store, const std::string& name, InputStream& in,
                                const PxifOptions& options) {
  auto out = PIXELLM_TRY(store.create(name, options));
  PIXELLM_CHECK(out.pxif.write_from(in, progress_for("write")));
  return out.pxif.finish();
}

// 36 bytes, a hundred times: 1,200 pixels, which need two rows of 1,024.
std::string demo_text() {
  std::string text;
  for (int i = 0; i < 100; i++) text += "Every file is a picture, bit by bit\n";
  return text;
}

Result<PxifHeader> run_demo(const PixelStore& store, const std::string& name) {
  const std::string text = demo_text();
  const Bytes content(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  if (const auto there = store.open(name); there && there->header().checksum != sha256(content))
    return fail(ErrorCode::kInvalidArgument,
                there->path() + ": exists and is no demo; choose another --root");
  auto out = PIXELLM_TRY(store.create(name, {}));
  PIXELLM_CHECK(out.pxif.write(content));
  const PxifHeader header = PIXELLM_TRY(out.pxif.finish());
  auto in = PIXELLM_TRY(store.open(name));
  PIXELLM_CHECK(in.verify());
  std::string back(in.size(), '\0');
  PIXELLM_CHECK(in.read(0, {reinterpret_cast<uint8_t*>(back.data()), back.size()}));
  if (back != text) return fail(ErrorCode::kInternal, in.path() + ": the demo's text came back changed");
  return header;
}

}  // namespace

int fs_write(int argc, char** argv) {
  CLI::App app(
      "Stores a file as a pixel image, bit for bit; an image of the same name is replaced at once or not at "
      "all.");
  std::string file, name, compression = "none";
  PxifOptions options;
  StoreFlags flags;
  bool json = false;
  app.add_option("FILE", file, "the file to store; - is standard input")->required();
  app.add_option("NAME", name,
                 "name in the store, with / for folders; by default FILE's, without its suffix");
  app.add_option("--width", options.width, "width of the picture in pixels")
      ->check(CLI::Range(uint32_t{1}, kStoreMaxWidth))
      ->capture_default_str();
  app.add_option("--compression", compression, "none, rle, lz4 or zstd")
      ->check(CLI::IsMember({"none", "rle", "lz4", "zstd"}))
      ->capture_default_str();
  flags.add_to(app);
  flags.add_wait_to(app);
  app.add_flag("--json", json,
               "print {name, path, original_size, width, height, compression, sha256, file_bytes}");
  app.footer(
      "Examples:\n  pixellm fs write notes.txt\n  tar c src | pixellm fs write - backup/src --compression "
      "zstd");
  if (auto status = parse(app, argc, argv)) return *status;
  if (file == "-" && app.count("NAME") == 0) return report_usage("fs write: standard input has no name; give NAME");
  if (app.count("NAME") == 0) name = std::filesystem::path(file).stem().string();
  options.compression = *pxif_compression_named(compression);

  const PixelStore store = flags.store();
  const auto path = store.path_of(name);
  if (!path) return report(path.error());
  auto in = InputStream::open(file);
  if (!in) return report(in.error());
  const auto header = store_stream(store, name, *in, options);
  if (!header) return report(header.error());
  if (json)
    std::cout << dump_json(header_json(name, *path, *header));
  else
    print_written(*path, *header);
  return 0;
}

int fs_demo(int argc, char** argv) {
  CLI::App app(
      "Stores a text of 3,600 bytes as a picture of 1024x2 pixels named 'demo', reads it back and verifies "
      "it.");
  StoreFlags flags;
  bool json = false;
  flags.add_to(app);
  app.add_flag("--json", json,
               "print {name, path, original_size, width, height, compression, sha256, file_bytes, verify}");
  app.footer("Example:\n  pixellm fs demo && pixellm fs read demo");
  if (auto status = parse(app, argc, argv)) return *status;

  const PixelStore store = flags.store();
  const std::string name = "demo", path = *store.path_of(name);
  const auto header = run_demo(store, name);
  if (!header) return report(header.error());
  if (json) {
    auto out = header_json(name, path, *header);
    out["verify"] = "PASS";
    std::cout << dump_json(out);
    return 0;
  }
  print_written(path, *header);
  std::cout << "  Read back and verified: PASS\n";
  return 0;
}

}  // namespace pixellm::cli
