#include "convert/import.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "convert/gguf.h"
#include "convert/zip.h"
#include "pixel/flat_png.h"

namespace pixellm {
namespace {

Result<ImportJob> make_job(const FileSource& source, const ImportOptions& options) {
  std::array<uint8_t, 4> magic{};
  const Bytes begin = MutableBytes(magic).first(std::min<uint64_t>(magic.size(), source.size()));
  PIXELLM_CHECK(source.read_at(0, MutableBytes(magic).first(begin.size())));
  if (looks_like_gguf(begin)) return gguf_import_job(source, options);
  if (looks_like_zip(begin))
    return npz_import_job(source, std::filesystem::path(source.name()).stem().string(), options);
  return fail(ErrorCode::kUnsupported,
              begin.empty()
                  ? source.name() + ": is empty, neither a GGUF nor an npz file"
                  : fmt::format("{}: is neither a GGUF nor an npz file (begins with {} in hexadecimal)",
                                source.name(), to_hex(begin)));
}

}  // namespace

Result<ConvertSummary> import_model(const std::string& in, const std::string& out,
                                    const ImportOptions& options, const Progress& progress) {
  const File file = PIXELLM_TRY(File::open(in));
  PIXELLM_CHECK(check_other_file(in, out));
  const FileSource source(file);
  ImportJob job = PIXELLM_TRY(make_job(source, options));

  ConvertSummary summary{.n_tensors = job.plan.tensors.size(),
                         .bytes_read = file.size(),
                         .bytes_written = flat_png_file_bytes(job.plan.row_bytes, job.plan.rows)};
  uint64_t done = 0, weights = 0;
  for (const TensorInfo& t : job.plan.tensors) weights += t.source_bytes();
  // In bytes of the input, whole only when the picture is.
  const auto progress_of = [&](uint64_t n) {
    const double share = static_cast<double>(n) / static_cast<double>(weights);
    return std::min(static_cast<uint64_t>(share * static_cast<double>(file.size())), file.size() - 1);
  };
  auto writer = PIXELLM_TRY(ModelWriter::create(out, std::move(job.plan)));
  for (const size_t index : writer.order()) {
    const auto read = [&](uint64_t offset, MutableBytes bytes) -> Result<void> {
      PIXELLM_CHECK(job.read(index, offset, bytes));
      done += bytes.size();
      if (progress) progress(progress_of(done), file.size());
      return {};
    };
    PIXELLM_CHECK(writer.write_tensor(index, read));
  }
  PIXELLM_CHECK(writer.finish());
  if (progress) progress(file.size(), file.size());
  return summary;
}

}  // namespace pixellm
