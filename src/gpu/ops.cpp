#include "gpu/ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "gpu/op_job.h"

namespace pixellm::gpu {
namespace {

// Columns that one dispatch of a product adds up: few additions in one accumulator, and short loops.
constexpr uint64_t kMatmulSlice = 4096, kMatvecSlice = 65536;
constexpr uint64_t kDotEach = 16384;  // op_dot_part.wgsl
constexpr uint64_t kActivationEach = 1024;
constexpr uint64_t kMatmulTile = 64, kMatvecRows = 8;
constexpr uint64_t kQueryTile = 16, kColumnTile = 64;  // op_attention.wgsl
constexpr uint64_t kSoftmaxWorkgroup = 256, kSoftmaxEach = 16;

uint32_t word(uint64_t n) { return static_cast<uint32_t>(n); }

std::unexpected<Error> mismatch(std::string_view op, std::string_view what, const Array& a, const Array& b) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("gpu op: {}: {}: shapes {} and {}", op, what, shape_text(a), shape_text(b)));
}

}  // namespace

Result<Ops> Ops::create(Device& device, OpType type) {
  if (type == OpType::kF16 && !device.adapter().f16)
    return fail(ErrorCode::kUnsupported,
                fmt::format("gpu op: the adapter '{}' has no float16 in shaders", device.adapter().name));
  return Ops(device, type);
}

Result<Array> Ops::matmul(const Array& a, const Array& b, bool transpose_a) {
  PIXELLM_CHECK(check_array("matmul", "A", a, 2));
  PIXELLM_CHECK(check_array("matmul", "B", b, 2));
  const uint64_t m = a.shape[transpose_a ? 1 : 0], k = a.shape[transpose_a ? 0 : 1], n = b.shape[1];
  if (k != b.shape[0])
    return mismatch("matmul", transpose_a ? "A and B differ in their rows" : "A's columns are not B's rows",
                    a, b);
  OpJob job(*this, "matmul");
  const Buffer* buffers[] = {PIXELLM_TRY(job.input("A", a)), nullptr, nullptr};
  buffers[1] = PIXELLM_TRY(job.input("B", b));
  const auto floats = checked_mul(m, n);
  if (!floats) return mismatch("matmul", "the product is too large", a, b);
  buffers[2] = PIXELLM_TRY(job.output("A B", *floats));
  const Constant constants[] = {{"TRANSPOSE_A", transpose_a ? 1.0 : 0.0}};
  for (uint64_t begin = 0; begin < k; begin += kMatmulSlice) {
    const uint32_t params[] = {word(m), word(n),     word(k),
                               0,       word(begin), word(std::min(k, begin + kMatmulSlice))};
    PIXELLM_CHECK(job.dispatch("op_matmul.wgsl", constants, params, buffers,
                               {.x = ceil_div(n, kMatmulTile), .y = ceil_div(m, kMatmulTile)}));
  }
  return job.run(*buffers[2], {m, n});
}

Result<Array> Ops::matvec(const Array& a, const Array& x) {
  PIXELLM_CHECK(check_array("matvec", "A", a, 2));
  PIXELLM_CHECK(check_array("matvec", "x", x, 1));
  const uint64_t m = a.shape[0], k = a.shape[1];
  if (k != x.shape[0]) return mismatch("matvec", "A's columns are not x's elements", a, x);
  OpJob job(*this, "matvec");
  const Buffer* buffers[] = {PIXELLM_TRY(job.input("A", a)), nullptr, nullptr};
  buffers[1] = PIXELLM_TRY(job.input("x", x));
  buffers[2] = PIXELLM_TRY(job.output("A x", m));
  for (uint64_t begin = 0; begin < k; begin += kMatvecSlice) {
    const uint32_t params[] = {word(m), word(k), word(begin), word(std::min(k, begin + kMatvecSlice))};
    PIXELLM_CHECK(job.dispatch("op_matvec.wgsl", {}, params, buffers, job.fold(ceil_div(m, kMatvecRows))));
  }
  return job.run(*buffers[2], {m});
}

Result<Array> Ops::dot(const Array& a, const Array& b) {
  PIXELLM_CHECK(check_array("dot", "a", a, 1));
  PIXELLM_CHECK(check_array("dot", "b", b, 1));
  const uint64_t n = a.shape[0], n_parts = ceil_div(n, kDotEach);
  if (n != b.shape[0]) return mismatch("dot", "a and b differ in length", a, b);
  OpJob job(*this, "dot");
  const Buffer* inputs[] = {PIXELLM_TRY(job.input("a", a)), nullptr, nullptr};
  inputs[1] = PIXELLM_TRY(job.input("b", b));
  inputs[2] = PIXELLM_TRY(job.output("sums", n_parts));
  const Buffer* sums[] = {inputs[2], nullptr};
  sums[1] = PIXELLM_TRY(job.output("a b", 1));
  const uint32_t n_word[] = {word(n)}, parts_word[] = {word(n_parts)};
  PIXELLM_CHECK(job.dispatch("op_dot_part.wgsl", {}, n_word, inputs, {.x = n_parts}));
  PIXELLM_CHECK(job.dispatch("op_sum.wgsl", {}, parts_word, sums, {}));
  return job.run(*sums[1], {1});
}

