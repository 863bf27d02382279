#include <fmt/format.h>

#include <chrono>

#include "cli/commands.h"
#include "cli/common.h"
#include "convert/import.h"
#include "pixel/flat_png.h"

namespace pixellm::cli {

int cmd_import(int argc, char** argv) {
  CLI::App app(
      "Stores a model as a picture that runs in place: a GGUF file (version 2 or 3), of which `pixellm "
      "export` gives "
      "the same bytes back, or the v0 network as NumPy saved it (npz).");
  std::string in, out;
  uint64_t width = 0;
  app.add_option("IN", in, "a GGUF file, or an npz with the arrays embed, hidden, b_hidden, out, b_out")
      ->required();
  app.add_option("-o,--output", out,
                 "the picture to write, which appears when it is complete; - is standard output")
      ->required();
  app.add_option("--width", width,
                 fmt::format("width of the picture in pixels: a multiple of 64, at most {}; default: what "
                             "suits the weight types",
                             kFlatMaxRowBytes / 3))
      ->check(CLI::Range(uint64_t{64}, kFlatMaxRowBytes / 3));
  app.footer(
      "What the input is, its content says, not its name.\n\n"
      "Examples:\n  pixellm import model.gguf -o model.png\n  pixellm import pixellm_v0.npz -o v0.png");
  if (auto status = parse(app, argc, argv)) return *status;
  if (width % 64 != 0) return report_usage(fmt::format("import: --width: {} is not a multiple of 64", width));

  ImportOptions options;
  if (width > 0) options.row_bytes = width * 3;
  const auto start = std::chrono::steady_clock::now();
  const auto summary = import_model(in, out, options, progress_bar("import"));
  if (!summary) return report(summary.error());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  note(fmt::format("{}: {} tensors, {} ({:.3f} x the input), {:.2f} s", output_name(out), summary->n_tensors,
                   human_bytes(summary->bytes_written),
                   static_cast<double>(summary->bytes_written) / static_cast<double>(summary->bytes_read),
                   seconds.count()));
  return 0;
}

}  // namespace pixellm::cli
