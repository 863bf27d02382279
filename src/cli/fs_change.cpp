#include <fmt/format.h>

#include <algorithm>

#include "cli/fs_common.h"
#include "cli/info_report.h"
#include "pixel/flat_png.h"
#include "pixel/pxif_png.h"

namespace pixellm::cli {
namespace {

struct ChangeFlags {
  std::string name;
  StoreFlags store;
  bool json = false;
  void add_to(CLI::App& app, const char* json_help) {
    app.add_option("NAME", name, "name in the store")->required();
    store.add_to(app);
    app.add_flag("--json", json, json_help);
  }
};

int say(const ChangeFlags& flags, const PixelStore& store, const char* key, const char* text) {
  if (flags.json)
    std::cout << dump_json({{"name", bare_name(flags.name)}, {key, true}});
  else
    std::cout << fmt::format("{}: {}\n", printable(*store.path_of(flags.name)), text);
  return 0;
}

}  // namespace

int fs_remove(int argc, char** argv) {
  CLI::App app("Moves a container into the trash folder of its store; `pixellm fs restore` brings it back.");
  ChangeFlags flags;
  flags.add_to(app, "print {name, removed}");
  flags.store.add_wait_to(app);
  app.footer("Example:\n  pixellm fs remove notes");
  if (auto status = parse(app, argc, argv)) return *status;
  const PixelStore store = flags.store.store();
  const auto removed = store.remove(flags.name);
  return removed ? say(flags, store, "removed", "moved to the trash") : report(removed.error());
}

int fs_restore(int argc, char** argv) {
  CLI::App app(
      "Brings the container of that name which was removed last back from the trash. Nothing is "
      "overwritten.");
  ChangeFlags flags;
  flags.add_to(app, "print {name, restored}");
  flags.store.add_wait_to(app);
  app.footer("Example:\n  pixellm fs restore notes");
  if (auto status = parse(app, argc, argv)) return *status;
  const PixelStore store = flags.store.store();
  const auto restored = store.restore(flags.name);
  return restored ? say(flags, store, "restored", "restored from the trash") : report(restored.error());
}

int fs_export_png(int argc, char** argv) {
  CLI::App app(
      "Writes a container as a PNG: its picture, or that of its content where it is compressed. The pixels "
      "are the content's bytes "
      "and the zeros that fill the last row.");
  ChangeFlags flags;
  std::string out;
  bool verify = false;
  flags.add_to(app, "print {name, file, width, height, flat}");
  app.add_option("-o,--output", out,
                 "the PNG to write; - is standard output. By default beside the container");
  app.add_flag("--verify", verify, "check the SHA-256 of the content; when it differs, no file appears");
  app.footer("Example:\n  pixellm fs export-png notes -o notes.png");
  if (auto status = parse(app, argc, argv)) return *status;
  if (flags.json && out == "-")
    return report_usage("fs export-png: --json and -o - both want standard output");

  const PixelStore store = flags.store.store();
  if (auto allowed = check_output(store, flags.name, out); !allowed) return report(allowed.error());
  auto in = store.open(flags.name);
  if (!in) return report(in.error());
  const bool beside = app.count("--output") == 0;
  auto file = beside ? store.create_beside(flags.name, ".png") : AtomicFile::create(out);
  if (!file) return report(file.error());
  if (beside) out = file->path();
  const auto made = export_png(*in, std::move(*file), {.verify = verify, .progress = progress_for("export")});
  if (!made) return report(made.error());
  if (std::max(made->width, made->height) > kFlatMaxRows)
    warn(fmt::format("many programs open no PNG with more than {} pixels a side", kFlatMaxRows));
  if (flags.json)
    std::cout << dump_json({{"name", bare_name(flags.name)},
                            {"file", out},
                            {"width", made->width},
                            {"height", made->height},
                            {"flat", made->is_flat}});
  else
    note(fmt::format("{}: {}x{} pixels, {}", output_name(out), made->width, made->height,
                     made->is_flat ? "flat PNG" : "PNG"));
  return 0;
}

}  // namespace pixellm::cli
