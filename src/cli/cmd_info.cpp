#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/common.h"
#include "cli/info_report.h"

namespace pixellm::cli {

int cmd_info(int argc, char** argv) {
  CLI::App app(
      "Shows what a picture of a model, another picture or a GGUF file holds. Shapes are in GGUF's order, "
      "the fastest dimension first. A damaged picture is refused unless --verify none is given.");
  std::string path;
  bool json = false;
  ModelFlags flags;
  app.add_option("FILE", path, "picture (PNG, PXIF) or GGUF file")->required();
  app.add_flag("--json", json,
               "print one JSON object: {file, plane, header, tensors, metadata, source, overhead}");
  flags.add_to(app);
  app.footer("Examples:\n  pixellm info model.png\n  pixellm info model.png --json | jq '.tensors[0]'");
  if (auto status = parse(app, argc, argv)) return *status;

  const auto file = AnyFile::open(path);
  if (!file) return report(file.error());
  if (!file->gguf) {
    ThreadPool pool(flags.threads);
    if (auto intact = file->check(flags.level(), pool); !intact) return report(intact.error());
  }
  if (json) {
    std::cout << dump_json(info_json(*file));
    return 0;
  }
  print_info(*file);
  return file->model_error ? report(*file->model_error) : 0;
}

}  // namespace pixellm::cli
