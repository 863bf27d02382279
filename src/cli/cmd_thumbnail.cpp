#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/common.h"
#include "convert/thumbnail.h"

namespace pixellm::cli {

int cmd_thumbnail(int argc, char** argv) {
  CLI::App app(
      "Draws a small picture of a model: embedding first, layers downward, in columns; attention heads as a "
      "grid. Light "
      "where the weights are large. Violet: embedding, blue: attention, orange: feed-forward, green: norms.");
  std::string in, out;
  ThumbnailOptions options;
  ModelFlags flags;
  app.add_option("MODEL", in, "picture of a model")->required();
  app.add_option("-o,--output", out, "the PNG to write; - is standard output")->required();
  app.add_option(
         "--size", options.width,
         fmt::format("width in pixels: a multiple of {}, at most {}", kThumbnailUnit, kThumbnailMaxWidth))
      ->check(CLI::Range(kThumbnailUnit, kThumbnailMaxWidth))
      ->capture_default_str();
  flags.add_to(app);
  app.footer("Example:\n  pixellm thumbnail model.png -o small.png --size 960");
  if (auto status = parse(app, argc, argv)) return *status;
  if (options.width % kThumbnailUnit != 0)
    return report_usage(
        fmt::format("thumbnail: --size: {} is not a multiple of {}", options.width, kThumbnailUnit));

  ThreadPool pool(flags.threads);
  const auto model = Model::open(in, flags.level(), pool, /*release_pages=*/true);
  if (!model) return report(model.error());
  const auto written = write_thumbnail(*model, out, options, progress_bar("thumbnail"));
  return written ? 0 : report(written.error());
}

}  // namespace pixellm::cli
