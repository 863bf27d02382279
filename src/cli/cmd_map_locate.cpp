// pixellm map locate, where: the way between weights and pixels.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "cli/map_commands.h"
#include "cli/map_operations.h"
#include "cli/world_flags.h"
#include "map/mounts.h"

namespace pixellm::cli {
namespace {

// Commands that read one place of a model check the rest of it only when they are asked to.
Result<void> check_if_asked(const std::string& path, const ModelFlags& flags) {
  if (flags.level() == VerifyLevel::kNone) return {};
  ThreadPool pool(flags.threads);
  PIXELLM_TRY(Model::open(path, flags.level(), pool, /*release_pages=*/true));
  return {};
}

void print_json(const Json& json) { fmt::print("{}\n", to_line(json)); }

void print(const WeightPlace& place) {
  fmt::print("{}\n{} {}\n", printable(place.model), printable(place.tensor), place.type);
  for (const ElementAt& e : place.elements) fmt::print("row {} column {}: {}\n", e.row, e.column, e.value);
  if (place.elements.empty()) fmt::print("padding: no weight's bytes\n");
}

}  // namespace

int cmd_map_locate(int argc, char** argv) {
  CLI::App app(
      "Prints where a tensor of a mounted model lies in the world, X,Y,W,H, or the pixel X,Y that holds the "
      "lowest bits of "
      "one of its elements. A tensor of more than two dimensions is the matrix of its rows.");
  std::string path, tensor;
  WorldFlags flags;
  ModelFlags model_flags{.verify = "none"};
  uint64_t row = 0, column = 0;
  bool as_json = false;
  app.add_option("MODEL", path, "a mounted model")->required();
  app.add_option("TENSOR", tensor, "name of the tensor")->required();
  auto* row_option = app.add_option("--row", row, "row of an element, counted from 0")->transform(whole_number());
  auto* column_option = app.add_option("--column", column, "its column")->transform(whole_number())->needs(row_option);
  row_option->needs(column_option);
  app.add_flag("--json", as_json, "{x, y, w, h}, or {x, y} of an element");
  flags.add_to(app);
  model_flags.add_to(app);
  app.footer("Example:\n  pixellm map locate model.png blk.0.attn_q.weight --row 3 --column 5 --world world");
  if (auto status = parse(app, argc, argv)) return *status;

  if (auto intact = check_if_asked(path, model_flags); !intact) return report(intact.error());
  auto world = flags.open_reading();
  if (!world) return report(world.error());
  if (*row_option) {
    const auto place = locate_element(*world, path, tensor, row, column);
    if (!place) return report(place.error());
    const auto [x, y] = *place;
    as_json ? print_json({{"x", x}, {"y", y}}) : fmt::print("{},{}\n", x, y);
    return 0;
  }
  const auto rect = locate_tensor(*world, path, tensor);
  if (!rect) return report(rect.error());
  if (as_json) {
    print_json({{"x", rect->x}, {"y", rect->y}, {"w", rect->w}, {"h", rect->h}});
  } else {
    fmt::print("{},{},{},{}\n", rect->x, rect->y, rect->w, rect->h);
  }
  return 0;
}

int cmd_map_where(int argc, char** argv) {
  CLI::App app(
      "Says which weights' bytes touch a pixel: model, tensor, and the elements with their values, those "
      "whose scales are "
      "there included. Where no tensor lies it fails, with --json it prints nulls and no elements. A value "
      "that is no "
      "finite number is null in JSON.");
  WorldPoint at;
  WorldFlags flags;
  ModelFlags model_flags{.verify = "none"};
  bool as_json = false;
  add_point(app, at, "a pixel of the world");
  app.add_flag("--json", as_json, "{model, tensor, type, elements [{row, column, value}]}");
  flags.add_to(app);
  model_flags.add_to(app);
  app.footer("Example:\n  pixellm map where 120,64 --world world --json");
  if (auto status = parse(app, argc, argv)) return *status;

  auto world = flags.open_reading();
  if (!world) return report(world.error());
  const auto place = where(*world, at.x, at.y);
  if (!place) return report(place.error());
  if (*place)
    if (auto intact = check_if_asked((*place)->model, model_flags); !intact) return report(intact.error());
  if (as_json) return print_json(to_json(*place)), 0;
  if (!*place)
    return report(
        {ErrorCode::kNotFound, fmt::format("map: no mounted model has weights at {},{}", at.x, at.y)});
  print(**place);
  return 0;
}

}  // namespace pixellm::cli
