// pixellm map mount, unmount: models in a world.
#include <fmt/format.h>

#include "cli/common.h"
#include "cli/map_commands.h"
#include "cli/world_flags.h"
#include "map/model_world.h"
#include "map/mounts.h"

namespace pixellm::cli {

int cmd_map_mount(int argc, char** argv) {
  CLI::App app(
      "Makes a model readable through the world, each tensor at its place, without copying it. The world "
      "keeps the "
      "model's path and what it was; painting over it is refused. A world that does not exist is made.");
  std::string path;
  WorldFlags flags;
  ModelFlags model_flags;
  WorldPoint at;
  app.add_option("MODEL", path, "picture of a model")->required();
  add_point(app, at, "where the upper left corner of the model's world comes to lie");
  flags.add_to(app);
  model_flags.add_to(app);
  app.footer("Example:\n  pixellm map mount model.png --at 0,0 --world world");
  if (auto status = parse(app, argc, argv)) return *status;

  // Whatever is wrong with the model is found before a world is made for it.
  ThreadPool pool(model_flags.threads);
  auto model = Model::open(path, model_flags.level(), pool, /*release_pages=*/true);
  if (!model) return report(model.error());
  const auto model_world = ModelWorld::create(std::move(*model));
  if (!model_world) return report(model_world.error());
  const auto mounted =
      flags.change(/*create=*/true, [&](World& world) { return mount_model(world, path, at.x, at.y); });
  if (!mounted) return report(mounted.error());
  note(fmt::format("mounted {} at {},{},{},{}", printable(path), at.x, at.y, model_world->width(),
                   model_world->height()));
  return 0;
}

int cmd_map_unmount(int argc, char** argv) {
  CLI::App app(
      "Takes a mounted model out of the world. Its file stays as it is, and need not exist any more.");
  std::string path;
  WorldFlags flags;
  app.add_option("MODEL", path, "the picture, as it was given or wherever it is")->required();
  flags.add_to(app);
  app.footer("Example:\n  pixellm map unmount model.png --world world");
  if (auto status = parse(app, argc, argv)) return *status;

  const auto removed =
      flags.change(/*create=*/false, [&](World& world) { return unmount_model(world, path); });
  if (!removed) return report(removed.error());
  note(fmt::format("unmounted {}", printable(path)));
  return 0;
}

}  // namespace pixellm::cli
