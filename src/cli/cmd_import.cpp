#include <fmt/format.h>

#include <chrono>

#include "cli/commands.h"
#include "cli/common.h"
#include "pixel/flat_png.h"

namespace pixellm::cli {

int cmd_import(int argc, char** argv) {
  CLI::App app(
      "Stores a GGUF file (version 2 or 3) as a picture that runs in place. `pixellm export` gives the same "
      "bytes back.");
  std::string in, out;
  uint64_t width = 0;
  app.add_option("IN", in, "the GGUF file")->required();
  app.add_option("-o,--output", out,
                 "the picture to write, which appears when it is complete; - is standard output")
      ->required();
  app.add_option("--width", width,
                 fmt::format("width of the picture in pixels: a multiple of 64, at most {}; default: what "
                             "suits the weight types",
                             kFlatMaxRowBytes / 3))
      ->check(CLI::Range(uint64_t{64}, kFlatMaxRowBytes / 3));
  app.footer("Example:\n  pixellm import model.gguf -o model.png");
  if (auto status = parse(app, argc, argv)) return *status;
  if (width % 64 != 0) return report_usage(fmt::format("import: --width: {} is not a multiple of 64", width));

  ImportOptions options;
  if (width > 0) options.row_bytes = width * 3;
  const auto start = std::chrono::steady_clock::now();
  const auto summary = import_gguf(in, out, options, progress_bar("import"));
  if (!summary) return report(summary.error());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  note(fmt::format("{}: {} tensors, {} ({:.3f} x the GGUF), {:.2f} s", output_name(out), summary->n_tensors,
                   human_bytes(summary->bytes_written),
                   static_cast<double>(summary->bytes_written) / static_cast<double>(summary->bytes_read),
                   seconds.count()));
  return 0;
}

}  // namespace pixellm::cli
