#include "cli/fs_common.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>

namespace pixellm::cli {

void StoreFlags::add_to(CLI::App& app) {
  app.add_option("--root", root, "folder of the store")->capture_default_str();
}

void StoreFlags::add_wait_to(CLI::App& app) {
  app.add_option("--wait", wait_seconds, "seconds to wait while another program changes the same name")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
}

PixelStore StoreFlags::store() const {
  return PixelStore(root, std::chrono::milliseconds(std::lround(wait_seconds * 1000)));
}

std::string thousands(uint64_t n) {
  std::string digits = fmt::format("{}", n);
  for (size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

Progress progress_for(std::string label) {
  constexpr uint64_t kShort = 64'000'000;
  return [bar = progress_bar(std::move(label))](uint64_t done, uint64_t total) {
    if (total > kShort) bar(done, total);
  };
}

std::string bare_name(const std::string& name) {
  return name.ends_with(".pxi") ? name.substr(0, name.size() - 4) : name;
}

nlohmann::ordered_json header_json(const std::string& name, const std::string& path,
                                   const PxifHeader& header) {
  return {{"name", bare_name(name)},
          {"path", path},
          {"original_size", header.original_size},
          {"width", header.width},
          {"height", header.height},
          {"compression", pxif_compression_name(header.compression)},
          {"sha256", to_hex(header.checksum)},
          {"file_bytes", header.file_bytes()}};
}

Result<void> check_output(const PixelStore& store, const std::string& name, const std::string& out) {
  const std::string container = PIXELLM_TRY(store.path_of(name));
  std::error_code ec;
  if (out == "-" || !std::filesystem::equivalent(container, out, ec)) return {};
  return fail(ErrorCode::kInvalidArgument,
              out + ": is the container itself; choose another name for the output");
}

}  // namespace pixellm::cli
