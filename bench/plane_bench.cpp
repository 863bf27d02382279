// What opening and verifying a flat PNG costs, with the file in the page cache and nothing mapped, and what
// writing costs.
//
//   plane_bench [--file FILE] [--mb 100] [--threads 0] [--repeat 9]
//
// Without --file it writes a picture of --mb megabytes into the temporary folder and removes it. One line for
// people, then one of JSON; times are medians in milliseconds.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "pixel/flat_png.h"
#include "pixel/plane.h"

using namespace pixellm;

namespace {

constexpr uint64_t kRowBytes = 57792;

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

Result<double> write_picture(const std::string& path, uint64_t rows) {
  std::vector<uint8_t> row(kRowBytes);
  uint64_t state = 1;
  for (auto& b : row) b = static_cast<uint8_t>((state = state * 6364136223846793005u + 1) >> 56);
  const double begin = now_ms();
  auto writer = PIXELLM_TRY(FlatPngWriter::create(path, kRowBytes, rows));
  for (uint64_t i = 0; i < rows; i++) {
    store_le<uint64_t>(row.data(), i);
    PIXELLM_CHECK(writer.write_row(row));
  }
  PIXELLM_TRY(writer.finish());
  return now_ms() - begin;
}

// Opens the file anew each time: a command verifies a model once, with fresh mappings.
Result<nlohmann::json> measure(const std::string& path, ThreadPool& pool, int repeat) {
  std::vector<double> open, crc, sha256;
  uint64_t bytes = 0;
  for (int i = 0; i < repeat; i++)
    for (const VerifyLevel level : {VerifyLevel::kCrc, VerifyLevel::kSha256}) {
      const double begin = now_ms();
      const auto plane = PIXELLM_TRY(PixelPlane::open(path));
      const double opened = now_ms();
      const auto damage = PIXELLM_TRY(plane.verify(level, pool));
      (level == VerifyLevel::kCrc ? crc : sha256).push_back(now_ms() - opened);
      open.push_back(opened - begin);
      bytes = plane.file_bytes();
      if (!damage.empty()) return fail(ErrorCode::kCorrupt, path + ": is damaged");
    }
  return nlohmann::json{{"bytes", bytes},
                        {"threads", pool.size()},
                        {"open_ms", median(open)},
                        {"verify_crc_ms", median(crc)},
                        {"verify_crc_best_ms", *std::min_element(crc.begin(), crc.end())},
                        {"verify_sha256_ms", median(sha256)}};
}

int report(const Error& error) {
  fmt::print(stderr, "plane_bench: {}\n", error.message);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times opening, verifying and writing a flat PNG.");
  std::string file;
  int mb = 100, threads = 0, repeat = 9;
  app.add_option("--file", file, "measure this picture instead of a new one");
  app.add_option("--mb", mb, "megabytes of the new picture")->check(CLI::Range(1, 50000));
  app.add_option("--threads", threads, "0: as many as there are CPUs")
      ->check(CLI::Range(0, ThreadPool::kMaxThreads));
  app.add_option("--repeat", repeat, "how often each is measured")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);

  ThreadPool pool(threads);
  const bool own = file.empty();
  double write_ms = 0;
  if (own) {
    file = (std::filesystem::temp_directory_path() / "pixellm-plane-bench.png").string();
    auto written = write_picture(file, ceil_div(uint64_t{1000000} * static_cast<uint64_t>(mb), kRowBytes));
    if (!written) return report(written.error());
    write_ms = *written;
  }
  auto result = measure(file, pool, repeat);
  if (own) std::filesystem::remove(file);
  if (!result) return report(result.error());
  if (own) (*result)["write_ms"] = write_ms;
  fmt::print("{:.1f} MB, {} threads: open {:.3f} ms, crc {:.2f} ms (best {:.2f}), sha256 {:.2f} ms{}\n",
             (*result)["bytes"].get<double>() / 1e6, pool.size(), (*result)["open_ms"].get<double>(),
             (*result)["verify_crc_ms"].get<double>(), (*result)["verify_crc_best_ms"].get<double>(),
             (*result)["verify_sha256_ms"].get<double>(),
             own ? fmt::format(", write {:.1f} ms", write_ms) : "");
  fmt::print("{}\n", result->dump());
  return 0;
}
