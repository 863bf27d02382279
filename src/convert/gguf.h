// GGUF, versions 2 and 3, little-endian: reading its structure, importing into a picture, exporting bit for bit.
//
//   PIXELLM_CHECK(import_gguf("in.gguf", "out.png", {}, progress));
//   PIXELLM_CHECK(export_gguf(model, "back.gguf", progress));      // SHA-256 of back.gguf == that of in.gguf
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "model/metadata.h"
#include "model/model.h"

namespace pixellm {

// The structure of a GGUF file, validated: counts, names, types, dimensions, offsets, alignment, no overlap, all inside
// the file. Limits in gguf.cpp. Unlawful files are kCorrupt, lawful ones with types we do not store kUnsupported, and
// both name the tensor or key.
struct GgufFile {
  uint32_t version = 0;
  uint32_t alignment = 32;
  uint64_t data_offset = 0;            // in the file
  Metadata metadata;
  std::vector<TensorInfo> tensors;     // name, type, n_dims, dims, source_offset

  static Result<GgufFile> read(const File& file);
};

using Progress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

struct ImportOptions {
  std::optional<uint64_t> row_bytes;   // force the picture's width: a multiple of 192
};

// Streams; memory is bounded by the metadata and about two groups of 16 matrix rows. Leaves no file on error.
Result<void> import_gguf(const std::string& in, const std::string& out, const ImportOptions& options,
                         const Progress& progress);
Result<void> export_gguf(const Model& model, const std::string& out, const Progress& progress);

}  // namespace pixellm
