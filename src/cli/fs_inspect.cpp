#include <fmt/format.h>

#include <algorithm>

#include "cli/fs_common.h"
#include "cli/info_report.h"

namespace pixellm::cli {
namespace {

// Whether an error says something about the container, not about the way to it.
bool is_damage(const Error& error) {
  return error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kUnsupported ||
         error.code == ErrorCode::kTooLarge;
}

Result<void> check(const PixelStore& store, const std::string& name) {
  auto in = PIXELLM_TRY(store.open(name));
  return in.verify(progress_for("verify"));
}

void print_list(const StoreListing& listing) {
  size_t widest = 0;
  for (const StoredImage& image : listing.images) widest = std::max(widest, printable(image.name).size());
  for (const StoredImage& image : listing.images)
    std::cout << fmt::format("{:<{}}  {:>10}  {}x{}\n", printable(image.name), widest,
                             human_bytes(image.header.original_size), image.header.width,
                             image.header.height);
}

}  // namespace

int fs_info(int argc, char** argv) {
  CLI::App app("Shows a container's size, picture, compression and checksum, as its header says them.");
  std::string name;
  StoreFlags flags;
  bool json = false;
  app.add_option("NAME", name, "name in the store")->required();
  flags.add_to(app);
  app.add_flag("--json", json,
               "print {name, path, original_size, width, height, compression, sha256, file_bytes}");
  app.footer("Example:\n  pixellm fs info notes");
  if (auto status = parse(app, argc, argv)) return *status;

  const PixelStore store = flags.store();
  const auto in = store.open(name);
  if (!in) return report(in.error());
  const PxifHeader& header = in->header();
  if (json) {
    std::cout << dump_json(header_json(name, in->path(), header));
    return 0;
  }
  std::cout << fmt::format(
      "{}\n  size         {} bytes\n  picture      {}x{} pixels, {} bytes with its header\n",
      printable(in->path()), thousands(header.original_size), header.width, header.height,
      thousands(header.file_bytes()));
  std::cout << fmt::format("  compression  {}\n  sha256       {}\n",
                           pxif_compression_name(header.compression), to_hex(header.checksum));
  return 0;
}

int fs_verify(int argc, char** argv) {
  CLI::App app(
      "Checks a container's length, its padding, every block and the SHA-256 of its content: PASS or FAIL. "
      "Exit status 1 on FAIL.");
  std::string name;
  StoreFlags flags;
  bool json = false;
  app.add_option("NAME", name, "name in the store")->required();
  flags.add_to(app);
  app.add_flag("--json", json, "print {name, ok, damage}");
  app.footer("Example:\n  pixellm fs verify notes");
  if (auto status = parse(app, argc, argv)) return *status;

  const PixelStore store = flags.store();
  const auto checked = check(store, name);
  if (!checked && !is_damage(checked.error())) return report(checked.error());
  if (json) {
    nlohmann::ordered_json out = {{"name", bare_name(name)}, {"ok", checked.has_value()}};
    out["damage"] = checked ? nlohmann::ordered_json() : nlohmann::ordered_json(checked.error().message);
    std::cout << dump_json(out);
    return checked ? 0 : 1;
  }
  std::cout << (checked ? "PASS " : "FAIL ") << printable(*store.path_of(name)) << "\n";
  return checked ? 0 : report(checked.error());
}

int fs_list(int argc, char** argv) {
  CLI::App app("Lists the containers, sorted by name: size of the content and measures of the picture.");
  StoreFlags flags;
  bool json = false, recursive = false;
  app.add_flag("--recursive", recursive, "also those in folders");
  flags.add_to(app);
  app.add_flag("--json", json, "print [{name, bytes, width, height}]");
  app.footer("Example:\n  pixellm fs list --recursive");
  if (auto status = parse(app, argc, argv)) return *status;

  auto listing = flags.store().list(recursive);
  // The default folder appears with the first container; one that was named should be there.
  const bool nothing_yet =
      !listing && listing.error().code == ErrorCode::kNotFound && app.count("--root") == 0;
  if (nothing_yet) listing.emplace();
  if (!listing) return report(listing.error());
  for (const Error& problem : listing->problems) warn(problem.message);
  if (!json) {
    if (listing->images.empty()) note("nothing is stored in " + flags.root);
    print_list(*listing);
    return 0;
  }
  auto out = nlohmann::ordered_json::array();
  for (const StoredImage& image : listing->images)
    out.push_back({{"name", image.name},
                   {"bytes", image.header.original_size},
                   {"width", image.header.width},
                   {"height", image.header.height}});
  std::cout << dump_json(out);
  return 0;
}

}  // namespace pixellm::cli
