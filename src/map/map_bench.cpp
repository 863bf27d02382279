#include "map/map_bench.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "map/map_bench_stores.h"
#include "map/world.h"

namespace pixellm {
namespace {

constexpr int kGetPasses = 3;
constexpr uint64_t kLookups = 1'000'000, kPixels = 20'000'000;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t n = values.size();
  return n == 0 ? 0 : (values[(n - 1) / 2] + values[n / 2]) / 2;
}

// A new folder inside `parent`, gone at the end.
class ScratchFolder {
 public:
  static Result<ScratchFolder> create(const std::string& parent) {
    ScratchFolder out;
    std::error_code error;
    out.made_parent_ = std::filesystem::create_directory(parent, error) ? parent : "";
    std::string pattern = parent + "/.bench-XXXXXX";
    if (!::mkdtemp(pattern.data())) {
      const int cause = errno;
      if (!out.made_parent_.empty()) ::rmdir(parent.c_str());
      return fail(ErrorCode::kIo,
                  fmt::format("{}: cannot make a folder in it: {}", parent, std::strerror(cause)));
    }
    out.path_ = pattern;
    return out;
  }
  ScratchFolder(ScratchFolder&& other) noexcept
      : path_(std::exchange(other.path_, {})), made_parent_(std::exchange(other.made_parent_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder() {
    std::error_code error;
    if (!path_.empty()) std::filesystem::remove_all(path_, error);
    if (!made_parent_.empty()) ::rmdir(made_parent_.c_str());
  }
  const std::string& path() const { return path_; }

 private:
  ScratchFolder() = default;
  std::string path_, made_parent_;
};

// Counts the parts of the work, and asks whether to go on.
class Steps {
 public:
  Steps(uint64_t total, const std::function<bool(double)>& progress) : total_(total), progress_(progress) {}
  Result<void> done() {
    ++done_;
    if (progress_(static_cast<double>(done_) / static_cast<double>(total_))) return {};
    return fail(ErrorCode::kBusy, "bench: interrupted");
  }

 private:
  uint64_t total_, done_ = 0;
  const std::function<bool(double)>& progress_;
};

struct StoreRates {
  double puts = 0, gets = 0;
  uint64_t file_bytes = 0;
};

Result<StoreRates> measure_store(BenchStore& store, const BenchTiles& tiles, const MapBenchOptions& options) {
  const size_t n = tiles.places.size();
  StoreRates out;
  auto start = Clock::now();
  for (size_t i = 0; i < n; i += options.tiles_per_commit)
    PIXELLM_CHECK(store.put(tiles, i, std::min<size_t>(n, i + options.tiles_per_commit)));
  out.puts = static_cast<double>(n) / seconds_since(start);

  PIXELLM_CHECK(store.begin_gets());
  std::vector<uint8_t> rgb(kBenchTileBytes);
  for (size_t i = 0; i < n; ++i) {  // warms, and shows that it is what was put
    PIXELLM_CHECK(store.get(tiles.places[i], rgb.data()));
    if (!std::ranges::equal(rgb, tiles.rgb(i)))
      return fail(ErrorCode::kInternal, "bench: a tile reads otherwise");
  }
  std::vector<TileCoord> order = tiles.places;
  std::mt19937_64 random(2);
  std::ranges::shuffle(order, random);
  start = Clock::now();
  for (int pass = 0; pass < kGetPasses; ++pass)
    for (const TileCoord tile : order) PIXELLM_CHECK(store.get(tile, rgb.data()));
  out.gets = kGetPasses * static_cast<double>(n) / seconds_since(start);
  return out;
}

Result<StoreRates> measure_new_store(bool world, const std::string& folder, const BenchTiles& tiles,
                                     const MapBenchOptions& options) {
  StoreRates rates;
  {
    const auto store = PIXELLM_TRY(world ? open_world_store(folder) : open_plain_lmdb(folder));
    rates = PIXELLM_TRY(measure_store(*store, tiles, options));
  }
  std::error_code error;
  rates.file_bytes = std::filesystem::file_size(folder + "/data.mdb", error);
  std::filesystem::remove_all(folder, error);
  return rates;
}

Result<void> compare_stores(const std::string& folder, const MapBenchOptions& options, Steps& steps,
                            MapBench& out) {
  const BenchTiles tiles = make_bench_tiles(options.tiles);
  std::vector<double> puts, gets, lmdb_puts, lmdb_gets, put_ratios, get_ratios;
  for (uint32_t round = 0; round < options.rounds; ++round) {
    StoreRates ours, plain;
    for (int turn = 0; turn < 2; ++turn) {
      const bool world = (round % 2 == 0) == (turn == 0);
      (world ? ours : plain) =
          PIXELLM_TRY(measure_new_store(world, folder + (world ? "/world" : "/lmdb"), tiles, options));
      PIXELLM_CHECK(steps.done());
    }
    puts.push_back(ours.puts);
    gets.push_back(ours.gets);
    lmdb_puts.push_back(plain.puts);
    lmdb_gets.push_back(plain.gets);
    put_ratios.push_back(ours.puts / plain.puts);
    get_ratios.push_back(ours.gets / plain.gets);
    out.world_bytes = ours.file_bytes;
    out.lmdb_bytes = plain.file_bytes;
  }
  out.put_per_s = median(puts);
  out.get_per_s = median(gets);
  out.lmdb_put_per_s = median(lmdb_puts);
  out.lmdb_get_per_s = median(lmdb_gets);
  out.put_ratio = median(put_ratios);
  out.get_ratio = median(get_ratios);
  return {};
}

// Tiles that fill half of the cache, in random order.
Result<double> measure_lookups(World& world, const WorldOptions& options) {
  const auto side =
      static_cast<int64_t>(std::sqrt(static_cast<double>(options.cache_bytes / 2 / kBenchTileBytes)));
  std::vector<TileCoord> order;
  for (int64_t i = 0; i < side * side; ++i) order.push_back({i % side, i / side});
  std::mt19937_64 random(3);
  std::ranges::shuffle(order, random);
  for (const TileCoord tile : order) PIXELLM_TRY(world.pin(tile));
  uint64_t sum = 0;
  const auto start = Clock::now();
  for (uint64_t i = 0, at = 0; i < kLookups; ++i) {
    sum += PIXELLM_TRY(world.pin(order[at])).rgb()[i % kBenchTileBytes];
    if (++at == order.size()) at = 0;
  }
  const double seconds = seconds_since(start);
  if (sum == 0) return fail(ErrorCode::kInternal, "bench: the tiles are black");
  return kLookups / seconds;
}

// The pixels of one tile, in random order; gets, then sets, a second.
Result<std::pair<double, double>> measure_pixels(World& world) {
  std::vector<std::pair<int64_t, int64_t>> order;
  for (int64_t i = 0; i < int64_t{kDefaultTileSize} * kDefaultTileSize; ++i)
    order.emplace_back(i % kDefaultTileSize, i / kDefaultTileSize);
  std::mt19937_64 random(4);
  std::ranges::shuffle(order, random);
  uint64_t sum = 0;
  auto start = Clock::now();
  for (uint64_t i = 0; i < kPixels; ++i) {
    const auto [x, y] = order[i % order.size()];
    sum += PIXELLM_TRY(world.get(x, y))[1];
  }
  const double gets = kPixels / seconds_since(start);
  if (sum == 0) return fail(ErrorCode::kInternal, "bench: the pixels are black");
  start = Clock::now();
  for (uint64_t i = 0; i < kPixels; ++i) {
    const auto [x, y] = order[i % order.size()];
    PIXELLM_CHECK(world.set(x, y, {static_cast<uint8_t>(i), 1, 2}));
  }
  return std::pair(gets, kPixels / seconds_since(start));
}

Result<void> measure_world(const std::string& folder, const MapBenchOptions& options, Steps& steps,
                           MapBench& out) {
  const PixelRect rect{0, 0, options.region_size, options.region_size};
  std::vector<uint8_t> pixels(3 * rect.w * rect.h), seen(pixels.size());
  std::mt19937_64 random(5);
  std::ranges::generate(pixels, [&] { return static_cast<uint8_t>(random() | 1); });
  const WorldOptions world_options{.tile_size = kDefaultTileSize};
  World world = PIXELLM_TRY(World::open(folder, world_options));
  PIXELLM_CHECK(world.write(rect, pixels));
  PIXELLM_CHECK(world.flush());
  std::vector<double> lookups, gets, sets, reads, copies, ratios;
  for (uint32_t round = 0; round < options.rounds; ++round) {
    lookups.push_back(PIXELLM_TRY(measure_lookups(world, world_options)));
    const auto [get, set] = PIXELLM_TRY(measure_pixels(world));
    gets.push_back(get);
    sets.push_back(set);
    PIXELLM_CHECK(world.flush());
    PIXELLM_CHECK(world.read(rect, seen));  // warms
    const auto start = Clock::now();
    PIXELLM_CHECK(world.read(rect, seen));
    const double read = seconds_since(start);
    const auto copy_start = Clock::now();
    std::memcpy(seen.data(), pixels.data(), pixels.size());
    const double copy = seconds_since(copy_start);
    reads.push_back(static_cast<double>(pixels.size()) / read / 1e9);
    copies.push_back(static_cast<double>(pixels.size()) / copy / 1e9);
    ratios.push_back(read / copy);
    PIXELLM_CHECK(steps.done());
  }
  out.lookup_per_s = median(lookups);
  out.pixel_per_s = median(gets);
  out.pixel_set_per_s = median(sets);
  out.region_gb_s = median(reads);
  out.memcpy_gb_s = median(copies);
  out.region_memcpy_ratio = median(ratios);
  return {};
}

Result<void> check_room(const std::string& folder, const MapBenchOptions& options) {
  const uint64_t region = 3 * uint64_t{options.region_size} * options.region_size;
  const uint64_t needed = 2 * std::max(options.tiles * kBenchTileBytes, region) + (uint64_t{64} << 20);
  std::error_code error;
  const auto space = std::filesystem::space(folder, error);
  if (error)
    return fail(ErrorCode::kIo,
                fmt::format("{}: cannot see how much room there is: {}", folder, error.message()));
  if (space.available >= needed) return {};
  return fail(ErrorCode::kIo, fmt::format("{}: the benchmark needs {} MB of room, there are {} MB", folder,
                                          needed / 1'000'000, space.available / 1'000'000));
}

}  // namespace

Result<MapBench> bench_map(const std::string& folder, const MapBenchOptions& options,
                           const std::function<bool(double)>& progress) {
  if (options.tiles < 64 || options.tiles > 10'000'000 || options.tiles_per_commit == 0 ||
      options.rounds == 0 || options.region_size < 2048 || options.region_size > 32'768)
    return fail(ErrorCode::kInvalidArgument,
                "bench: 64 to 10000000 tiles, a region of 2048 to 32768 pixels a side, 1 round or more");
  const ScratchFolder scratch = PIXELLM_TRY(ScratchFolder::create(folder));
  PIXELLM_CHECK(check_room(scratch.path(), options));
  Steps steps(3 * uint64_t{options.rounds}, progress);
  MapBench out;
  PIXELLM_CHECK(compare_stores(scratch.path(), options, steps, out));
  PIXELLM_CHECK(measure_world(scratch.path() + "/region", options, steps, out));
  return out;
}

}  // namespace pixellm
