// A model in a picture (PXI-LLM, magic PXIM): header, directory of tensors, metadata, weights in cells.
// Spec: spec/pxi-llm.md. Start here to follow a weight from the picture to the token.
//
//   ThreadPool pool;
//   Model model = PIXELLM_TRY(Model::open("model.png", VerifyLevel::kCrc, pool));
//   const TensorInfo& t = *model.find("token_embd.weight");
//   CellMatrixView m = model.matrix(t);                      // in place, in the mapping
// Immutable after open; safe to read from several threads. Views live as long as the Model.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "base/threads.h"
#include "model/metadata.h"
#include "pixel/plane.h"
#include "tensor/cells.h"
#include "tensor/dtype.h"

namespace pixellm {

struct Rect {
  uint32_t x = 0, y = 0, w = 0, h = 0;   // pixels
};

enum class LayerType : uint8_t { kEmbedding = 0, kAttention = 1, kFeedForward = 2, kOutput = 3, kNorm = 4, kOther = 5 };
enum class Layout : uint8_t { kCells = 0, kLinear = 1 };
inline constexpr uint16_t kNoLayer = 0xffff;

// One directory entry. A tensor with one dimension lies kLinear: its GGUF bytes as they are, over rows without a gap.
// Every other one is the matrix [n_rows, k] in cells with k = dims[0] and n_rows = dims[1]*dims[2]*dims[3].
struct TensorInfo {
  std::string name;
  TensorType type = TensorType::kF32;
  Layout layout = Layout::kCells;
  LayerType layer_type = LayerType::kOther;
  uint16_t layer = kNoLayer;            // the N of "blk.N."
  uint16_t world_parts = 1;             // equal parts (attention heads) that the world rectangle shows as neighbours
  uint32_t n_dims = 0;
  std::array<uint64_t, 4> dims{1, 1, 1, 1};   // GGUF order: dims[0] runs fastest
  uint64_t offset = 0;                  // payload byte of the first cell or byte; a multiple of 64
  uint64_t stored_bytes = 0;            // cells (padding included) or linear bytes, without row left-overs
  uint64_t source_offset = 0;           // in the source file's data section
  Rect world;
  Digest sha256{};                      // of the tensor's bytes in GGUF order, as exported

  uint64_t k() const { return dims[0]; }
  uint64_t n_rows() const { return dims[1] * dims[2] * dims[3]; }
  uint64_t n_elements() const { return k() * n_rows(); }
  uint64_t source_bytes() const { return gguf_row_bytes(type, k()) * n_rows(); }
};

// The 256-byte header; field by field in spec/pxi-llm.md. Version 1 files have the fields up to weights_sha256 only.
struct ModelHeader {
  static constexpr size_t kEncodedLength = 256;
  uint8_t version_major = 2, version_minor = 0;
  uint16_t architecture = 0xffff;       // 0 gpt2, 1 llama, 2 qwen2, 3 qwen3, 4 gemma3, 5 mlp, 0xffff other
  uint64_t model_size_bytes = 0;        // payload bytes from the header to the end of the last tensor
  uint32_t vocab_size = 0, n_layers = 0, embedding_length = 0, n_heads = 0, feed_forward_length = 0, context_length = 0;
  uint8_t weight_encoding = 4;          // 1 fp32, 2 min/max 8 bit, 3 fp16 (version 1); 4 cells
  uint8_t precision = 255;              // 0 fp32, 1 fp16, 2 int8 (version 1); 255 see the directory
  uint16_t tile_size = 64;
  uint32_t width = 0, height = 0;       // of the picture, pixels
  Digest weights_sha256{};              // payload from first_weight_row to the last row, whole rows
  // version 2
  uint32_t tensor_count = 0;
  uint64_t directory_offset = 0, strings_offset = 0, strings_bytes = 0, metadata_offset = 0, metadata_bytes = 0;
  uint32_t metadata_count = 0;
  uint64_t source_offset = 0, source_bytes = 0;   // the source record
  uint32_t first_weight_row = 0;
  uint32_t world_width = 0, world_height = 0;
  Digest head_sha256{};                 // payload [0, first_weight_row * R) with this field zero

  void encode(std::array<uint8_t, kEncodedLength>& out) const;
  static Result<ModelHeader> decode(Bytes first_256);   // version 2.0; kUnsupported for others and for other content
};

// What is needed to write the source file again, bit for bit. Spec: "Source record".
struct SourceRecord {
  uint32_t format = 0;                  // 0 none, 1 GGUF
  uint32_t version = 0;                 // of that format: 2 or 3
  uint32_t alignment = 32;
  uint64_t file_bytes = 0;
  uint64_t data_offset = 0;             // where the tensor data section begins
  struct Residue { uint64_t offset; std::vector<uint8_t> bytes; };   // file bytes outside tensors that are not zero
  std::vector<Residue> residues;
};

class Model {
 public:
  // Opens, validates everything but the weights' bits, and verifies those as asked: damage is kCorrupt and the message
  // names rows and tensors. Version 1 pictures: see spec/pxi-llm.md, "Version 1".
  static Result<Model> open(const std::string& path, VerifyLevel verify, ThreadPool& pool, bool release_pages = false);
  static Result<Model> from_plane(PixelPlane plane);   // validates, verifies nothing

  const PixelPlane& plane() const { return plane_; }
  const ModelHeader& header() const { return header_; }
  const Metadata& metadata() const { return metadata_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }   // in the source file's order
  const SourceRecord& source() const { return source_; }
  const TensorInfo* find(std::string_view name) const;                  // nullptr when absent

  CellMatrixView matrix(const TensorInfo& t) const;                     // requires layout kCells
  Result<std::vector<float>> read_floats(const TensorInfo& t) const;    // requires n_rows == 1; k floats
  // The same from the tensor's stored bytes, for a plane that does not hold its rows; requires layout kLinear too.
  Result<std::vector<float>> decode_floats(const TensorInfo& t, Bytes stored) const;
  std::pair<uint64_t, uint64_t> picture_rows(const TensorInfo& t) const;   // first and last row, inclusive

  // A damage report as lines: "row N: ..." or "rows A-B: ..." with the tensors (or "header", "directory", "names",
  // "metadata", "source record") that they hold, then what is damaged outside the rows.
  std::vector<std::string> describe(const PlaneDamage& damage) const;

  // Everything that can be checked: the plane at `level`; from kCrc on the head's SHA-256; at kSha256 also that of the
  // weights and every tensor's own. Lines as describe() gives them; none: intact.
  Result<std::vector<std::string>> verify(VerifyLevel level, ThreadPool& pool, bool release_pages = false) const;

  // The SHA-256 of the head as it stands in the picture; header().head_sha256 is what the file promises. Version 2 only.
  Result<Digest> hash_head() const;

  // The tensor's bytes in GGUF order, in pieces of at most a few rows of cells; stops at the sink's first error.
  Result<void> read_source_bytes(const TensorInfo& t, const std::function<Result<void>(Bytes)>& sink,
                                 bool release_pages = false) const;

 private:
  explicit Model(PixelPlane plane) : plane_(std::move(plane)) {}
  Result<void> load();   // reads and validates the head
  Bytes linear_run(const TensorInfo& t, uint64_t position) const;
  Result<void> read_cells(const TensorInfo& t, const std::function<Result<void>(Bytes)>& sink, bool release_pages) const;
  PixelPlane plane_;
  ModelHeader header_;
  Metadata metadata_;
  SourceRecord source_;
  std::vector<TensorInfo> tensors_;
  std::vector<uint32_t> by_name_;
};

}  // namespace pixellm
