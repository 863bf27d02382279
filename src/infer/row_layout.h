// Where q, k and v of a token begin in a row of the attention's input, in floats: each from a multiple of a
// group of rows on, or one after the other as a fused attn_qkv gives them. The CPU's passes and the GPU's
// plan share it.
#pragma once
#include <cstdint>

#include "base/bytes.h"
#include "infer/config.h"
#include "tensor/dtype.h"

namespace pixellm {

struct QkvRows {
  uint64_t q_at = 0, k_at = 0, v_at = 0, stride = 0;
};

inline QkvRows qkv_rows(const ModelConfig& c, bool fused) {
  const uint64_t q = c.q_width(), kv = c.kv_width();
  QkvRows r;
  r.k_at = fused ? q : round_up(q, kCellRows);
  r.v_at = r.k_at + (fused ? kv : round_up(kv, kCellRows));
  r.stride = fused ? round_up(q + 2 * kv, kCellRows) : r.v_at + round_up(kv, kCellRows);
  return r;
}

}  // namespace pixellm
