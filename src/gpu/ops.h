// Single operations on a GPU: products, dot, softmax, activations, attention, each on arrays in memory. The
// library behind `pixellm gpu op`, and an example of shaders/op_*.wgsl; a model runs by its plan
// (spec/plan.md) instead.
//
//   auto device = PIXELLM_TRY(gpu::Device::open({}));
//   auto ops = PIXELLM_TRY(gpu::Ops::create(device, gpu::OpType::kF32));
//   const gpu::Array c = PIXELLM_TRY(ops.matmul({{2, 3}, a}, {{3, 4}, b}, /*transpose_a=*/false));   // [2,
//   4]
//
// Inputs are float32, or are rounded to float16 for the GPU (kF16); sums and results are float32 either way.
// With inputs as the GPU gets them and `exact` in float64, finite results are within
//
//   matmul, matvec, dot   2^-19 sum |a_i b_i|
//   softmax               2^-15 exact + 2^-120
//   gelu, gelu_fast, silu 2^-19 |x| + 2^-100;  relu, leaky_relu: exact, 2^-23 |exact|
//   attention             2^-19 (1 + S) max |v|, S the largest sum |q_i k_i| / sqrt(d)
//
// of it (measured on random and on one-signed data, asserted by ops_test.cpp). NaN stays NaN.
//
// Errors: kInvalidArgument names an array that is empty, has a wrong number of dimensions or does not fit
// another, or a value beyond float16; kTooLarge: over a limit of the device; kUnsupported: kF16 on an adapter
// without it. Not thread-safe, as Device; an Ops must not outlive its Device.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "gpu/device.h"

namespace pixellm::gpu {

// C order; the last dimension's elements lie together. shape {} holds one value.
struct Array {
  std::vector<uint64_t> shape;
  std::vector<float> values;
};

enum class OpType : uint8_t { kF32, kF16 };  // of the inputs on the GPU

// In the order of op_activation.wgsl. kGelu: the tanh form, as the CPU's kernels; kGeluFast: x sigmoid(1.702
// x).
enum class Activation : uint8_t { kGelu, kGeluFast, kRelu, kSilu, kLeakyRelu };

// Compiles a shader when it is first needed and keeps it.
class Ops {
 public:
  static Result<Ops> create(Device& device, OpType type);

  // a [m, k] (transpose_a: [k, m]) times b [k, n]: [m, n].
  Result<Array> matmul(const Array& a, const Array& b, bool transpose_a);
  // a [m, k] times x [k]: [m].
  Result<Array> matvec(const Array& a, const Array& x);
  // Both [n]: [1].
  Result<Array> dot(const Array& a, const Array& b);
  // Over the last dimension, of any length. -inf gives 0, and so does all of a row that holds nothing else; a
  // row with NaN or +inf gives NaN.
  Result<Array> softmax(const Array& x);
  // Any shape. `alpha` is leaky_relu's factor for x < 0.
  Result<Array> activation(Activation kind, const Array& x, float alpha);
  // softmax(q k^T / sqrt(d)) v: q [t, d], k [s, d], v [s, d_v]: [t, d_v]. causal (t = s): query i sees keys
  // 0..i.
  Result<Array> attention(const Array& q, const Array& k, const Array& v, bool causal);

 private:
  friend class OpJob;
  Ops(Device& device, OpType type) : device_(&device), type_(type) {}
  Device* device_;
  OpType type_;
  std::map<std::string, Pipeline> pipelines_;  // by shader and constants
};

}  // namespace pixellm::gpu
