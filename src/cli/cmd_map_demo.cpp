// pixellm map demo: the map's promise in one run.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "cli/common.h"
#include "cli/map_commands.h"
#include "cli/world_flags.h"

namespace pixellm::cli {
namespace {

constexpr std::string_view kOriginText = "Data at the origin of the infinite map";
constexpr std::string_view kFarText = "Data ten thousand pixels away";
constexpr WorldPoint kOrigin{0, 0}, kFar{10000, 20000};

Bytes bytes(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

// A folder that is gone when the demonstration ends.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> create() {
    std::error_code error;
    TemporaryFolder folder;
    folder.path_ = (std::filesystem::temp_directory_path(error) / "pixellm-demo-XXXXXX").string();
    if (error || ::mkdtemp(folder.path_.data()) == nullptr)
      return fail(ErrorCode::kIo,
                  fmt::format("{}: cannot make a folder for the demonstration", folder.path_));
    return folder;
  }
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  TemporaryFolder() = default;
  std::string path_;
};

// Somebody's own pixels are not painted over; the demonstration's own are.
Result<void> check_place(World& world, WorldPoint at, std::string_view text) {
  const auto there = world.read_bytes(at.x, at.y);
  if (there && std::ranges::equal(*there, bytes(text))) return {};
  if (PIXELLM_TRY(world.count({at.x, at.y, world.tile_size(), world.tile_size()})) == 0) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("map demo: the world is painted at {},{} already, use an empty one", at.x, at.y));
}

Result<void> check_text(World& world, WorldPoint at, std::string_view text) {
  if (std::ranges::equal(PIXELLM_TRY(world.read_bytes(at.x, at.y)), bytes(text))) return {};
  return fail(ErrorCode::kInternal, fmt::format("map demo: other bytes came back at {},{}", at.x, at.y));
}

Result<void> paint(World& world) {
  PIXELLM_CHECK(check_place(world, kOrigin, kOriginText));
  PIXELLM_CHECK(check_place(world, kFar, kFarText));
  PIXELLM_CHECK(world.write_bytes(kOrigin.x, kOrigin.y, bytes(kOriginText)));
  fmt::print("✓ Wrote {} bytes at the origin\n", kOriginText.size());
  PIXELLM_CHECK(world.write_bytes(kFar.x, kFar.y, bytes(kFarText)));
  fmt::print("✓ Wrote {} bytes at {},{}, 10,000 pixels away\n", kFarText.size(), kFar.x, kFar.y);
  return {};
}

Result<void> show(const WorldFlags& flags) {
  PIXELLM_CHECK(flags.change(true, paint));
  auto world = PIXELLM_TRY(flags.open_reading());
  PIXELLM_CHECK(check_text(world, kOrigin, kOriginText));
  PIXELLM_CHECK(check_text(world, kFar, kFarText));
  fmt::print("✓ Opened the world again and retrieved both correctly\n");
  const auto around = PIXELLM_TRY(world.neighbors(kFar.x + 1, kFar.y, 1));
  for (const PixelAt& p : around)
    if (p.rgb != PIXELLM_TRY(world.get(p.x, p.y)))
      return fail(ErrorCode::kInternal, fmt::format("map demo: the neighbour {},{} differs", p.x, p.y));
  fmt::print("✓ Spatial neighbors: {} pixels around {},{}\n", around.size(), kFar.x + 1, kFar.y);
  const WorldStats stats = PIXELLM_TRY(world.stats());
  fmt::print("  {} tiles of {}x{} pixels on disk, {}\n", stats.tiles_on_disk, stats.tile_size,
             stats.tile_size, human_bytes(stats.store.file_bytes));
  return {};
}

}  // namespace

int cmd_map_demo(int argc, char** argv) {
  CLI::App app(
      "Stores data at the origin and at 10000,20000, opens the world again, and reads both and the "
      "neighbours back. Without\n"
      "--world in a temporary folder.");
  WorldFlags flags;
  flags.add_to(app, /*world_required=*/false);
  app.footer("Example:\n  pixellm map demo");
  if (auto status = parse(app, argc, argv)) return *status;
  std::optional<TemporaryFolder> temporary;
  if (flags.folder.empty()) {
    auto folder = TemporaryFolder::create();
    if (!folder) return report(folder.error());
    flags.folder = temporary.emplace(std::move(*folder)).path();
  }
  const auto shown = show(flags);
  return shown ? 0 : report(shown.error());
}

}  // namespace pixellm::cli
