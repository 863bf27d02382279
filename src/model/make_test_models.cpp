// make_test_models FOLDER: small models for tools/pxi_reader_test.py, NAME.png each, and for every tensor its
// values by the C++ reader as raw float32, NAME.INDEX.f32. make_test_models --seeds FOLDER: payloads of the
// smallest models, the seeds of fuzz/model_fuzz.cpp.
#include <cstdio>

#include "model/test_model.h"
#include "model/test_version1.h"

namespace pixellm {
namespace {

Result<void> write_values(const Model& model, const std::string& prefix) {
  for (size_t i = 0; i < model.tensors().size(); i++) {
    const TensorInfo& t = model.tensors()[i];
    std::vector<float> values(t.n_elements());
    if (t.layout == Layout::kCells)
      for (uint64_t r = 0; r < t.n_rows(); r++) dequantize_row(model.matrix(t), r, &values[r * t.k()]);
    else
      values = PIXELLM_TRY(model.read_floats(t));
    const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
    PIXELLM_CHECK(
        write_file(prefix + "." + std::to_string(i) + ".f32", {bytes, values.size() * sizeof(float)}));
  }
  return {};
}

Result<void> write_model(const std::string& folder, const std::string& name, const TestModel& m,
                         std::optional<uint64_t> row_bytes) {
  const std::string path = folder + "/" + name + ".png";
  PIXELLM_CHECK(m.write(path, row_bytes));
  ThreadPool pool(1);
  const Model model = PIXELLM_TRY(Model::open(path, VerifyLevel::kSha256, pool));
  return write_values(model, folder + "/" + name);
}

Result<void> write_models(const std::string& folder) {
  PIXELLM_CHECK(write_model(folder, "every-type", TestModel::every_type(), {}));
  PIXELLM_CHECK(write_model(folder, "every-type-narrow", TestModel::every_type(), 4224));
  TestModel heads("qwen2", 4, 2, 2);
  heads.add("token_embd.weight", TensorType::kQ8_0, {64, 100});
  for (const std::string layer : {"blk.0.", "blk.1."}) {
    heads.add(layer + "attn_q.weight", TensorType::kQ4_K, {256, 64})
        .add(layer + "attn_q.bias", TensorType::kF32, {64});
    heads.add(layer + "attn_k.weight", TensorType::kQ5_K, {256, 32})
        .add(layer + "attn_v.weight", TensorType::kQ6_K, {256, 32});
  }
  PIXELLM_CHECK(write_model(folder, "heads", heads, {}));
  PIXELLM_CHECK(write_model(folder, "no-tensors", TestModel(), {}));
  return {};
}

Result<void> write_fixtures(const std::string& folder) {
  PIXELLM_CHECK(TestModel::smallest().write(folder + "/pxi-llm-2.0.png", 768));
  return write_file(folder + "/pxi-llm-1.0.pxif", wrap_in_pxif(version1_payload({}), 3 * kVersion1Width));
}

Result<void> write_seeds(const std::string& folder) {
  const TestModel small = TestModel::smallest();
  PIXELLM_CHECK(write_file(folder + "/small.bin", small.payload(768)));
  TestModel mixed;
  mixed.add("token_embd.weight", TensorType::kQ8_0, {32, 17}).add("cube", TensorType::kQ5_1, {32, 2, 3});
  mixed.source = {};
  PIXELLM_CHECK(write_file(folder + "/mixed.bin", mixed.payload(1152)));
  PIXELLM_CHECK(write_file(folder + "/version1.bin", version1_payload({})));
  PIXELLM_CHECK(write_file(folder + "/version1-relative.bin",
                           version1_payload({.is_relative = true, .entry_bytes = 32})));
  std::vector<uint8_t> pairs = small.pairs.bytes;
  pairs.insert(pairs.begin(), static_cast<uint8_t>(small.pairs.count));
  return write_file(folder + "/pairs.bin", pairs);
}

}  // namespace
}  // namespace pixellm

int main(int argc, char** argv) {
  const std::string_view what = argc == 3 ? argv[1] : "";
  if (argc != 2 && what != "--seeds" && what != "--fixtures") {
    std::fputs("usage: make_test_models [--seeds|--fixtures] FOLDER\n", stderr);
    return 2;
  }
  const std::string folder = argv[argc - 1];
  const auto done = what == "--seeds"      ? pixellm::write_seeds(folder)
                    : what == "--fixtures" ? pixellm::write_fixtures(folder)
                                           : pixellm::write_models(folder);
  if (!done) std::fprintf(stderr, "make_test_models: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
