// Writing a model picture in one streaming pass: plan the layout from names, types and shapes, then give each tensor's
// rows in the plan's order. Memory: the head, one picture row and one group of 16 matrix rows.
//
//   ModelPlan plan = PIXELLM_TRY(plan_model(std::move(tensors), metadata, source));
//   auto writer = PIXELLM_TRY(ModelWriter::create("out.png", std::move(plan)));
//   for (size_t index : writer.order())
//     PIXELLM_CHECK(writer.write_tensor(index, [&](uint64_t offset, MutableBytes out) { return read(index, offset, out); }));
//   PIXELLM_CHECK(writer.finish());
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/metadata.h"
#include "model/model.h"

namespace pixellm {

struct ModelPlan {
  uint64_t row_bytes = 0, rows = 0;
  ModelHeader header;                    // hashes still zero
  std::vector<TensorInfo> tensors;       // in the source's order; offsets, stored bytes, world rectangles filled in
  std::vector<uint8_t> metadata;         // encoded pairs
  SourceRecord source;
  std::vector<size_t> order;             // tensor indices by offset
};

// Row width by the rule in spec/pxi-llm.md ("Width of the picture"): row_bytes multiple of 192, every cell type's
// left-over small, the picture near a square. `payload_bytes` is a first estimate.
uint64_t choose_row_bytes(std::span<const TensorType> types, uint64_t payload_bytes);

// Name, type, n_dims, dims and source_offset of each tensor come from the caller; everything else is computed.
// `row_bytes` forces the width. Errors: names empty, too long or twice; k not a multiple of the type's block; too large.
Result<ModelPlan> plan_model(std::vector<TensorInfo> tensors, const Metadata& metadata, SourceRecord source,
                             std::optional<uint64_t> row_bytes = {});

class ModelWriter {
 public:
  static Result<ModelWriter> create(const std::string& path, ModelPlan plan);
  ModelWriter(ModelWriter&&) noexcept;
  ~ModelWriter();

  const std::vector<size_t>& order() const;

  // `read(offset, out)` delivers bytes of the tensor in GGUF order, offset counted from the tensor's first byte.
  Result<void> write_tensor(size_t index, const std::function<Result<void>(uint64_t, MutableBytes)>& read);

  Result<void> finish();   // after every tensor: writes hashes into the head, commits the file

 private:
  struct Impl;
  explicit ModelWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pixellm
