#include "cli/any_file.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace pixellm::cli {

Result<AnyFile> AnyFile::open(const std::string& path) {
  AnyFile out;
  out.path = path;
  const File file = PIXELLM_TRY(File::open(path));
  out.file_bytes = file.size();
  std::array<uint8_t, 4> magic{};
  if (file.size() >= magic.size()) PIXELLM_CHECK(file.read_at(0, magic));
  if (looks_like_gguf(magic)) {
    out.gguf = PIXELLM_TRY(GgufFile::read(file));
    return out;
  }
  auto plane = PIXELLM_TRY(PixelPlane::open(path));
  if (plane.payload_bytes() >= magic.size()) PIXELLM_CHECK(plane.read(0, magic));
  if (!std::ranges::equal(magic, std::string_view("PXIM"))) {
    out.other_plane = std::move(plane);
    return out;
  }
  auto model = Model::from_plane(std::move(plane));
  if (model) {
    out.model = std::move(*model);
    return out;
  }
  // A broken head: what the container knows can still be told.
  out.model_error = std::move(model).error();
  out.other_plane = PIXELLM_TRY(PixelPlane::open(path));
  return out;
}

Result<void> AnyFile::check(VerifyLevel level, ThreadPool& pool) const {
  const auto lines = model ? PIXELLM_TRY(model->verify(level, pool))
                           : describe_rows(PIXELLM_TRY(plane().verify(level, pool)));
  if (lines.empty()) return {};
  constexpr size_t kShown = 4;
  std::string message = path + ": damaged";
  for (size_t i = 0; i < lines.size() && i < kShown; i++) message += (i == 0 ? ": " : "; ") + lines[i];
  if (lines.size() > kShown) message += "; ... (pixellm verify names all)";
  return fail(ErrorCode::kCorrupt, message);
}

std::vector<std::string> describe_rows(const PlaneDamage& damage) {
  std::vector<std::string> lines;
  for (const auto& [first, last] : damage.rows)
    lines.push_back(first == last ? "row " + std::to_string(first)
                                  : "rows " + std::to_string(first) + "-" + std::to_string(last));
  lines.insert(lines.end(), damage.other.begin(), damage.other.end());
  return lines;
}

}  // namespace pixellm::cli
