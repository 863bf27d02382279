// Importing a model file into a picture. What the file is, its first bytes say, never its name.
//
//   ConvertSummary done = PIXELLM_TRY(import_model("in.gguf", "out.png", {}, progress));
//   import_model("pixellm_v0.npz", "v0.png", {}, {});
// GGUF: docs/gguf.md. NumPy's npz with the v0 network: docs/npz.md.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/progress.h"
#include "convert/byte_source.h"
#include "model/model_writer.h"

namespace pixellm {

struct ImportOptions {
  std::optional<uint64_t> row_bytes;   // force the picture's width: a multiple of 192
};

struct ConvertSummary {
  size_t n_tensors = 0;
  uint64_t bytes_read = 0, bytes_written = 0;   // sizes of the two files
};

// Writes the picture `out`. A GGUF streams: memory is bounded by the metadata and about two groups of 16 matrix rows; an npz
// is read whole. Leaves no file on error. Refuses to write over its own input. `progress` may be empty.
Result<ConvertSummary> import_model(const std::string& in, const std::string& out, const ImportOptions& options,
                                    const Progress& progress);

// ---- For the formats: everything of an import that comes before the weights, and where these come from.

struct ImportJob {
  ModelPlan plan;
  // Bytes of tensor `index` of the plan in GGUF order, from `offset` on. Reads from the source that the job was made of.
  std::function<Result<void>(size_t index, uint64_t offset, MutableBytes out)> read;
};

Result<ImportJob> gguf_import_job(const ByteSource& source, const ImportOptions& options);

// The arrays embed[V, D], hidden[D, D], b_hidden[D], out[D, V], b_out[V] as architecture mlp, all F32. kCorrupt names an array
// that is missing, has another shape or a value that is not finite; kUnsupported one that is too many; kTooLarge.
// `model_name` becomes general.name.
Result<ImportJob> npz_import_job(const ByteSource& source, const std::string& model_name, const ImportOptions& options);

}  // namespace pixellm
