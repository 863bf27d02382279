#include <fmt/format.h>

#include "cli/any_file.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/info_report.h"

namespace pixellm::cli {
namespace {

struct Findings {
  std::string checked;              // "sha256 of 1690 rows, 272 tensors"
  std::vector<std::string> damage;  // lines
  std::vector<std::pair<uint64_t, uint64_t>> rows;
};

Result<Findings> examine(const AnyFile& file, VerifyLevel level, ThreadPool& pool) {
  Findings f;
  const char* name = level == VerifyLevel::kCrc ? "crc" : "sha256";
  if (file.gguf) {
    // The format has no checksums, so its bits cannot be vouched for.
    f.checked = fmt::format("structure of {} tensors and {} metadata pairs (a GGUF carries no checksums)",
                            file.gguf->tensors.size(), file.gguf->metadata.entries().size());
    return f;
  }
  const PixelPlane& plane = file.plane();
  if (file.model) {
    f.checked = fmt::format("{} of {} rows and {} tensors", name, plane.rows(), file.model->tensors().size());
    f.damage = PIXELLM_TRY(file.model->verify(level, pool, /*release_pages=*/true));
    if (!f.damage.empty()) f.rows = PIXELLM_TRY(plane.verify(VerifyLevel::kCrc, pool, true)).rows;
    return f;
  }
  // Only flat PNG and PXIF carry a SHA-256; any other PNG has a CRC-32 for each chunk and an Adler-32.
  const bool foreign = plane.kind() == PlaneKind::kDecodedPng;
  f.checked = fmt::format("{} of {} row{} ({}{})", foreign ? "PNG checksums" : name, plane.rows(),
                          plane.rows() == 1 ? "" : "s", plane_kind_name(plane.kind()),
                          file.model_error ? "" : "; not a model");
  const PlaneDamage damage = PIXELLM_TRY(plane.verify(level, pool, true));
  f.rows = damage.rows;
  f.damage = describe_rows(damage);
  if (file.model_error && file.model_error->code == ErrorCode::kUnsupported)
    f.checked += ": " + file.model_error->message;
  else if (file.model_error)
    f.damage.push_back(file.model_error->message);
  return f;
}

}  // namespace

int cmd_verify(int argc, char** argv) {
  CLI::App app(
      "Checks every bit of a picture against its checksums; names the damaged rows (counted from 0) and what "
      "they hold. Exit "
      "status 1 when there is damage. Of a GGUF file, which has no checksums, the structure is checked.");
  std::string path, level_name = "sha256";
  bool json = false;
  ModelFlags flags;
  app.add_option("FILE", path, "picture (PNG, PXIF) or GGUF file")->required();
  app.add_option("--verify", level_name, "how thoroughly: crc or sha256")
      ->check(CLI::IsMember({"crc", "sha256"}))
      ->capture_default_str();
  flags.add_threads_to(app);
  app.add_flag("--json", json, "print {ok, level, rows: [[first, last]], damage: [line], checked}");
  app.footer("Example:\n  pixellm verify model.png");
  if (auto status = parse(app, argc, argv)) return *status;
  flags.verify = level_name;

  const auto file = AnyFile::open(path);
  if (!file) return report(file.error());
  ThreadPool pool(flags.threads);
  const auto findings = examine(*file, flags.level(), pool);
  if (!findings) return report(findings.error());
  const bool ok = findings->damage.empty();
  if (json) {
    std::cout << dump_json({{"ok", ok},
                            {"level", file->gguf ? "structure" : level_name},
                            {"rows", findings->rows},
                            {"damage", findings->damage},
                            {"checked", findings->checked}});
    return ok ? 0 : 1;
  }
  for (const std::string& line : findings->damage) std::cout << printable(line) << "\n";
  if (!ok)
    return report({ErrorCode::kCorrupt, fmt::format("{}: damaged; checked {}", path, findings->checked)});
  std::cout << fmt::format("{}: intact; checked {}\n", path, findings->checked);
  return 0;
}

}  // namespace pixellm::cli
