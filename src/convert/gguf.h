// GGUF, versions 2 and 3, little-endian: reading its structure, importing into a picture, exporting bit for bit.
//
//   PIXELLM_CHECK(import_model("in.gguf", "out.png", {}, progress));      // import.h
//   PIXELLM_CHECK(export_gguf(model, "back.gguf", progress));      // SHA-256 of back.gguf == that of in.gguf
// What the picture keeps for the way back: spec/pxi-llm.md, "Source record".
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "convert/byte_source.h"
#include "convert/import.h"
#include "model/metadata.h"
#include "model/model.h"

namespace pixellm {

// The structure of a GGUF file, validated: counts, names, types, dimensions, offsets, alignment, no overlap, all inside
// the file. Limits in gguf.cpp. Unlawful files are kCorrupt, lawful ones with types we do not store kUnsupported, and
// both name the tensor or key.
struct GgufFile {
  uint32_t version = 0;
  uint32_t alignment = 32;
  uint64_t head_bytes = 0;             // header, metadata and tensor infos: what stands before the first padding
  uint64_t data_offset = 0;            // in the file; past its end when there are no tensors and no padding
  Metadata metadata;
  std::vector<TensorInfo> tensors;     // name, type, n_dims, dims, source_offset

  static Result<GgufFile> read(const ByteSource& source);
  static Result<GgufFile> read(const File& file) { return read(FileSource(file)); }
};

// Whether the bytes begin as a GGUF file does.
bool looks_like_gguf(Bytes first_4);

// Everything of an import that comes before the weights: what the picture will hold and where. kUnsupported when the
// bytes between the tensors are too many to keep.
Result<ModelPlan> plan_import(const ByteSource& source, GgufFile gguf, const ImportOptions& options);

// A picture that did not come from a GGUF becomes version 3 with its tensors in the directory's order.
Result<ConvertSummary> export_gguf(const Model& model, const std::string& out, const Progress& progress);

}  // namespace pixellm