Result<Array> Ops::softmax(const Array& x) {
  PIXELLM_CHECK(check_array("softmax", "X", x, 0));
  if (x.shape.empty())
    return fail(ErrorCode::kInvalidArgument, "gpu op: softmax: X is a single value, rows are needed");
  const uint64_t n = x.shape.back(), rows = x.values.size() / n;
  // Short rows share a workgroup; long ones are cut into chunks.
  uint64_t lanes = kSoftmaxWorkgroup;
  for (const uint64_t fewer : {32, 8})
    if (n <= fewer * kSoftmaxEach) lanes = fewer;
  const uint64_t chunk = lanes * kSoftmaxEach, chunks = ceil_div(n, chunk);
  OpJob job(*this, "softmax");
  const Buffer* buffers[] = {PIXELLM_TRY(job.input("X", x)), nullptr, nullptr};
  buffers[1] = PIXELLM_TRY(job.output("chunks", rows * chunks * 2));
  buffers[2] = PIXELLM_TRY(job.output("softmax", x.values.size()));
  const auto row_grid = job.fold(ceil_div(rows, kSoftmaxWorkgroup / lanes));
  const OpJob::Grid grid = {.x = chunks, .y = row_grid.x, .z = row_grid.y};
  const Constant constants[] = {{"LANES", static_cast<double>(lanes)}};
  const uint32_t params[] = {word(rows), word(n), word(chunks), word(chunk)};
  PIXELLM_CHECK(job.dispatch("op_softmax_part.wgsl", constants, params, std::span(buffers).first(2), grid));
  PIXELLM_CHECK(job.dispatch("op_softmax.wgsl", constants, params, buffers, grid));
  return job.run(*buffers[2], x.shape);
}

Result<Array> Ops::activation(Activation kind, const Array& x, float alpha) {
  constexpr std::array<std::string_view, 5> kNames = {"gelu", "gelu-fast", "relu", "silu", "leaky-relu"};
  const std::string_view name = kNames[static_cast<size_t>(kind)];
  PIXELLM_CHECK(check_array(name, "X", x, 0));
  OpJob job(*this, name);
  const Buffer* buffers[] = {PIXELLM_TRY(job.input("X", x)), nullptr};
  buffers[1] = PIXELLM_TRY(job.output("Y", x.values.size()));
  const Constant constants[] = {{"KIND", static_cast<double>(kind)}};
  const uint32_t params[] = {word(x.values.size()), std::bit_cast<uint32_t>(alpha)};
  PIXELLM_CHECK(job.dispatch("op_activation.wgsl", constants, params, buffers,
                             job.fold(ceil_div(x.values.size(), kActivationEach))));
  return job.run(*buffers[1], x.shape);
}

Result<Array> Ops::attention(const Array& q, const Array& k, const Array& v, bool causal) {
  PIXELLM_CHECK(check_array("attention", "Q", q, 2));
  PIXELLM_CHECK(check_array("attention", "K", k, 2));
  PIXELLM_CHECK(check_array("attention", "V", v, 2));
  const uint64_t n_queries = q.shape[0], n_keys = k.shape[0], d = q.shape[1], d_v = v.shape[1];
  if (k.shape[1] != d) return mismatch("attention", "Q and K differ in their columns", q, k);
  if (v.shape[0] != n_keys) return mismatch("attention", "K and V differ in their rows", k, v);
  if (causal && n_queries != n_keys)
    return mismatch("attention", "causal, and Q and K differ in their rows", q, k);
  const auto floats = checked_mul(n_queries, d_v);
  if (!floats) return mismatch("attention", "the result is too large", q, v);
  OpJob job(*this, "attention");
  const Buffer* buffers[] = {PIXELLM_TRY(job.input("Q", q)), nullptr, nullptr, nullptr};
  buffers[1] = PIXELLM_TRY(job.input("K", k));
  buffers[2] = PIXELLM_TRY(job.input("V", v));
  buffers[3] = PIXELLM_TRY(job.output("attention", *floats));
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(d)));
  const uint32_t params[] = {
      word(n_queries), word(n_keys), word(d), word(d_v), std::bit_cast<uint32_t>(scale), causal};
  PIXELLM_CHECK(job.dispatch("op_attention.wgsl", {}, params, buffers,
                             {.x = ceil_div(d_v, kColumnTile), .y = ceil_div(n_queries, kQueryTile)}));
  return job.run(*buffers[3], {n_queries, d_v});
}

}  // namespace pixellm::gpu
