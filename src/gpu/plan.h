// A model as an ordered list of dispatches: what a GPU does for a step of tokens, without a GPU in sight.
// Spec: spec/plan.md.
//
//   const Plan plan = PIXELLM_TRY(build_plan(model, {.context = 2048, .batch = 64}));
//   std::string json = plan_json(plan);
// Needs the picture's head only. Natively gpu/executor.h runs it, in a browser web/runtime. Values, no
// references.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "gpu/weight_textures.h"
#include "infer/config.h"
#include "model/model.h"

namespace pixellm::gpu {

inline constexpr uint32_t kPlanVersion = 1;
inline constexpr uint32_t kAttentionChunkPositions = 256;
inline constexpr uint32_t kMaxLogitRows = 32;
inline constexpr uint32_t kTopK = 64;

struct PlanOptions {
  uint32_t context = 0;                // positions; 0: as SessionOptions
  uint32_t batch = 64;                 // tokens of a prefill step at most
  uint32_t rows_per_layer = 1024;      // of the textures
  uint64_t max_texture_rows = 262144;  // max_texture_rows() of the device
};

struct PlanBuffer {
  std::string name;
  uint64_t bytes = 0;
  bool uniform = false;
};

// One component of a dispatch's size: `times`, or times * ceil(v / each).
struct Extent {
  enum class Of : uint8_t { kNumber, kTokens, kPositions, kLogits } of = Of::kNumber;
  uint32_t each = 1, times = 1;
};

struct PlanBinding {
  enum class Kind : uint8_t { kBuffer, kTexture, kParams } kind = Kind::kBuffer;
  uint32_t binding = 0;  // in group 0
  uint32_t index = 0;    // into Plan::buffers or Plan::textures
};

struct Dispatch {
  int32_t layer = -1;
  std::string shader;  // a file of src/gpu/shaders
  std::string label;
  std::vector<std::pair<std::string, double>> constants;
  std::vector<uint32_t> params;
  std::vector<PlanBinding> bindings;
  std::array<Extent, 3> workgroups;
};

struct Plan {
  // The one-dimensional tensors in the buffer `vectors`, in floats.
  struct Vector {
    std::string tensor;
    uint64_t at = 0, count = 0;
  };

  ModelConfig config;
  uint32_t context = 0, batch = 0;
  uint64_t row_bytes = 0, picture_rows = 0;
  uint32_t rows_per_layer = 0;
  std::vector<RowRange> textures;
  std::vector<Vector> vectors;
  std::vector<PlanBuffer> buffers;
  std::vector<Dispatch> decode, prefill, logits, argmax, top_k;

  uint32_t buffer(std::string_view name) const;  // its index; the name is one of spec/plan.md's
  // The most dispatches of one layer in decode.
  uint32_t dispatches_a_layer() const;
};

// kUnsupported: an architecture or a combination of types that the shaders do not cover, named. kTooLarge: a
// matrix or a buffer over the limits.
Result<Plan> build_plan(const Model& model, const PlanOptions& options);

std::string plan_json(const Plan& plan);

}  // namespace pixellm::gpu
