// How fast a picture's rows become textures, beside a bare writeTexture loop over the same bytes in memory:
// layer after layer, each waited for. One line for people and one JSON line for each repeat.
//
//   gpu_upload_bench --mib 512 --rows-per-layer 1024 --step-mib 32
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "gpu/weight_textures.h"
#include "pixel/flat_png.h"

using namespace pixellm;

namespace {

constexpr uint64_t kRowBytes = 16320;  // a model's usual width: 5,440 pixels

struct Options {
  uint64_t mib = 512, step_mib = 32;
  uint32_t rows_per_layer = 1024;
  int repeats = 5;
  std::string file;
  bool cold = false, release = false;
};

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Result<std::string> make_picture(uint64_t mib) {
  const std::string path =
      std::filesystem::temp_directory_path() / fmt::format("gpu-upload-bench-{}.png", ::getpid());
  const uint64_t rows = std::max<uint64_t>(1, (mib << 20) / kRowBytes);
  auto png = PIXELLM_TRY(FlatPngWriter::create(path, kRowBytes, rows));
  std::vector<uint8_t> row(kRowBytes);
  for (uint64_t i = 0; i < rows; i++) {
    for (uint64_t c = 0; c < row.size(); c++) row[c] = static_cast<uint8_t>((i * 31 + c) * 2654435761u >> 24);
    PIXELLM_CHECK(png.write_row(row));
  }
  PIXELLM_CHECK(png.finish());
  return path;
}

// Drops the file from the page cache.
void forget(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
}

Result<double> bare(gpu::Device& device, const PixelPlane& plane, uint32_t rows_per_layer) {
  const auto start = Clock::now();
  const auto layers = static_cast<uint32_t>(ceil_div(plane.rows(), rows_per_layer));
  const auto height = static_cast<uint32_t>(std::min<uint64_t>(plane.rows(), rows_per_layer));
  const auto texture =
      PIXELLM_TRY(device.texture(static_cast<uint32_t>(plane.row_bytes() / 16), height, layers, "bare"));
  for (uint32_t layer = 0; layer < layers; layer++) {
    const uint64_t first = uint64_t{layer} * rows_per_layer;
    const auto n = static_cast<uint32_t>(std::min<uint64_t>(rows_per_layer, plane.rows() - first));
    PIXELLM_CHECK(device.write_rows(texture, layer, 0, n, plane.base() + first * plane.row_stride(),
                                    plane.row_stride()));
    PIXELLM_CHECK(device.wait());
  }
  return seconds_since(start);
}

Result<double> ours(gpu::Device& device, const PixelPlane& plane, const Options& o) {
  const auto start = Clock::now();
  const gpu::RowRange rows[] = {{0, plane.rows()}};
  const uint64_t most = gpu::max_texture_rows(device.limits(), plane.row_bytes(), o.rows_per_layer);
  std::vector<gpu::RowRange> pieces;
  for (uint64_t first = 0; first < plane.rows(); first += most)
    pieces.push_back({first, std::min(first + most, plane.rows())});
  const auto weights = PIXELLM_TRY(gpu::upload_rows(device, plane, pieces,
                                                    {.rows_per_layer = o.rows_per_layer,
                                                     .step_bytes = o.step_mib << 20,
                                                     .release_pages = o.release,
                                                     .progress = {}}));
  return seconds_since(start);
}

Result<void> measure(const Options& o, const std::string& path) {
  auto device = PIXELLM_TRY(gpu::Device::open({}));
  for (int i = 0; i < o.repeats; i++) {
    if (o.cold) forget(path);
    double upload = 0, loop = 0, gb = 0;
    {
      const auto plane = PIXELLM_TRY(PixelPlane::open(path));
      gb = double(plane.payload_bytes()) / 1e9;
      upload = PIXELLM_TRY(ours(device, plane, o));
    }
    {
      const auto plane = PIXELLM_TRY(PixelPlane::open(path));
      PIXELLM_CHECK(plane.populate_rows(0, plane.rows()));
      loop = PIXELLM_TRY(bare(device, plane, o.rows_per_layer));
    }
    fmt::print("{}: {:.0f} MB uploaded in {:.3f} s, {:.2f} GB/s; bare loop {:.3f} s, {:.2f} GB/s; {:.0f} %\n",
               device.adapter().name, gb * 1e3, upload, gb / upload, loop, gb / loop, 100 * loop / upload);
    fmt::print("{}\n", nlohmann::json{{"adapter", device.adapter().name},
                                      {"bytes", gb * 1e9},
                                      {"rows_per_layer", o.rows_per_layer},
                                      {"step_mib", o.step_mib},
                                      {"cold", o.cold},
                                      {"upload_gb_s", gb / upload},
                                      {"bare_gb_s", gb / loop}}
                           .dump());
    std::fflush(stdout);
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Upload of a picture into textures.");
  Options o;
  app.add_option("--file", o.file, "a picture; made when not given");
  app.add_option("--mib", o.mib, "size of the made picture")->capture_default_str();
  app.add_option("--step-mib", o.step_mib)->capture_default_str();
  app.add_option("--rows-per-layer", o.rows_per_layer)->check(CLI::Range(1, 8192))->capture_default_str();
  app.add_option("--repeat", o.repeats)->capture_default_str();
  app.add_flag("--cold", o.cold, "drop the file from the page cache before each upload");
  app.add_flag("--release", o.release, "give mapped pages back behind the upload");
  CLI11_PARSE(app, argc, argv);
  auto path = o.file.empty() ? make_picture(o.mib) : Result<std::string>(o.file);
  const Result<void> done = path ? measure(o, *path) : Result<void>(std::unexpected(path.error()));
  if (o.file.empty() && path) std::filesystem::remove(*path);
  if (!done) fmt::print(stderr, "gpu_upload_bench: {}\n", done.error().message);
  return done ? 0 : 1;
}
