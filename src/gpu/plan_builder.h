// Inside src/gpu: a model's matrices and vectors as the plan needs them: found, checked, placed in textures.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "gpu/plan.h"
#include "infer/row_layout.h"

namespace pixellm::gpu {

inline constexpr uint32_t kNone = 0xffffffff;
inline constexpr uint32_t kMaxWorkgroups = 65535;
inline constexpr uint32_t kRowTile = 64, kTokenTile = 32, kQueryTile = 16;

// A matrix of cells with its bias, if any. Not present: no such tensor.
struct Matrix {
  TensorType type = TensorType::kF32;
  uint64_t k = 0, n_rows = 0;
  uint64_t offset = 0;  // payload bytes
  RowRange rows;        // of the picture
  TensorPlace place{kNone, 0};
  uint32_t bias_at = kNone;  // in `vectors`
  bool present() const { return k != 0; }
};

struct NormPlace {
  uint32_t weight_at = kNone, bias_at = kNone;
};

struct LayerMatrices {
  NormPlace attention_norm, ffn_norm;
  std::vector<Matrix> attention_in;  // q, k, v or one
  Matrix attention_out, gate, up, down;
  uint32_t q_norm_at = kNone, k_norm_at = kNone, attention_post_at = kNone, ffn_post_at = kNone;
  uint32_t window = 0;
  bool local_rope = false;
};

struct PlanParts {
  Plan plan;  // config, sizes, textures and vectors are filled
  Matrix token_embedding, position_embedding, output;
  NormPlace output_norm;
  std::vector<LayerMatrices> layers;
  QkvRows rows;
  uint64_t vector_floats = 0;
  bool local_rope = false;

  // row, x, first_cells, n_groups of spec/plan.md.
  std::array<uint32_t, 4> place(const Matrix& m) const;
};

Result<PlanParts> find_parts(const Model& model, const PlanOptions& options);

// "q", "k", "q6_k", "float": the end of the products' shader names.
const char* family(TensorType type);

}  // namespace pixellm::gpu
