// Values of GGUF blocks: spec/cells.md, "Values". Every product and sum here is one f32 rounding; the build
// never contracts them (cmake/pixellm.cmake).
#include "tensor/cells.h"
#include "tensor/float16.h"

namespace pixellm {
namespace {

float half_at(const uint8_t* p) { return f16_to_float(load_le<uint16_t>(p)); }

void q8_0(const uint8_t* b, float* out) {
  const float d = half_at(b);
  for (int i = 0; i < 32; i++) out[i] = d * static_cast<float>(static_cast<int8_t>(b[2 + i]));
}

// Q4_0, Q4_1, Q5_0, Q5_1: d, perhaps m, perhaps qh, then 16 bytes of nibbles.
template <bool kHasM, bool kHasQh>
void nibbles(const uint8_t* b, float* out) {
  const float d = half_at(b), m = kHasM ? half_at(b + 2) : 0.0f;
  const uint8_t* p = b + (kHasM ? 4 : 2);
  const uint32_t qh = kHasQh ? load_le<uint32_t>(p) : 0;
  const uint8_t* qs = p + (kHasQh ? 4 : 0);
  for (int i = 0; i < 32; i++) {
    const int low = i < 16 ? qs[i] & 15 : qs[i - 16] >> 4;
    const int q = low | static_cast<int>(qh >> i & 1) << 4;
    if constexpr (kHasM) {
      out[i] = d * static_cast<float>(q) + m;
    } else {
      out[i] = d * static_cast<float>(q - (kHasQh ? 16 : 8));
    }
  }
}

// Q4_K, Q5_K: d, dmin, scales[12], perhaps qh[32], qs[128].
template <bool kHasQh>
void k_nibbles(const uint8_t* b, float* out) {
  const float d = half_at(b), dmin = half_at(b + 2);
  const uint8_t *scales = b + 4, *qh = b + 16, *qs = b + (kHasQh ? 48 : 16);
  for (int s = 0; s < 8; s++) {
    const int sc = s < 4 ? scales[s] & 63 : (scales[s + 4] & 15) | (scales[s - 4] >> 6) << 4;
    const int mn = s < 4 ? scales[s + 4] & 63 : (scales[s + 4] >> 4) | (scales[s] >> 6) << 4;
    const float scale = d * static_cast<float>(sc), minimum = dmin * static_cast<float>(mn);
    for (int l = 0; l < 32; l++) {
      const int byte = qs[32 * (s / 2) + l];
      int q = s % 2 ? byte >> 4 : byte & 15;
      if constexpr (kHasQh) q |= (qh[l] >> s & 1) << 4;
      out[32 * s + l] = scale * static_cast<float>(q) - minimum;
    }
  }
}

void q6_k(const uint8_t* b, float* out) {
  const float d = half_at(b + 208);
  const uint8_t *ql = b, *qh = b + 128, *scales = b + 192;
  for (int column = 0; column < 256; column++) {
    const int h = column / 128, quarter = column / 32 % 4, l = column % 32;
    const int byte = ql[64 * h + 32 * (quarter % 2) + l];
    const int low = quarter < 2 ? byte & 15 : byte >> 4;
    const int q = low | (qh[32 * h + l] >> (2 * quarter) & 3) << 4;
    const float scale = d * static_cast<float>(static_cast<int8_t>(scales[column / 16]));
    out[column] = scale * static_cast<float>(q - 32);
  }
}

}  // namespace

void dequantize_blocks(TensorType type, uint64_t k, const uint8_t* blocks, float* out) {
  const TypeTraits& t = traits(type);
  const auto each_block = [&](auto function) {
    for (uint64_t i = 0; i < k; i += t.block_elements, blocks += t.block_bytes) function(blocks, out + i);
  };
  switch (type) {
    case TensorType::kF32:
      return each_block([](const uint8_t* b, float* o) { *o = load_le<float>(b); });
    case TensorType::kF16:
      return each_block([](const uint8_t* b, float* o) { *o = half_at(b); });
    case TensorType::kBF16:
      return each_block([](const uint8_t* b, float* o) { *o = bf16_to_float(load_le<uint16_t>(b)); });
    case TensorType::kQ8_0:
      return each_block(q8_0);
    case TensorType::kQ4_0:
      return each_block(nibbles<false, false>);
    case TensorType::kQ4_1:
      return each_block(nibbles<true, false>);
    case TensorType::kQ5_0:
      return each_block(nibbles<false, true>);
    case TensorType::kQ5_1:
      return each_block(nibbles<true, true>);
    case TensorType::kQ4_K:
      return each_block(k_nibbles<false>);
    case TensorType::kQ5_K:
      return each_block(k_nibbles<true>);
    case TensorType::kQ6_K:
      return each_block(q6_k);
  }
}

}  // namespace pixellm
