#include "kernels/scalar.h"

#include <cmath>
#include <limits>

#include "kernels/math_constants.h"
#include "tensor/float16.h"

namespace pixellm {
namespace scalar {

float exp(float x) {
  if (std::isnan(x)) return x;
  if (x < kExpLow) x = kExpLow;
  if (x > kExpHigh) x = kExpHigh;
  const float n = std::nearbyint(x * kLog2E);
  float r = std::fma(n, -kLn2High, x);
  r = std::fma(n, -kLn2Low, r);
  float p = kExp6;
  for (const float c : {kExp5, kExp4, kExp3, kExp2, 1.0f, 1.0f}) p = std::fma(p, r, c);
  return std::ldexp(p, static_cast<int>(n));
}

float tanh(float x) {
  const float a = std::fabs(x);
  if (!(a < kTanhSmall)) return std::copysign(1.0f - 2.0f / (exp(a + a) + 1.0f), x);
  const float z = a * a;
  float p = kTanh4;
  for (const float c : {kTanh3, kTanh2, kTanh1, kTanh0}) p = std::fma(p, z, c);
  return std::copysign(std::fma(p * z, a, a), x);
}

float Lanes::sum() const {
  float s[16];
  for (int i = 0; i < 16; i++) s[i] = lane[i];
  for (int half = 8; half >= 1; half /= 2)
    for (int i = 0; i < half; i++) s[i] = s[i] + s[i + half];
  return s[0];
}

namespace {

float silu_of(float x) { return x / (1.0f + exp(-x)); }

float gelu_of(float x) {
  const float cube = (x * x) * x;
  const float u = std::fma(kGeluCube, cube, x);
  return x / (1.0f + exp(kGeluScale * u));
}

void rms_norm(const float* x, const float* weight, uint64_t n, float eps, float* y) {
  Lanes squares;
  for (uint64_t i = 0; i < n; i++) squares.lane[i % 16] = std::fma(x[i], x[i], squares.lane[i % 16]);
  const float factor = 1.0f / std::sqrt(squares.sum() / static_cast<float>(n) + eps);
  for (uint64_t i = 0; i < n; i++) y[i] = weight == nullptr ? x[i] * factor : (x[i] * factor) * weight[i];
}

void layer_norm(const float* x, const float* weight, const float* bias, uint64_t n, float eps, float* y) {
  Lanes total, squares;
  for (uint64_t i = 0; i < n; i++) total.lane[i % 16] = total.lane[i % 16] + x[i];
  const float mean = total.sum() / static_cast<float>(n);
  for (uint64_t i = 0; i < n; i++) {
    const float d = x[i] - mean;
    squares.lane[i % 16] = std::fma(d, d, squares.lane[i % 16]);
  }
  const float factor = 1.0f / std::sqrt(squares.sum() / static_cast<float>(n) + eps);
  for (uint64_t i = 0; i < n; i++) y[i] = std::fma((x[i] - mean) * factor, weight[i], bias[i]);
}

void add(float* y, const float* x, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) y[i] = y[i] + x[i];
}

void scale(float* y, float s, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) y[i] = y[i] * s;
}

void silu_mul(float* gate, const float* up, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) gate[i] = silu_of(gate[i]) * up[i];
}

void gelu_mul(float* gate, const float* up, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) gate[i] = gelu_of(gate[i]) * up[i];
}

void gelu(float* x, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) x[i] = gelu_of(x[i]);
}

void softcap(float* x, float cap, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) x[i] = cap * tanh(x[i] / cap);
}

void rope(float* head, uint64_t n_rot, bool neox, const float* cos_sin) {
  const uint64_t half = n_rot / 2;
  for (uint64_t i = 0; i < half; i++) {
    float& a = neox ? head[i] : head[2 * i];
    float& b = neox ? head[i + half] : head[2 * i + 1];
    const float x0 = a, x1 = b, c = cos_sin[i], s = cos_sin[half + i];
    a = std::fma(x0, c, -(x1 * s));
    b = std::fma(x0, s, x1 * c);
  }
}

void to_f16(const float* x, uint64_t n, uint16_t* y) {
  for (uint64_t i = 0; i < n; i++) y[i] = float_to_f16(x[i]);
}

void softmax(float* x, uint64_t n) {
  float largest = -std::numeric_limits<float>::infinity();
  for (uint64_t i = 0; i < n; i++) largest = largest > x[i] ? largest : x[i];
  Lanes total;
  for (uint64_t i = 0; i < n; i++) {
    x[i] = exp(x[i] - largest);
    total.lane[i % 16] = total.lane[i % 16] + x[i];
  }
  const float inverse = 1.0f / total.sum();
  for (uint64_t i = 0; i < n; i++) x[i] = x[i] * inverse;
}

uint64_t int8_peak(uint64_t rounds) {
  constexpr int kBytes = 4096;
  int8_t a[kBytes], b[kBytes];
  for (int i = 0; i < kBytes; i++) {
    a[i] = static_cast<int8_t>(i % 127);
    b[i] = static_cast<int8_t>(i % 251 - 125);
  }
  volatile int32_t seen = 0;  // keeps the work alive
  for (uint64_t round = 0; round < rounds; round++) {
    int32_t sum = seen;
    for (int i = 0; i < kBytes; i++) sum += a[i] * b[i];
    seen = sum & 0xffff;
  }
  return rounds * kBytes * 2;
}

}  // namespace
}  // namespace scalar

constinit const Kernels kScalarKernels = {
    .isa = Isa::kScalar,
    .name = "scalar",
    .matmul = {scalar::matmul<TensorType::kF32>, scalar::matmul<TensorType::kF16>,
               scalar::matmul<TensorType::kBF16>, scalar::matmul<TensorType::kQ8_0>,
               scalar::matmul<TensorType::kQ4_0>, scalar::matmul<TensorType::kQ4_1>,
               scalar::matmul<TensorType::kQ5_0>, scalar::matmul<TensorType::kQ5_1>,
               scalar::matmul<TensorType::kQ4_K>, scalar::matmul<TensorType::kQ5_K>,
               scalar::matmul<TensorType::kQ6_K>},  // in the order of kTypes
    .prepare = scalar::prepare,
    .rms_norm = scalar::rms_norm,
    .layer_norm = scalar::layer_norm,
    .add = scalar::add,
    .scale = scalar::scale,
    .silu_mul = scalar::silu_mul,
    .gelu_mul = scalar::gelu_mul,
    .gelu = scalar::gelu,
    .softcap = scalar::softcap,
    .rope = scalar::rope,
    .attention = scalar::attention,
    .attention_chunk = scalar::attention_chunk,
    .attention_join = scalar::attention_join,
    .to_int8 = scalar::to_int8,
    .to_f16 = scalar::to_f16,
    .softmax = scalar::softmax,
    .int8_peak = scalar::int8_peak,
};

}  // namespace pixellm
