// pixellm logits: the raw logits after every token, as a NumPy file.
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/runtime.h"
#include "convert/npz.h"

namespace pixellm::cli {
namespace {

Result<void> write_logits(const std::string& path, const ModelFlags& flags, const std::vector<TokenId>& ids,
                          const std::string& out_path, SessionOptions options) {
  PIXELLM_CHECK(check_other_file(path, out_path));
  const Runtime runtime = PIXELLM_TRY(Runtime::open(path, flags, false));
  options.context = static_cast<uint32_t>(ids.size());
  const auto session = PIXELLM_TRY(runtime.new_session(options));
  auto out = PIXELLM_TRY(AtomicFile::create(out_path));
  catch_interrupts();
  const std::array<uint64_t, 2> shape = {ids.size(), runtime.engine->config().vocab_size};
  PIXELLM_CHECK(out.write(npy_header(shape)));
  std::vector<uint8_t> row;
  PIXELLM_CHECK(session->feed_each(ids, [&](uint32_t, std::span<const float> logits) -> Result<void> {
    if (interrupted()) return fail(ErrorCode::kIo, "logits: interrupted, nothing written");
    row.resize(logits.size() * sizeof(float));
    for (size_t i = 0; i < logits.size(); i++) store_le<float>(&row[i * sizeof(float)], logits[i]);
    return out.write(row);
  }));
  return out.commit();
}

// "1,2,3"; nullopt for anything else.
std::optional<std::vector<TokenId>> parse_ids(std::string_view list) {
  std::vector<TokenId> ids;
  const char *p = list.data(), *end = p + list.size();
  for (;;) {
    const auto [next, error] = std::from_chars(p, end, ids.emplace_back());
    if (error != std::errc()) return std::nullopt;
    if (next == end) return ids;
    if (*next != ',') return std::nullopt;
    p = next + 1;
  }
}

}  // namespace

int cmd_logits(int argc, char** argv) {
  CLI::App app(
      "Writes the logits after each of the given tokens: float32 [n_tokens, vocab_size], .npy version 1.0.");
  std::string path, out, list;
  SessionOptions options;
  ModelFlags flags;
  app.add_option("MODEL", path, "picture of a model")->required();
  app.add_option("--ids", list, "token ids, with commas between them")->required();
  app.add_option("--out,-o", out, "the file to write (-: standard output)")->required();
  app.add_option("--batch", options.batch, "tokens per step; the logits do not depend on it")
      ->check(CLI::Range(uint32_t{1}, UINT32_MAX))
      ->capture_default_str();
  add_session_options(app, options);
  flags.add_to(app);
  flags.add_device_to(app);
  flags.add_pin_to(app);
  app.footer("Example:\n  pixellm logits model.png --ids 1,15,42 --out logits.npy");
  if (auto status = parse(app, argc, argv)) return *status;
  const auto ids = parse_ids(list);
  if (!ids) return report_usage("logits: --ids takes numbers with single commas between them");
  const auto done = write_logits(path, flags, *ids, out, options);
  return done ? 0 : report(done.error());
}

}  // namespace pixellm::cli
