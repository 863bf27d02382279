#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "cli/fs_common.h"
#include "cli/text_preview.h"

namespace pixellm::cli {
namespace {

struct ReadFlags {
  std::string name, out;
  uint64_t offset = 0, length = ~uint64_t{0};
  bool verify = false;
};

Result<void> write_out(PxifReader& in, const ReadFlags& flags) {
  constexpr uint64_t kWritebackBytes = uint64_t{16} << 20;
  auto out = PIXELLM_TRY(AtomicFile::create_or_stream(flags.out));
  uint64_t since = 0;
  const auto write = [&](Bytes piece) -> Result<void> {
    PIXELLM_CHECK(out.write(piece));
    since += piece.size();
    if (since < kWritebackBytes) return {};
    since = 0;
    out.start_writeback();
    return {};
  };
  PIXELLM_CHECK(in.copy({.offset = flags.offset,
                         .length = flags.length,
                         .verify = flags.verify,
                         .progress = progress_for("read")},
                        write));
  return out.commit();
}

Result<void> show(PxifReader& in, const ReadFlags& flags) {
  if (flags.offset > in.size())
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: offset {} is past the end of the content, which has {} bytes", in.path(),
                            flags.offset, in.size()));
  if (flags.verify) PIXELLM_CHECK(in.verify(progress_for("verify")));
  const uint64_t total = std::min(flags.length, in.size() - flags.offset);
  TextPreview preview;
  std::vector<uint8_t> buffer(std::min<uint64_t>(total, 1 << 18));
  for (uint64_t done = 0; done < std::min(total, TextPreview::kLookBytes) && preview.is_text();) {
    const MutableBytes piece = MutableBytes(buffer).first(std::min<uint64_t>(buffer.size(), total - done));
    PIXELLM_CHECK(in.read(flags.offset + done, piece));
    preview.take(piece);
    done += piece.size();
  }
  std::cout << preview.finish(total);
  return {};
}

}  // namespace

int fs_read(int argc, char** argv) {
  CLI::App app(
      "Shows the beginning of what is stored: the first 500 characters of a text, the first 100 bytes of "
      "anything else. With -o, "
      "writes the bytes themselves.");
  ReadFlags read;
  StoreFlags flags;
  app.add_option("NAME", read.name, "name in the store")->required();
  app.add_option("-o,--output", read.out,
                 "write the content to this file, device or pipe; - is standard output");
  app.add_option("--offset", read.offset, "first byte of the content")
      ->transform(whole_number())
      ->capture_default_str();
  app.add_option("--length", read.length, "how many bytes; cut at the end of the content")
      ->transform(whole_number())
      ->default_str("all");
  app.add_flag("--verify", read.verify,
               "check the SHA-256 of the whole content; when it differs, no file appears");
  flags.add_to(app);
  app.footer(
      "Examples:\n  pixellm fs read notes\n  pixellm fs read backup/src -o src.tar --verify\n"
      "  pixellm fs read big -o - --offset 1000000 --length 4096 | xxd");
  if (auto status = parse(app, argc, argv)) return *status;

  const PixelStore store = flags.store();
  if (auto allowed = check_output(store, read.name, read.out); !allowed) return report(allowed.error());
  auto in = store.open(read.name);
  if (!in) return report(in.error());
  const auto done = app.count("--output") > 0 ? write_out(*in, read) : show(*in, read);
  return done ? 0 : report(done.error());
}

}  // namespace pixellm::cli
