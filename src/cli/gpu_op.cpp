// pixellm gpu op: one operation on NumPy files.
#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "cli/common.h"
#include "cli/gpu_commands.h"
#include "convert/npz.h"
#include "gpu/ops.h"

namespace pixellm::cli {
namespace {

using gpu::Activation;
using gpu::Array;
using gpu::Ops;

constexpr uint64_t kMaxFileBytes = uint64_t{16} << 30;

struct OpFlags {
  std::string name, output, dtype = "f32";
  std::vector<std::string> inputs;
  bool transpose_a = false, causal = false;
  float alpha = 0.01f;
};

struct Operation {
  std::string_view name;
  size_t n_inputs;
  std::string_view inputs;  // what they are called in messages
  Result<Array> (*run)(Ops& ops, std::vector<Array>& in, const OpFlags& flags);
};

template <Activation kind>
Result<Array> activation(Ops& ops, std::vector<Array>& in, const OpFlags& flags) {
  return ops.activation(kind, in[0], flags.alpha);
}

const std::vector<Operation>& operations() {
  static const std::vector<Operation> list = {
      {"matmul", 2, "A B",
       [](Ops& ops, std::vector<Array>& in, const OpFlags& flags) {
         return ops.matmul(in[0], in[1], flags.transpose_a);
       }},
      {"matvec", 2, "A x",
       [](Ops& ops, std::vector<Array>& in, const OpFlags&) { return ops.matvec(in[0], in[1]); }},
      {"dot", 2, "a b",
       [](Ops& ops, std::vector<Array>& in, const OpFlags&) { return ops.dot(in[0], in[1]); }},
      {"softmax", 1, "X",
       [](Ops& ops, std::vector<Array>& in, const OpFlags&) { return ops.softmax(in[0]); }},
      {"gelu", 1, "X", activation<Activation::kGelu>},
      {"gelu-fast", 1, "X", activation<Activation::kGeluFast>},
      {"relu", 1, "X", activation<Activation::kRelu>},
      {"silu", 1, "X", activation<Activation::kSilu>},
      {"leaky-relu", 1, "X", activation<Activation::kLeakyRelu>},
      {"attention", 3, "Q K V",
       [](Ops& ops, std::vector<Array>& in, const OpFlags& flags) {
         return ops.attention(in[0], in[1], in[2], flags.causal);
       }},
  };
  return list;
}

Result<void> run_op(const Operation& operation, const OpFlags& flags) {
  std::vector<Array> in;
  for (const std::string& path : flags.inputs) {
    PIXELLM_CHECK(check_other_file(path, flags.output));
    const auto bytes = PIXELLM_TRY(read_file(path, kMaxFileBytes));
    NpyArray array = PIXELLM_TRY(read_npy(bytes, path));
    in.push_back({.shape = std::move(array.shape), .values = std::move(array.values)});
  }
  auto device = PIXELLM_TRY(gpu::Device::open({}));
  Ops ops = PIXELLM_TRY(Ops::create(device, flags.dtype == "f16" ? gpu::OpType::kF16 : gpu::OpType::kF32));
  Array out = PIXELLM_TRY(operation.run(ops, in, flags));
  return write_file(flags.output,
                    write_npy({.shape = std::move(out.shape), .values = std::move(out.values)}));
}

}  // namespace

int gpu_op(int argc, char** argv) {
  CLI::App app(
      "Computes one operation on the GPU, from NumPy files (float32 or float64) to a NumPy file (float32).");
  OpFlags flags;
  std::vector<std::string> names;
  for (const Operation& o : operations()) names.emplace_back(o.name);
  app.add_option("NAME", flags.name, "the operation")->required()->check(CLI::IsMember(names));
  app.add_option("IN", flags.inputs, "the inputs, .npy; - is standard input")->required();
  app.add_option("-o,--output", flags.output, "the .npy to write; - is standard output")->required();
  app.add_option("--dtype", flags.dtype, "what the inputs are rounded to on the GPU; sums are float32")
      ->check(CLI::IsMember({"f32", "f16"}))
      ->capture_default_str();
  const auto* transpose = app.add_flag("--transpose-a", flags.transpose_a, "matmul: A is stored [k, m]");
  const auto* alpha =
      app.add_option("--alpha", flags.alpha, "leaky-relu: factor of what is below 0")->capture_default_str();
  const auto* causal = app.add_flag("--causal", flags.causal, "attention: query i sees keys 0 to i");
  app.footer(
      "matmul A B, matvec A x, dot a b, softmax X (by rows), attention Q K V; the others take X of any "
      "shape.\n\n"
      "Example:\n  pixellm gpu op matmul a.npy b.npy -o c.npy");
  if (auto status = parse(app, argc, argv)) return *status;

  const Operation& operation = *std::ranges::find(operations(), flags.name, &Operation::name);
  const std::pair<const CLI::Option*, std::string_view> of_one[] = {
      {transpose, "matmul"}, {alpha, "leaky-relu"}, {causal, "attention"}};
  for (const auto& [option, name] : of_one)
    if (option->count() > 0 && flags.name != name)
      return report_usage(fmt::format("gpu op: {} belongs to {}", option->get_name(), name));
  if (flags.inputs.size() != operation.n_inputs)
    return report_usage(fmt::format("gpu op: {} takes {} ({}), got {} file{}", flags.name, operation.n_inputs,
                                    operation.inputs, flags.inputs.size(),
                                    flags.inputs.size() == 1 ? "" : "s"));
  const auto done = run_op(operation, flags);
  return done ? 0 : report(done.error());
}

}  // namespace pixellm::cli
