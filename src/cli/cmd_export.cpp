#include <fmt/format.h>

#include <chrono>

#include "cli/commands.h"
#include "cli/common.h"
#include "convert/gguf.h"

namespace pixellm::cli {

int cmd_export(int argc, char** argv) {
  CLI::App app(
      "Writes a model as GGUF: the file that its picture was imported from, bit for bit, or, where that was "
      "none, version 3.");
  std::string in, out;
  ModelFlags flags;
  app.add_option("IN", in, "picture of a model")->required();
  app.add_option("-o,--output", out, "the GGUF file to write; - is standard output")->required();
  flags.add_to(app);
  app.footer(
      "Examples:\n  pixellm export model.png -o model.gguf\n  pixellm export model.png -o - | sha256sum");
  if (auto status = parse(app, argc, argv)) return *status;

  const auto start = std::chrono::steady_clock::now();
  ThreadPool pool(flags.threads);
  const auto model = Model::open(in, flags.level(), pool, /*release_pages=*/true);
  if (!model) return report(model.error());
  const auto summary = export_gguf(*model, out, progress_bar("export"));
  if (!summary) return report(summary.error());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  note(fmt::format("{}: {} tensors, {}, {:.2f} s", output_name(out), summary->n_tensors,
                   human_bytes(summary->bytes_written), seconds.count()));
  return 0;
}

}  // namespace pixellm::cli
